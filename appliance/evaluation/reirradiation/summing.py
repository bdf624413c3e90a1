"""Both courses in one structure, as EQD2, voxel by voxel, with the band that the registration's uncertainty makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case
from appliance.contracts.prior import PriorMaterial
from appliance.errors import PriorNotSummed
from engines.dvh import DoseVolume, dose_metric
from engines.grid import VoxelSet
from engines.radiobiology import eqd2, recovered
from engines.registration import RigidTransform, moved
from engines.registration.within import at, lowest_and_highest

Floats = NDArray[np.float32]

NO_PRIOR_DOSE = "it has no dose on its own image; give its RTDOSE with the CT it was calculated on"


@dataclass(frozen=True, eq=False)
class Course:
    """Physical dose, Gy (n,), of one structure's voxels: today's; the earlier one as registered, and its lowest and
    highest within the registration's uncertainty. weight_cc (n,). uncovered: part of the volume that today's dose grid
    does not reach, where today's dose counts as 0."""

    today_gy: Floats
    prior_gy: Floats
    prior_low_gy: Floats
    prior_high_gy: Floats
    weight_cc: Floats
    uncovered: float


@dataclass(frozen=True)
class Summed:
    """One metric of the cumulative EQD2: as registered, and with the earlier dose at its lowest and highest."""

    value: float
    low: float
    high: float


def course_in(
    case: Case,
    voxels: VoxelSet,
    dose_gy: NDArray[np.floating],
    prior: PriorMaterial,
    to_prior: RigidTransform,
    uncertainty_mm: float,
) -> Course:
    """dose_gy (z, y, x) on today's image grid. Beyond a dose grid that dose is taken as 0. Raises PriorNotSummed where
    the earlier course has no dose."""
    grid = case.image.grid
    weight_cc = voxels.fraction * np.float32(grid.voxel_volume_cc)
    today_gy = dose_gy.reshape(-1)[voxels.index].astype(np.float32)
    outside = np.isnan(today_gy)
    uncovered = float(weight_cc[outside].sum() / weight_cc.sum())
    today_gy[outside] = 0.0
    before_gy = prior.case.reference_dose_gy
    if before_gy is None:
        raise PriorNotSummed(NO_PRIOR_DOSE)
    points_mm = to_prior.apply(grid.centres_mm(voxels.index).astype(np.float64))
    before = (before_gy, prior.case.image.grid)
    lowest_gy, highest_gy = lowest_and_highest(*before, points_mm, (uncertainty_mm,))
    return Course(today_gy, at(*before, points_mm), lowest_gy, highest_gy, weight_cc, uncovered)


def cumulative_on_image(
    case: Case,
    dose_gy: NDArray[np.floating],
    prior: PriorMaterial,
    to_prior: RigidTransform,
    *,
    fractions: tuple[int, int],
    alpha_beta_gy: float,
) -> Floats:
    """(z, y, x) cumulative EQD2, Gy, of the whole image with one alpha/beta, for looking at: results of organs have
    their own. 0 where either dose was not calculated counts as none. fractions: of today's and of the earlier course.
    Raises PriorNotSummed where the earlier course has no dose."""
    before_gy = prior.case.reference_dose_gy
    if before_gy is None:
        raise PriorNotSummed(NO_PRIOR_DOSE)
    grid = case.image.grid
    there_gy = np.maximum(moved(before_gy, prior.case.image.grid, grid, to_prior, outside=0.0), np.float32(0))
    today_gy = np.nan_to_num(np.asarray(dose_gy, np.float32), nan=0.0)
    both = eqd2(today_gy, fractions[0], alpha_beta_gy) + eqd2(there_gy, fractions[1], alpha_beta_gy)
    return np.asarray(both, np.float32)


def summed(
    course: Course,
    metric: tuple[str, float, str],
    *,
    fractions: tuple[int, int],
    alpha_beta_gy: float,
    recovery: float = 0.0,
) -> Summed:
    """metric: kind, argument and unit as `engines.dvh.dose_metric` takes them, doses in EQD2. fractions: of today's and
    of the earlier course."""
    today = eqd2(course.today_gy, fractions[0], alpha_beta_gy)
    values = []
    for prior_gy in (course.prior_gy, course.prior_low_gy, course.prior_high_gy):
        both = today + recovered(eqd2(prior_gy, fractions[1], alpha_beta_gy), recovery)
        kind, argument, unit = metric
        values.append(dose_metric(kind, argument, DoseVolume.of(both, course.weight_cc), unit=unit))
    return Summed(*values)


def largest_prior_eqd2_gy(course: Course, fractions: int, alpha_beta_gy: float) -> float:
    return float(eqd2(float(course.prior_high_gy.max()), fractions, alpha_beta_gy))
