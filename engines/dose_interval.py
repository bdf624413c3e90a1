"""From what a network says of its dose to intervals: a scale for each voxel, and for each point of a histogram.

Everything is relative: doses in units of the highest prescription, so that a calibration holds for any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]
Volume = NDArray[np.float32]
Vector = NDArray[np.float64]

FORMAT = "couchside-dose-calibration-1"
"""Of calibration.json."""
LEVELS = (0.8, 0.95)
"""Of the intervals that are calibrated."""
Kind = Literal["highest", "lower", "organ"]
"""Of a structure: the target of the highest prescription, another target, or an organ."""
REGIONS = ("target", "organ", "other")
"""A voxel's region: in a target, else in an organ, else neither. Errors of the three differ."""
SMALL_CC = 0.1
"""Of D0.1cc."""
SHARES = {"D_99": 0.99, "D_95": 0.95, "D_1": 0.01}
LEAST = 0.004
"""No voxel is known better (chosen: 0.3 of 70 Gy, the noise of the optimiser between two plans of one patient)."""
OF_DOSE, FALL_MM = 0.03, 1.5
"""Where a network tells no spread: 3 % of the dose and the dose's change within 1.5 mm (chosen; the calibration's
factors make up for either being wrong)."""
NEAR = 0.05
"""Share of a structure's volume on either side whose voxels say how sure D(v) is (chosen: a tenth of an organ)."""


def voxel_scale(
    dose: Array, spread: Array | None, apart: Array | None, spacing_mm: tuple[float, float, float]
) -> NDArray[np.float32]:
    """(z, y, x) scale of the error of each voxel's dose before calibration. spread: the network's own, of the same unit
    as dose, None where it tells none: then dose and its gradient stand in. apart: half the difference between the
    patient's and the mirrored patient's dose, None for a single pass. Raises EngineError for shapes that differ."""
    if any(other is not None and other.shape != dose.shape for other in (spread, apart)):
        raise EngineError("dose, spread and difference must share one shape")
    if spread is None:
        gradient = np.gradient(np.asarray(dose, np.float32), *spacing_mm)
        squared = np.square(OF_DOSE * dose) + FALL_MM**2 * sum(np.square(side) for side in gradient)
    else:
        squared = np.square(spread)
    if apart is not None:
        squared = squared + np.square(apart)
    return np.asarray(np.sqrt(squared + LEAST**2), np.float32)


def half_width(scale: Array, centres: Vector, factors: Vector) -> NDArray[np.float32]:
    """scale times its calibrated factor, linear in the logarithm of the scale between centres (bins,) of the table and
    constant beyond them."""
    if len(centres) != len(factors) or not len(centres):
        raise EngineError("a calibration needs a factor for each of its bins")
    return np.asarray(scale * np.interp(np.log(np.maximum(scale, 1e-9)), centres, factors), np.float32)


class Ordered:
    """A structure's voxels from the hottest down: doses (n,) and the half-widths beside them. Voxels weigh the same."""

    def __init__(self, dose: Array, half: Array) -> None:
        if not dose.size or dose.shape != half.shape:
            raise EngineError("a structure needs voxels, with a half-width for each dose")
        order = np.argsort(-dose.ravel(), kind="stable")
        self.dose: Vector = dose.ravel()[order].astype(np.float64)
        self._sum = np.concatenate([[0.0], np.cumsum(half.ravel()[order], dtype=np.float64)])

    def dose_at(self, share: Vector) -> Vector:
        """D(share): what the hottest `share` (0..1) of the volume receives at least, linear between ordered voxels as
        numpy.percentile."""
        place = np.asarray(share) * (len(self.dose) - 1)
        return np.asarray(np.interp(place, np.arange(len(self.dose)), self.dose), np.float64)

    def scale_at(self, share: Vector) -> Vector:
        """Mean half-width of the voxels within NEAR of that place in the order."""
        n = len(self.dose)
        low = np.clip(np.floor((np.asarray(share) - NEAR) * n), 0, n - 1).astype(int)
        high = np.clip(np.ceil((np.asarray(share) + NEAR) * n), 1, n).astype(int)
        return np.asarray((self._sum[high] - self._sum[low]) / (high - low), np.float64)

    @property
    def mean(self) -> float:
        return float(self.dose.mean())

    @property
    def mean_scale(self) -> float:
        return float(self._sum[-1] / len(self.dose))


@dataclass(frozen=True, eq=False)
class RegionTable:
    """Factors (levels, bins) on a voxel's scale, at logarithms of scales (bins,)."""

    centres: NDArray[np.float64]
    factors: NDArray[np.float64]


def regions_of(possible: Mask, organs: Mapping[str, Mask], targets: list[Mask]) -> NDArray[np.uint8]:
    """Index into REGIONS of each voxel; len(REGIONS) where dose is impossible."""
    told = np.full(possible.shape, len(REGIONS), np.uint8)
    told[possible] = REGIONS.index("other")
    for name, masks in (("organ", list(organs.values())), ("target", targets)):
        for mask in masks:
            told[mask & possible] = REGIONS.index(name)
    return told


def dose_and_scale(
    members_gy: Volume, spreads_gy: Volume | None, spacing_mm: tuple[float, float, float], unit_gy: float
) -> tuple[Volume, Volume]:
    """Mean of the members in Gy, and the uncalibrated scale of its error in units of the highest prescription."""
    dose = members_gy.mean(0, dtype=np.float32)
    apart = np.abs(members_gy[0] - members_gy[1]) / np.float32(2 * unit_gy) if len(members_gy) == 2 else None
    spread = None if spreads_gy is None else spreads_gy.mean(0, dtype=np.float32) / np.float32(unit_gy)
    return dose, voxel_scale(dose / np.float32(unit_gy), spread, apart, spacing_mm)


def half_widths(tables: Mapping[str, RegionTable], scale: Volume, regions: NDArray[np.uint8]) -> list[Volume]:
    """One array for each of LEVELS, in the unit of scale."""
    told = [np.zeros(scale.shape, np.float32) for _ in LEVELS]
    for place, name in enumerate(REGIONS):
        inside = regions == place
        for level, half in enumerate(told):
            half[inside] = half_width(scale[inside], tables[name].centres, tables[name].factors[level])
    # Wider at 95 % than at 80 % everywhere, also between the centres of two tables' bins.
    told[1] = np.maximum(told[1], told[0])
    return told


def metric_values(ordered: Ordered, kind: Kind, voxel_cc: float) -> dict[str, tuple[float, float]]:
    """{metric: (value, scale)}: of organs the mean and D0.1cc, of targets D99, D95 and D1."""
    if kind != "organ":
        shares = SHARES
        told = {}
    else:
        shares = {"D_0.1_cc": min(1.0, max(1.0, round(SMALL_CC / voxel_cc)) / len(ordered.dose))}
        told = {"mean": (ordered.mean, ordered.mean_scale)}
    for name, share in shares.items():
        at = np.array([share])
        told[name] = (float(ordered.dose_at(at)[0]), float(ordered.scale_at(at)[0]))
    return told
