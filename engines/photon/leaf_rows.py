"""Rows of one opening each: what leaf pairs, tongue and groove, and a second layer of leaves leave open together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.beam_model import Collimation
from engines.photon.raster import Raster

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LeafRows:
    """Rows along which the fluence of an aperture is constant across the leaf: row r is open from the largest left to
    the smallest right radiation edge of its `members` (rows, m), which number the leaf pairs of all layers one after
    the other. low_mm, high_mm (rows,): its border along v. factor (rows,): fluence that its opening adds, 1 = open
    field. behind: what passes where every leaf is closed.

    Where pairs move apart, a strip of half the tongue-and-groove width on either side of their border is open only
    where both are: each leaf's side reaches so far under its neighbour. With two layers the transmission is the
    product of both: (t + (1 - t) o1) (t + (1 - t) o2), o the openings, written out into rows of either and of both.
    """

    members: NDArray[np.int64]
    low_mm: Array
    high_mm: Array
    factor: Array
    behind: float
    pairs: int

    def coverage(self, raster: Raster, y1_mm: float = -np.inf, y2_mm: float = np.inf) -> NDArray[np.float32]:
        """(rows, nv) share of each pixel row that a leaf row covers between the Y jaws."""
        low, high = np.clip(self.low_mm, y1_mm, y2_mm), np.clip(self.high_mm, y1_mm, y2_mm)
        return raster.coverage("v", low, high)


def leaf_rows(layers_mm: tuple[NDArray[np.floating], ...], collimation: Collimation) -> LeafRows:
    """layers_mm: leaf borders of one or two layers (pairs + 1 values each, growing). Raises EngineError for more."""
    if not 1 <= len(layers_mm) <= 2:
        raise EngineError(f"{len(layers_mm)} layers of leaves; one or two are known")
    t = collimation.leaf_transmission
    starts = np.cumsum([0, *(len(layer) - 1 for layer in layers_mm)])
    single = [
        _one_layer(np.asarray(layer, np.float64), int(start), collimation.tongue_groove_mm)
        for layer, start in zip(layers_mm, starts[:-1], strict=True)
    ]
    if len(single) == 1:
        members, low, high = single[0]
        return LeafRows(members, low, high, np.full(low.size, 1 - t), t, int(starts[-1]))
    parts = [(*rows, t * (1 - t)) for rows in single]
    parts.append((*_crossed(single[0], single[1]), (1 - t) ** 2))
    width = max(part[0].shape[1] for part in parts)
    return LeafRows(
        members=np.concatenate([_padded(part[0], width) for part in parts]),
        low_mm=np.concatenate([part[1] for part in parts]),
        high_mm=np.concatenate([part[2] for part in parts]),
        factor=np.concatenate([np.full(part[1].size, part[3]) for part in parts]),
        behind=t * t,
        pairs=int(starts[-1]),
    )


Rows = tuple[NDArray[np.int64], Array, Array]


def _one_layer(borders: Array, start: int, tongue_groove_mm: float) -> Rows:
    pairs = start + np.arange(borders.size - 1)
    if tongue_groove_mm <= 0:
        return pairs[:, None], borders[:-1], borders[1:]
    half = 0.5 * tongue_groove_mm
    low, high = borders[:-1].copy(), borders[1:].copy()
    low[1:] += half
    high[:-1] -= half
    strips = np.stack([pairs[:-1], pairs[1:]], axis=1)
    members = np.concatenate([np.stack([pairs, pairs], axis=1), strips])
    inner = borders[1:-1]
    return members, np.concatenate([low, inner - half]), np.concatenate([high, inner + half])


def _crossed(first: Rows, second: Rows) -> Rows:
    """Rows of both layers at once: every overlap of a row of one with a row of the other."""
    low = np.maximum(first[1][:, None], second[1][None, :])
    high = np.minimum(first[2][:, None], second[2][None, :])
    i, j = np.nonzero(high > low + 1e-9)
    return np.concatenate([first[0][i], second[0][j]], axis=1), low[i, j], high[i, j]


def _padded(members: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """More columns by repeating the last: a member counted twice changes no largest and no smallest edge."""
    return np.concatenate([members, np.repeat(members[:, -1:], width - members.shape[1], axis=1)], axis=1)
