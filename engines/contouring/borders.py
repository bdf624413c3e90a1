"""Contours along pixel borders: a mask drawn this way rasterises back to exactly itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]

_STEPS: tuple[Corner, ...] = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Ways along a border as (row, column), clockwise as seen on an image whose rows go down: right, down, left, up."""

_RIGHT_LEFT_STRAIGHT = (1, 3, 0)
"""Turns in the order tried. Right first, so that voxels that touch at a corner only stay separate loops."""


def border_outline(mask_yx: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Loops (n, 2) of x, y in index coordinates (pixel i reaches from i - 0.5 to i + 0.5) around the True pixels,
    corners only. Holes have loops of their own: the even-odd rule gives the mask back."""
    return [np.array(loop, np.float64)[:, ::-1] - 0.5 for loop in border_loops(mask_yx)]


def border_loops(mask: NDArray[np.bool_]) -> list[list[Corner]]:
    """Loops of voxel corners (row, column), with corner (0, 0) before voxel (0, 0), around the True pixels of a 2-D
    mask. The inside lies to the right of the way."""
    ways = _ways(mask)
    loops = []
    while ways:
        start = next(iter(ways))
        loops.append(_follow(ways, start))
    return loops


def _ways(mask: NDArray[np.bool_]) -> dict[Corner, set[int]]:
    """For each corner the directions in which a border leaves it."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    sides = (  # direction, neighbour across that side, corner of the pixel where the side starts
        (0, padded[:-2, 1:-1], (0, 0)),
        (1, padded[1:-1, 2:], (0, 1)),
        (2, padded[2:, 1:-1], (1, 1)),
        (3, padded[1:-1, :-2], (1, 0)),
    )
    ways: dict[Corner, set[int]] = {}
    for direction, neighbour, (down, right) in sides:
        for row, column in np.argwhere(inside & ~neighbour).tolist():
            ways.setdefault((row + down, column + right), set()).add(direction)
    return ways


def _follow(ways: dict[Corner, set[int]], start: Corner) -> list[Corner]:
    """Takes one loop out of `ways`; only corners where it turns are kept."""
    first = min(ways[start])
    corner, direction = start, first
    loop: list[Corner] = []
    while True:
        _take(ways, corner, direction)
        corner = (corner[0] + _STEPS[direction][0], corner[1] + _STEPS[direction][1])
        if corner == start and not _continues(ways, corner, direction, first):
            if direction != first:
                loop.append(corner)
            return loop
        following = next(turned for turn in _RIGHT_LEFT_STRAIGHT if (turned := (direction + turn) % 4) in ways[corner])
        if following != direction:
            loop.append(corner)
        direction = following


def _take(ways: dict[Corner, set[int]], corner: Corner, direction: int) -> None:
    ways[corner].remove(direction)
    if not ways[corner]:
        del ways[corner]


def _continues(ways: dict[Corner, set[int]], corner: Corner, direction: int, first: int) -> bool:
    """Back at the start: whether the loop goes on past it, which it does if the right turn there is not its first
    step (a corner where two voxels touch)."""
    return corner in ways and (direction + 1) % 4 != first
