"""Rigid registration of two CT-like images by mean squares, from coarse to fine (SimpleITK)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid import Grid
from engines.registration.moving import moved
from engines.registration.simpleitk import itk_image, simpleitk
from engines.registration.transform import RIGID_TOLERANCE, RigidTransform

LOWEST_HU, HIGHEST_HU = -500.0, 700.0
"""Values are cut to this range (chosen): the outline and bone steer, air, metal and contrast medium do not."""

FINEST_MM = 2.5
"""Images finer than this are averaged to about it first (chosen: a tenth of it is found all the same)."""

SHRINK, SMOOTHING_MM = (4, 2, 1), (4.0, 2.0, 0.0)
"""Of the levels, on the averaged images."""

START_STEP_MM, START_REACH_MM = 16.0, 192.0
"""Starts that are tried along the patient, on voxels of about COARSE_MM (chosen: two scans of one region may begin and
end a vertebra column apart, and a search that starts there ends in the wrong vertebra)."""
COARSE_MM = 8.0

LEAST_SHARED = 0.3
"""Part of the smaller body that a start must leave in both images to be tried."""

SAMPLED_SHARE, MOST_SAMPLES = 0.2, 100_000
"""Voxels of a level that are compared, in this share and no more than that many (chosen: the result of large images
then stays within 0.6 mm of what a fifth of all their voxels gives, 150 mm from the middle)."""

AROUND_MM = 30.0
"""Of air left around the body (chosen: the reach of a start, so that skin is compared with air)."""

ITERATIONS = 150
SEED = 1


def register_rigid(
    fixed_hu: NDArray[np.generic],
    fixed: Grid,
    moving_hu: NDArray[np.generic],
    moving: Grid,
    *,
    start: RigidTransform | None = None,
) -> RigidTransform:
    """The transform that takes points of the fixed image's frame to the moving one's.

    fixed_hu, moving_hu: (z, y, x) HU on their grids, air (-1000) outside the body, so that a couch does not steer. The
    search begins at `start`; without it with both centres of mass on each other, moved along the patient to where the
    images fit best. It finds rotations of up to some 15 degrees beyond that. The same images give the same transform.
    Whether it is right has to be judged on the result (`agreement`). Raises EngineError if SimpleITK is missing, an
    image has no body, or the search breaks down."""
    sitk = simpleitk()
    fixed_hu, fixed = _near_body(fixed_hu, fixed)
    moving_hu, moving = _near_body(moving_hu, moving)
    fixed_image, moving_image = _image(sitk, fixed_hu, fixed), _image(sitk, moving_hu, moving)
    centre = _centre_mm(fixed_hu, fixed)
    begun = RigidTransform.of(_xyz(_start_mm((fixed_hu, fixed), (moving_hu, moving)))) if start is None else start
    motion = sitk.Euler3DTransform()
    motion.SetCenter(_xyz(centre))
    motion.SetMatrix(begun.matrix[:3, :3].ravel().tolist(), RIGID_TOLERANCE)
    motion.SetTranslation(_xyz(begun.apply(centre) - centre))
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel(_shares(fixed_image), SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=4.0, minStep=0.005, numberOfIterations=ITERATIONS, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(SHRINK))
    method.SetSmoothingSigmasPerLevel(list(SMOOTHING_MM))
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    method.SetInitialTransform(motion, inPlace=True)
    try:
        method.Execute(fixed_image, moving_image)
    # SimpleITK raises RuntimeError for every failure of ITK, such as samples that all map outside the moving image.
    except RuntimeError as error:
        raise EngineError("the images cannot be brought onto each other") from error
    rotation = np.asarray(motion.GetMatrix(), np.float64).reshape(3, 3)
    origin = np.asarray(motion.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, origin
    return RigidTransform(matrix)


def _xyz(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z


def _near_body(hu: NDArray[np.generic], grid: Grid) -> tuple[NDArray[np.generic], Grid]:
    """Raises EngineError for an image without a body."""
    body = np.greater(hu, LOWEST_HU)
    lower, upper = [], []
    for axis in range(3):
        held = np.flatnonzero(body.any(axis=tuple(other for other in range(3) if other != axis)))
        if held.size == 0:
            raise EngineError("an image to be registered holds no body")
        margin = math.ceil(AROUND_MM / grid.spacing_mm[2 - axis])
        lower.append(max(0, int(held[0]) - margin))
        upper.append(min(grid.shape[axis], int(held[-1]) + 1 + margin))
    cut = tuple(slice(low, high) for low, high in zip(lower, upper, strict=True))
    return hu[cut], grid.cropped((lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))


def _shares(image: Any) -> list[float]:
    """Of the voxels of each level that are compared."""
    counts = [math.prod(max(1, size // shrink) for size in image.GetSize()) for shrink in SHRINK]
    return [min(SAMPLED_SHARE, MOST_SAMPLES / count) for count in counts]


def _image(sitk: Any, hu: NDArray[np.generic], grid: Grid) -> Any:
    image = itk_image(sitk, np.clip(hu, LOWEST_HU, HIGHEST_HU), grid)
    factors = [
        max(1, min(round(FINEST_MM / step), count // 8))
        for step, count in zip(grid.spacing_mm, grid.shape[::-1], strict=True)
    ]
    return sitk.BinShrink(image, factors) if max(factors) > 1 else image


def _start_mm(fixed: tuple[NDArray[np.generic], Grid], moving: tuple[NDArray[np.generic], Grid]) -> NDArray[np.float64]:
    """Shift (x, y, z) to start from: of the starts along the patient, the one with the least mean squares over what
    both bodies fill."""
    coarse, grid = _thinned(*fixed)
    other, other_grid = _thinned(*moving)
    shift = _centre_mm(other, other_grid) - _centre_mm(coarse, grid)
    smaller = min(
        int((coarse > LOWEST_HU).sum()) * grid.voxel_volume_cc,
        int((other > LOWEST_HU).sum()) * other_grid.voxel_volume_cc,
    )
    best, best_shift = np.inf, shift
    for along_mm in sorted(np.arange(-START_REACH_MM, START_REACH_MM + 1, START_STEP_MM), key=abs):
        tried = shift + np.array([0.0, 0.0, along_mm])
        to_other = RigidTransform.of((float(tried[0]), float(tried[1]), float(tried[2])))
        there = moved(other, other_grid, grid, to_other, outside=np.nan)
        reached = np.isfinite(there)
        shared = reached & (coarse > LOWEST_HU) & (there > LOWEST_HU)
        if float(shared.sum()) * grid.voxel_volume_cc < LEAST_SHARED * smaller:
            continue
        either = reached & ((coarse > LOWEST_HU) | (there > LOWEST_HU))
        score = float(np.mean(np.square(coarse[either] - there[either])))
        if score < best:
            best, best_shift = score, tried
    return best_shift


def _thinned(hu: NDArray[np.generic], grid: Grid) -> tuple[NDArray[np.float32], Grid]:
    """Every n-th voxel, cut to the range of HU."""
    nx, ny, nz = (max(1, round(COARSE_MM / step)) for step in grid.spacing_mm)
    thin = np.clip(hu[::nz, ::ny, ::nx], LOWEST_HU, HIGHEST_HU).astype(np.float32)
    dx, dy, dz = grid.spacing_mm
    return thin, Grid(grid.origin_mm, (dx * nx, dy * ny, dz * nz), (thin.shape[0], thin.shape[1], thin.shape[2]))


def _centre_mm(hu: NDArray[np.generic], grid: Grid) -> NDArray[np.float64]:
    """Centre of everything denser than half water."""
    body = np.asarray(hu, np.float32) > LOWEST_HU
    centre = []
    for axis, coordinates in zip((2, 1, 0), grid.axes_mm(), strict=True):
        others = tuple(other for other in range(3) if other != axis)
        counts = body.sum(axis=others, dtype=np.float64)
        centre.append(float(np.dot(counts, coordinates) / counts.sum()))
    return np.asarray(centre)
