"""Gamma index of two dose distributions (Low, Harms, Mutic, Purdy, Med Phys 25:656, 1998).

    gamma(r) = min over x of sqrt( |x - r|^2 / distance^2 + (D_evaluated(x) - D_reference(r))^2 / dose^2 )

for each voxel r of the reference grid, x running over all places between the centres of the evaluated grid's voxels,
its dose trilinear in between. The two grids are independent of each other: any origin, spacing and shape.

The minimum is not sampled. Every cell of the evaluated grid within reach is searched by branch and bound
(engines/kernels/gamma.h), so that the result is the true minimum for the trilinear dose, at most `accuracy` above it.
Samplers find larger values in steep gradients: pymedphys 0.41 with its default of ten steps a criterion is 0.01 to 0.03
above this one on average, and comes down to it with finer steps (tests/engines/test_gamma_peer.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines import _gamma
from engines.errors import EngineError
from engines.grid import Grid


@dataclass(frozen=True)
class GammaCriteria:
    """Defaults: 3 % / 2 mm, global, 10 % threshold (AAPM TG-218: Miften et al., Med Phys 45:e53, 2018, section 9).

    dose_percent: of `normalisation_gy` (global; None: the largest reference dose) or of each reference dose (local).
    threshold_percent: reference doses below this share of the normalisation are not judged. largest: gammas from here
    on are all reported as `largest` (chosen: twice the criterion tells a near miss from a wrong plan, and the search
    ends there). accuracy: how far a result may lie above the true minimum; chosen, because the third decimal of a gamma
    means nothing."""

    dose_percent: float = 3.0
    distance_mm: float = 2.0
    threshold_percent: float = 10.0
    local: bool = False
    normalisation_gy: float | None = None
    largest: float = 2.0
    accuracy: float = 1e-3

    def __str__(self) -> str:
        kind = "local" if self.local else "global"
        return f"{self.dose_percent:g} %/{self.distance_mm:g} mm {kind}, threshold {self.threshold_percent:g} %"


@dataclass(frozen=True, eq=False)
class GammaResult:
    """gamma (z, y, x) float32 on the reference grid, NaN where not judged; `points` were judged, `passed` have gamma
    of at most 1. mean and highest are of the judged points, gammas cut at `criteria.largest`."""

    gamma: NDArray[np.float32]
    criteria: GammaCriteria
    normalisation_gy: float
    points: int
    passed: int
    mean: float
    highest: float

    @property
    def pass_percent(self) -> float:
        return 100.0 * self.passed / self.points


def gamma_index(
    reference_gy: NDArray[np.floating],
    reference_grid: Grid,
    evaluated_gy: NDArray[np.floating],
    evaluated_grid: Grid,
    *,
    criteria: GammaCriteria | None = None,
    inside: NDArray[np.bool_] | None = None,
) -> GammaResult:
    """Doses (z, y, x) on their grids, Gy; an axis with one voxel is flat, which makes the gamma 2-D or 1-D.

    inside: reference voxels to judge (the patient), all by default. A reference voxel that the evaluated grid does not
    come near counts as failed with gamma `largest`, never as left out. Raises EngineError for doses that are not
    finite or do not fill their grids, impossible criteria, and where no voxel is to be judged.
    """
    asked = criteria or GammaCriteria()
    _check_criteria(asked)
    reference = _checked(reference_gy, reference_grid, "reference")
    evaluated = _checked(evaluated_gy, evaluated_grid, "evaluated")
    wanted = np.ones(reference.shape, np.bool_) if inside is None else inside
    if wanted.shape != reference.shape:
        raise EngineError(f"the voxels to judge have shape {wanted.shape}, the reference dose {reference.shape}")
    normalisation_gy = asked.normalisation_gy or float(reference.max())
    threshold_gy = asked.threshold_percent / 100.0 * normalisation_gy
    judged = wanted & (reference >= np.float32(threshold_gy))
    if asked.local:
        judged &= reference > 0
    index = np.flatnonzero(judged).astype(np.int64)
    if not index.size or normalisation_gy <= 0:
        raise EngineError(f"no reference dose reaches {threshold_gy:g} Gy, so there is nothing to judge")
    scale_gy = reference.reshape(-1)[index] if asked.local else np.full(index.size, normalisation_gy, np.float32)
    found = np.empty(index.size, np.float32)
    _gamma.gamma_of_points(
        reference,
        *_in_criteria(reference_grid, asked.distance_mm),
        evaluated,
        *_in_criteria(evaluated_grid, asked.distance_mm),
        index,
        np.asarray(100.0 / (asked.dose_percent * scale_gy), np.float32),
        asked.largest,
        asked.accuracy,
        found,
        _gamma.max_threads(),
    )
    gamma = np.full(reference.shape, np.nan, np.float32)
    gamma.reshape(-1)[index] = found
    return GammaResult(
        gamma=gamma,
        criteria=asked,
        normalisation_gy=normalisation_gy,
        points=index.size,
        passed=int(np.count_nonzero(found <= 1.0)),
        mean=float(found.mean(dtype=np.float64)),
        highest=float(found.max()),
    )


Vec3 = tuple[float, float, float]


def _in_criteria(grid: Grid, distance_mm: float) -> tuple[Vec3, Vec3]:
    """Origin and spacing (x, y, z) in units of the distance criterion."""
    (x, y, z), (dx, dy, dz) = grid.origin_mm, grid.spacing_mm
    return (x / distance_mm, y / distance_mm, z / distance_mm), (
        dx / distance_mm,
        dy / distance_mm,
        dz / distance_mm,
    )


def _checked(dose_gy: NDArray[np.floating], grid: Grid, name: str) -> NDArray[np.float32]:
    if dose_gy.shape != grid.shape:
        raise EngineError(f"the {name} dose has shape {dose_gy.shape}, its grid {grid.shape}")
    if not np.isfinite(dose_gy).all():
        raise EngineError(f"the {name} dose holds values that are not numbers")
    return np.ascontiguousarray(dose_gy, np.float32)


def _check_criteria(asked: GammaCriteria) -> None:
    positive = (asked.dose_percent, asked.distance_mm, asked.largest, asked.accuracy)
    if not all(np.isfinite(value) and value > 0 for value in positive):
        raise EngineError("the dose and distance criteria, largest gamma and accuracy must be positive numbers")
    if not 0 <= asked.threshold_percent <= 100:
        raise EngineError(f"the dose threshold must lie between 0 and 100 %, got {asked.threshold_percent:g}")
    if asked.normalisation_gy is not None and not (np.isfinite(asked.normalisation_gy) and asked.normalisation_gy > 0):
        raise EngineError("the dose that percentages refer to must be a positive number")
