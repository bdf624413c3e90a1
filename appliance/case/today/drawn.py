"""A structure slice by slice, so that an edit replaces a slice and shares the rest with what was before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.case.gaps import fill_gaps
from appliance.contracts import Contour, Structure
from engines.contouring import trace
from engines.contouring.lines import FloatArray
from engines.grid import Grid, VoxelSet, rasterise

Loops = tuple[FloatArray, ...]
NOTHING = VoxelSet(np.zeros(0, np.int32), np.zeros(0, np.float32))


@dataclass(frozen=True, eq=False)
class DrawnSlice:
    """loops: as drawn, none where the slice is filled in between its neighbours (`appliance.case.gaps`). index,
    fraction: its voxels, as in a VoxelSet of the whole grid."""

    loops: Loops
    index: NDArray[np.int32]
    fraction: NDArray[np.float32]

    @property
    def voxels(self) -> VoxelSet:
        return VoxelSet(self.index, self.fraction)


@dataclass(frozen=True, eq=False)
class Drawn:
    """facts: the structure with everything but its contours and voxels, which are the slices'. Only slices on which it
    is have one."""

    facts: Structure
    slices: Mapping[int, DrawnSlice]

    @staticmethod
    def of(structure: Structure, grid: Grid) -> Drawn:
        """The structure as it is: its voxels are taken over and not made anew."""
        loops: dict[int, list[FloatArray]] = {}
        for contour in structure.contours:
            loops.setdefault(slice_index(contour.z_mm, grid), []).append(contour.points_mm)
        bounds = structure.voxels.slice_bounds(grid.shape)
        held = set(np.flatnonzero(np.diff(bounds)).tolist()) | set(loops)
        slices = {}
        for index in sorted(held):
            part = slice(bounds[index], bounds[index + 1])
            own = tuple(loops.get(index, ()))
            slices[index] = DrawnSlice(own, structure.voxels.index[part], structure.voxels.fraction[part])
        return Drawn(replace(structure, contours=(), voxels=NOTHING), slices)

    def structure(self, grid: Grid) -> Structure:
        z_mm = grid.axes_mm()[2]
        contours = (Contour(float(z_mm[index]), loop) for index, own in self.slices.items() for loop in own.loops)
        return replace(self.facts, contours=tuple(contours), voxels=_voxels(self.slices.values()))

    def loops(self, index: int) -> Loops:
        own = self.slices.get(index)
        return () if own is None else own.loops

    def shape(self, index: int, grid: Grid) -> Loops:
        """The loops of a slice; where it is filled in, those of the voxels it is filled with."""
        own = self.slices.get(index)
        if own is None or own.loops:
            return self.loops(index)
        return trace(own.voxels, grid).loops.get(index, ())

    def shapes(self, grid: Grid) -> dict[int, Loops]:
        return {index: self.shape(index, grid) for index in self.slices}

    def redrawn(self, changes: Mapping[int, Loops], grid: Grid) -> Drawn:
        """With other loops on some slices; slices filled in next to them are filled in anew. What stays as it is is
        shared."""
        changes = {index: loops for index, loops in changes.items() if not _same(loops, self.loops(index))}
        if not changes:
            return self
        kept = {index: own for index, own in self.slices.items() if own.loops and index not in changes}
        low = max((index for index in kept if index < min(changes)), default=min(changes))
        high = min((index for index in kept if index > max(changes)), default=max(changes))
        z_mm = grid.axes_mm()[2]
        made = rasterise({float(z_mm[index]): loops for index, loops in changes.items() if loops}, grid)
        near = {index: own for index, own in kept.items() if low <= index <= high}
        near |= {index: DrawnSlice(loops, *_part(made, index, grid)) for index, loops in changes.items() if loops}
        filled, _, _ = fill_gaps(_voxels(near[index] for index in sorted(near)), grid)
        between = {
            index: DrawnSlice((), *_part(filled, index, grid))
            for index in range(low + 1, high)
            if index not in near and _part(filled, index, grid)[0].size
        }
        far = {index: own for index, own in self.slices.items() if not low <= index <= high}
        slices = far | near | between
        return Drawn(self.facts, {index: slices[index] for index in sorted(slices)})


def changed_slices(before: Drawn | None, after: Drawn | None) -> tuple[int, ...]:
    """Slices on which two states of one structure differ."""
    one, other = ({} if drawn is None else drawn.slices for drawn in (before, after))
    return tuple(sorted(index for index in {*one, *other} if one.get(index) is not other.get(index)))


def slice_index(z_mm: float, grid: Grid) -> int:
    """The slice of the grid nearest to z; may lie beyond the grid."""
    return round((z_mm - grid.origin_mm[2]) / grid.spacing_mm[2])


def _same(one: Loops, other: Loops) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def _voxels(slices: Iterable[DrawnSlice]) -> VoxelSet:
    parts = list(slices)
    return VoxelSet(
        np.concatenate([np.zeros(0, np.int32), *(part.index for part in parts)]),
        np.concatenate([np.zeros(0, np.float32), *(part.fraction for part in parts)]),
    )


def _part(voxels: VoxelSet, index: int, grid: Grid) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    size = grid.shape[1] * grid.shape[2]
    first, last = np.searchsorted(voxels.index, np.array([index * size, (index + 1) * size], np.int32))
    return voxels.index[first:last], voxels.fraction[first:last]
