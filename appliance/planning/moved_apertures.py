"""Apertures of an earlier plan laid on today's target and made legal for today's machine and fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.planning.beamlets import Beamlets
from appliance.planning.delivery_model import MU_ROOM
from appliance.planning.machine import Machine
from appliance.planning.old_beams import OTHER_QUALITY, Move, OldBeam, offset_mm, same_axes
from appliance.planning.segments import (
    BeamSegments,
    ajar,
    bank_room_mm,
    jaws_of,
    smallest_gap_mm,
    windows_of,
)
from engines.photon.aperture import Apertures
from engines.photon.frame import BeamFrame

Array = NDArray[np.float64]

MOSTLY = 0.5
"""A leaf pair that lies between two pairs of the earlier plan is open where those that are open cover so much of its
height."""
BORDER_MM = 0.01
"""Leaf borders that differ by less are the same: what a plan states of them."""


def why_not_apertures(beams: Sequence[OldBeam], frames: Sequence[BeamFrame], machine: Machine) -> str:
    """Why an earlier plan's apertures cannot be taken as they are; '' where they can."""
    if why := other_leaves([beam.layers_mm for beam in beams], machine):
        return why
    if any(beam.quality != (machine.energy_mv, machine.fluence_mode) for beam in beams):
        return OTHER_QUALITY
    if not all(beam.still for beam in beams):
        return "its leaves or its gantry move while it delivers"
    if any(not any(same_axes(frame, beam.piece.frame) for beam in beams) for frame in frames) or any(
        not any(same_axes(frame, beam.piece.frame) for frame in frames) for beam in beams
    ):
        return "today's beams have other angles"
    return ""


def other_leaves(layers_mm: Sequence[tuple[Array, ...]], machine: Machine) -> str:
    """Why leaf borders of each layer of some beams are not those of the machine; '' where they are."""
    own = [borders for borders in (machine.mlc.boundaries_mm, machine.mlc.lower_boundaries_mm) if borders.size]
    for layers in layers_mm:
        same = len(layers) == len(own) and all(
            a.size == b.size and np.allclose(a, b, atol=BORDER_MM) for a, b in zip(layers, own, strict=True)
        )
        if not same:
            return "its leaves are others than those of today's machine"
    return ""


def moved_segments(
    beams: Sequence[OldBeam], frames: Sequence[BeamFrame], beamlets: Beamlets, machine: Machine, *, shift_mm: Move,
    mu_factor: float, minimum_mu: float,
) -> tuple[BeamSegments, ...]:  # fmt: skip
    """Of each of today's directions. shift_mm: how far the target has moved, LPS. mu_factor: for a course of other
    fractions. Apertures below minimum_mu are left out, those just above it raised by what optimising keeps as room."""
    result = []
    for number, frame in enumerate(frames):
        parts = []
        for beam in beams:
            if same_axes(frame, beam.piece.frame):
                tips = _moved(beam, offset_mm(frame, beam, shift_mm))
                parts.append((*tips, beam.piece.apertures.mu * mu_factor))
        left, right, mu = (np.concatenate(part) for part in zip(*parts, strict=True))
        keep = mu >= minimum_mu
        mu = np.maximum(mu[keep], minimum_mu * MU_ROOM)
        result.append(legal_segments(left[keep], right[keep], mu, number, beamlets, machine))
    return tuple(result)


def _moved(beam: OldBeam, offset: tuple[float, float]) -> tuple[Array, Array]:
    """Tips (segments, pairs), equal where closed. A pair that comes to lie across two pairs of before stands where both
    stood on average, by how much of it each covers; their openings are shifted along the leaves by offset[0]."""
    left, right = beam.openings()
    moved_left, moved_right = np.zeros_like(left), np.zeros_like(right)
    first = 0
    for border in beam.layers_mm:
        own = slice(first, first + border.size - 1)
        first += border.size - 1
        part = covers(border, offset[1])
        is_open = (right[:, own] > left[:, own]).astype(np.float64)
        share = is_open @ part.T
        shown = share >= MOSTLY - 1e-9
        for tips, moved in ((left, moved_left), (right, moved_right)):
            mean = (is_open * tips[:, own]) @ part.T / np.maximum(share, MOSTLY)
            moved[:, own] = np.where(shown, mean + offset[0], 0.0)
    return moved_left, moved_right


def covers(border: Array, offset_mm: float) -> Array:
    """(pairs, pairs): part of each pair's height that each pair of before covers once it has moved by the offset."""
    low, high = border[:-1], border[1:]
    shared = np.minimum(high[:, None], high + offset_mm) - np.maximum(low[:, None], low + offset_mm)
    return np.asarray(np.maximum(shared, 0.0) / (high - low)[:, None])


def legal_segments(
    left: Array, right: Array, mu: Array, beam: int, beamlets: Beamlets, machine: Machine
) -> BeamSegments:
    """Tips (segments, pairs) as the machine can set them within today's field of the beam: pairs that face no target
    are closed, openings narrower than the smallest gap widened, or closed where less than half of it is left."""
    used = np.flatnonzero((beamlets.cells[beam] >= 0).any(axis=0))
    if not used.size or not mu.size:
        none = np.zeros((0, beamlets.layers.pairs))
        return BeamSegments(Apertures(none, none, np.zeros((0, 4)), np.zeros(0)), np.zeros((0, 2)))
    gap, facing = smallest_gap_mm(machine), beamlets.layers.pairs_of(beamlets.rows_of(beam))
    low, high = ((column - beamlets.columns) * beamlets.width_mm for column in (int(used[0]), int(used[-1]) + 1))
    left, right = np.where(facing, left, 0.0), np.where(facing, right, 0.0)
    windows = windows_of(left, right, (low, high), bank_room_mm(machine), machine)
    start, end = windows[:, :1], windows[:, 1:]
    left, right = _closed_below(np.maximum(left, start), np.minimum(right, end), gap / 2)
    middle = np.clip((left + right) / 2, start + gap / 2, end - gap / 2)
    narrow = (right > left) & (right - left < gap)
    left, right = np.where(narrow, middle - gap / 2, left), np.where(narrow, middle + gap / 2, right)
    left, right = ajar(left, right, windows, machine)
    some_open = (right > left).any(axis=1)
    left, right, windows = left[some_open], right[some_open], windows[some_open]
    return BeamSegments(Apertures(left, right, jaws_of(left, right, machine), mu[some_open]), windows)


def _closed_below(left: Array, right: Array, least_mm: float) -> tuple[Array, Array]:
    is_open = right - left >= least_mm
    return np.where(is_open, left, 0.0), np.where(is_open, right, 0.0)
