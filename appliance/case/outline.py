"""The outline of a mask as closed loops that run along pixel borders, so that they enclose exactly its pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]


def outline(mask_yx: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Loops (n, 2) of x, y in index coordinates (pixel i reaches from i - 0.5 to i + 0.5), corners only, in no
    particular order or direction. Holes have loops of their own: the even-odd rule gives the mask back."""
    following = _border_steps(np.pad(mask_yx, 1))
    loops = []
    while following:
        start = next(iter(following))
        loop = [start]
        at = following[start].pop()
        while at != start:
            loop.append(at)
            at = following[at].pop()
        for corner in loop:
            if corner in following and not following[corner]:
                del following[corner]
        loops.append(_corners_only(np.array(loop, np.float64)) - 1.5)
    return loops


def _border_steps(padded: NDArray[np.bool_]) -> dict[Corner, list[Corner]]:
    """Corner (x, y) -> corners one step further, the mask always on the same side. As many steps lead into a corner
    as out of it, so walking on from anywhere comes back."""
    following: dict[Corner, list[Corner]] = {}
    upright = padded[:, 1:].astype(np.int8) - padded[:, :-1]
    level = padded[1:].astype(np.int8) - padded[:-1]
    for changes, step in ((upright, (0, 1)), (level, (1, 0))):
        for sign in (1, -1):
            rows, columns = np.nonzero(changes == sign)
            x, y = columns + step[1], rows + step[0]
            ends = (x + step[0], y + step[1])
            # entering the mask to the right runs up, entering it downwards runs right, leaving it the other way
            forward = (sign > 0) == (step == (1, 0))
            first, last = ((x, y), ends) if forward else (ends, (x, y))
            for x0, y0, x1, y1 in zip(*first, *last, strict=True):
                following.setdefault((int(x0), int(y0)), []).append((int(x1), int(y1)))
    return following


def _corners_only(loop: NDArray[np.float64]) -> NDArray[np.float64]:
    before, after = loop - np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0) - loop
    corners: NDArray[np.float64] = loop[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    return corners
