"""Dose of delivered fractions on one grid: each read at the point that its field leads to, then added.

Direct dose mapping: the dose at a point of the accumulation frame is that of the point of the fraction's frame which
holds the same tissue (Chetty and Rosu-Bubulac, Semin Radiat Oncol 29:198, 2019). Dose is energy per mass of a piece of
tissue, so this is right where the tissue is the same piece. It conserves neither energy nor mass: dose to tissue that
is not there any more, or not yet, belongs to no point, and a voxel whose tissue comes from several voxels gets the dose
at its centre and not their mean by mass (as in Siebers and Zhong, Med Phys 35:4096, 2008).

EQD2 is taken of each fraction by itself and then added. Doses of fractions are not averaged before: the model is
convex, so a mean would count less than what was given.

Bands. A registration that is off by up to r reads the dose elsewhere, so a fraction's dose lies between the lowest and
the highest within r of where it was read. Two ways of adding are kept apart. `low`, `high`: sums of the fractions'
lowest and highest: what no errors within the radii can pass, and reached only if all err the same way at that voxel.
`low_independent`, `high_independent`: the fractions' own half-widths added in quadrature, as if the errors of two
registrations had nothing in common. Fractions of one registration share its error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid import Grid
from engines.radiobiology import eqd2
from engines.registration import DisplacementField, RigidTransform, moved
from engines.registration.within import at, lowest_and_highest

Volume = NDArray[np.float32]
Values = NDArray[np.float32]

SHELLS = (0.5, 1.0)
"""Parts of the radius where a dose is read for its band (chosen: a peak narrower than the radius is then seen too)."""


@dataclass(frozen=True, eq=False)
class Delivered:
    """dose_gy: (z, y, x) of one fraction, Gy, on `grid` in the fraction's frame. to_fraction: takes points of the
    accumulation frame to the fraction's. count: fractions that were delivered so. uncertainty_mm: how far to_fraction
    may be off. Raises EngineError for dose that is negative, not finite or not on its grid, for a count below 1 and for
    an uncertainty that is negative or not finite."""

    grid: Grid
    dose_gy: Volume
    to_fraction: DisplacementField | RigidTransform
    count: int
    uncertainty_mm: float

    def __post_init__(self) -> None:
        if self.dose_gy.shape != self.grid.shape:
            raise EngineError(f"a dose of {self.dose_gy.shape} is not on a grid of {self.grid.shape}")
        if not np.isfinite(self.dose_gy).all() or float(self.dose_gy.min()) < 0:
            raise EngineError("a fraction's dose holds values that are negative or not numbers")
        if self.count < 1:
            raise EngineError(f"a fraction is delivered once or more, not {self.count} times")
        if not (np.isfinite(self.uncertainty_mm) and self.uncertainty_mm >= 0):
            raise EngineError("the uncertainty of a registration must be finite and not negative")


@dataclass(frozen=True, eq=False)
class GridSum:
    """dose_gy: physical dose; eqd2_gy: with one alpha/beta everywhere; reached: whether every fraction's dose grid
    reaches the voxel. All (z, y, x). A fraction that does not reach a voxel counts there as 0."""

    dose_gy: Volume
    eqd2_gy: Volume
    reached: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Banded:
    """Gy (n,); the fields are those of the top of this file."""

    value: Values
    low: Values
    high: Values
    low_independent: Values
    high_independent: Values


@dataclass(frozen=True, eq=False)
class VoxelSum:
    """unreached: (n,) whether a fraction's dose grid does not reach the voxel, and counts there as 0."""

    physical: Banded
    eqd2: Banded
    unreached: NDArray[np.bool_]


def on_grid(fractions: Sequence[Delivered], target: Grid, alpha_beta_gy: float) -> GridSum:
    """Sums at the voxel centres of `target`, which lies in the accumulation frame. Needs memory for three volumes and
    one fraction. Raises EngineError without a fraction and for an alpha/beta that is not positive."""
    if not fractions:
        raise EngineError("there is no fraction to add up")
    dose_gy = np.zeros(target.shape, np.float32)
    eqd2_gy, reached = np.zeros(target.shape, np.float32), np.ones(target.shape, np.bool_)
    for given in fractions:
        there_gy = _on(given, target)
        missing = np.isnan(there_gy)
        reached &= ~missing
        there_gy[missing] = 0.0
        np.maximum(there_gy, 0.0, out=there_gy)
        dose_gy += np.float32(given.count) * there_gy
        eqd2_gy += np.float32(given.count) * eqd2(there_gy, 1, alpha_beta_gy).astype(np.float32)
    return GridSum(dose_gy, eqd2_gy, reached)


def in_voxels(fractions: Sequence[Delivered], points_mm: NDArray[np.floating], alpha_beta_gy: float) -> VoxelSum:
    """Sums and their bands at points (n, 3) of the accumulation frame. Raises EngineError as `on_grid`."""
    if not fractions:
        raise EngineError("there is no fraction to add up")
    here = np.asarray(points_mm, np.float64)
    physical, effective = _Adding(len(here)), _Adding(len(here))
    unreached = np.zeros(len(here), np.bool_)
    for given in fractions:
        there_mm = given.to_fraction.apply(here)
        source = (given.dose_gy, given.grid)
        radii = tuple(share * given.uncertainty_mm for share in SHELLS if given.uncertainty_mm > 0)
        low, high = lowest_and_highest(*source, there_mm, radii)
        doses = (at(*source, there_mm), low, high)
        unreached |= ~_inside(given.grid, there_mm)
        physical.add(given.count, *doses)
        effective.add(given.count, *(eqd2(dose, 1, alpha_beta_gy) for dose in doses))
    return VoxelSum(physical.banded(), effective.banded(), unreached)


def _on(given: Delivered, target: Grid) -> Volume:
    if isinstance(given.to_fraction, RigidTransform):
        return moved(given.dose_gy, given.grid, target, given.to_fraction, outside=np.nan)
    return given.to_fraction.pulled(given.dose_gy, given.grid, target, outside=np.nan)


def _inside(grid: Grid, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    index = (points_mm - np.asarray(grid.origin_mm)) / np.asarray(grid.spacing_mm)
    last = np.asarray(grid.shape[::-1]) - 1
    return np.asarray(np.all((index >= -0.5 - 1e-4) & (index <= last + 0.5 + 1e-4), axis=1))


class _Adding:
    """Sums (n,) of what each fraction has, in float64."""

    def __init__(self, size: int) -> None:
        self._value, self._low, self._high, self._below, self._above = (np.zeros(size) for _ in range(5))

    def add(self, count: int, value: Values, low: Values, high: Values) -> None:
        self._value += count * value
        self._low += count * low
        self._high += count * high
        self._below += np.square(count * (value.astype(np.float64) - low))
        self._above += np.square(count * (high.astype(np.float64) - value))

    def banded(self) -> Banded:
        value, below, above = self._value, np.sqrt(self._below), np.sqrt(self._above)
        parts = (value, self._low, self._high, value - below, value + above)
        return Banded(*(np.maximum(part, 0.0).astype(np.float32) for part in parts))
