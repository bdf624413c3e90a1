"""Names of regions to voxels: 'A+B' is the union, 'A!B' is A without B, read from left to right."""

from __future__ import annotations

import re

import numpy as np

from appliance.contracts import Case
from engines.grid import VoxelSet

_TOKEN = re.compile(r"([+!]?)([^+!]+)")


def region(case: Case, expression: str) -> VoxelSet | None:
    """Voxels of a region on the case's grid; None if nothing of it is in the case. Absent parts of a union are left
    out (a patient without the middle dose level still has the union of the others)."""
    found: VoxelSet | None = None
    for operator, name in _TOKEN.findall(expression):
        structure = case.structure(name.strip())
        if structure is None or structure.voxels.empty:
            continue
        if operator == "!":
            found = found and without(found, structure.voxels)
        else:
            found = structure.voxels if found is None else found.union(structure.voxels)
    return found if found is not None and not found.empty else None


def without(voxels: VoxelSet, other: VoxelSet) -> VoxelSet:
    """`voxels` less the part of each voxel that `other` covers."""
    rest = voxels.fraction.copy()
    position = np.searchsorted(other.index, voxels.index)
    position[position == other.index.size] = 0
    shared = other.index[position] == voxels.index
    rest[shared] -= other.fraction[position[shared]]
    keep = rest > 1e-3
    return VoxelSet(voxels.index[keep], rest[keep])
