"""What can be said of a deformable registration without knowing the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt

from engines.errors import EngineError
from engines.grid import Grid, VoxelSet
from engines.registration.deformable import Scan, pair_kind
from engines.registration.field import DisplacementField
from engines.registration.intensities import in_values_of
from engines.registration.inverse import inconsistency_mm
from engines.registration.moving import moved
from engines.registration.transform import RigidTransform

MOST_POINTS = 4000
"""Of one structure that are compared (chosen: a correlation over as many is known to 0.02)."""

FINEST_MM = 3.0
"""Fields on voxels of half of it and less are read at every n-th (chosen: the working grid of `deformable`)."""

RIM_VOXELS = 1
"""Of the field's grid around a structure: its edge is what shows where it lies (chosen)."""

LEAST_POINTS = 20
"""Fewer say nothing (chosen)."""


@dataclass(frozen=True)
class Likeness:
    """Correlation of both images over a region, the fixed one in the values of the moving one (intensities.py), -1..1:
    by the rigid start and by the field. NaN where there is too little to compare or no contrast."""

    before: float
    after: float


@dataclass(frozen=True)
class RegistrationQuality:
    """All of the field's grid, inside the fixed body unless told otherwise.

    least_jacobian, jacobian_1, jacobian_99: smallest value and percentiles. folded: voxels with a Jacobian of 0 or
    less. inverse_median_mm, inverse_95_mm: inconsistency with the backward registration, NaN without one. body:
    likeness over both bodies and their rim; organs: of each structure. surface_mean_mm, surface_95_mm: distance
    between the fixed outline and the deformed one where both images reach; overlap: Dice of both bodies there.
    bending_per_mm2: mean squared second derivative. moved_median_mm, moved_95_mm, moved_most_mm: by the field
    beyond the rigid start. reached: part of the body that the moving image reaches."""

    least_jacobian: float
    jacobian_1: float
    jacobian_99: float
    folded: int
    inverse_median_mm: float
    inverse_95_mm: float
    body: Likeness
    organs: Mapping[str, Likeness]
    surface_mean_mm: float
    surface_95_mm: float
    overlap: float
    bending_per_mm2: float
    moved_median_mm: float
    moved_95_mm: float
    moved_most_mm: float
    reached: float


def quality_of(
    fixed: Scan,
    moving: Scan,
    field: DisplacementField,
    *,
    start: RigidTransform,
    backward: DisplacementField | None = None,
    organs: Mapping[str, VoxelSet] | None = None,
) -> RegistrationQuality:
    """Everything is read on the field's own voxels, or every n-th of them where they are fine. backward: a registration
    of the same images the other way round. organs: today's, on the fixed image's grid. Raises EngineError if the
    bodies do not meet."""
    field = _thinned(field)
    grid = field.grid
    still = DisplacementField.of_rigid(RigidTransform(np.eye(4)), grid)
    body = still.pulled(fixed.body, fixed.grid, grid, outside=0.0) > 0.5
    other = field.pulled(moving.body, moving.grid, grid, outside=0.0) > 0.5
    if not (body & other).any():
        raise EngineError("the bodies of the two images do not meet")
    one = still.pulled(fixed.hu, fixed.grid, grid, outside=np.nan)
    before = moved(moving.hu, moving.grid, grid, start, outside=np.nan)
    after = field.pulled(moving.hu, moving.grid, grid, outside=np.nan)
    reached = np.isfinite(one) & np.isfinite(after)
    seen = _Seen(in_values_of(one, after, body & other & reached, pair_kind(fixed, moving)), before, after)
    jacobian = field.jacobian()[body]
    points = grid.centres_mm(np.flatnonzero(body)[:: max(1, int(body.sum()) // MOST_POINTS)])
    inverse = inconsistency_mm(field, backward, points) if backward is not None else np.array([np.nan])
    beyond = np.linalg.norm(field.apply(points) - start.apply(points.astype(np.float64)), axis=-1)
    surface = _surface_mm(body, other, reached, grid)
    shared = float((body & other & reached).sum())
    around = binary_dilation(body | other, iterations=RIM_VOXELS)
    return RegistrationQuality(
        least_jacobian=float(jacobian.min()),
        jacobian_1=float(np.percentile(jacobian, 1)),
        jacobian_99=float(np.percentile(jacobian, 99)),
        folded=int((jacobian <= 0).sum()),
        inverse_median_mm=float(np.median(inverse)),
        inverse_95_mm=float(np.percentile(inverse, 95)),
        body=seen.likeness(np.flatnonzero(around)),
        organs={name: seen.likeness(_with_rim(organ, fixed.grid, grid)) for name, organ in (organs or {}).items()},
        surface_mean_mm=float(surface.mean()),
        surface_95_mm=float(np.percentile(surface, 95)),
        overlap=2.0 * shared / float((body & reached).sum() + (other & reached).sum()),
        bending_per_mm2=_bending(field, body),
        moved_median_mm=float(np.median(beyond)),
        moved_95_mm=float(np.percentile(beyond, 95)),
        moved_most_mm=float(beyond.max()),
        reached=float((body & reached).sum() / body.sum()),
    )


def _thinned(field: DisplacementField) -> DisplacementField:
    nx, ny, nz = (max(1, round(FINEST_MM / step)) for step in field.grid.spacing_mm)
    if (nx, ny, nz) == (1, 1, 1):
        return field
    thin = np.ascontiguousarray(field.displacement_mm[::nz, ::ny, ::nx])
    dx, dy, dz = field.grid.spacing_mm
    shape = (thin.shape[0], thin.shape[1], thin.shape[2])
    return DisplacementField(Grid(field.grid.origin_mm, (dx * nx, dy * ny, dz * nz), shape), thin)


@dataclass(frozen=True, eq=False)
class _Seen:
    """The fixed image, and the moving one by the rigid start and by the field, on one grid; NaN where not reached."""

    one: NDArray[np.float32]
    before: NDArray[np.float32]
    after: NDArray[np.float32]

    def likeness(self, index: NDArray[np.integer]) -> Likeness:
        index = index[:: max(1, index.size // MOST_POINTS)]
        one = self.one.ravel()[index]
        return Likeness(_correlation(one, self.before.ravel()[index]), _correlation(one, self.after.ravel()[index]))


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    known = np.isfinite(one) & np.isfinite(other)
    if int(known.sum()) < LEAST_POINTS:
        return float("nan")
    first, second = one[known].astype(np.float64), other[known].astype(np.float64)
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt(np.dot(first, first) * np.dot(second, second)))
    return float(np.dot(first, second)) / norm if norm > 0 else float("nan")


def _with_rim(organ: VoxelSet, source: Grid, grid: Grid) -> NDArray[np.intp]:
    """Flat indices on `grid` of the voxels that a region on `source` and its rim touch."""
    places = (source.centres_mm(organ.index) - np.asarray(grid.origin_mm, np.float32)) / np.asarray(grid.spacing_mm)
    index = np.rint(places[:, ::-1]).astype(np.intp)
    index = index[np.all((index >= 0) & (index < np.asarray(grid.shape)), axis=1)]
    if index.size == 0:
        return np.empty(0, np.intp)
    low = np.maximum(index.min(axis=0) - RIM_VOXELS, 0)
    high = np.minimum(index.max(axis=0) + 1 + RIM_VOXELS, np.asarray(grid.shape))
    box = np.zeros(tuple(high - low), np.bool_)
    box[tuple((index - low).T)] = True
    within = np.nonzero(binary_dilation(box, iterations=RIM_VOXELS))
    places = tuple(part + start for part, start in zip(within, low, strict=True))
    return np.asarray(np.ravel_multi_index(places, grid.shape), np.intp)


def _surface_mm(
    one: NDArray[np.bool_], other: NDArray[np.bool_], reached: NDArray[np.bool_], grid: Grid
) -> NDArray[np.float64]:
    """Distance of every voxel of either outline to the other one, where both images reach; zeros if there is none."""
    # A cut where an image ends is no surface: the image is taken to go on.
    edges = [body & ~binary_erosion(body | ~reached, border_value=1) & reached for body in (one, other)]
    if not edges[0].any() or not edges[1].any():
        return np.zeros(1)
    found = []
    for edge, target in ((edges[0], edges[1]), (edges[1], edges[0])):
        found.append(distance_transform_edt(~target, sampling=grid.spacing_mm[::-1])[edge])
    return np.concatenate(found)


def _bending(field: DisplacementField, body: NDArray[np.bool_]) -> float:
    """Mean over the body of the squared second derivatives, mixed ones twice (Rueckert et al., IEEE Trans Med Imaging
    18:712, 1999), read at every voxel of the field."""
    total = np.zeros(field.grid.shape, np.float32)
    steps = field.grid.spacing_mm[::-1]
    for component in range(3):
        first = np.gradient(field.displacement_mm[..., component], *steps)
        for axis in range(3):
            for other in range(axis, 3):
                second = np.gradient(first[axis], steps[other], axis=other)
                total += (1.0 if axis == other else 2.0) * np.square(second)
    return float(total[body].mean())
