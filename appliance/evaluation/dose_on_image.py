"""A calculated dose brought onto the image grid, where every plan is judged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import CalculatedDose, Plan
from appliance.errors import EvaluationError
from engines.grid import Grid
from engines.grid.grid import SPACING_TOLERANCE_MM
from engines.grid.resample import resample

LARGEST_DOSE_GY = 500.0
"""Chosen, because no course of photon radiotherapy comes near it; beyond, cGy were taken for Gy."""

NEGATIVE_TOLERANCE_GY = 0.01
"""Small negative values that resampling or rounding may leave and that are taken as zero (chosen)."""

NOTE_RESAMPLED = "The dose was resampled trilinearly from its own grid ({source} mm) to the image grid ({target} mm)"


def check_dose(dose: CalculatedDose, plan: Plan | None) -> None:
    """Refuses (EvaluationError) what is no physics dose of this plan: predicted, misshapen, not finite, negative, out
    of any range, without a plan, or of another plan."""
    if not isinstance(dose, CalculatedDose):
        raise EvaluationError(
            "a predicted dose guides planning but is never judged for approval; calculate the dose of the plan first"
        )
    if dose.dose_gy.shape != dose.grid.shape:
        raise EvaluationError(f"the dose array {dose.dose_gy.shape} does not fill its grid {dose.grid.shape}")
    if not np.isfinite(dose.dose_gy).all():
        raise EvaluationError("the dose holds values that are not numbers; calculate it again")
    lowest, highest = float(dose.dose_gy.min()), float(dose.dose_gy.max())
    if lowest < -NEGATIVE_TOLERANCE_GY:
        raise EvaluationError(f"the dose is negative somewhere ({lowest:g} Gy); calculate it again")
    if highest > LARGEST_DOSE_GY:
        raise EvaluationError(f"the dose reaches {highest:g} Gy, which is no course of treatment; check its unit")
    if not dose.plan_digest:
        raise EvaluationError("the dose does not say which plan it belongs to; calculate it from the plan")
    if plan is not None and plan.digest != dose.plan_digest:
        raise EvaluationError("the dose was calculated for another plan than the one shown; calculate it again")


def dose_on_image(dose: CalculatedDose, image: Grid) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """(dose_gy (z, y, x) on `image`, notes). NaN wherever the dose grid does not reach."""
    return array_on_image(np.maximum(dose.dose_gy, np.float32(0)), dose.grid, image)


def array_on_image(
    dose_gy: NDArray[np.float32], grid: Grid, image: Grid
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """`dose_on_image` of dose_gy (z, y, x) on `grid`.

    The image grid itself and any crop of it are taken as they are; any other grid is resampled trilinearly, which a
    note says.
    """
    if grid.same_as(image):
        return dose_gy, ()
    lower = _crop_offset(grid, image)
    if lower is not None:
        out = np.full(image.shape, np.nan, np.float32)
        out[tuple(slice(low, low + n) for low, n in zip(lower, grid.shape, strict=True))] = dose_gy
        return out, ()
    out = resample(dose_gy, grid, image, outside=np.nan)
    return out, (NOTE_RESAMPLED.format(source=_spacing(grid), target=_spacing(image)),)


def _crop_offset(inner: Grid, image: Grid) -> tuple[int, int, int] | None:
    """Index (z, y, x) of `inner`'s first voxel in `image` if it is a crop of it."""
    step = np.asarray(image.spacing_mm)
    offset = (np.asarray(inner.origin_mm) - np.asarray(image.origin_mm)) / step
    lower = np.rint(offset)[::-1].astype(int)
    aligned = np.allclose(inner.spacing_mm, step, atol=SPACING_TOLERANCE_MM) and np.allclose(
        offset * step, np.rint(offset) * step, atol=SPACING_TOLERANCE_MM
    )
    fits = np.all(lower >= 0) and np.all(lower + np.asarray(inner.shape) <= np.asarray(image.shape))
    return (int(lower[0]), int(lower[1]), int(lower[2])) if aligned and fits else None


def _spacing(grid: Grid) -> str:
    return " × ".join(f"{step:g}" for step in grid.spacing_mm)
