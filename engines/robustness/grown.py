"""A structure drawn larger or smaller by a distance, for how much its dose depends on where its border is drawn."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, zoom

from engines.grid import Grid, VoxelSet
from engines.photon.dose import bounds

FINEST_MM = 1.5
"""Voxels are divided until no side is longer (chosen: a ball of 15 mm radius then grows as it should to 0.3 mm)."""
MOST_PARTS = 4
"""A side is divided into at most so many parts."""

BEFORE = 0.25
"""The border lies this share of a part before the nearest centre on the other side (chosen: half for faces along the
grid, nearly none for oblique ones, where some centre always lies close behind the border)."""


class Border:
    """Signed distance to the border of a structure, worked out once, for `moved` up to reach_mm either way.

    Fractions are interpolated trilinearly onto parts of voxels; the border is where they pass 0.5, and the distance is
    the exact Euclidean one between the parts' centres (less BEFORE). A structure that is empty stays empty."""

    def __init__(self, voxels: VoxelSet, grid: Grid, reach_mm: float) -> None:
        self._shape, self._empty = grid.shape, voxels.empty
        if voxels.empty:
            return
        dense, spacing = voxels.dense(grid.shape), grid.spacing_mm[::-1]
        low, high = bounds(dense)
        pad = [int(np.ceil(reach_mm / step)) + 2 for step in spacing]
        self._cut = tuple(slice(max(a - p, 0), b + p) for a, b, p in zip(low, high, pad, strict=True))
        self._parts = tuple(int(np.clip(np.ceil(step / FINEST_MM), 1, MOST_PARTS)) for step in spacing)
        fine = tuple(step / part for step, part in zip(spacing, self._parts, strict=True))
        shares = zoom(dense[self._cut], self._parts, order=1, mode="nearest", grid_mode=True)
        inside, self._width_mm = shares >= 0.5, float(np.cbrt(np.prod(fine)))
        if not inside.any() or inside.all():
            nowhere = np.inf if inside.any() else -np.inf
            self._signed = np.full(shares.shape, nowhere, np.float32)
            return
        out, into = (distance_transform_edt(side, sampling=fine) for side in (inside, ~inside))
        back = BEFORE * self._width_mm
        self._signed = np.where(inside, out - back, back - into).astype(np.float32)

    def moved(self, distance_mm: float, within: VoxelSet | None = None) -> VoxelSet:
        """The structure with its border moved outwards by distance_mm (negative: inwards), in 3-D; empty where nothing
        is left. within: no voxel beyond it is taken in (the patient's outline)."""
        moved = np.zeros(self._shape, np.float32)
        if not self._empty:
            share = np.clip(0.5 + (self._signed + np.float32(distance_mm)) / self._width_mm, 0.0, 1.0)
            (nz, pz), (ny, py), (nx, px) = ((n // p, p) for n, p in zip(share.shape, self._parts, strict=True))
            moved[self._cut] = share.reshape(nz, pz, ny, py, nx, px).mean(axis=(1, 3, 5))
        if within is not None:
            moved = np.minimum(moved, within.dense(self._shape))
        return VoxelSet.from_dense(moved)
