"""An earlier plan as today's beams see it: which of its beams stands for which direction, how far its target moved in
that view, and its fluence in today's beamlets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, Plan
from appliance.errors import PlanningError
from appliance.planning.beamlets import Beamlets
from appliance.planning.pieces import Piece, leaf_layers_mm, pieces
from engines.photon.frame import BeamFrame

Array = NDArray[np.float64]
Move = tuple[float, float, float]

GAP_MM = 2.0
"""A pair that opens less is the gap of a closed one (chosen: planned openings are 5 mm wide at least, gaps of closed
leaves under 1 mm)."""
SAME_DEG = 0.1
"""Axes of beams that differ by less are the same: what a gantry is set to, rounded."""
NEAR_DEG = 20.0
"""A fluence is taken over to a direction at most so far away (chosen: half of the 40 degrees between nine beams)."""
LEFT_OUT = 0.05
"""So much of a plan's monitor units may come from directions that today's beams do not have (chosen)."""
TURN_PRICE = 0.1
"""Of two directions as near, that with the nearer collimator is taken: a degree of it counts as so much of a degree."""
POINTS_ALONG, POINTS_ACROSS = 4, 4
"""Points of a beamlet where an earlier plan's fluence is read, along and across the leaves (chosen: it is optimised or
sequenced from there, which changes it by more than what is read between them)."""
OTHER_QUALITY = "its beam has another quality than today's machine"
TELLING_MM = 2.0
"""A movement that is read from the apertures counts from here on (chosen: half the width of most leaves; apertures lie
no closer around a target)."""


@dataclass(frozen=True, eq=False)
class OldBeam:
    """What an earlier plan delivers from one direction. layers_mm: leaf borders of each layer in the axes of the
    piece's frame. still: nothing moves while it delivers. quality: energy in MV and fluence mode of the beam."""

    piece: Piece
    layers_mm: tuple[Array, ...]
    still: bool
    quality: tuple[float, str]

    def openings(self) -> tuple[Array, Array]:
        """Tips (segments, pairs) of what leaves and jaws leave open together, equal where that is nothing."""
        a = self.piece.apertures
        middles = np.concatenate([(border[:-1] + border[1:]) / 2 for border in self.layers_mm])
        left, right = np.maximum(a.left_mm, a.jaws_mm[:, :1]), np.minimum(a.right_mm, a.jaws_mm[:, 1:2])
        shown = (middles > a.jaws_mm[:, 2:3]) & (middles < a.jaws_mm[:, 3:4]) & (right - left > GAP_MM)
        return np.where(shown, left, 0.0), np.where(shown, right, 0.0)

    def fluence_at(self, u_mm: Array, v_mm: Array) -> Array:
        """MU that reach points (n,) of its isocentre plane past leaves and jaws; without transmission and penumbra."""
        a, first = self.piece.apertures, 0
        x1, x2, y1, y2 = (edge[:, None] for edge in a.jaws_mm.T)
        is_open = (u_mm > x1) & (u_mm < x2) & (v_mm > y1) & (v_mm < y2)
        for border in self.layers_mm:
            pairs = border.size - 1
            row = np.searchsorted(border, v_mm) - 1
            pair = first + np.clip(row, 0, pairs - 1)
            is_open &= (row >= 0) & (row < pairs) & (u_mm > a.left_mm[:, pair]) & (u_mm < a.right_mm[:, pair])
            first += pairs
        return np.asarray(a.mu @ is_open, np.float64)


def old_beams(plan: Plan) -> tuple[OldBeam, ...]:
    """Every direction of a plan in order. Raises UnsupportedPlan for one that cannot be read as still apertures."""
    found = []
    for beam in plan.beams:
        own = pieces(beam, plan)
        exposures = sum(after.cumulative_mu > before.cumulative_mu for before, after in pairwise(beam.control_points))
        still = len(own) == 1 and len(own[0].apertures.mu) == exposures
        found += [OldBeam(piece, leaf_layers_mm(beam), still, quality_of(beam)) for piece in own]
    return tuple(found)


def quality_of(beam: Beam) -> tuple[float, str]:
    """Energy in MV, and fluence mode."""
    return beam.energy_mv, beam.fluence_mode


def same_axes(one: BeamFrame, other: BeamFrame) -> bool:
    """Both look from one direction, with collimators turned alike."""
    least = np.cos(np.deg2rad(SAME_DEG))
    return bool(one.ez @ other.ez > least and one.ex @ other.ex > least)


def apart_deg(one: BeamFrame, other: BeamFrame) -> float:
    """Angle between two directions."""
    return float(np.rad2deg(np.arccos(np.clip(one.ez @ other.ez, -1.0, 1.0))))


def offset_mm(frame: BeamFrame, old: OldBeam, shift_mm: Move) -> tuple[float, float]:
    """Where today's beam sees what the earlier beam had at its isocentre, on today's isocentre plane along both axes:
    the target has moved by shift_mm (LPS), and perhaps the isocentre."""
    u, v = frame.project((np.asarray(old.piece.frame.isocentre_mm) + np.asarray(shift_mm))[None])
    return float(u[0]), float(v[0])


def shift_seen(beams: Sequence[OldBeam], targets_mm: NDArray[np.float32]) -> Move:
    """How far the target's points (n, 3) of today lie from where the apertures are, in LPS: the movement that brings
    the middle of each beam's openings to the middle of the target in its view, as nearly as all beams allow (least
    squares). None below TELLING_MM."""
    axes, ways = [], []
    for beam in beams:
        left, right = beam.openings()
        used = right > left
        if not used.any():
            continue
        low, high = (np.concatenate(part) for part in zip(*((b[:-1], b[1:]) for b in beam.layers_mm), strict=True))
        pair = used.any(axis=0)
        u, v = beam.piece.frame.project(targets_mm)
        axes += [beam.piece.frame.ex, beam.piece.frame.ey]
        ways += [
            (u.min() + u.max() - left[used].min() - right[used].max()) / 2,
            (v.min() + v.max() - low[pair].min() - high[pair].max()) / 2,
        ]
    if not axes:
        return 0.0, 0.0, 0.0
    x, y, z = np.linalg.lstsq(np.array(axes), np.array(ways), rcond=None)[0].tolist()
    return (x, y, z) if np.hypot(np.hypot(x, y), z) >= TELLING_MM else (0.0, 0.0, 0.0)


def fluence_today(
    beams: Sequence[OldBeam], frames: Sequence[BeamFrame], beamlets: Beamlets, shift_mm: Move
) -> NDArray[np.float64]:
    """MU of each beamlet (variables,) of today's directions: each gets what the earlier plan delivers from the ones
    that are nearest to it. Raises PlanningError for a plan from other directions."""
    values = np.zeros(beamlets.variables)
    left_out = 0.0
    for old in beams:
        prices = [_price(frame, old.piece.frame) for frame in frames]
        nearest = int(np.argmin(prices))
        if apart_deg(frames[nearest], old.piece.frame) > NEAR_DEG:
            left_out += float(old.piece.apertures.mu.sum())
            continue
        _add(values, old, nearest, frames[nearest], beamlets, offset_mm(frames[nearest], old, shift_mm))
    if left_out > LEFT_OUT * sum(float(old.piece.apertures.mu.sum()) for old in beams):
        raise PlanningError("the plan that is adapted delivers from other directions than today's beams")
    if not values.any():
        raise PlanningError("nothing of the plan that is adapted reaches today's target")
    return values


def _price(frame: BeamFrame, old: BeamFrame) -> float:
    turned = np.rad2deg(np.arccos(np.clip(frame.ex @ old.ex, -1.0, 1.0)))
    return apart_deg(frame, old) + TURN_PRICE * float(turned)


def _add(
    values: Array, old: OldBeam, beam: int, frame: BeamFrame, beamlets: Beamlets, offset: tuple[float, float]
) -> None:
    """The mean over each beamlet's points, read where the earlier beam's collimator has them."""
    cells, width, borders = beamlets.cells[beam], beamlets.width_mm, beamlets.boundaries_mm
    row, column = np.nonzero(cells >= 0)
    along = (np.arange(POINTS_ALONG) + 0.5) / POINTS_ALONG
    across = (np.arange(POINTS_ACROSS) + 0.5) / POINTS_ACROSS
    u = ((column - beamlets.columns)[:, None] + along) * width - offset[0]
    v = borders[row][:, None] + np.diff(borders)[row][:, None] * across - offset[1]
    u, v = np.repeat(u, POINTS_ACROSS, axis=1).ravel(), np.tile(v, (1, POINTS_ALONG)).ravel()
    before = old.piece.frame
    seen = old.fluence_at(u * (frame.ex @ before.ex) + v * (frame.ey @ before.ex),
                          u * (frame.ex @ before.ey) + v * (frame.ey @ before.ey))  # fmt: skip
    values[cells[row, column]] += seen.reshape(row.size, -1).mean(axis=1)
