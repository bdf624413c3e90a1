"""Dose-volume metrics on weighted voxels, with one stated convention.

Inputs are parallel 1-D arrays: `dose_gy` (n,) and `weight` (n,), the part of each voxel that lies inside the structure
(a fraction, or cc where the name says so). A voxel on the edge therefore counts with its partial volume and no voxel
is counted twice.

Convention. Voxels are sorted from hot to cold (ties: the larger weight first, so the order of the input never
matters). Voxel i fills the interval [C(i-1), C(i)] of the cumulative weight C and its dose is placed at the middle of
that interval. D(v), the dose that the hottest v of the volume receives at least, is linear between these middles and
flat before the first and after the last. For equal weights this is Hazen's plotting position, NumPy's percentile
method "hazen" at 100 - x. V(d) is the plain sum of the weights of voxels with at least d: no interpolation, so the
two agree within one voxel. Maximum and minimum are of single voxels, however small the part inside.

Arithmetic: dose and weight are taken as float32 (7 digits; the sort packs both into one 64-bit key), sums are float64.
All functions raise EngineError for empty, non-finite or negative arrays and for arguments outside their range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Samples = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class DoseVolume:
    """One structure, sorted once, for many metrics. dose_gy (n,) from hot to cold; middle (n,) the cumulative weight
    at the middle of each voxel; upper (n,) the cumulative weight at its cold end; all float64."""

    dose_gy: NDArray[np.float64]
    middle: NDArray[np.float64]
    upper: NDArray[np.float64]

    @staticmethod
    def of(dose_gy: Samples, weight: Samples) -> DoseVolume:
        """About 0.1 s for a million voxels on one core."""
        return _from_keys(_keys(dose_gy, weight))

    @property
    def total(self) -> float:
        return float(self.upper[-1])

    @property
    def max_gy(self) -> float:
        return float(self.dose_gy[0])

    @property
    def min_gy(self) -> float:
        return float(self.dose_gy[-1])

    @property
    def mean_gy(self) -> float:
        return float(np.dot(self.dose_gy, np.diff(self.upper, prepend=0.0))) / self.total

    def dose_at_percent(self, percent: float) -> float:
        """D_x%: dose to at least the hottest `percent` (0..100) of the volume, Gy."""
        if not 0.0 <= percent <= 100.0:
            raise EngineError(f"D_x% needs x between 0 and 100, got {percent}")
        return float(np.interp(percent / 100.0 * self.total, self.middle, self.dose_gy))

    def dose_at_volume(self, volume: float) -> float:
        """D_xcc in the weight's unit, Gy. See `dose_at_volume` for structures smaller than x."""
        _check_volume(volume)
        return self.max_gy if volume > self.total else float(np.interp(volume, self.middle, self.dose_gy))

    def volume_at_dose(self, level_gy: float) -> float:
        """V_xGy: weight of the voxels with at least `level_gy`."""
        count = int(np.searchsorted(-self.dose_gy, -float(np.float32(level_gy)), side="right"))
        return float(self.upper[count - 1]) if count else 0.0


def dose_at_percent(dose_gy: Samples, weight: Samples, percent: float) -> float:
    """D_x% in Gy; x in percent of the structure's own volume."""
    return DoseVolume.of(dose_gy, weight).dose_at_percent(percent)


def dose_at_volume(dose_gy: Samples, weight_cc: Samples, volume_cc: float) -> float:
    """D_xcc in Gy: dose to at least the hottest `volume_cc`.

    A structure smaller than x has no D_xcc; its maximum is returned. Chosen, because D_xcc with a small x stands for
    the near-maximum, and a tiny organ must never look better than its hottest voxel. Only the hottest voxels are
    sorted, so that D0.1cc of a whole body costs one partition.
    """
    _check_volume(volume_cc)
    keys = _keys(dose_gy, weight_cc)
    count = _enough(keys, volume_cc)
    while count < keys.size:
        hottest = _from_keys(np.partition(keys, keys.size - count)[-count:])
        if hottest.middle[-1] >= volume_cc:
            return float(np.interp(volume_cc, hottest.middle, hottest.dose_gy))
        count *= 4
    return _from_keys(keys).dose_at_volume(volume_cc)


def volume_at_dose(dose_gy: Samples, weight: Samples, level_gy: float) -> float:
    """V_xGy in the weight's unit: the weight of all voxels with at least `level_gy`."""
    dose, part = _checked(dose_gy, weight)
    return float(np.sum(part, where=dose >= np.float32(level_gy), dtype=np.float64))


def mean_dose(dose_gy: Samples, weight: Samples) -> float:
    """Volume-weighted mean in Gy."""
    dose, part = _checked(dose_gy, weight)
    return float(np.dot(dose.astype(np.float64), part.astype(np.float64))) / float(part.sum(dtype=np.float64))


def dose_metric(kind: str, argument: float, volume: DoseVolume, *, unit: str = "Gy") -> float:
    """One metric by its kind: 'D%', 'Dcc', 'VGy', 'Mean', 'Max' or 'Min' (the values of `contracts.MetricKind`).

    `volume` must carry weights in cc. unit is of the result: Gy for doses, '%' or 'cc' for V_xGy.
    """
    match kind, unit:
        case "D%", "Gy":
            return volume.dose_at_percent(argument)
        case "Dcc", "Gy":
            return volume.dose_at_volume(argument)
        case "VGy", "cc":
            return volume.volume_at_dose(argument)
        case "VGy", "%":
            return 100.0 * volume.volume_at_dose(argument) / volume.total
        case "Mean", "Gy":
            return volume.mean_gy
        case "Max", "Gy":
            return volume.max_gy
        case "Min", "Gy":
            return volume.min_gy
    raise EngineError(f"no dose-volume metric of kind '{kind}' in '{unit}'")


def cumulative_dvh(
    dose_gy: Samples, weight: Samples, bin_gy: float = 0.1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cumulative DVH without a sort: (edge_gy, volume_percent), edges 0, bin, 2 bin, ... to the first above the
    maximum; volume_percent[i] is exactly the share of the weight with at least edge_gy[i], so it starts at 100 and
    ends at 0."""
    dose, part = _checked(dose_gy, weight)
    edge_gy = np.arange(int(np.floor(float(dose.max()) / bin_gy)) + 3, dtype=np.float64) * bin_gy
    edge_f32 = edge_gy.astype(np.float32)
    bin_index = np.floor(dose / np.float32(bin_gy)).astype(np.int64)
    # The quotient may round across an edge; compare with the edges themselves so that "at least" is exact.
    bin_index += edge_f32[bin_index + 1] <= dose
    bin_index -= edge_f32[bin_index] > dose
    inside = np.bincount(bin_index, weights=part, minlength=edge_gy.size)
    at_least = np.cumsum(inside[::-1])[::-1]
    last = int(np.flatnonzero(at_least)[-1]) + 2
    return edge_gy[:last], 100.0 * at_least[:last] / at_least[0]


def _checked(dose_gy: Samples, weight: Samples) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both as float32 without the voxels of zero weight. `+ 0` turns -0.0 into 0.0, whose bits sort correctly."""
    dose, part = np.asarray(dose_gy, np.float32).ravel() + 0, np.asarray(weight, np.float32).ravel() + 0
    if dose.shape != part.shape:
        raise EngineError(f"dose and weight differ in length: {dose.size} and {part.size}")
    if dose.size and not (np.isfinite(dose).all() and np.isfinite(part).all()):
        raise EngineError("dose and weight must be finite")
    if dose.size and (dose.min() < 0 or part.min() < 0):
        raise EngineError("dose and weight must not be negative")
    inside = part > 0
    if not inside.all():
        dose, part = dose[inside], part[inside]
    if not dose.size:
        raise EngineError("no voxel with a weight above zero")
    return dose, part


def _keys(dose_gy: Samples, weight: Samples) -> NDArray[np.uint64]:
    """One sortable key a voxel: bits of the dose above bits of the weight. Non-negative IEEE 754 floats order as their
    bits do, so one sort of integers orders by dose, then weight, and carries both along."""
    dose, part = _checked(dose_gy, weight)
    high = dose.view(np.uint32).astype(np.uint64) << np.uint64(32)
    return high | part.view(np.uint32)


def _from_keys(keys: NDArray[np.uint64]) -> DoseVolume:
    ordered = np.sort(keys)[::-1]
    dose = (ordered >> np.uint64(32)).astype(np.uint32).view(np.float32).astype(np.float64)
    part = (ordered & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.float32).astype(np.float64)
    upper = np.cumsum(part)
    return DoseVolume(dose, upper - part / 2.0, upper)


def _enough(keys: NDArray[np.uint64], volume: float) -> int:
    """A first guess at how many of the hottest voxels hold `volume`: four times the count at the mean weight."""
    part = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.float32)
    return min(keys.size, 64 + int(4.0 * volume / float(part.mean(dtype=np.float64))))


def _check_volume(volume: float) -> None:
    if not (np.isfinite(volume) and volume >= 0.0):
        raise EngineError(f"a volume must be finite and not negative, got {volume}")
