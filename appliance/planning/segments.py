"""Apertures of all beams as one vector for the optimiser, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.planning.beamlets import Beamlets
from appliance.planning.machine import Machine
from engines.photon.aperture import Apertures
from engines.sequencing import sequence_fluence

SMALLEST_GAP_MM = 5.0
"""An open leaf pair is at least this wide (chosen: smaller gaps make output depend on leaf calibration)."""
PARK_MM = 8.0
JAW_MARGIN_MM = 2.0
"""Closed pairs stand PARK_MM behind the jaw, the jaw JAW_MARGIN_MM outside the outermost leaf tip (chosen: more than
the rounding of the leaf end). What is left of the bank's span is the window that a segment may use."""
FIELD_ROOM_MM = 5.0
"""Leaves may be refined this far beyond the sequenced field."""
LEAF_UNIT_MM = 8.0
"""One unit of the optimiser's leaf variables; with MU in units of the mean segment both kinds move alike (chosen)."""

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BeamSegments:
    """One beam's apertures and the window (mm along IEC X) that each of its segments may use: (segments, 2)."""

    apertures: Apertures
    window_mm: NDArray[np.float64]

    @property
    def is_open(self) -> NDArray[np.bool_]:
        return self.apertures.right_mm > self.apertures.left_mm


def sequence_beam(
    beamlets: Beamlets, beam: int, values: NDArray[np.floating], machine: Machine, segments: int
) -> BeamSegments:
    """Apertures of one beam from its beamlet fluence (MU)."""
    fluence = beamlets.map_of(beam, values)
    width = beamlets.width_mm
    used = np.flatnonzero(fluence.any(axis=0))
    if used.size == 0:
        none = np.zeros((0, fluence.shape[0]))
        return BeamSegments(Apertures(none, none, np.zeros(0)), np.zeros((0, 2)))
    start, stop = int(used[0]), int(used[-1]) + 1
    span = machine.mlc.bank_span_max_mm - PARK_MM - JAW_MARGIN_MM - 2.0
    result = sequence_fluence(
        fluence[:, start:stop],
        np.diff(beamlets.boundaries_mm) / np.diff(beamlets.boundaries_mm).min(),
        segments=segments,
        window=int((span - FIELD_ROOM_MM) // width),
        smallest=max(1, int(np.ceil(SMALLEST_GAP_MM / width))),
    )
    zero_mm = (start - beamlets.columns) * width
    is_open = result.last > result.first
    left = np.where(is_open, zero_mm + result.first * width, 0.0)
    right = np.where(is_open, zero_mm + result.last * width, 0.0)
    field = (zero_mm, zero_mm + (stop - start) * width)
    return BeamSegments(Apertures(left, right, result.weight), _windows(left, right, is_open, field, span, machine))


def _windows(
    left: Vector, right: Vector, is_open: NDArray[np.bool_], field: tuple[float, float], span: float, machine: Machine
) -> Vector:  # fmt: skip
    """The part of the field each segment may use: all of it, or where the field is wider than `span` the side that the
    segment lies on, so that its closed pairs can park behind that side's jaw within the bank's span."""
    low = max(field[0] - FIELD_ROOM_MM, machine.mlc.position_min_mm + PARK_MM + JAW_MARGIN_MM)
    high = min(field[1] + FIELD_ROOM_MM, machine.mlc.position_max_mm - PARK_MM - JAW_MARGIN_MM)
    if high - low <= span:
        return np.tile([low, high], (len(left), 1))
    on_left = np.where(is_open, right, -np.inf).max(axis=1) <= low + span
    return np.where(on_left[:, None], [low, low + span], [high - span, high])


class SegmentVector:
    """Packs MU, centre and width of every open leaf pair of every segment into one vector with simple bounds."""

    def __init__(self, beams: tuple[BeamSegments, ...], minimum_mu: float) -> None:
        self.beams = beams
        every_mu = np.concatenate([b.apertures.mu for b in beams])
        self.mu_unit = float(every_mu.mean())
        self._open = [b.is_open for b in beams]
        self._minimum_mu = minimum_mu

    def pack(self) -> tuple[Vector, Vector, Vector]:
        """(start, lower, upper)."""
        start, lower, upper = [], [], []
        for beam, is_open in zip(self.beams, self._open, strict=True):
            a = beam.apertures
            low = np.broadcast_to(beam.window_mm[:, :1], a.left_mm.shape)[is_open]
            high = np.broadcast_to(beam.window_mm[:, 1:], a.left_mm.shape)[is_open]
            left, right = a.left_mm[is_open], a.right_mm[is_open]
            half = SMALLEST_GAP_MM / 2
            start += [a.mu / self.mu_unit, (left + right) / (2 * LEAF_UNIT_MM), (right - left) / LEAF_UNIT_MM]
            lower += [
                np.full(a.mu.shape, self._minimum_mu / self.mu_unit),
                (low + half) / LEAF_UNIT_MM,
                np.full(low.shape, SMALLEST_GAP_MM / LEAF_UNIT_MM),
            ]
            upper += [np.full(a.mu.shape, np.inf), (high - half) / LEAF_UNIT_MM, (high - low) / LEAF_UNIT_MM]
        return np.concatenate(start), np.concatenate(lower), np.concatenate(upper)

    def unpack(self, x: Vector) -> tuple[BeamSegments, ...]:
        """Leaves are kept inside their segment's window."""
        out, position = [], 0
        for beam, is_open in zip(self.beams, self._open, strict=True):
            count, leaves = len(beam.apertures.mu), int(is_open.sum())
            mu = x[position : position + count] * self.mu_unit
            centre = x[position + count : position + count + leaves] * LEAF_UNIT_MM
            half = x[position + count + leaves : position + count + 2 * leaves] * (LEAF_UNIT_MM / 2)
            position += count + 2 * leaves
            left, right = np.zeros(is_open.shape), np.zeros(is_open.shape)
            low = np.broadcast_to(beam.window_mm[:, :1], is_open.shape)[is_open]
            high = np.broadcast_to(beam.window_mm[:, 1:], is_open.shape)[is_open]
            left[is_open] = np.maximum(centre - half, low)
            right[is_open] = np.minimum(centre + half, high)
            out.append(BeamSegments(Apertures(left, right, mu), beam.window_mm))
        return tuple(out)

    def gradient(self, beams: tuple[BeamSegments, ...], by_beam: list[Apertures]) -> Vector:
        """Gradient in the packed vector from gradients in left, right and mu. A leaf held by its window has none."""
        parts = []
        for beam, is_open, slope in zip(beams, self._open, by_beam, strict=True):
            a, window = beam.apertures, beam.window_mm
            by_left = np.where(a.left_mm > window[:, :1], slope.left_mm, 0.0)[is_open]
            by_right = np.where(a.right_mm < window[:, 1:], slope.right_mm, 0.0)[is_open]
            parts += [
                slope.mu * self.mu_unit,
                (by_left + by_right) * LEAF_UNIT_MM,
                (by_right - by_left) * (LEAF_UNIT_MM / 2),
            ]
        return np.concatenate(parts)


def prune(beam: BeamSegments, minimum_mu: float) -> BeamSegments:
    """Without the segments below `minimum_mu` or with no open leaf pair."""
    keep = (beam.apertures.mu >= minimum_mu) & beam.is_open.any(axis=1)
    a = beam.apertures
    return BeamSegments(Apertures(a.left_mm[keep], a.right_mm[keep], a.mu[keep]), beam.window_mm[keep])
