"""Contours of the reference carried to today through a registration.

A structure's share of each reference voxel is pulled onto the part of today's grid that it can lie in, and the line of
half a voxel's share is its outline on each of today's slices. Where slices lie closer or wider than the reference's,
the outline between two contours follows the shape-based mixture that trilinear interpolation of shares gives. The
External is not carried: it is seen on today's image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from appliance.case.today.boxes import bounds_mm, box_of, box_today
from appliance.case.today.tracing import contours_of
from appliance.contracts import Image, Structure, StructureKind
from engines.grid import Grid, VoxelSet
from engines.registration import DisplacementField

SUB_VOXEL = 0.02
"""Shares below this, left by interpolation, are no part of a structure."""


@dataclass(frozen=True, eq=False)
class Carried:
    """structures: today's, in the reference's order and with its numbers. lost: names of those that do not come to lie
    in today's image; cut: of those that lie in it in part."""

    structures: tuple[Structure, ...]
    lost: tuple[str, ...]
    cut: tuple[str, ...]


def carried(
    structures: Sequence[Structure],
    reference: Grid,
    today: Image,
    external: VoxelSet,
    map_of: Callable[[Structure], DisplacementField],
) -> Carried:
    """map_of: the field that a structure is carried by. external: of today; structures inside the reference's body are
    cropped to it."""
    body = external.dense(today.grid.shape)
    done, lost, cut = [], [], []
    for structure in structures:
        if structure.kind is StructureKind.EXTERNAL or structure.voxels.empty:
            continue
        moved, is_cut = _moved(structure.voxels, reference, today.grid, map_of(structure))
        if structure.kind in (StructureKind.TARGET, StructureKind.ORGAN):
            moved = _cropped(moved, body)
        if moved.empty:
            lost.append(structure.tg263)
            continue
        if is_cut:
            cut.append(structure.tg263)
        contours = contours_of(moved, today.grid)
        done.append(replace(structure, contours=contours, voxels=moved))
    return Carried(tuple(done), tuple(lost), tuple(cut))


def _moved(voxels: VoxelSet, reference: Grid, today: Grid, field: DisplacementField) -> tuple[VoxelSet, bool]:
    """(the region on today's grid, whether a part of it lies beyond today's image)."""
    box = box_of(voxels, reference)
    source = reference.cropped(*box)
    found = box_today(field, *bounds_mm(box, reference), today)
    if found is None:
        return VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32)), True
    target = today.cropped(*found)
    dense = _part(voxels, reference, box)
    there = field.pulled(dense, source, target, outside=0.0)
    there[there < SUB_VOXEL] = 0.0
    whole = _placed(there, found, today)
    edge = _at_edge(there, found, today)
    return whole, edge


def _part(voxels: VoxelSet, grid: Grid, box: tuple[tuple[int, int, int], tuple[int, int, int]]) -> np.ndarray:
    low, high = np.asarray(box[0]), np.asarray(box[1])
    dense = np.zeros(high - low, np.float32)
    index = np.stack(np.unravel_index(voxels.index, grid.shape)) - low[:, None]
    dense[tuple(index)] = voxels.fraction
    return dense


def _placed(part: np.ndarray, box: tuple[tuple[int, int, int], tuple[int, int, int]], grid: Grid) -> VoxelSet:
    """A dense box of `grid` as a region of all of it."""
    local = np.nonzero(part)
    index = np.ravel_multi_index(tuple(own + low for own, low in zip(local, box[0], strict=True)), grid.shape)
    return VoxelSet(index.astype(np.int32), part[local].astype(np.float32))


def _at_edge(part: np.ndarray, box: tuple[tuple[int, int, int], tuple[int, int, int]], grid: Grid) -> bool:
    """The region touches the end of the image: it may go on beyond."""
    for axis in range(3):
        if box[0][axis] == 0 and part.take(0, axis=axis).any():
            return True
        if box[1][axis] == grid.shape[axis] and part.take(-1, axis=axis).any():
            return True
    return False


def _cropped(region: VoxelSet, body: np.ndarray) -> VoxelSet:
    fraction = np.minimum(region.fraction, body.reshape(-1)[region.index])
    kept = fraction > SUB_VOXEL
    return VoxelSet(region.index[kept], fraction[kept])
