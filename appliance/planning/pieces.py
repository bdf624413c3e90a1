"""A beam as the dose engines see it: still shapes, each from one direction, with its monitor units."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, Plan
from appliance.contracts.collimation import OPEN_FIELD_MM, Positions, leaf_turn_deg, positions_of
from appliance.errors import UnsupportedPlan
from engines.photon.aperture import Apertures
from engines.photon.frame import BeamFrame, beam_frame

LEAF_STEP_MM = 1.0
"""A leaf that moves while the beam is on is drawn at steps of this (sliding window, VMAT)."""
ARC_STEP_DEG = 2.0
"""A gantry that turns while the beam is on stands still for steps of at most this (chosen: what VMAT plans are made
of; Bedford, Med Phys 36:4153, 2009 found 2 degrees enough)."""
ANGLE_TOLERANCE_DEG = 0.05
"""Smaller changes of an angle within a beam are the writer's rounding."""


@dataclass(frozen=True, eq=False)
class Piece:
    """What a beam delivers from one gantry angle: still apertures with the monitor units of one fraction."""

    frame: BeamFrame
    gantry_deg: float
    apertures: Apertures


def pieces(beam: Beam, plan: Plan) -> tuple[Piece, ...]:
    """The beam's exposures in order. A static beam is one piece; an arc is one for each interval of control points, or
    for each ARC_STEP_DEG of wider ones, seen from the middle of its turn.

    Raises UnsupportedPlan for a beam without monitor units or one whose collimator or couch turns."""
    check_axes(beam)
    frames: list[float] = []
    shapes: list[list[tuple[Positions, float]]] = []
    for before, after in pairwise(beam.control_points):
        mu = after.cumulative_mu - before.cumulative_mu
        if mu <= 0:
            continue
        turn = turn_deg(before.gantry_deg, after.gantry_deg)
        turn = turn if abs(turn) > ANGLE_TOLERANCE_DEG else 0.0
        steps = max(1, int(np.ceil(abs(turn) / ARC_STEP_DEG - 1e-9)))
        for step in range(steps):
            gantry = before.gantry_deg + turn * (step + 0.5) / steps
            if not frames or abs(turn_deg(frames[-1], gantry)) > ANGLE_TOLERANCE_DEG:
                frames.append(gantry)
                shapes.append([])
            ends = positions_of(beam, before), positions_of(beam, after)
            shapes[-1] += _between(*ends, step / steps, (step + 1) / steps, mu / steps)
    if not frames:
        raise UnsupportedPlan(f"beam {beam.number} delivers no monitor units")
    return tuple(
        Piece(frame_at(beam, gantry, plan.patient_position), gantry, _apertures(beam, own))
        for gantry, own in zip(frames, shapes, strict=True)
    )


def frame_at(beam: Beam, gantry_deg: float, patient_position: str) -> BeamFrame:
    """Frame in which the leaves travel along X: of a collimator turned by 90 degrees where they travel along Y."""
    first = beam.control_points[0]
    return beam_frame(
        beam.isocentre_mm,
        gantry_deg,
        collimator_deg=first.collimator_deg + leaf_turn_deg(beam),
        couch_deg=first.couch_deg,
        sad_mm=beam.sad_mm,
        patient_position=patient_position,
    )


def leaf_layers_mm(beam: Beam) -> tuple[NDArray[np.float64], ...]:
    """Leaf borders of each layer in the axes of `frame_at`; without an MLC one wide pair, which `pieces` opens. Turned
    by 90 degrees the old X axis is the new -Y: borders along it change sign and order."""
    layers = [np.array(b, np.float64) for b in (beam.leaf_boundaries_mm, beam.lower_boundaries_mm) if b]
    layers = layers or [np.array([-OPEN_FIELD_MM, OPEN_FIELD_MM])]
    return tuple(-layer[::-1] for layer in layers) if beam.leaf_axis == "Y" else tuple(layers)


def turn_deg(start_deg: float, end_deg: float) -> float:
    """Degrees of the shorter way round, positive clockwise as IEC 61217 counts."""
    return (end_deg - start_deg + 180.0) % 360.0 - 180.0


def check_axes(beam: Beam) -> None:
    """Raises UnsupportedPlan, naming the control point, if collimator or couch turn."""
    first = beam.control_points[0]
    for number, point in enumerate(beam.control_points[1:], start=1):
        for name in ("collimator_deg", "couch_deg"):
            if abs(turn_deg(getattr(first, name), getattr(point, name))) > ANGLE_TOLERANCE_DEG:
                axis = name.removesuffix("_deg")
                raise UnsupportedPlan(
                    f"beam {beam.number}, control point {number}: its {axis} moves while it delivers, which this "
                    "release does not calculate"
                )


def _between(first: Positions, final: Positions, start: float, end: float, mu: float) -> list[tuple[Positions, float]]:
    """Still shapes for the part start..end of an interval; leaves and jaws that move become several of them."""
    travel = (end - start) * max(float(np.abs(b - a).max()) for a, b in zip(first, final, strict=True))
    steps = max(1, int(np.ceil(travel / LEAF_STEP_MM - 1e-9)))
    middles = start + (end - start) * (np.arange(steps) + 0.5) / steps
    return [(_at(first, final, middle), mu / steps) for middle in middles]


def _at(first: Positions, final: Positions, part: float) -> Positions:
    return tuple(a + (b - a) * part for a, b in zip(first, final, strict=True))


def _apertures(beam: Beam, shapes: list[tuple[Positions, float]]) -> Apertures:
    rows = [layered(beam, positions) for positions, _ in shapes]
    left, right, jaws = (np.stack([row[i] for row in rows]) for i in range(3))
    return Apertures(left, right, jaws, np.array([mu for _, mu in shapes]))


def layered(beam: Beam, positions: Positions) -> tuple[NDArray[np.float64], ...]:
    """Left and right leaves of all layers one after the other, and jaws (along the leaves, then across), in the axes of
    `frame_at`."""
    jaws, left, right = positions[0], positions[1::2], positions[2::2]
    if beam.leaf_axis == "Y":
        x1, x2, y1, y2 = jaws
        jaws, left, right = np.array([y1, y2, -x2, -x1]), tuple(a[::-1] for a in left), tuple(b[::-1] for b in right)
    return np.concatenate(left), np.concatenate(right), jaws
