"""Leaf paths of an earlier plan laid on today's target and made legal for today's fields: arcs and sliding windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, Plan
from appliance.contracts.collimation import positions_of
from appliance.planning.leaf_paths import legal
from appliance.planning.machine import Machine
from appliance.planning.moved_apertures import MOSTLY, covers, other_leaves
from appliance.planning.moving_field import FieldLimits, MovingField, waiting
from appliance.planning.moving_vector import FieldPath
from appliance.planning.old_beams import GAP_MM, OTHER_QUALITY, Move, quality_of, same_axes
from appliance.planning.pieces import frame_at, layered, leaf_layers_mm
from engines.photon.frame import BeamFrame, beam_frame

Array = NDArray[np.float64]
LimitsOf = Callable[[MovingField, Array], FieldLimits]
"""Limits of a field whose intervals have so many MU (intervals,)."""


@dataclass(frozen=True, eq=False)
class OldPath:
    """Of one beam of an earlier plan, in the axes of its frames, one for each control point. left, right (points,
    pairs); jaws (points, 4); mu (intervals,). layers_mm: leaf borders of each layer."""

    frames: tuple[BeamFrame, ...]
    left_mm: Array
    right_mm: Array
    jaws_mm: Array
    mu: Array
    layers_mm: tuple[Array, ...]

    @property
    def used(self) -> NDArray[np.bool_]:
        """(pairs,) true for those between the jaws across the leaves that open at some time."""
        middles = np.concatenate([(border[:-1] + border[1:]) / 2 for border in self.layers_mm])
        between = (middles > self.jaws_mm[:, 2:3]) & (middles < self.jaws_mm[:, 3:4])
        return np.asarray((between & (self.right_mm - self.left_mm > GAP_MM)).any(axis=0))


def old_path(beam: Beam, plan: Plan) -> OldPath:
    points = [layered(beam, positions_of(beam, point)) for point in beam.control_points]
    left, right, jaws = (np.stack([one[i] for one in points]) for i in range(3))
    frames = tuple(frame_at(beam, point.gantry_deg, plan.patient_position) for point in beam.control_points)
    mu = np.diff([point.cumulative_mu for point in beam.control_points])
    return OldPath(frames, left, right, jaws, mu, leaf_layers_mm(beam))


def frames_of(field: MovingField, machine: Machine, patient_position: str) -> tuple[BeamFrame, ...]:
    """One for each control point."""
    return tuple(
        beam_frame(
            field.isocentre_mm,
            gantry_deg,
            collimator_deg=field.collimator_deg,
            couch_deg=field.couch_deg,
            sad_mm=machine.sad_mm,
            patient_position=patient_position,
        )
        for gantry_deg in field.gantry_deg
    )


def why_not_paths(plan: Plan, fields: Sequence[MovingField], machine: Machine) -> str:
    """Why an earlier plan's leaf paths cannot be taken as they are; '' where they can."""
    if any(quality_of(beam) != (machine.energy_mv, machine.fluence_mode) for beam in plan.beams):
        return OTHER_QUALITY
    if why := other_leaves([leaf_layers_mm(beam) for beam in plan.beams], machine):
        return why
    if len(plan.beams) != len(fields):
        return "today's plan has another number of beams"
    for beam, field in zip(plan.beams, fields, strict=True):
        now = frames_of(field, machine, plan.patient_position)
        then = [frame_at(beam, point.gantry_deg, plan.patient_position) for point in beam.control_points]
        if len(now) != len(then) or not all(same_axes(a, b) for a, b in zip(now, then, strict=True)):
            return "today's beams have other angles or control points"
    return ""


def moved_paths(
    plan: Plan, fields: Sequence[MovingField], machine: Machine, limits_of: LimitsOf, *, shift_mm: Move,
    mu_factor: float,
) -> tuple[tuple[FieldPath, ...], tuple[FieldLimits, ...]]:  # fmt: skip
    """For a plan that `why_not_paths` has nothing against. shift_mm: how far the target has moved, LPS. mu_factor: for
    a course of other fractions."""
    paths, every = [], []
    for beam, field in zip(plan.beams, fields, strict=True):
        old = old_path(beam, plan)
        limits = limits_of(field, old.mu * mu_factor)
        left, right = _moved(old, field, frames_of(field, machine, plan.patient_position), limits, shift_mm)
        mu = np.clip(old.mu * mu_factor, limits.least_mu, limits.most_mu)
        paths.append(FieldPath(*legal(left, right, limits.paths), mu))
        every.append(limits)
    return tuple(paths), tuple(every)


def _moved(
    old: OldPath, field: MovingField, frames: Sequence[BeamFrame], limits: FieldLimits, shift_mm: Move
) -> tuple[Array, Array]:
    """Tips (points, pairs) before they are made legal. A pair that comes to lie across two pairs of before stands where
    both stood on average; one that has nothing of before waits, closed, as do those that face no target today."""
    wait_left, wait_right = waiting(limits.paths)
    left, right = np.tile(wait_left, (len(frames), 1)), np.tile(wait_right, (len(frames), 1))
    used, place = old.used.astype(np.float64), np.asarray(old.frames[0].isocentre_mm) + np.asarray(shift_mm)
    for point, frame in enumerate(frames):
        u_mm, v_mm = (float(way[0]) for way in frame.project(place[None]))
        first = 0
        for border in old.layers_mm:
            own = slice(first, first + border.size - 1)
            first += border.size - 1
            part = covers(border, v_mm) * used[own]
            share = part.sum(axis=1)
            shown = (share >= MOSTLY - 1e-9) & field.active[own]
            for before, now in ((old.left_mm, left), (old.right_mm, right)):
                mean = part @ before[point, own] / np.maximum(share, MOSTLY)
                now[point, own] = np.where(shown, mean + u_mm, now[point, own])
    return left, right
