"""Deformable registration: symmetric-forces demons from coarse to fine, on a grid of its own (SimpleITK).

Every iteration moves each voxel by what the difference of both images and their mean slope ask for (Thirion, Med Image
Anal 2:243, 1998; forces of both images: Vercauteren et al., NeuroImage 45:S61, 2009) and smooths the whole field with a
Gaussian, which is the regulariser. The field is then mended where it comes near to folding (`folds.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, find_objects, uniform_filter

from engines.errors import EngineError
from engines.grid import Grid, shrunk
from engines.registration.field import DisplacementField
from engines.registration.folds import unfolded
from engines.registration.intensities import Intensities, in_values_of
from engines.registration.moving import moved
from engines.registration.simpleitk import itk_image, simpleitk
from engines.registration.transform import RigidTransform

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

METHOD = "symmetric-forces demons, Gaussian regularisation, mended to be one-to-one"

LOWEST_HU, HIGHEST_HU = -200.0, 300.0
"""Values are cut to this range (chosen: fat, muscle and bone differ in it; lung, gas, metal and contrast medium do not
pull)."""

AIR_HU = -1000.0
GAS_HU = -400.0
"""Below it, inside a body, is gas."""

GAS_REACH_MM = 9.0
"""Gas without other gas this near in the other image has come or gone and did not move (chosen: what is left of the
motion of an airway after the level before)."""

ROUND = 5
"""Iterations at once (chosen: under a second on a large patient, so that a caller can give up)."""

AVERAGED = 2.0 / 3.0
"""Of the working voxel: what images are averaged to before they are read on the working grid (chosen: 1 mm pixels lose
their noise, slices of 2 mm stay as they are)."""

MARGIN_VOXELS = 4
"""Of the working grid around both bodies (chosen: two standard deviations of the regulariser)."""


@dataclass(frozen=True, eq=False)
class Scan:
    """One image to be registered. hu: (z, y, x), in HU unless `intensities` says otherwise; air outside the body, NaN
    where the image does not reach. body: mask of the same shape."""

    hu: NDArray[np.floating]
    grid: Grid
    body: Mask
    intensities: Intensities = Intensities.SAME

    def __post_init__(self) -> None:
        if self.hu.shape != self.grid.shape or self.body.shape != self.grid.shape:
            raise EngineError(f"image {self.hu.shape} and body {self.body.shape} are not on a grid {self.grid.shape}")
        if not self.body.any():
            raise EngineError("an image to be registered holds no body")

    @staticmethod
    def inside(hu: NDArray[np.generic], grid: Grid, body: Mask) -> Scan:
        """Air outside the body: couch and mask must not steer."""
        return Scan(np.where(body, hu, np.float32(AIR_HU)).astype(np.float32), grid, body)


def pair_kind(fixed: Scan, moving: Scan) -> Intensities:
    """How the fixed image's values are brought to the moving one's. Raises EngineError for a moving image of another
    kind: its values would have to be translated as it is deformed."""
    if moving.intensities is Intensities.OTHER:
        raise EngineError("an image whose values are not near Hounsfield units cannot be the moving one")
    return moving.intensities if fixed.intensities is Intensities.SAME else fixed.intensities


@dataclass(frozen=True)
class DeformableOptions:
    """spacing_mm: of the working grid and of the field that is returned. shrink, iterations: of each level, coarse to
    fine. smoothing_voxels: standard deviation of the regulariser, in voxels of the level."""

    spacing_mm: float = 3.0
    shrink: tuple[int, ...] = (4, 2, 1)
    iterations: tuple[int, ...] = (60, 40, 40)
    smoothing_voxels: float = 1.5


BACKWARD = DeformableOptions(spacing_mm=4.5, iterations=(60, 40, 20))
"""For the registration the other way, which only measures inverse consistency (chosen: a third of the time; what it is
itself wrong by counts as inconsistency)."""


def register_deformable(
    fixed: Scan,
    moving: Scan,
    *,
    start: RigidTransform,
    options: DeformableOptions | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> DisplacementField:
    """Points of the fixed image to the moving one's, the rigid start in it, on the working grid: voxels of
    options.spacing_mm over the part of the fixed image's grid that either body reaches.

    start: from points of the fixed frame to the moving one's. Where one of the images does not reach, or gas came or
    went, nothing is compared and the field goes on smoothly from around. The field has no fold. The same images give
    the same field. progress: told the part that is done, 0 to 1. Raises EngineError if SimpleITK is missing or breaks
    down, or the bodies do not meet."""
    options = options or DeformableOptions()
    sitk = simpleitk()
    grid = _working_grid(fixed, moving, start, options.spacing_mm)
    pair = _Pair.of(fixed, moving, grid, start)
    field = np.zeros((*grid.shape, 3), np.float32)
    work = [steps * shrink**-3.0 for steps, shrink in zip(options.iterations, options.shrink, strict=True)]
    for level, (shrink, steps) in enumerate(zip(options.shrink, options.iterations, strict=True)):
        images = [_shrunk(sitk, itk_image(sitk, image, grid), shrink, grid) for image in pair.comparable(field)]
        found = _read_at(sitk, itk_image(sitk, field, grid), images[0])
        for done in range(0, steps, ROUND):
            found = _demons(sitk, images, found, (min(ROUND, steps - done), options.smoothing_voxels))
            progress((sum(work[:level]) + work[level] * min(1.0, (done + ROUND) / steps)) / sum(work))
        field = _values(sitk, found, itk_image(sitk, field, grid))
    return _with_start(start, grid, unfolded(field, grid))


_IDENTITY = RigidTransform(np.eye(4))


def _working_grid(fixed: Scan, moving: Scan, start: RigidTransform, spacing_mm: float) -> Grid:
    """Cubic voxels over the bounding box of both bodies within the fixed image's grid."""
    own, own_grid = shrunk(fixed.body, fixed.grid, AVERAGED * spacing_mm)
    there = moved(*shrunk(moving.body, moving.grid, AVERAGED * spacing_mm), own_grid, start, outside=0.0) > 0.5
    body = (own > 0) | there
    if not (there & (own > 0)).any():
        raise EngineError("the bodies of the two images do not meet")
    origin, shape = [], []
    for axis in range(3):  # x, y, z
        step = own_grid.spacing_mm[axis]
        held = np.nonzero(body.any(axis=tuple(other for other in range(3) if other != 2 - axis)))[0]
        margin = MARGIN_VOXELS * spacing_mm
        low = max((int(held[0]) - 0.5) * step - margin, -0.5 * step)
        high = min((int(held[-1]) + 0.5) * step + margin, (own_grid.shape[2 - axis] - 0.5) * step)
        count = max(4, round((high - low) / spacing_mm))
        origin.append(own_grid.origin_mm[axis] + 0.5 * (low + high) - 0.5 * (count - 1) * spacing_mm)
        shape.append(count)
    return Grid((origin[0], origin[1], origin[2]), (spacing_mm,) * 3, (shape[2], shape[1], shape[0]))


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both images on the working grid, the moving one through the rigid start. other: where it does not reach, the
    nearest value that it has; other_known: 0 there, 1 elsewhere, 2 in its body."""

    grid: Grid
    kind: Intensities
    one: Values
    body: Mask
    other: Values
    other_known: Values

    @staticmethod
    def of(fixed: Scan, moving: Scan, grid: Grid, start: RigidTransform) -> _Pair:
        one, body = _on(fixed, grid, _IDENTITY)
        other, other_body = _on(moving, grid, start)
        known = np.isfinite(other)
        kind = pair_kind(fixed, moving)
        return _Pair(grid, kind, one, body, _extended(other, known), known + (known & other_body).astype(np.float32))

    def comparable(self, field_mm: Values) -> tuple[Values, Values]:
        """Both images in the same values, cut to their range. Where there is nothing to compare, the first shows what
        the second shows there so far, so that no force acts."""
        seen, known = self.other, self.other_known
        if field_mm.any():
            so_far = DisplacementField(self.grid, field_mm)
            seen = so_far.pulled(seen, self.grid, self.grid, outside=AIR_HU)
            known = so_far.pulled(known, self.grid, self.grid, outside=0.0)
        unknown = ~np.isfinite(self.one) | (known < 0.99)
        other_body = known > 1.5
        one = in_values_of(self.one, seen, self.body & other_body & ~unknown, self.kind)
        if self.kind is not Intensities.SAME:
            one = np.where(self.body, one, np.float32(AIR_HU))
        if self.kind is not Intensities.OTHER:
            gas, other_gas = one < GAS_HU, seen < GAS_HU
            unknown |= _came_or_went(gas & self.body, other_gas, self.grid)
            unknown |= _came_or_went(other_gas & other_body, gas, self.grid)
        return np.where(unknown, _cut(seen), _cut(one)), _cut(self.other)


def _on(scan: Scan, grid: Grid, motion: RigidTransform) -> tuple[Values, Mask]:
    """Image and body on the working grid; finer images are averaged to about its voxels first, against noise."""
    spacing_mm = AVERAGED * grid.spacing_mm[0]
    values, own = shrunk(scan.hu, scan.grid, spacing_mm)
    body, _ = shrunk(scan.body, scan.grid, spacing_mm)
    return moved(values, own, grid, motion, outside=np.nan), moved(body, own, grid, motion, outside=0.0) > 0.5


def _came_or_went(gas: Mask, other: Mask, grid: Grid) -> Mask:
    """Gas in a body further than GAS_REACH_MM (along the axes) from air or gas of the other image, with all of it that
    hangs together within that reach and its rim."""
    found = np.zeros_like(gas)
    boxes = find_objects(gas.astype(np.int8))
    if not boxes:
        return found
    reach = [int(np.ceil(GAS_REACH_MM / step)) for step in grid.spacing_mm[::-1]]
    box = tuple(
        slice(max(0, part.start - width), part.stop + width) for part, width in zip(boxes[0], reach, strict=True)
    )
    cube = [2 * width + 1 for width in reach]
    far = gas[box] & ~(uniform_filter(other[box].astype(np.float32), cube) > 0.5 / np.prod(cube))
    if far.any():
        found[box] = binary_dilation(far, iterations=max(reach) + 1) & binary_dilation(gas[box], iterations=2)
    return found


def _extended(values: Values, known: Mask) -> Values:
    """The nearest value that is known in the place of each that is not."""
    if known.all():
        return values
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)], np.float32)


def _cut(hu: Values) -> Values:
    return np.asarray(np.clip(hu, LOWEST_HU, HIGHEST_HU), np.float32)


def _demons(sitk: Any, images: list[Any], start: Any, how: tuple[int, float]) -> Any:
    iterations, smoothing_voxels = how
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(iterations)
    demons.SetMaximumRMSError(0.0)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(smoothing_voxels)
    try:
        return demons.Execute(*images, start)
    # SimpleITK raises RuntimeError for every failure of ITK.
    except RuntimeError as error:
        raise EngineError("the images cannot be deformed onto each other") from error


def _shrunk(sitk: Any, image: Any, factor: int, grid: Grid) -> Any:
    if factor == 1:
        return image
    smooth = sitk.SmoothingRecursiveGaussian(image, 0.5 * factor * grid.spacing_mm[0])
    return sitk.Shrink(smooth, [factor] * 3)


def _read_at(sitk: Any, field: Any, where: Any) -> Any:
    """The field at the voxels of another image; beyond its border the border's value."""
    return sitk.Resample(field, where, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkVectorFloat64, True)


def _values(sitk: Any, field: Any, where: Any) -> Values:
    return np.asarray(sitk.GetArrayFromImage(_read_at(sitk, field, where)), np.float32)


def _with_start(start: RigidTransform, grid: Grid, field: Values) -> DisplacementField:
    """Start after the field: x -> start(x + field(x))."""
    turn = (start.matrix[:3, :3]).astype(np.float32)
    rigid = DisplacementField.of_rigid(start, grid).displacement_mm
    return DisplacementField(grid, np.asarray(rigid + field @ turn.T, np.float32))
