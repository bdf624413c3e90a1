"""The reference laid on today by the rigid motion alone: what is shown beside today, and what changes are told from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from appliance.case.today.propagate import moved_region
from appliance.case.today.reading import Reference
from appliance.contracts import Image, StructureKind
from appliance.contracts.anatomy import ReferenceToday
from engines.grid import Grid
from engines.registration import AIR_HU, DisplacementField, RigidTransform, moved

STEP_MM = 8.0
"""Of the voxels that a rigid motion is kept on as a field (chosen: it is linear, so trilinear interpolation is exact on
any; finer ones only bound more closely where a structure can lie)."""


def rigid_field(rigid: RigidTransform, grid: Grid) -> DisplacementField:
    """On coarse voxels whose outermost centres are those of `grid`: the same motion at every point of it."""
    spacing, shape = [], []
    for step, count in zip(grid.spacing_mm, grid.shape[::-1], strict=True):
        parts = max(1, min(count - 1, round((count - 1) * step / STEP_MM)))
        shape.append(1 if count == 1 else parts + 1)
        spacing.append(step if count == 1 else (count - 1) * step / parts)
    coarse = Grid(grid.origin_mm, (spacing[0], spacing[1], spacing[2]), (shape[2], shape[1], shape[0]))
    return DisplacementField.of_rigid(rigid, coarse)


def reference_today(before: Reference, grid: Grid, rigid: RigidTransform) -> ReferenceToday:
    """grid: that today's case is on."""
    own, field = before.series.image, rigid_field(rigid, grid)
    hu = moved(own.hu, own.grid, grid, rigid, outside=AIR_HU)
    structures = []
    for structure in before.structures:
        if structure.kind is not StructureKind.EXTERNAL:
            voxels, _ = moved_region(structure.voxels, own.grid, grid, field)
            structures.append(replace(structure, contours=(), voxels=voxels))
    return ReferenceToday(Image(grid, np.rint(hu).astype(np.int16)), tuple(structures))
