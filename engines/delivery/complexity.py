"""How intricate the apertures of a beam are: published metrics, each with its formula and source.

Apertures are open intervals of leaf pairs inside the jaws. A pair takes part where it is open (wider than OPEN_MM) and
not behind a jaw. Between control points of a moving beam the middle of both stands for the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Vector = NDArray[np.float64]

OPEN_MM = 1.0
"""Narrower gaps count as closed (chosen: above the smallest gap of dynamic leaves, below any aperture meant)."""
ALIGNED_MM = 0.01
"""Tips within it count as in line: LSV divides by their spread, so that rounding alone would change it (chosen: a
hundredth of what leaf positions are accurate to)."""
LONGEST_TRAVEL_MM = 1000.0
"""Normalisation of leaf travel in LTMCS (Masi et al. 2013)."""
SMALL_MM = (2.0, 5.0, 10.0, 20.0)
"""Gap widths of the small aperture score (Crowe et al. 2014)."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """One beam, n control points: cumulative_mu (n,); left_mm, right_mm (n, pairs) leaf tips; boundaries_mm
    (pairs + 1,) leaf borders; jaws_mm (n, 4) as x1, x2, y1, y2; all at the isocentre plane, leaves along X."""

    cumulative_mu: Vector
    left_mm: Vector
    right_mm: Vector
    boundaries_mm: Vector
    jaws_mm: Vector


@dataclass(frozen=True)
class Complexity:
    """mcs: modulation complexity score, 1 simple to 0 (McNiven et al., Med Phys 37:505, 2010; MCSv of Masi et al., Med
    Phys 40:071718, 2013, where the beam moves). leaf_travel_mm: mean travel of the leaves that move (LT, Masi). ltmcs:
    mcs (1 - leaf travel / 1000 mm) (Masi). edge_per_mm: edge metric, sum of MU share times side perimeter over area,
    leaf ends left out (Younge et al., Med Phys 39:7160, 2012, with C1 = 0, C2 = 1). irregularity: PI, MU share times
    perimeter^2 over 4 pi area; area_mm2: PA, mean area; modulation: PM, 1 - mean area over the area of the union (Du et
    al., Med Phys 41:021716, 2014). small_share: SAS for each of SMALL_MM (Crowe et al., Australas Phys Eng Sci Med
    37:475, 2014). gap_mm: mean opening of the open pairs, by MU share; an error of the gap changes the dose by about
    the error over the gap (LoSasso, Chui, Ling, Med Phys 25:1919, 1998)."""

    mcs: float
    leaf_travel_mm: float
    ltmcs: float
    edge_per_mm: float
    irregularity: float
    area_mm2: float
    modulation: float
    small_share: tuple[float, ...]
    gap_mm: float


def complexity(shapes: Shapes) -> Complexity:
    """Metrics of one beam. Raises EngineError for a beam without monitor units or with no open aperture."""
    mu = np.diff(shapes.cumulative_mu)
    if mu.size == 0 or mu.sum() <= 0:
        raise EngineError("a beam without monitor units has no complexity")
    low, high, height = _open_intervals(shapes)
    share = np.maximum(mu, 0) / np.maximum(mu, 0).sum()
    mcs = _mcs(low, high, height, share)
    travel_mm = _leaf_travel_mm(shapes, height)
    middle_low, middle_high, middle_height = _middles(shapes)
    gap = np.maximum(middle_high - middle_low, 0.0)
    area = (gap * middle_height).sum(axis=1)
    if not np.any(area[share > 0] > 0):
        raise EngineError("no aperture of the beam is open")
    side, end = _perimeters_mm(middle_low, middle_high, middle_height)
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = np.where(area > 0, side / area, 0.0)
        irregular = np.where(area > 0, (side + end) ** 2 / (4 * np.pi * area), 0.0)
    union = _union_mm2(middle_low, middle_high, middle_height, share > 0)
    return Complexity(
        mcs=mcs,
        leaf_travel_mm=travel_mm,
        ltmcs=mcs * max(0.0, 1.0 - travel_mm / LONGEST_TRAVEL_MM),
        edge_per_mm=float(share @ edge),
        irregularity=float(share @ irregular),
        area_mm2=float(share @ area),
        modulation=1.0 - float(share @ area) / union,
        small_share=tuple(_small_share(gap, share, width) for width in SMALL_MM),
        gap_mm=_mean_gap_mm(gap, share),
    )


def combined(beams: Sequence[Complexity], mu: Sequence[float]) -> Complexity:
    """Of a plan: each metric of its beams, weighed by their monitor units (as in the papers). Raises EngineError for no
    beam or no monitor units."""
    total = float(sum(mu))
    if not beams or len(beams) != len(mu) or total <= 0:
        raise EngineError("a plan without beams or monitor units has no complexity")
    weight = np.array(mu) / total

    def mean(name: str) -> float:
        return float(weight @ np.array([getattr(beam, name) for beam in beams]))

    small = tuple(float(weight @ np.array([beam.small_share[i] for beam in beams])) for i in range(len(SMALL_MM)))
    return Complexity(
        mcs=mean("mcs"),
        leaf_travel_mm=mean("leaf_travel_mm"),
        ltmcs=mean("ltmcs"),
        edge_per_mm=mean("edge_per_mm"),
        irregularity=mean("irregularity"),
        area_mm2=mean("area_mm2"),
        modulation=mean("modulation"),
        small_share=small,
        gap_mm=mean("gap_mm"),
    )


def _clipped(shapes: Shapes, left: Vector, right: Vector, jaws: Vector) -> tuple[Vector, Vector, Vector]:
    x1, x2, y1, y2 = (jaws[:, i : i + 1] for i in range(4))
    borders = shapes.boundaries_mm
    height = np.clip(np.minimum(borders[1:], y2) - np.maximum(borders[:-1], y1), 0.0, None)
    low, high = np.maximum(left, x1), np.minimum(right, x2)
    is_open = (high - low > OPEN_MM) & (height > 0)
    return np.where(is_open, low, 0.0), np.where(is_open, high, 0.0), np.where(is_open, height, 0.0)


def _open_intervals(shapes: Shapes) -> tuple[Vector, Vector, Vector]:
    """(n, pairs) lower and upper end of each pair's opening, and its height; a closed pair has all three 0."""
    return _clipped(shapes, shapes.left_mm, shapes.right_mm, shapes.jaws_mm)


def _middles(shapes: Shapes) -> tuple[Vector, Vector, Vector]:
    """The same for the middle of each interval: (n - 1, pairs)."""
    left, right, jaws = ((a[:-1] + a[1:]) / 2 for a in (shapes.left_mm, shapes.right_mm, shapes.jaws_mm))
    return _clipped(shapes, left, right, jaws)


def _mcs(low: Vector, high: Vector, height: Vector, share: Vector) -> float:
    """MCS = sum of AAV LSV MU share (McNiven et al., Med Phys 37:505, 2010, eqs 1-4) with AAV and LSV of an interval as
    the means of its two control points (Masi et al., Med Phys 40:071718, 2013, eq 4), which is the same where the shape
    stands still."""
    used = np.zeros(len(low), np.bool_)
    used[:-1] |= share > 0
    used[1:] |= share > 0
    is_open = height > 0
    far = np.where(is_open & used[:, None], high, -np.inf).max(axis=0)
    near = np.where(is_open & used[:, None], low, np.inf).min(axis=0)
    widest = float(np.where(np.isfinite(far), far - near, 0.0).sum())
    if widest <= 0:
        return 0.0
    area = (high - low).sum(axis=1) / widest
    sequence = np.array([_bank(low[i][is_open[i]]) * _bank(high[i][is_open[i]]) for i in range(len(low))])
    middles = [(v[:-1] + v[1:]) / 2 for v in (area, sequence)]
    return float((middles[0] * middles[1] * share).sum())


def _bank(tips: Vector) -> float:
    """One bank's part of the leaf sequence variability: sum over neighbours of (p_max - |p_n - p_n+1|) / (N p_max), N
    the neighbours, p_max the distance between the bank's extreme tips (McNiven 2010, eqs 1-2, which write the
    difference without bars; with them it stays within 0 and 1). 1 for leaves in line, 0 without an open pair."""
    if tips.size == 0:
        return 0.0
    span = float(np.ptp(tips))
    if tips.size == 1 or span <= ALIGNED_MM:
        return 1.0
    return float((span - np.abs(np.diff(tips))).sum() / ((tips.size - 1) * span))


def _leaf_travel_mm(shapes: Shapes, height: Vector) -> float:
    """Mean travel of the leaves that move, among pairs that are open somewhere in the beam (LT, Masi 2013)."""
    used = (height > 0).any(axis=0)
    travel = np.concatenate([np.abs(np.diff(tips[:, used], axis=0)).sum(axis=0) for tips in
                             (shapes.left_mm, shapes.right_mm)])  # fmt: skip
    moving = travel[travel > 0]
    return float(moving.mean()) if moving.size else 0.0


def _perimeters_mm(low: Vector, high: Vector, height: Vector) -> tuple[Vector, Vector]:
    """Perimeter of each aperture (n,): along the leaves' sides, and along leaf ends. Neighbouring rows share what both
    leave open; the rest of each is edge."""
    pad = np.zeros((len(low), 1))
    a_low, a_high = np.hstack([pad, low]), np.hstack([pad, high])
    b_low, b_high = np.hstack([low, pad]), np.hstack([high, pad])
    shared = np.clip(np.minimum(a_high, b_high) - np.maximum(a_low, b_low), 0.0, None)
    side = ((a_high - a_low) + (b_high - b_low) - 2 * shared).sum(axis=1)
    return side, 2 * height.sum(axis=1)


def _union_mm2(low: Vector, high: Vector, height: Vector, has_dose: NDArray[np.bool_]) -> float:
    """Area that any aperture with dose opens: the union of intervals, pair by pair."""
    total = 0.0
    for pair in range(low.shape[1]):
        chosen = has_dose & (height[:, pair] > 0)
        spans = sorted(zip(low[chosen, pair], high[chosen, pair], strict=True))
        length, reached = 0.0, -np.inf
        for start, stop in spans:
            length += max(0.0, stop - max(start, reached))
            reached = max(reached, stop)
        total += length * float(height[chosen, pair].max(initial=0.0))
    return total


def _small_share(gap: Vector, share: Vector, width_mm: float) -> float:
    """Small aperture score: share of the open pairs that are narrower than width_mm, weighed by monitor units (Crowe et
    al., Australas Phys Eng Sci Med 37:475, 2014)."""
    is_open = gap > 0
    count = is_open.sum(axis=1)
    small = (is_open & (gap < width_mm)).sum(axis=1)
    return float(share @ np.where(count > 0, small / np.maximum(count, 1), 0.0))


def _mean_gap_mm(gap: Vector, share: Vector) -> float:
    """Mean opening of the open pairs, by the monitor units of the apertures that have any."""
    count = (gap > 0).sum(axis=1)
    means = gap.sum(axis=1) / np.maximum(count, 1)
    weight = share * (count > 0)
    return float(weight @ means / weight.sum())
