"""From an image on its grid to masks on the same grid: onto the network's spacing and axes, through the network, back.

Probabilities are brought back, not labels: a border is then as fine as the image's grid (nnU-Net does the same).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.errors import EngineError
from engines.grid import Grid, VoxelSet, resample
from engines.segmentation.network import Network
from engines.segmentation.orientation import axes_of, from_network, to_network
from engines.segmentation.spec import NetworkSpec
from engines.segmentation.tiling import run_tiled

LARGEST_BYTES = 1_500_000_000
"""Of all probabilities of the image together (chosen: they have to fit beside everything else on a small computer)."""
HALF = 0.5
ROUNDING = 1e-6
"""Voxels: an extent that is a whole number of them but for rounding."""


def segment(hu: NDArray[np.generic], grid: Grid, network: Network) -> dict[str, VoxelSet]:
    """Voxels of each label of the network, fractions 1, empty where it finds none. hu: (z, y, x) on grid.

    Raises EngineError for an image that is not on its grid, too large for the network's spacing, or that the network
    fails on."""
    if hu.shape != grid.shape:
        raise EngineError(f"an image of {hu.shape} is not on a grid of {grid.shape}")
    spec = network.spec
    inner = network_grid(grid, spec)
    needed = inner.size * network.channels * 4
    if needed > LARGEST_BYTES:
        raise EngineError(
            f"{network.channels} channels on {inner.shape} voxels need {needed / 1e9:.1f} GB of memory; "
            "cut the image to what matters"
        )
    image = spec.intensity.apply(resample(hu, grid, inner, outside=float(hu.min())))
    probabilities = run_tiled(
        np.ascontiguousarray(to_network(image, spec.orientation)),
        spec.patch,
        network.probabilities,
        channels=network.channels,
        overlap=spec.overlap,
        sigma=spec.sigma,
    )
    if spec.largest_part:
        _keep_largest_parts(probabilities, spec)
    return _masks(from_network(probabilities, spec.orientation), inner, grid, spec)


def network_grid(grid: Grid, spec: NetworkSpec) -> Grid:
    """The grid of the network's spacing over the same volume, in our axes; the grid itself where spacings agree."""
    spacing_zyx = [0.0, 0.0, 0.0]
    for own, step in zip(axes_of(spec.orientation), spec.spacing_mm, strict=True):
        spacing_zyx[own] = step
    origin, shape = [], []
    for axis in range(3):  # x, y, z
        step, wanted, count = grid.spacing_mm[axis], spacing_zyx[2 - axis], grid.shape[2 - axis]
        extent = step * count
        many = max(1, math.ceil(extent / wanted - ROUNDING))  # as many as cover the image
        # The middle stays where it is.
        origin.append(grid.origin_mm[axis] + step * (count - 1) / 2 - wanted * (many - 1) / 2)
        shape.append(many)
    z, y, x = spacing_zyx
    made = Grid((origin[0], origin[1], origin[2]), (x, y, z), (shape[2], shape[1], shape[0]))
    return grid if made.same_as(grid) else made


def _keep_largest_parts(probabilities: NDArray[np.float32], spec: NetworkSpec) -> None:
    """In place: a label's probability becomes 0 where it has the voxel outside its largest part."""
    best = probabilities.argmax(axis=0) if spec.kind == "softmax" else None
    for channel, _ in spec.labels:
        parts, count = ndimage.label(probabilities[channel] >= HALF if best is None else best == channel)
        if count > 1:
            sizes = np.bincount(parts.ravel())
            sizes[0] = 0
            probabilities[channel][(parts > 0) & (parts != int(sizes.argmax()))] = 0


def _masks(probabilities: NDArray[np.float32], inner: Grid, grid: Grid, spec: NetworkSpec) -> dict[str, VoxelSet]:
    """Channel by channel, so that no more than two of them lie on the image's grid at a time."""
    if spec.kind == "sigmoid":
        return {name: _set(resample(probabilities[channel], inner, grid) >= HALF) for channel, name in spec.labels}
    best = resample(probabilities[0], inner, grid)
    label = np.zeros(grid.shape, np.int16)
    for channel in range(1, len(probabilities)):
        own = resample(probabilities[channel], inner, grid)
        better = own > best
        label[better] = channel
        np.maximum(best, own, out=best)
    return {name: _set(label == channel) for channel, name in spec.labels}


def _set(mask: NDArray[np.bool_]) -> VoxelSet:
    index = np.flatnonzero(mask).astype(np.int32)
    return VoxelSet(index, np.ones(index.size, np.float32))
