"""The dose grid: whole voxels of the image put together, and dose brought back to the image's own voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
LAYERS = 2
"""Empty voxels beside matter get the mean of their neighbours' dose, this many deep, which the cubic of `refined`
reaches."""


@dataclass(frozen=True, eq=False)
class DoseGrid:
    """factors (z, y, x): image voxels in one of the dose grid. first: image index (z, y, x) of its first voxel's first
    voxel, possibly below zero. density (z, y, x): mean relative density, at least AIR. filled: where matter is."""

    grid: Grid
    factors: tuple[int, int, int]
    first: tuple[int, int, int]
    density: NDArray[np.float32]
    filled: NDArray[np.bool_]


def dose_grid(medium: Medium, spacing_mm: float) -> DoseGrid:
    """Around the medium's matter, with the widest voxels not above spacing_mm that hold whole image voxels; an image
    with wider voxels keeps them."""
    factors = tuple(max(1, int(spacing_mm / s + 1e-3)) for s in medium.grid.spacing_mm[::-1])
    first, counts = [], []
    for axis, factor in enumerate(factors):
        others = tuple(a for a in range(3) if a != axis)
        used = np.flatnonzero(medium.density.any(axis=others))
        low, high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
        first.append(low - MARGIN_VOXELS * factor)
        counts.append(-(-(high - low) // factor) + 2 * MARGIN_VOXELS)
    density = _blocks(medium.density, tuple(first), tuple(counts), factors)
    spacing = tuple(s * f for s, f in zip(medium.grid.spacing_mm, factors[::-1], strict=True))
    origin = tuple(
        o + s * (i + (f - 1) / 2)
        for o, s, i, f in zip(medium.grid.origin_mm, medium.grid.spacing_mm, first[::-1], factors[::-1], strict=True)
    )
    grid = Grid(_three(origin), _three(spacing), _three(counts))
    filled = density > 0
    return DoseGrid(grid, _three(factors), _three(first), np.maximum(density, np.float32(AIR)), filled)


def refined(dose: NDArray[np.float32], where: DoseGrid, grid: Grid) -> NDArray[np.float32]:
    """Dose (z, y, x) of the dose grid on the image's `grid`, zero beyond the dose grid. Cubic interpolation through the
    voxel values (Keys, IEEE Trans ASSP 29:1153, 1981), which keeps edges where they are; negative overshoot is cut."""
    values = _extended(dose, where.filled)
    for axis, factor in enumerate(where.factors):
        values = _refine(values, axis, factor)
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
