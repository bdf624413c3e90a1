"""The band that a structure's dose-volume histogram lies in, from a predicted dose and the uncertainty of its voxels.

Inputs are parallel 1-D arrays over the structure's voxels: `dose_gy` (n,) predicted, `half_width_gy` (n,) the
half-width of each voxel's interval, `weight` (n,) the part of the voxel inside the structure.

An interval of voxels is no interval of a histogram. Were all errors one, the band would reach from the histogram of all
lower bounds to that of all upper ones; were they independent, they would cancel in an organ of ten thousand voxels and
leave a line. What a network gets wrong in a patient is both: a whole side spared more, and noise about that. So the
dose that comes true is taken to be

    dose_i + half_width_i (t + local z_i),

t one number for the structure, the z_i independent standard normal. Given t, the noise of many voxels only blurs the
histogram: D(v | t) is the histogram of doses spread by their noise. Because half-widths are not negative, D(v | t)
rises with t at every volume v, so its quantiles are those of t: the band is D(v) at three values of t, `BandFactors`.
They are fitted where the true dose is known (`engines.statistics.band_fit`).

The noise is drawn at NODES midpoints of its distribution, doses are counted in bins of BIN_GY and D is linear between
their edges, so D is right within one bin. The model is ours (chosen: the smallest that holds both limits); a random
effect shared by a group beside independent errors is the one-way model of variance components (Searle, Casella and
McCulloch, Variance Components, 1992, chapter 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from engines.errors import EngineError

Vector = NDArray[np.float64]

FORMAT = "couchside-band-1"
"""Of band.json."""
CLASSES = ("highest", "lower", "organ")
"""Of structures that have factors of their own: the target of the highest prescription, other targets, organs."""
VOLUMES_PERCENT: Vector = np.array([0.5, 1, 2, 3, 5, 7.5, *range(10, 91, 5), 92.5, 95, 97, 98, 99, 99.5])
"""Where bands are given (chosen: dense where near-maximum and near-minimum are read, and enough between for a mean)."""
BIN_GY = 0.05
"""Chosen: half of the bins that a plan's histogram is drawn with."""
NODES = 15
"""Chosen: with 15 and with 33 the histograms of a steep and of a flat organ differ by less than 0.1 Gy from 10 % to
90 % (tested)."""
WIDEST = 6.0
"""Half-widths that a factor may ask for at most; more is no calibration but a mistake."""


@dataclass(frozen=True)
class BandFactors:
    """In half-widths of a voxel. low, middle, high: the shared shift t of the band's three curves. local: standard
    deviation of the noise of single voxels."""

    low: float
    middle: float
    high: float
    local: float

    def checked(self) -> BandFactors:
        """Itself. Raises EngineError for factors that are not finite, not in order, or wider than WIDEST."""
        if not -WIDEST <= self.low <= self.middle <= self.high <= WIDEST or not 0.0 <= self.local <= WIDEST:
            raise EngineError(
                f"a band needs low <= middle <= high within {WIDEST:g} half-widths and noise that is not negative, got "
                f"{self.low:g}, {self.middle:g}, {self.high:g} and {self.local:g}"
            )
        return self


@dataclass(frozen=True, eq=False)
class DvhBand:
    """Three curves over the same volumes: the hottest volume_percent[i] receives at least low, middle or high_gy[i].
    All (n,); volumes ascend, doses descend, low <= middle <= high everywhere."""

    volume_percent: Vector
    low_gy: Vector
    middle_gy: Vector
    high_gy: Vector


@dataclass(frozen=True, eq=False)
class Spread:
    """One structure prepared for many shifts: dose, half-width, share of the volume (n,), shares adding up to 1."""

    dose_gy: Vector
    half_width_gy: Vector
    share: Vector

    @staticmethod
    def of(dose_gy: NDArray[np.floating], half_width_gy: NDArray[np.floating], weight: NDArray[np.floating]) -> Spread:
        """Raises EngineError for no voxel, arrays of different length, and values that are negative or not finite."""
        dose, half, part = (np.asarray(a, np.float64).ravel() for a in (dose_gy, half_width_gy, weight))
        if not dose.shape == half.shape == part.shape:
            raise EngineError(f"dose, half-width and weight differ in length: {dose.size}, {half.size}, {part.size}")
        if not part.size or not part.sum() > 0:
            raise EngineError("no voxel with a weight above zero")
        lowest = min(float(a.min()) for a in (dose, half, part))
        if not (np.isfinite([a.sum() for a in (dose, half, part)]).all() and lowest >= 0):
            raise EngineError("dose, half-width and weight must be finite and not negative")
        inside = part > 0
        return Spread(dose[inside], half[inside], part[inside] / part[inside].sum())

    def doses_at(self, volumes_percent: Vector, shift: float, local: float) -> Vector:
        """D(v | shift) in Gy for each of `volumes_percent` (n,); never negative, because dose is not."""
        nodes = _noise(NODES) if local > 0 else np.zeros(1)
        hottest = self.dose_gy + self.half_width_gy * (shift + local * float(nodes[-1]))
        counted = np.zeros(int(max(float(hottest.max()), 0.0) / BIN_GY) + 2)
        for node in nodes:
            dose = np.maximum(self.dose_gy + self.half_width_gy * (shift + local * node), 0.0)
            # Rounded, so that a bin stands for the doses about its middle.
            counted += np.bincount(np.rint(dose / BIN_GY).astype(np.int64), weights=self.share, minlength=counted.size)
        return _inverse(counted / len(nodes), volumes_percent)


def achievable_band(
    dose_gy: NDArray[np.floating],
    half_width_gy: NDArray[np.floating],
    weight: NDArray[np.floating],
    volumes_percent: NDArray[np.floating],
    factors: BandFactors,
) -> DvhBand:
    """The band of one structure at `volumes_percent` (m,), ascending within 0..100.

    Raises EngineError as `Spread.of` and `BandFactors.checked` do, and for other volumes.
    """
    volumes = np.asarray(volumes_percent, np.float64)
    if not volumes.size or volumes.min() < 0 or volumes.max() > 100 or (np.diff(volumes) <= 0).any():
        raise EngineError("volumes of a band must ascend from 0 to 100 % at most")
    spread, known = Spread.of(dose_gy, half_width_gy, weight), factors.checked()
    curves = [spread.doses_at(volumes, shift, known.local) for shift in (known.low, known.middle, known.high)]
    # In order by construction, but for the rounding to bins.
    middle = np.maximum(curves[0], curves[1])
    return DvhBand(volumes, curves[0], middle, np.maximum(middle, curves[2]))


def mean_of_curve(volume_percent: ArrayLike, dose_gy: ArrayLike) -> float:
    """Mean dose in Gy of a cumulative histogram given as dose over ascending volume: its area, flat before the first
    and after the last volume."""
    volume = np.concatenate([[0.0], np.asarray(volume_percent, np.float64), [100.0]])
    dose = np.asarray(dose_gy, np.float64)
    return float(np.trapezoid(np.concatenate([dose[:1], dose, dose[-1:]]), volume)) / 100.0


def _noise(count: int) -> Vector:
    """Midpoints of `count` equal parts of the standard normal distribution: its quantiles at Hazen's positions."""
    nodes: Vector = ndtri((np.arange(count) + 0.5) / count)
    return nodes


def _inverse(share: Vector, volumes_percent: Vector) -> Vector:
    """Dose at each volume from the share of each bin, by the convention of engines.dvh: a bin's dose stands at the
    middle of the volume that it fills."""
    filled = np.flatnonzero(share)[::-1]
    part = share[filled]
    middle = 100.0 * (np.cumsum(part) - part / 2.0)
    doses: Vector = np.interp(volumes_percent, middle, filled * BIN_GY)
    return doses
