"""Apertures of all beams as one vector for the optimiser, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.planning.beamlets import Beamlets
from appliance.planning.leaf_layers import LeafLayers, leaf_layers
from appliance.planning.machine import Machine
from engines.photon.aperture import Apertures
from engines.photon.raster import Raster
from engines.sequencing import sequence_fluence

SMALLEST_GAP_MM = 5.0
"""An open leaf pair is at least this wide (chosen: smaller gaps make output depend on leaf calibration)."""
PARK_MM, JAW_MARGIN_MM = 8.0, 2.0
"""Jaws stand JAW_MARGIN_MM outside the outermost leaf tips of a segment (chosen: more than the rounding of the leaf
end), closed pairs PARK_MM behind a jaw. What is left of the bank's span is the width that a segment may use."""
FIELD_ROOM_MM = 5.0
"""Leaves may be refined this far beyond the sequenced field."""
LEAF_UNIT_MM = 16.0
"""One unit of the leaf variables of a segment with the mean MU. A leaf of a segment with few MU changes the dose less
for the same way, so its unit is longer in proportion; MU are in units of the mean segment. This scaling halved the
evaluations to the same merit against equal units of 8 mm (measured on an OpenKBP patient)."""
MOST_UNEQUAL = 10.0
"""Leaf units differ from the mean segment's by at most this factor (chosen: nearly closed-off segments stay still)."""

Vector = NDArray[np.float64]


def smallest_gap_mm(machine: Machine) -> float:
    """What a pair that is open in a still aperture opens at least."""
    return max(SMALLEST_GAP_MM, machine.mlc.minimum_gap_mm)


def bank_room_mm(machine: Machine) -> float:
    """Width that a segment may use, so that its closed pairs can park behind a jaw within the span of a bank."""
    return machine.mlc.bank_span_max_mm - PARK_MM - JAW_MARGIN_MM - 2.0


def ajar(left: Vector, right: Vector, window_mm: Vector, machine: Machine) -> tuple[Vector, Vector]:
    """Segments (segments, pairs) without a closed pair between open ones, where no jaw and no second layer could cover
    the gap that it keeps: it stands open by that gap at the nearer end of its window, where the optimiser sees it."""
    if "X" in machine.jaws.axes or machine.mlc.lower_blocks:
        return left, right
    left, right, gap = left.copy(), right.copy(), smallest_gap_mm(machine)
    for low, high, (start, end) in zip(left, right, window_mm, strict=True):
        shown = np.flatnonzero(high > low)
        if shown.size:
            closed = np.setdiff1d(np.arange(shown[0], shown[-1]), shown)
            middle = np.interp(closed, shown, 0.5 * (low + high)[shown])
            low[closed] = np.where(middle - start < end - middle, start, end - gap)
            high[closed] = low[closed] + gap
    return left, right


def jaws_of(left: Vector, right: Vector, machine: Machine) -> Vector:
    """Jaws (segments, 4) as x1, x2, y1, y2: around the open leaf pairs of each segment, or of the whole beam where the
    machine's jaws do not follow the segments; within the jaws' travel and not narrower than they may be."""
    is_open = right > left
    if not machine.jaws.tracking:
        is_open = np.broadcast_to(is_open.any(axis=0), is_open.shape)
    limits, layers = machine.jaws, leaf_layers(machine)
    x1 = np.where(right > left, left, np.inf).min(axis=1, initial=np.inf) - JAW_MARGIN_MM
    x2 = np.where(right > left, right, -np.inf).max(axis=1, initial=-np.inf) + JAW_MARGIN_MM
    y1 = np.where(is_open, layers.low_mm, np.inf).min(axis=1, initial=np.inf)
    y2 = np.where(is_open, layers.high_mm, -np.inf).max(axis=1, initial=-np.inf)
    if not machine.jaws.tracking:
        x1, x2 = np.full_like(x1, x1.min(initial=np.inf)), np.full_like(x2, x2.max(initial=-np.inf))
    small = limits.minimum_opening_mm
    grow_x, grow_y = np.maximum(small - (x2 - x1), 0) / 2, np.maximum(small - (y2 - y1), 0) / 2
    ranges = (limits.x1_mm, limits.x2_mm, limits.y1_mm, limits.y2_mm)
    edges = (x1 - grow_x, x2 + grow_x, y1 - grow_y, y2 + grow_y)
    return np.stack([np.clip(e, *r) for e, r in zip(edges, ranges, strict=True)], axis=1)


@dataclass(frozen=True, eq=False)
class BeamSegments:
    """One beam's apertures and the window (mm along IEC X) that each of its segments may use: (segments, 2)."""

    apertures: Apertures
    window_mm: NDArray[np.float64]

    @property
    def is_open(self) -> NDArray[np.bool_]:
        return self.apertures.right_mm > self.apertures.left_mm


def arrays_of(beams: tuple[BeamSegments, ...]) -> dict[str, NDArray[Any]]:
    """All beams' segments one after the other; counts (beams,)."""
    parts = [beam.apertures for beam in beams]
    return {
        "counts": np.asarray([len(a.mu) for a in parts], np.int64),
        "left_mm": np.concatenate([a.left_mm for a in parts]),
        "right_mm": np.concatenate([a.right_mm for a in parts]),
        "jaws_mm": np.concatenate([a.jaws_mm for a in parts]),
        "mu": np.concatenate([a.mu for a in parts]),
        "window_mm": np.concatenate([beam.window_mm for beam in beams]),
    }


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> tuple[BeamSegments, ...]:
    """What `arrays_of` was given."""
    ends = np.cumsum(arrays["counts"])[:-1]
    left, right, jaws, mu, window = (
        np.split(arrays[name], ends) for name in ("left_mm", "right_mm", "jaws_mm", "mu", "window_mm")
    )
    return tuple(
        BeamSegments(Apertures(*beam), within) for *beam, within in zip(left, right, jaws, mu, window, strict=True)
    )


def sequence_beam(
    beamlets: Beamlets, beam: int, values: NDArray[np.floating], machine: Machine, segments: int
) -> BeamSegments:
    """Apertures of one beam from its beamlet fluence (MU)."""
    fluence = beamlets.map_of(beam, values)
    width = beamlets.width_mm
    used = np.flatnonzero(fluence.any(axis=0))
    if used.size == 0:
        none = np.zeros((0, beamlets.layers.pairs))
        return BeamSegments(Apertures(none, none, np.zeros((0, 4)), np.zeros(0)), np.zeros((0, 2)))
    start, stop = int(used[0]), int(used[-1]) + 1
    span = bank_room_mm(machine)
    smallest = max(1, int(np.ceil(smallest_gap_mm(machine) / width)))
    result = sequence_fluence(
        fluence[:, start:stop],
        beamlets.layers.heights,
        segments=segments,
        window=int((span - FIELD_ROOM_MM) // width),
        smallest=smallest,
    )
    zero_mm = (start - beamlets.columns) * width
    first, last = beamlets.layers.cover(result.first, result.last, stop - start, smallest)
    is_open = last > first
    left = np.where(is_open, zero_mm + first * width, 0.0)
    right = np.where(is_open, zero_mm + last * width, 0.0)
    windows = windows_of(left, right, (zero_mm, zero_mm + (stop - start) * width), span, machine)
    left, right = ajar(left, right, windows, machine)
    return BeamSegments(Apertures(left, right, jaws_of(left, right, machine), result.weight), windows)


def windows_of(left: Vector, right: Vector, field: tuple[float, float], span: float, machine: Machine) -> Vector:
    """The part of the field each segment may use: all of it, or where the field is wider than `span` the side that the
    segment lies on, so that its closed pairs can park behind that side's jaw within the bank's span."""
    low = max(field[0] - FIELD_ROOM_MM, machine.mlc.position_min_mm + PARK_MM + JAW_MARGIN_MM)
    high = min(field[1] + FIELD_ROOM_MM, machine.mlc.position_max_mm - PARK_MM - JAW_MARGIN_MM)
    if high - low <= span:
        return np.tile([low, high], (len(left), 1))
    on_left = np.where(right > left, right, -np.inf).max(axis=1) <= low + span
    return np.where(on_left[:, None], [low, low + span], [high - span, high])


class SegmentVector:
    """Packs MU, centre and width of every open leaf pair of every segment into one vector with simple bounds."""

    def __init__(self, beams: tuple[BeamSegments, ...], machine: Machine, minimum_mu: float) -> None:
        self.beams, self._machine, self._gap_mm = beams, machine, smallest_gap_mm(machine)
        every_mu = np.concatenate([b.apertures.mu for b in beams])
        self.mu_unit = float(every_mu.mean())
        self._open = [b.is_open for b in beams]
        self._unit_mm = [_leaf_units_mm(b, self.mu_unit) for b in beams]
        self._minimum_mu = minimum_mu

    def pack(self) -> tuple[Vector, Vector, Vector]:
        """(start, lower, upper)."""
        start, lower, upper = [], [], []
        for beam, is_open, unit_mm in zip(self.beams, self._open, self._unit_mm, strict=True):
            a = beam.apertures
            low = np.broadcast_to(beam.window_mm[:, :1], a.left_mm.shape)[is_open]
            high = np.broadcast_to(beam.window_mm[:, 1:], a.left_mm.shape)[is_open]
            left, right = a.left_mm[is_open], a.right_mm[is_open]
            half = self._gap_mm / 2
            start += [a.mu / self.mu_unit, (left + right) / (2 * unit_mm), (right - left) / unit_mm]
            lower += [
                np.full(a.mu.shape, self._minimum_mu / self.mu_unit),
                (low + half) / unit_mm,
                self._gap_mm / unit_mm,
            ]
            upper += [np.full(a.mu.shape, np.inf), (high - half) / unit_mm, (high - low) / unit_mm]
        return np.concatenate(start), np.concatenate(lower), np.concatenate(upper)

    def unpack(self, x: Vector) -> tuple[BeamSegments, ...]:
        """Leaves are kept inside their segment's window."""
        out, position = [], 0
        for beam, is_open, unit_mm in zip(self.beams, self._open, self._unit_mm, strict=True):
            count, leaves = len(beam.apertures.mu), int(is_open.sum())
            mu = x[position : position + count] * self.mu_unit
            centre = x[position + count : position + count + leaves] * unit_mm
            half = x[position + count + leaves : position + count + 2 * leaves] * (unit_mm / 2)
            position += count + 2 * leaves
            left, right = np.zeros(is_open.shape), np.zeros(is_open.shape)
            low = np.broadcast_to(beam.window_mm[:, :1], is_open.shape)[is_open]
            high = np.broadcast_to(beam.window_mm[:, 1:], is_open.shape)[is_open]
            left[is_open] = np.maximum(centre - half, low)
            right[is_open] = np.minimum(centre + half, high)
            jaws = jaws_of(left, right, self._machine)
            out.append(BeamSegments(Apertures(left, right, jaws, mu), beam.window_mm))
        return tuple(out)

    def gradient(self, beams: tuple[BeamSegments, ...], by_beam: list[Apertures]) -> Vector:
        """Gradient in the packed vector from gradients in left, right and mu. A leaf held by its window has none."""
        parts = []
        for beam, is_open, unit_mm, slope in zip(beams, self._open, self._unit_mm, by_beam, strict=True):
            a, window = beam.apertures, beam.window_mm
            left, right = slope.left_mm.copy(), slope.right_mm.copy()
            self._add_jaws(a, slope.jaws_mm, left, right)
            by_left = np.where(a.left_mm > window[:, :1], left, 0.0)[is_open]
            by_right = np.where(a.right_mm < window[:, 1:], right, 0.0)[is_open]
            parts += [
                slope.mu * self.mu_unit,
                (by_left + by_right) * unit_mm,
                (by_right - by_left) * (unit_mm / 2),
            ]
        return np.concatenate(parts)

    def _add_jaws(self, a: Apertures, by_jaws: Vector, left: Vector, right: Vector) -> None:
        """A tracking X jaw moves with the outermost leaf of its segment: its slope is that leaf's."""
        if not self._machine.jaws.tracking or not len(a.mu):
            return
        segment = np.arange(len(a.mu))
        is_open = a.right_mm > a.left_mm
        first = np.where(is_open, a.left_mm, np.inf).argmin(axis=1)
        last = np.where(is_open, a.right_mm, -np.inf).argmax(axis=1)
        follows_left = a.jaws_mm[:, 0] == a.left_mm[segment, first] - JAW_MARGIN_MM
        follows_right = a.jaws_mm[:, 1] == a.right_mm[segment, last] + JAW_MARGIN_MM
        left[segment, first] += by_jaws[:, 0] * follows_left
        right[segment, last] += by_jaws[:, 1] * follows_right


def _leaf_units_mm(beam: BeamSegments, mean_mu: float) -> Vector:
    """Unit of the variables of each open leaf pair, mm."""
    share = np.clip(beam.apertures.mu / mean_mu, 1.0 / MOST_UNEQUAL, MOST_UNEQUAL)
    return np.asarray(np.broadcast_to((LEAF_UNIT_MM / share)[:, None], beam.is_open.shape)[beam.is_open])


def scaled(beam: BeamSegments, factor: float) -> BeamSegments:
    """The same apertures with all monitor units times a factor."""
    a = beam.apertures
    return BeamSegments(Apertures(a.left_mm, a.right_mm, a.jaws_mm, a.mu * factor), beam.window_mm)


def prune(beam: BeamSegments, minimum_mu: float) -> BeamSegments:
    """Without the segments below `minimum_mu` or with no open leaf pair."""
    keep = (beam.apertures.mu >= minimum_mu) & beam.is_open.any(axis=1)
    a = beam.apertures
    kept = Apertures(a.left_mm[keep], a.right_mm[keep], a.jaws_mm[keep], a.mu[keep])
    return BeamSegments(kept, beam.window_mm[keep])


def priced(
    beam: BeamSegments, price: NDArray[np.float64], raster: Raster, mu: float, *, machine: Machine, layers: LeafLayers
) -> BeamSegments:
    """The beam with one more aperture of `mu`: the one whose opening lowers the merit fastest, found exactly for one
    layer of leaves, and for two as LeafLayers.best finds it.

    price: (rows, nu), the merit's gradient in the fluence summed over each row, 0 where it may not open. This
    is the pricing step of column generation (Romeijn et al., SIAM J Optim 15:838, 2005). Unchanged where no opening
    would help."""
    pitch = raster.pitch_mm
    left_of, gap_mm = raster.u_mm - 0.5 * pitch, smallest_gap_mm(machine)
    best_gain, best = 0.0, None
    for window in np.unique(beam.window_mm, axis=0):
        inside = (left_of >= window[0] - 1e-6) & (left_of + pitch <= window[1] + 1e-6)
        if inside.sum() * pitch <= gap_mm:
            continue
        first, last = layers.best(-price[:, inside], int(np.ceil(gap_mm / pitch)))
        gain = layers.gain(-price[:, inside], first, last)
        if gain > best_gain:
            start = float(left_of[inside][0])
            is_open = last > first
            left, right = np.where(is_open, start + first * pitch, 0.0), np.where(is_open, start + last * pitch, 0.0)
            best_gain, best = gain, (left, right, window)
    if best is None:
        return beam
    a = beam.apertures
    new_left, new_right = ajar(best[0][None], best[1][None], best[2][None], machine)
    left, right = np.vstack([a.left_mm, new_left]), np.vstack([a.right_mm, new_right])
    grown = Apertures(left, right, jaws_of(left, right, machine), np.append(a.mu, mu))
    return BeamSegments(grown, np.vstack([beam.window_mm, best[2]]))
