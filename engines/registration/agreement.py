"""How well two images and their outlines lie on each other after a registration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt

from engines.errors import EngineError
from engines.grid import Grid
from engines.overlap import dice

COARSEST_MM = 3.0
"""Images finer than half of this are read every n-th voxel (chosen: distances are means over thousands of points)."""

RIM_VOXELS = 3
"""Air around both bodies that is compared too (chosen): in a body without contrast the rim is what there is to see."""


@dataclass(frozen=True)
class Agreement:
    """similarity: correlation of HU over both bodies and their rim, -1..1; overlap: Dice of the bodies where both
    images reach, 0..1; surface_mm: mean distance between the outlines there, both ways."""

    similarity: float
    overlap: float
    surface_mm: float


def agreement(
    one_hu: NDArray[np.floating],
    other_hu: NDArray[np.floating],
    one_body: NDArray[np.bool_],
    other_body: NDArray[np.bool_],
    grid: Grid,
) -> Agreement:
    """All four (z, y, x) on `grid`. other_hu is NaN where the other image does not reach: nothing is compared there.
    Raises EngineError if the bodies do not meet at all."""
    step = tuple(max(1, int(COARSEST_MM / spacing)) for spacing in grid.spacing_mm[::-1])
    thin = tuple(slice(None, None, count) for count in step)
    spacing_mm = [size * count for size, count in zip(grid.spacing_mm[::-1], step, strict=True)]
    one, other = one_hu[thin], other_hu[thin]
    reached = np.isfinite(other)
    first, second = one_body[thin] & reached, other_body[thin] & reached
    if not (first & second).any():
        raise EngineError("the bodies of the two images do not meet")
    around = binary_dilation(first | second, iterations=RIM_VOXELS) & reached
    return Agreement(
        _correlation(one, other, around), dice(first, second), _surface_mm(first, second, reached, spacing_mm)
    )


def _correlation(one: NDArray[np.floating], other: NDArray[np.floating], where: NDArray[np.bool_]) -> float:
    first, second = one[where].astype(np.float64), other[where].astype(np.float64)
    first -= first.mean()
    second -= second.mean()
    norm = float(np.sqrt(np.dot(first, first) * np.dot(second, second)))
    return float(np.dot(first, second)) / norm if norm > 0 else 0.0


def _surface_mm(
    one: NDArray[np.bool_], other: NDArray[np.bool_], reached: NDArray[np.bool_], spacing_mm: list[float]
) -> float:
    edges = []
    # A cut where an image ends is no surface: the image is taken to go on, eroding leaves it alone.
    for body in (one, other):
        edge = body & ~binary_erosion(body | ~reached, border_value=1)
        edges.append(edge)
    if not edges[0].any() or not edges[1].any():
        return 0.0
    total, count = 0.0, 0
    for edge, target in ((edges[0], edges[1]), (edges[1], edges[0])):
        distance = distance_transform_edt(~target, sampling=spacing_mm)
        total += float(distance[edge].sum(dtype=np.float64))
        count += int(edge.sum())
    return total / count
