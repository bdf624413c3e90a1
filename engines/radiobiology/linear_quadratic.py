"""The linear-quadratic model of fractionation: BED and EQD2 of a total dose given in equal fractions.

Sources. BED = D (1 + d / (alpha/beta)) with d = D / fractions: Fowler, Br J Radiol 62:679 (1989),
doi 10.1259/0007-1285-62-740-679. EQD2 = D (d + alpha/beta) / (2 + alpha/beta): Withers, Thames and Peters, Radiother
Oncol 1:187 (1983), doi 10.1016/S0167-8140(83)80021-8; it is BED / (1 + 2 / (alpha/beta)). Loss of BED by proliferation:
Fowler 1989, ln 2 (T - Tk) / (alpha Td).

Every function takes scalars or arrays of any shape that broadcast, works voxel by voxel, and returns float64 (float32
for a float32 dose). Each voxel has its own dose per fraction: that is what "fraction-size correction" means here. The
model holds for complete repair between fractions and, by the usual judgement, up to some 10 Gy a fraction; callers
decide what they accept. All raise EngineError for negative doses and for parameters that are not positive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

REFERENCE_FRACTION_GY = 2.0
"""Fraction size that EQD2 refers to."""

Values = NDArray[Any]


def bed(dose_gy: Values | float, fractions: Values | float, alpha_beta_gy: Values | float) -> Values:
    """Biologically effective dose, Gy, of total dose `dose_gy` in `fractions` equal fractions."""
    dose = _dose(dose_gy)
    _positive("fractions", fractions)
    _positive("alpha/beta", alpha_beta_gy)
    return np.asarray(dose * (1 + dose / (fractions * alpha_beta_gy)))


def eqd2(dose_gy: Values | float, fractions: Values | float, alpha_beta_gy: Values | float) -> Values:
    """Total dose in fractions of 2 Gy with the same effect as `dose_gy` in `fractions` fractions, Gy."""
    dose = _dose(dose_gy)
    _positive("fractions", fractions)
    _positive("alpha/beta", alpha_beta_gy)
    return np.asarray(dose * (dose / fractions + alpha_beta_gy) / (REFERENCE_FRACTION_GY + alpha_beta_gy))


def eqd2_of_bed(bed_gy: Values | float, alpha_beta_gy: Values | float) -> Values:
    """EQD2, Gy, of a biologically effective dose for the same alpha/beta."""
    _positive("alpha/beta", alpha_beta_gy)
    return np.asarray(_dose(bed_gy) / (1 + REFERENCE_FRACTION_GY / np.asarray(alpha_beta_gy)))


def dose_of_eqd2(eqd2_gy: Values | float, fractions: Values | float, alpha_beta_gy: Values | float) -> Values:
    """The inverse of `eqd2`: total dose in `fractions` fractions with that EQD2, Gy.

    Positive root of D² / n + D r - EQD2 (2 + r) = 0 with r = alpha/beta."""
    _positive("fractions", fractions)
    _positive("alpha/beta", alpha_beta_gy)
    n, ratio = np.asarray(fractions, np.float64), np.asarray(alpha_beta_gy, np.float64)
    root = np.sqrt(ratio**2 + 4 * _dose(eqd2_gy) * (REFERENCE_FRACTION_GY + ratio) / n)
    return np.asarray(0.5 * n * (root - ratio))


def proliferation_bed(
    overall_days: float, *, alpha_per_gy: Values | float, doubling_days: Values | float, kick_off_days: float = 0.0
) -> Values:
    """BED, Gy, that proliferation takes back in `overall_days`: ln 2 (T - Tk) / (alpha Td), never negative. Subtract it
    from `bed`."""
    _positive("alpha", alpha_per_gy)
    _positive("doubling time", doubling_days)
    lasting_days = max(0.0, overall_days - kick_off_days)
    return np.asarray(np.log(2.0) * lasting_days / (np.asarray(alpha_per_gy) * np.asarray(doubling_days)))


def recovered(eqd2_gy: Values | float, fraction_recovered: float) -> Values:
    """What remains of an earlier course's EQD2 after a part (0..1) of its effect has been recovered, Gy."""
    if not 0.0 <= fraction_recovered <= 1.0:
        raise EngineError(f"a recovery must lie between 0 and 1, got {fraction_recovered}")
    return np.asarray(_dose(eqd2_gy) * (1.0 - fraction_recovered))


def _dose(dose_gy: Values | float) -> Values:
    dose = np.asarray(dose_gy)
    if dose.dtype.kind != "f":
        dose = dose.astype(np.float64)
    if dose.size and float(np.nanmin(dose)) < 0:
        raise EngineError("a dose must not be negative")
    return dose


def _positive(name: str, value: Values | float) -> None:
    numbers = np.asarray(value)
    if numbers.size == 0 or not np.all(np.isfinite(numbers)) or float(numbers.min()) <= 0:
        raise EngineError(f"{name} must be positive and finite")
