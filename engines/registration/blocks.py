"""Blocks of one image found again in another: how alike two images are in their detail, whatever bends between them.

Every block of the fixed image is looked for near its own place in the moving one by normalised correlation, which does
not see brightness and contrast, and the places found give a rigid motion (Ourselin et al., "Reconstructing a 3D
structure from serial histological sections", Image Vis Comput 19:25, 2001, doi 10.1016/S0262-8856(00)00052-4)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid import Grid
from engines.registration.moving import moved
from engines.registration.transform import RigidTransform

Values = NDArray[np.float32]
Floats = NDArray[np.float64]

BLOCK_VOXELS = 5
"""Edge of a block (chosen: 25 mm on voxels of 5 mm, which hold more than noise and less than a vertebra column)."""

LIMITS_HU = (-1000.0, 1000.0)
"""Values are cut to this range (chosen: metal and its streaks must not outweigh the anatomy of their blocks)."""

LEAST_CONTRAST_HU = 40.0
"""Standard deviation from which a block says something (chosen: above the noise of an averaged daily image)."""

FEWEST_BLOCKS = 12
"""Below this number of blocks there is nothing to compare (chosen)."""

MOST_BLOCKS = 500
"""More are thinned evenly (chosen: the mean of so many correlations is known to a hundredth)."""

KEPT_SHARE = 0.6
"""Of the blocks, by how well their places agree with the motion of all, that the next fit is made from (chosen)."""


@dataclass(frozen=True, eq=False)
class Matching:
    """likeness: mean of the best correlations of all blocks, 0..1. to_moving: the rigid motion that was found, points
    of the fixed frame to the moving one's. blocks: how many were compared."""

    likeness: float
    to_moving: RigidTransform
    blocks: int


def match(
    fixed: tuple[Values, Grid], moving: tuple[Values, Grid], start: RigidTransform, *, reach: int, rounds: int
) -> Matching:
    """How alike the images are after the rigid motion near `start` that brings their blocks together best.

    fixed, moving: values in HU or alike (z, y, x) on their grids, cut to LIMITS_HU; blocks with NaN are left out.
    reach: voxels that a block is looked for at each side, in each of `rounds` after which the motion is fitted anew,
    and once more at the end. Raises EngineError if there are not enough blocks that both images show."""
    values, grid = fixed
    transform = start
    for turn in range(rounds + 1):
        there = moved(*moving, grid, transform, outside=np.nan)
        best, shift, centres = _best(values, there, reach)
        if best.size < FEWEST_BLOCKS:
            raise EngineError("the images share too little to be compared")
        if turn < rounds:
            transform = _fitted(centres, shift, best, grid, transform)
    return Matching(float(best.mean()), transform, best.size)


def _best(fixed: Values, moving: Values, reach: int) -> tuple[Floats, Floats, Floats]:
    """Best correlation (n,) of each telling block that the other image shows all round, the shift (n, 3) x, y, z in
    voxels where it was, and the block's centre (n, 3) in voxels."""
    corners = _corners(fixed.shape, reach)
    within = _flat(np.array(list(product(range(BLOCK_VOXELS), repeat=3))), fixed.shape)
    blocks = fixed.reshape(-1)[corners[:, None] + within]
    blocks -= blocks.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.mean(np.square(blocks), axis=1))
    known = np.isfinite(moving).reshape(-1)
    telling = np.flatnonzero((spread > LEAST_CONTRAST_HU) & known[corners[:, None] + within].all(axis=1))
    telling = telling[:: -(-telling.size // MOST_BLOCKS) or 1]
    corners, blocks, spread = corners[telling], blocks[telling], spread[telling]
    filled = np.where(known, moving.reshape(-1), np.float32(LIMITS_HU[0]))
    best, where = np.full(corners.size, -1.0, np.float32), np.zeros((corners.size, 3))
    for dz, dy, dx in product(range(-reach, reach + 1), repeat=3):
        other = filled[(corners + _flat(np.array((dz, dy, dx)), fixed.shape))[:, None] + within]
        cross = np.einsum("ij,ij->i", blocks, other) / within.size
        other_spread = np.sqrt(np.maximum(np.einsum("ij,ij->i", other, other) / within.size - other.mean(1) ** 2, 0))
        # A flat place is like nothing: without the floor noise would decide there.
        score = cross / (spread * np.maximum(other_spread, LEAST_CONTRAST_HU / 2))
        better = score > best
        best[better], where[better] = score[better], (dx, dy, dz)
    centres = np.stack(np.unravel_index(corners, fixed.shape)[::-1], axis=1) + (BLOCK_VOXELS - 1) / 2
    return best.astype(np.float64), where, np.asarray(centres, np.float64)


def _corners(shape: tuple[int, ...], reach: int) -> NDArray[np.intp]:
    """Flat index of the first voxel of every block, side by side, `reach` away from the border."""
    along = [np.arange(reach, count - reach - BLOCK_VOXELS + 1, BLOCK_VOXELS) for count in shape]
    if any(axis.size == 0 for axis in along):
        raise EngineError("the images are too small to be compared")
    return _flat(np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 3), shape)


def _flat(index: NDArray[np.integer], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Flat C-order offset of indices or steps (..., 3) as z, y, x."""
    return np.asarray(index @ np.array((shape[1] * shape[2], shape[2], 1)), np.intp)


def _fitted(centres: Floats, shift: Floats, score: Floats, grid: Grid, before: RigidTransform) -> RigidTransform:
    """The rigid motion (Kabsch's solution) that fits most blocks, after `before`."""
    origin, spacing = np.asarray(grid.origin_mm), np.asarray(grid.spacing_mm)
    at, found = centres * spacing + origin, (centres + shift) * spacing + origin
    weight = np.maximum(score, 0.0) ** 2
    keep = np.ones(weight.size, np.bool_)
    step = np.eye(4)
    for _ in range(5):
        step = _kabsch(at[keep], found[keep], weight[keep])
        off = np.linalg.norm(at @ step[:3, :3].T + step[:3, 3] - found, axis=1)
        keep = off <= np.quantile(off, KEPT_SHARE)
    return RigidTransform(np.asarray(before.matrix @ step, np.float64))


def _kabsch(one: Floats, other: Floats, weight: Floats) -> Floats:
    """(4, 4): the rotation and shift of least weighted squares from points `one` to `other`."""
    total = weight.sum()
    middle, goal = weight @ one / total, weight @ other / total
    u, _, vt = np.linalg.svd((one - middle).T @ ((other - goal) * weight[:, None]))
    flip = np.diag((1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))))
    rotation = vt.T @ flip @ u.T
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, goal - rotation @ middle
    return matrix
