"""Exact Euclidean distances up to a limit, axis after axis (lower envelope by direct search: as separable as in
Felzenszwalb and Huttenlocher, Theory of Computing 8:415, 2012, and simpler where distances are short)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def distance_mm(inside: Tensor, spacing_mm: Sequence[float], limit_mm: float) -> Tensor:
    """For each voxel of a mask (a, b, c), or of several (k, a, b, c), the distance to the nearest voxel centre of the
    mask, at most `limit_mm`; `limit_mm` everywhere for an empty mask."""
    squared = torch.where(inside > 0, 0.0, limit_mm**2).float()
    for axis, step in zip((-3, -2, -1), spacing_mm, strict=True):
        squared = _along(squared, axis, float(step), limit_mm)
    return squared.clamp(max=limit_mm**2).sqrt()


def _along(squared: Tensor, axis: int, step_mm: float, limit_mm: float) -> Tensor:
    moved = squared.movedim(axis, -1)
    n, found = moved.shape[-1], moved
    for offset in range(1, min(n - 1, int(limit_mm / step_mm)) + 1):
        added = (offset * step_mm) ** 2
        left = functional.pad(moved[..., :-offset] + added, (offset, 0), value=limit_mm**2)
        right = functional.pad(moved[..., offset:] + added, (0, offset), value=limit_mm**2)
        found = torch.minimum(found, torch.minimum(left, right))
    return found.movedim(-1, axis)
