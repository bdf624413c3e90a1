"""Contours of the reference carried to today through a registration.

A structure's share of each reference voxel is pulled onto the part of today's grid that it can lie in, and its outline
is traced there on each of today's slices. Between two slices of the reference the outline is what trilinear
interpolation of shares gives. The External is not carried: it is seen on today's image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.case.today.boxes import box_today, widened
from appliance.contracts import Contour, Structure, StructureKind
from engines.contouring import trace
from engines.grid import Grid, VoxelSet
from engines.grid.voxels import Box
from engines.registration import DisplacementField

FAINT = 0.02
"""Shares below this, left by interpolation, are no part of a structure (chosen: far under the outline's half)."""

NOTHING = VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32))


@dataclass(frozen=True, eq=False)
class Carried:
    """structures: today's, in the reference's order and with its numbers. lost: names of those that do not come to lie
    in today's image; cut: of those that reach its end."""

    structures: tuple[Structure, ...]
    lost: tuple[str, ...]
    cut: tuple[str, ...]


def carried(
    structures: Sequence[Structure],
    reference: Grid,
    today: Grid,
    body: VoxelSet,
    map_of: Callable[[Structure], DisplacementField],
) -> Carried:
    """map_of: the field that a structure is carried by. body: of today; targets and organs are cropped to it."""
    done, lost, cut = [], [], []
    for structure in structures:
        if structure.kind is StructureKind.EXTERNAL or structure.voxels.empty:
            continue
        voxels, is_cut = moved_region(structure.voxels, reference, today, map_of(structure))
        if structure.kind in (StructureKind.TARGET, StructureKind.ORGAN):
            voxels = voxels.intersection(body)
        contours = contours_of(voxels, today)
        if not contours:
            lost.append(structure.tg263)
            continue
        if is_cut:
            cut.append(structure.tg263)
        done.append(replace(structure, contours=contours, voxels=voxels))
    return Carried(tuple(done), tuple(lost), tuple(cut))


def contours_of(voxels: VoxelSet, grid: Grid) -> tuple[Contour, ...]:
    z_mm = grid.axes_mm()[2]
    loops = trace(voxels, grid).loops
    return tuple(Contour(float(z_mm[index]), loop) for index in sorted(loops) for loop in loops[index])


def moved_region(voxels: VoxelSet, reference: Grid, today: Grid, field: DisplacementField) -> tuple[VoxelSet, bool]:
    """(the region on today's grid, whether it reaches the end of today's image and may go on beyond)."""
    if voxels.empty:
        return NOTHING, False
    box = widened(voxels.box(reference.shape), reference)
    found = box_today(field, box, reference, today)
    if found is None:
        return NOTHING, True
    dense = voxels.dense_in(box, reference.shape)
    there = field.pulled(dense, reference.cropped(*box), today.cropped(*found), outside=0.0)
    there[there < FAINT] = 0.0
    return _placed(there, found, today), _at_end(there, found, today)


def _placed(part: NDArray[np.float32], box: Box, grid: Grid) -> VoxelSet:
    """Fractions of a box of `grid` as a region of all of it."""
    local = np.nonzero(part)
    index = np.ravel_multi_index(tuple(own + low for own, low in zip(local, box[0], strict=True)), grid.shape)
    return VoxelSet(index.astype(np.int32), part[local].astype(np.float32))


def _at_end(part: NDArray[np.float32], box: Box, grid: Grid) -> bool:
    for axis in range(3):
        if box[0][axis] == 0 and part.take(0, axis=axis).any():
            return True
        if box[1][axis] == grid.shape[axis] and part.take(-1, axis=axis).any():
            return True
    return False
