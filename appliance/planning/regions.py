"""Names of regions to voxels: 'A+B' is the union, 'A!B' is A without B, 'A^10' is A grown by 10 mm; from left to
right."""

from __future__ import annotations

import re

import numpy as np
from scipy.ndimage import distance_transform_edt

from appliance.contracts import Case
from engines.grid import Grid, VoxelSet

_TOKEN = re.compile(r"([+!]?)([^+!]+)")


def region(case: Case, expression: str) -> VoxelSet | None:
    """Voxels of a region on the case's grid; None if nothing of it is in the case. Absent parts of a union are left
    out (a patient without the middle dose level still has the union of the others)."""
    found: VoxelSet | None = None
    for operator, token in _TOKEN.findall(expression):
        name, _, by_mm = token.strip().partition("^")
        structure = case.structure(name)
        if structure is None or structure.voxels.empty:
            continue
        voxels = grown(structure.voxels, case.image.grid, float(by_mm)) if by_mm else structure.voxels
        if operator == "!":
            found = found and without(found, voxels)
        else:
            found = voxels if found is None else found.union(voxels)
    return found if found is not None and not found.empty else None


def grown(voxels: VoxelSet, grid: Grid, by_mm: float) -> VoxelSet:
    """Whole voxels whose centres lie within so many mm of a centre of `voxels` that is mostly inside; may reach out of
    the patient, where there are no samples."""
    inner = voxels.index[voxels.fraction >= 0.5]
    if not inner.size:
        return VoxelSet(inner, np.zeros(0, np.float32))
    spacing = np.asarray(grid.spacing_mm[::-1])
    place = np.stack(np.unravel_index(inner, grid.shape))
    reach = np.ceil(by_mm / spacing).astype(int)
    low = np.maximum(place.min(axis=1) - reach, 0)
    high = np.minimum(place.max(axis=1) + reach + 1, grid.shape)
    mask = np.ones(high - low, np.bool_)
    mask[tuple(place - low[:, None])] = False
    inside = np.nonzero(distance_transform_edt(mask, sampling=spacing) <= by_mm)
    index = np.ravel_multi_index(tuple(axis + start for axis, start in zip(inside, low, strict=True)), grid.shape)
    return VoxelSet(index.astype(np.int32), np.ones(index.size, np.float32))


def without(voxels: VoxelSet, other: VoxelSet) -> VoxelSet:
    """`voxels` less the part of each voxel that `other` covers."""
    rest = voxels.fraction.copy()
    position = np.searchsorted(other.index, voxels.index)
    position[position == other.index.size] = 0
    shared = other.index[position] == voxels.index
    rest[shared] -= other.fraction[position[shared]]
    keep = rest > 1e-3
    return VoxelSet(voxels.index[keep], rest[keep])
