"""Planes cut out of image, dose and structures for display: arrays only, no markup.

Display convention: axial seen from the feet, coronal from the front, sagittal from the left, so that patient left is
on the right of axial and coronal views and anterior on the left of sagittal ones. Letters are printed on every view.
Rows run downwards: posterior in axial views, inferior in the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import CalculatedDose, Case, PredictedDose, StructureKind
from engines.grid import Grid, VoxelSet
from engines.grid.resample import resample

_Scalar = TypeVar("_Scalar", bound=np.generic)

MARGIN_MM = 12.0
"""Air shown around the External (chosen)."""


class Cut(Enum):
    """title, array axis cut, letters at left, right, top, bottom."""

    AXIAL = ("Axial", 0, "RLAP")
    CORONAL = ("Coronal", 1, "RLSI")
    SAGITTAL = ("Sagittal", 2, "APSI")

    @property
    def title(self) -> str:
        return self.value[0]

    @property
    def axis(self) -> int:
        return self.value[1]

    @property
    def letters(self) -> str:
        return self.value[2]


@dataclass(frozen=True, eq=False)
class Plane:
    """hu, dose_gy and regions (rows, columns); pixel_mm (width, height); marker_mm: the isocentre's (x, y) from the
    left upper corner if it lies in this plane."""

    cut: Cut
    position_mm: float
    hu: NDArray[np.int16]
    dose_gy: NDArray[np.float32]
    regions: dict[str, NDArray[np.float32]]
    pixel_mm: tuple[float, float]
    marker_mm: tuple[float, float] | None

    @property
    def size_mm(self) -> tuple[float, float]:
        rows, columns = self.hu.shape
        return columns * self.pixel_mm[0], rows * self.pixel_mm[1]


class DisplayVolume:
    """The image cropped to the External and its margin, with the dose brought onto it (0 where there is none).
    isocentre_mm: what is marked and cut through."""

    def __init__(
        self, case: Case, dose: CalculatedDose | PredictedDose | None, isocentre_mm: tuple[float, float, float]
    ) -> None:
        self._case = case
        image = case.image.grid
        self._lower, self._upper = _bounds(case.external.voxels, image)
        self._crop = tuple(slice(low, high) for low, high in zip(self._lower, self._upper, strict=True))
        self.grid = image.cropped(self._lower, self._upper)
        self._hu = case.image.hu[self._crop]
        none = np.zeros(self.grid.shape, np.float32)
        self._dose_gy = none if dose is None else resample(dose.dose_gy, dose.grid, self.grid)
        self.isocentre_mm = isocentre_mm

    def through_isocentre(self) -> tuple[Plane, Plane, Plane]:
        """Axial, coronal, sagittal through the first beam's isocentre, moved into the image where it lies outside."""
        x, y, z = (self._nearest(axis, self.isocentre_mm[2 - axis]) for axis in (2, 1, 0))
        return self.plane(Cut.AXIAL, z), self.plane(Cut.CORONAL, y), self.plane(Cut.SAGITTAL, x)

    def axial_series(self, count: int) -> tuple[Plane, ...]:
        """Evenly spaced axial planes through the targets' extent, from superior to inferior."""
        per_slice = self._case.image.grid.shape[1] * self._case.image.grid.shape[2]
        inside = [t.voxels.index // per_slice - self._lower[0] for t in self._case.targets if not t.voxels.empty]
        if not inside:
            return ()
        low, high = min(int(z[0]) for z in inside), max(int(z[-1]) for z in inside)
        middles = low + (high - low) * (np.arange(count) + 0.5) / count
        chosen = sorted({int(z) for z in np.rint(middles)}, reverse=True)
        return tuple(self.plane(Cut.AXIAL, z) for z in chosen)

    def through_middle_of(self, voxels: VoxelSet) -> Plane:
        """Axial, with as much of the voxels above as below."""
        shape = self._case.image.grid.shape
        slices = voxels.index // (shape[1] * shape[2]) - self._lower[0]
        return self.plane(Cut.AXIAL, int(np.clip(np.median(slices), 0, self.grid.shape[0] - 1)))

    def plane_at(self, other: Plane) -> Plane:
        """The same cut as a plane of another volume on the same image grid."""
        return self.plane(other.cut, self._nearest(other.cut.axis, other.position_mm))

    def plane(self, cut: Cut, index: int) -> Plane:
        """One plane by its index in the cropped grid."""
        flip = cut is not Cut.AXIAL
        dx, dy, dz = self.grid.spacing_mm
        column_mm, row_mm = {Cut.AXIAL: (dx, dy), Cut.CORONAL: (dx, dz), Cut.SAGITTAL: (dy, dz)}[cut]
        regions = {
            structure.tg263: _oriented(self._region(structure.voxels, cut, index), flip)
            for structure in self._case.structures
            if structure.kind is not StructureKind.SUPPORT
        }
        return Plane(
            cut=cut,
            position_mm=self.grid.origin_mm[2 - cut.axis] + index * self.grid.spacing_mm[2 - cut.axis],
            hu=_oriented(self._hu[_through(cut, index)], flip),
            dose_gy=_oriented(self._dose_gy[_through(cut, index)], flip),
            regions={name: region for name, region in regions.items() if region.any()},
            pixel_mm=(column_mm, row_mm),
            marker_mm=self._marker(cut, index, flip),
        )

    def _region(self, voxels: VoxelSet, cut: Cut, index: int) -> NDArray[np.float32]:
        """Fractions of one structure in the plane, from its sparse voxels."""
        shape = self._case.image.grid.shape
        wanted = index + self._lower[cut.axis]
        flat, fraction = voxels.index, voxels.fraction
        if cut is Cut.AXIAL:
            low, high = np.searchsorted(flat, (wanted * shape[1] * shape[2], (wanted + 1) * shape[1] * shape[2]))
            chosen = slice(int(low), int(high))
            flat, fraction = flat[chosen], fraction[chosen]
        else:
            along = flat // shape[2] % shape[1] if cut is Cut.CORONAL else flat % shape[2]
            flat, fraction = flat[along == wanted], fraction[along == wanted]
        where = np.unravel_index(flat, shape)
        kept = [axis for axis in range(3) if axis != cut.axis]
        out = np.zeros([shape[axis] for axis in kept], np.float32)
        out[where[kept[0]], where[kept[1]]] = fraction
        return out[self._crop[kept[0]], self._crop[kept[1]]]

    def _marker(self, cut: Cut, index: int, flip: bool) -> tuple[float, float] | None:
        if self._nearest(cut.axis, self.isocentre_mm[2 - cut.axis]) != index:
            return None
        row_axis, column_axis = (axis for axis in range(3) if axis != cut.axis)
        column_mm, row_mm = (
            self.isocentre_mm[2 - axis] - self.grid.origin_mm[2 - axis] + self.grid.spacing_mm[2 - axis] / 2
            for axis in (column_axis, row_axis)
        )
        height_mm = self.grid.shape[row_axis] * self.grid.spacing_mm[2 - row_axis]
        return column_mm, height_mm - row_mm if flip else row_mm

    def _nearest(self, axis: int, position_mm: float) -> int:
        index = round((position_mm - self.grid.origin_mm[2 - axis]) / self.grid.spacing_mm[2 - axis])
        return int(np.clip(index, 0, self.grid.shape[axis] - 1))


def _oriented(plane: NDArray[_Scalar], flip: bool) -> NDArray[_Scalar]:
    return plane[::-1] if flip else plane


def _through(cut: Cut, index: int) -> tuple[slice | int, ...]:
    return (slice(None),) * cut.axis + (index,)


def _bounds(voxels: VoxelSet, image: Grid) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(lower, upper) indices (z, y, x) of the voxels' box with the margin, inside the image."""
    lower, upper = [], []
    for axis, along in enumerate(np.unravel_index(voxels.index, image.shape)):
        margin = 0 if axis == 0 else round(MARGIN_MM / image.spacing_mm[2 - axis])
        lower.append(max(int(along.min()) - margin, 0))
        upper.append(min(int(along.max()) + margin + 1, image.shape[axis]))
    return (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2])
