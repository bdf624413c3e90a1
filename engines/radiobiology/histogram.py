"""A differential dose-volume histogram for outcome models, and its generalised equivalent uniform dose.

Bins are 0.1 Gy wide; each keeps the volume in it and the mean dose of that volume, so that the mean dose is exact and
no voxel is off by more than one bin in anything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

BIN_GY = 0.1
"""Chosen: 500 times finer than the doses of half effect, and under 1,000 bins for any course."""

SMALLEST_N = 1e-4
"""Volume parameters below are taken as this one: the gEUD is then the maximum to better than 0.1 %."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DoseHistogram:
    """dose_gy (b,) ascending: mean total dose of each filled bin; share (b,): part of the volume in it, sum 1.
    volume_cc: the whole; largest_gy: the hottest voxel."""

    dose_gy: Floats
    share: Floats
    volume_cc: float
    largest_gy: float

    @staticmethod
    def of(dose_gy: NDArray[np.floating], weight_cc: NDArray[np.floating]) -> DoseHistogram:
        """From voxels: dose_gy (n,) and weight_cc (n,), the volume of each inside the structure. Raises EngineError for
        an empty structure and for dose that is negative or no number."""
        dose = np.asarray(dose_gy, np.float32).ravel()
        weight = np.asarray(weight_cc, np.float32).ravel()
        if dose.shape != weight.shape or not dose.size:
            raise EngineError(f"a histogram needs one weight for each dose, got {dose.size} and {weight.size}")
        largest, smallest = float(dose.max()), float(dose.min())
        if not np.isfinite(largest) or not np.isfinite(smallest) or smallest < 0:
            raise EngineError("a histogram needs doses that are finite and not negative")
        index = (dose * np.float32(1 / BIN_GY)).astype(np.int32)
        volume = np.bincount(index, weights=weight)
        filled = np.flatnonzero(volume)
        if not filled.size:
            raise EngineError("no voxel with a weight above zero")
        times_dose = np.bincount(index, weights=weight * dose)
        total = float(volume.sum())
        return DoseHistogram(times_dose[filled] / volume[filled], volume[filled] / total, total, largest)

    @property
    def mean_gy(self) -> float:
        return float(np.dot(self.dose_gy, self.share))

    def hottest_gy(self, volume_cc: float) -> float:
        """Mean dose of the bin that the hottest `volume_cc` reaches down to; the hottest voxel for smaller organs."""
        from_hot = np.cumsum(self.share[::-1]) * self.volume_cc
        if volume_cc >= self.volume_cc:
            return self.largest_gy
        return float(self.dose_gy[::-1][int(np.searchsorted(from_hot, volume_cc))])


def generalised_eud(dose_gy: Floats, share: Floats, n: Floats | float) -> Floats:
    """gEUD = (sum of share · dose^(1/n))^n, Gy: Niemierko, Med Phys 26:1100 (1999) with a = 1/n; the reduction of a
    histogram to one dose by Kutcher and Burman, Int J Radiat Oncol Biol Phys 16:1623 (1989), is the same sum.

    dose_gy (..., b) and share (b,); n a number or (...,): one value for each set of doses. n = 1 gives the mean, n
    towards 0 the maximum, both exactly. Doses are divided by the largest first, so that nothing overflows. Raises
    EngineError for n that is not positive."""
    exponents = np.maximum(np.asarray(n, np.float64), SMALLEST_N)
    if float(np.min(np.asarray(n))) <= 0:
        raise EngineError("the volume parameter n must be positive")
    largest = dose_gy.max(axis=-1)
    relative = dose_gy / np.where(largest > 0, largest, 1.0)[..., None]
    # x^(1/n) as exp(log(x) / n): float32 halves the time and leaves 1e-5 Gy.
    logs = np.log(np.maximum(relative, 1e-30)).astype(np.float32)
    powered = np.exp(np.maximum(logs / exponents[..., None].astype(np.float32), np.float32(-80.0)))
    return np.asarray(largest * (powered @ share.astype(np.float32)).astype(np.float64) ** exponents)
