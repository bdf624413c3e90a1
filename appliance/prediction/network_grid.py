"""The grid that the dose network works on, and the ways there from an image's grid and back.

A voxel size that the network was trained near to is kept. A finer one is pooled: whole blocks of voxels, whose shares
and CT values are averaged. Anything else is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.dose_features.grid_change import pooled_image, pooled_region, pooled_shape, refined
from engines.grid import Grid, VoxelSet, resample

PIXEL_RANGE_MM, PIXEL_MM = (3.5, 5.5), 4.0
SLICE_RANGE_MM, SLICE_MM = (1.45, 3.4), 2.5
"""Voxel sizes that are kept, and what others are brought near to. 96 % of OpenKBP's training patients have pixels of
3.75 to 5.08 mm; their slices are 1.5 to 3.3 mm."""
SQUARE = 0.02
"""Pixels whose sides differ by a larger share are made square, as all training pixels are (chosen)."""


@dataclass(frozen=True)
class NetworkGrid:
    """image: the image's grid; grid: the network's over the same region; blocks (z, y, x): voxels of the image along
    the sides of one of its own, (1, 1, 1) where it is the image's grid, None where it is interpolated."""

    image: Grid
    grid: Grid
    blocks: tuple[int, int, int] | None

    @staticmethod
    def over(image: Grid) -> NetworkGrid:
        dx, dy, dz = image.spacing_mm
        square = abs(dx - dy) <= SQUARE * dx
        pixel = 1 if square and PIXEL_RANGE_MM[0] <= dx <= PIXEL_RANGE_MM[1] else round(PIXEL_MM / dx)
        height = 1 if SLICE_RANGE_MM[0] <= dz <= SLICE_RANGE_MM[1] else round(SLICE_MM / dz)
        blocks = (height, pixel, pixel)
        if square and height and pixel and _fits(dz * height, SLICE_RANGE_MM) and _fits(dx * pixel, PIXEL_RANGE_MM):
            return NetworkGrid(image, _pooled_grid(image, blocks), blocks)
        spacing = (PIXEL_MM, PIXEL_MM, dz if _fits(dz, SLICE_RANGE_MM) else SLICE_MM)
        return NetworkGrid(image, _even_grid(image, spacing), None)

    @property
    def is_image(self) -> bool:
        return self.blocks == (1, 1, 1)

    def share(self, voxels: VoxelSet) -> NDArray[np.float32]:
        """(z, y, x): which share of each of the network's voxels a region fills."""
        if self.blocks is None:
            return resample(voxels.dense(self.image.shape), self.image, self.grid)
        if self.is_image:
            return voxels.dense(self.grid.shape)
        return pooled_region(voxels, self.image.shape, self.blocks)

    def ct(self, hu: NDArray[np.int16]) -> NDArray[np.float32]:
        """(z, y, x) Hounsfield units on the network's grid."""
        if self.blocks is None:
            return resample(hu, self.image, self.grid, outside=-1000.0)
        if self.is_image:
            return hu.astype(np.float32)
        return pooled_image(hu, self.blocks)

    def to_image(
        self, volume: NDArray[np.floating], corner: tuple[int, int, int], inside: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """A volume (z, y, x) on the part of the network's grid that begins at `corner` and is meant where `inside`, on
        the image's grid. Zero outside; interpolated from voxels inside alone: nothing falls off at the border."""
        upper = tuple(low + side for low, side in zip(corner, volume.shape, strict=True))
        if self.is_image:
            out = np.zeros(self.image.shape, np.float32)
            box = tuple(slice(low, high) for low, high in zip(corner, upper, strict=True))
            out[box] = np.where(inside, volume, 0)
            return out
        part = self.grid.cropped(corner, (upper[0], upper[1], upper[2]))
        return refined(volume, inside, part, self.image)


def _fits(spacing_mm: float, allowed: tuple[float, float]) -> bool:
    return allowed[0] <= spacing_mm <= allowed[1]


def _pooled_grid(image: Grid, blocks: tuple[int, int, int]) -> Grid:
    sizes = blocks[::-1]
    origin = tuple(o + (n - 1) / 2 * s for o, n, s in zip(image.origin_mm, sizes, image.spacing_mm, strict=True))
    spacing = tuple(n * s for n, s in zip(sizes, image.spacing_mm, strict=True))
    return Grid(
        (origin[0], origin[1], origin[2]), (spacing[0], spacing[1], spacing[2]), pooled_shape(image.shape, blocks)
    )


def _even_grid(image: Grid, spacing: tuple[float, float, float]) -> Grid:
    """Of another spacing, from the image's first voxel's outer border on."""
    extent = [n * s for n, s in zip(image.shape[::-1], image.spacing_mm, strict=True)]
    counts = [max(1, round(length / step)) for length, step in zip(extent, spacing, strict=True)]
    origin = [o + (new - old) / 2 for o, old, new in zip(image.origin_mm, image.spacing_mm, spacing, strict=True)]
    return Grid((origin[0], origin[1], origin[2]), spacing, (counts[2], counts[1], counts[0]))
