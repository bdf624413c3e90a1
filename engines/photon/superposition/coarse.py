"""The dose grid: whole voxels of the image put together or wide ones cut, and dose brought back to the image's own
voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from engines.grid import Grid
from engines.photon.dose import Medium

T = TypeVar("T")

AIR = 0.0012
"""Density of air (20 degrees, relative to water): the least that a voxel has, so that dose is defined everywhere."""
MARGIN_VOXELS = 1
SPLIT_ABOVE_MM = 3.0
"""Wider voxels are cut: a field's edge is about as wide, and half a voxel of blur costs what coverage is judged by
(docs/superposition.md)."""
LAYERS = 2
"""Empty voxels beside matter get the mean of their neighbours' dose, this many deep, which the cubic of `refined`
reaches."""


@dataclass(frozen=True, eq=False)
class DoseGrid:
    """factors (z, y, x): image voxels in one of the dose grid. parts (z, y, x): voxels of the dose grid in one of the
    image; along each axis one of the two is 1. first: image index (z, y, x) of its first voxel's first voxel, possibly
    below zero. density (z, y, x): mean relative density, at least AIR. filled: where matter is."""

    grid: Grid
    factors: tuple[int, int, int]
    parts: tuple[int, int, int]
    first: tuple[int, int, int]
    density: NDArray[np.float32]
    filled: NDArray[np.bool_]


def dose_grid(medium: Medium, spacing_mm: float, *, split: bool = False) -> DoseGrid:
    """Around the medium's matter, with the widest voxels not above spacing_mm that hold whole image voxels. Wider image
    voxels are kept; with `split`, those above SPLIT_ABOVE_MM are cut into as few as are not above spacing_mm."""
    sides = medium.grid.spacing_mm[::-1]
    factors = _three([max(1, int(spacing_mm / s + 1e-3)) for s in sides])
    parts = _three([ceil(s / spacing_mm - 1e-3) if split and s > SPLIT_ABOVE_MM + 1e-3 else 1 for s in sides])
    first, counts = [], []
    for axis, factor in enumerate(factors):
        others = tuple(a for a in range(3) if a != axis)
        used = np.flatnonzero(medium.density.any(axis=others))
        low, high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
        first.append(low - MARGIN_VOXELS * factor)
        counts.append(-(-(high - low) // factor) + 2 * MARGIN_VOXELS)
    blocks = _blocks(medium.density, tuple(first), tuple(counts), factors)
    for axis, part in enumerate(parts):
        blocks = np.repeat(blocks, part, axis=axis) if part > 1 else blocks
    spacing = [s * f / p for s, f, p in zip(sides, factors, parts, strict=True)]
    corner = [o + s * (i - 0.5) for o, s, i in zip(medium.grid.origin_mm[::-1], sides, first, strict=True)]
    origin = [c + s / 2 for c, s in zip(corner, spacing, strict=True)]
    shape = [c * p for c, p in zip(counts, parts, strict=True)]
    grid = Grid(_three(origin[::-1]), _three(spacing[::-1]), _three(shape))
    filled = blocks > 0
    return DoseGrid(grid, factors, parts, _three(first), np.maximum(blocks, np.float32(AIR)), filled)


def pooled(values: NDArray[np.float32], density: NDArray[np.float32], where: DoseGrid) -> NDArray[np.float32]:
    """Energy per mass, values (z, y, x) in matter of that density, in the voxels of `where`, which puts together voxels
    of the same grid: the same energy, spread over all the mass of a voxel."""
    counts = where.density.shape
    return np.asarray(_blocks(values * density, where.first, counts, where.factors) / where.density, np.float32)


def refined(dose: NDArray[np.float32], where: DoseGrid, grid: Grid) -> NDArray[np.float32]:
    """Dose (z, y, x) of the dose grid at the centres of the image's `grid`, zero beyond the dose grid. Cubic
    interpolation through the voxel values (Keys, IEEE Trans ASSP 29:1153, 1981), which keeps edges where they are;
    negative overshoot is cut."""
    values = _extended(dose, where.filled)
    for axis, factor in enumerate(where.factors):
        values = _thin(_refine(values, axis, factor), axis, where.parts[axis])
    out = np.zeros(grid.shape, np.float32)
    inside, taken = [], []
    for axis, begin in enumerate(where.first):
        end = min(begin + values.shape[axis], grid.shape[axis])
        inside.append(slice(max(begin, 0), end))
        taken.append(slice(max(begin, 0) - begin, end - begin))
    np.maximum(values[tuple(taken)], 0.0, out=out[tuple(inside)])
    return out


def _blocks(
    density: NDArray[np.float32], first: tuple[int, ...], counts: tuple[int, ...], factors: tuple[int, ...]
) -> NDArray[np.float32]:
    """Means over blocks; what lies outside the image counts as empty."""
    padded = np.zeros([c * f for c, f in zip(counts, factors, strict=True)], np.float32)
    own, theirs = [], []
    for axis in range(3):
        low, high = max(first[axis], 0), min(first[axis] + padded.shape[axis], density.shape[axis])
        own.append(slice(low - first[axis], high - first[axis]))
        theirs.append(slice(low, high))
    padded[tuple(own)] = density[tuple(theirs)]
    for axis, factor in enumerate(factors):
        if factor > 1:
            shape = (*padded.shape[:axis], counts[axis], factor, *padded.shape[axis + 1 :])
            padded = padded.reshape(shape).mean(axis=axis + 1)
    return np.ascontiguousarray(padded, np.float32)


def _extended(dose: NDArray[np.float32], filled: NDArray[np.bool_]) -> NDArray[np.float32]:
    values, known = np.where(filled, dose, np.float32(0)), filled.copy()
    for _ in range(LAYERS):
        share = uniform_filter(known.astype(np.float32), 3, mode="constant")
        mean = uniform_filter(values, 3, mode="constant")
        new = ~known & (share > 0.02)  # 1 / 27 and above
        values[new] = mean[new] / share[new]
        known |= new
    return values


def _refine(values: NDArray[np.float32], axis: int, factor: int) -> NDArray[np.float32]:
    if factor == 1:
        return values
    moved = np.moveaxis(values, axis, 0)
    padded = np.concatenate([moved[:1], moved[:1], moved, moved[-1:], moved[-1:]])
    out = np.empty((moved.shape[0] * factor, *moved.shape[1:]), np.float32)
    for i in range(factor):
        t = (i + 0.5) / factor - 0.5
        low = -1 if t < 0 else 0
        for tap, weight in zip(range(low - 1, low + 3), _keys(t - low), strict=True):
            piece = padded[2 + tap : 2 + tap + moved.shape[0]] * np.float32(weight)
            out[i::factor] = piece if tap == low - 1 else out[i::factor] + piece
    return np.moveaxis(out, 0, axis)


def _thin(values: NDArray[np.float32], axis: int, part: int) -> NDArray[np.float32]:
    """Values in the middle of every `part` voxels."""
    if part == 1:
        return values
    moved = np.moveaxis(values, axis, 0)
    if part % 2:
        return np.moveaxis(moved[part // 2 :: part], 0, axis)
    padded = np.concatenate([moved[:1], moved, moved[-1:]])
    middle = [padded[part // 2 - 1 + tap :][::part][: moved.shape[0] // part] for tap in range(4)]
    total = sum(piece * np.float32(weight) for piece, weight in zip(middle, _keys(0.5), strict=True))
    return np.moveaxis(np.asarray(total, np.float32), 0, axis)


def _keys(t: float) -> tuple[float, float, float, float]:
    """Weights of the four neighbours at -1, 0, 1, 2 of a point t in 0..1 (Keys 1981, a = -1/2)."""
    return (
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    )


def _three(values: Sequence[T]) -> tuple[T, T, T]:
    a, b, c = values
    return a, b, c
