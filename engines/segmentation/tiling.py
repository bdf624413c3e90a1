"""Overlapping patches over a volume, and their results put together with Gaussian weights.

Weights fall from the middle of a patch, where a network sees most around each voxel (Isensee et al., Nat Methods
18:203, 2021: half overlap, sigma of an eighth of the patch). Where all patches say the same, so does the result,
whatever the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Size = tuple[int, int, int]
LEAST_WEIGHT = 1e-3
"""Of the greatest one, so that no voxel is left without weight (chosen)."""


def starts(size: int, patch: int, overlap: float) -> list[int]:
    """First indices of patches along one axis of at least `patch` voxels: evenly spread from end to end, no further
    apart than patch (1 - overlap)."""
    step = max(1, int(patch * (1 - overlap)))
    count = 1 + -(-(size - patch) // step)
    return [round(float(at)) for at in np.linspace(0, size - patch, count)]


def gaussian(patch: Size, sigma: float) -> Volume:
    """(D, H, W) weights, 1 in the middle; sigma in patch sizes."""
    curves = []
    for count in patch:
        offset = (np.arange(count) - (count - 1) / 2) / (sigma * count)
        curves.append(np.exp(-0.5 * offset**2))
    weights = curves[0][:, None, None] * curves[1][None, :, None] * curves[2][None, None, :]
    return np.asarray(np.maximum(weights / weights.max(), LEAST_WEIGHT), np.float32)


def tiles(size: Size, patch: Size, overlap: float) -> Iterator[tuple[slice, slice, slice]]:
    for z, y, x in product(*(starts(n, p, overlap) for n, p in zip(size, patch, strict=True))):
        yield slice(z, z + patch[0]), slice(y, y + patch[1]), slice(x, x + patch[2])


def run_tiled(
    image: Volume, patch: Size, run: Callable[[Volume], Volume], *, channels: int, overlap: float, sigma: float
) -> Volume:
    """(channels, D, H, W) of what `run` gives for patches (D, H, W) -> (channels, D, H, W). A volume smaller than a
    patch is set into zeros, in the middle, and cut out again (as nnU-Net pads what is normalised)."""
    before = [max(0, p - n) // 2 for n, p in zip(image.shape, patch, strict=True)]
    after = [max(0, p - n) - b for n, p, b in zip(image.shape, patch, before, strict=True)]
    padded = np.pad(image, list(zip(before, after, strict=True)))
    depth, height, width = padded.shape
    total = np.zeros((channels, depth, height, width), np.float32)
    weight = np.zeros(padded.shape, np.float32)
    weights = gaussian(patch, sigma)
    for tile in tiles((depth, height, width), patch, overlap):
        total[(slice(None), *tile)] += weights * run(padded[tile])
        weight[tile] += weights
    total /= weight
    inner = tuple(slice(b, b + n) for b, n in zip(before, image.shape, strict=True))
    return np.asarray(total[(slice(None), *inner)])
