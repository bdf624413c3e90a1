"""The leaves of a machine as planning draws them: pairs of one or two layers, and rows that one pair of each covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.errors import PlanningError
from appliance.planning.machine import Machine
from engines.layers import merged_rows
from engines.sequencing import longest_gain

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

FITS = 2
"""Times that each of two layers is fitted to the other (chosen: the second time changed 2.4 % of the leaves of the
C-shape's first apertures, a third one 0.1 %)."""


@dataclass(frozen=True, eq=False)
class LeafLayers:
    """Pairs of all layers are numbered one after the other, that of the layer nearer to the source first.

    borders_mm: leaf borders of each layer along IEC Y, not beyond an opening along Y that no jaw changes.
    row_borders_mm (rows + 1,): borders of the rows. members (rows, layers): the pair of each layer that covers a row.
    """

    borders_mm: tuple[Array, ...]
    row_borders_mm: Array
    members: Numbers

    @property
    def counts(self) -> tuple[int, ...]:
        """Pairs of each layer."""
        return tuple(border.size - 1 for border in self.borders_mm)

    @property
    def pairs(self) -> int:
        return sum(self.counts)

    @property
    def low_mm(self) -> Array:
        """(pairs,) lower border of each pair."""
        return np.concatenate([border[:-1] for border in self.borders_mm])

    @property
    def high_mm(self) -> Array:
        return np.concatenate([border[1:] for border in self.borders_mm])

    @property
    def heights(self) -> Array:
        """(rows,) heights of the rows in units of the least."""
        height = np.diff(self.row_borders_mm)
        return np.asarray(height / height.min())

    @property
    def parts(self) -> tuple[slice, ...]:
        """The pairs of each layer."""
        ends = np.cumsum(self.counts).tolist()
        return tuple(slice(end - count, end) for end, count in zip(ends, self.counts, strict=True))

    def pairs_of(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(pairs,) true for those that cover one of the rows."""
        of = np.zeros(self.pairs, np.bool_)
        of[self.members[rows].ravel()] = True
        return of

    def around(self, left: Array, right: Array) -> tuple[Array, Array]:
        """Tips (..., pairs) that open at least what rows (..., rows) ask for: from the first left to the last right
        edge of the rows of a pair. Where openings only rise or fall from row to row that is all that they open
        together."""
        shape = (*left.shape[:-1], self.pairs)
        around_left, around_right = np.full(shape, np.inf), np.full(shape, -np.inf)
        for row, members in enumerate(self.members):
            around_left[..., members] = np.minimum(around_left[..., members], left[..., row : row + 1])
            around_right[..., members] = np.maximum(around_right[..., members], right[..., row : row + 1])
        return around_left, around_right

    def best(self, gain: Array, smallest: int) -> tuple[Numbers, Numbers]:
        """(first, last) (pairs,) columns, first <= c < last and equal where closed, whose opening gains most of gain
        (rows, columns). No leaf opens by less than `smallest` columns. One layer: the best there is. Two: fitted in
        turn, each the best there is for the other as it stands, so that no fit loses."""
        _, first, last = longest_gain(gain, smallest)
        if len(self.borders_mm) == 1:
            return first, last
        columns = gain.shape[1]
        is_open = last > first
        low, high = self.around(np.where(is_open, first, columns), np.where(is_open, last, 0))
        first = np.where(low < high, low, 0.0).astype(np.int64)
        last = np.where(low < high, high, 0.0).astype(np.int64)
        column = np.arange(columns)
        for _ in range(FITS):
            for own, other in ((1, 0), (0, 1)):
                through = self.members[:, other]
                shown = (column >= first[through, None]) & (column < last[through, None])
                whole = np.zeros((self.pairs, columns))
                np.add.at(whole, self.members[:, own], gain * shown)
                part = self.parts[own]
                _, first[part], last[part] = longest_gain(whole[part], smallest)
        return first, last

    def gain(self, gain: Array, first: Numbers, last: Numbers) -> float:
        """What pairs (pairs,) that are open so gain together of gain (rows, columns)."""
        column = np.arange(gain.shape[1])
        low, high = first[self.members].max(axis=1), last[self.members].min(axis=1)
        return float(gain[(column >= low[:, None]) & (column < high[:, None])].sum())

    def cover(self, first: Numbers, last: Numbers, columns: int, smallest: int) -> tuple[Numbers, Numbers]:
        """Openings (segments, pairs) that meet openings of rows (segments, rows) best: a cell opened by mistake counts
        as one left closed by mistake."""
        if len(self.borders_mm) == 1:
            return first, last
        column = np.arange(columns)
        asked = (column >= first[..., None]) & (column < last[..., None])
        gains = np.where(asked, 1.0, -1.0) * self.heights[:, None]
        found = [self.best(gain, smallest) for gain in gains]
        shape = (len(first), self.pairs)
        return (
            np.array([one[0] for one in found], np.int64).reshape(shape),
            np.array([one[1] for one in found], np.int64).reshape(shape),
        )


def leaf_layers(machine: Machine) -> LeafLayers:
    """Of a machine with leaves along X (`turned.as_planned`). Raises PlanningError for a pair that a fixed opening
    hides."""
    mlc, jaws = machine.mlc, machine.jaws
    borders = [mlc.boundaries_mm, *([mlc.lower_boundaries_mm] if mlc.lower_blocks else [])]
    if "Y" not in jaws.axes:
        borders = [_within(border, jaws.y1_mm[0], jaws.y2_mm[1]) for border in borders]
    if len(borders) == 1:
        return LeafLayers((borders[0],), borders[0], np.arange(borders[0].size - 1)[:, None])
    rows = merged_rows(borders[0].tolist(), borders[1].tolist())
    members = np.stack([rows.upper, rows.lower + borders[0].size - 1], axis=1)
    return LeafLayers(tuple(borders), rows.boundaries_mm, members)


def _within(borders: Array, low_mm: float, high_mm: float) -> Array:
    """Borders cut to an opening that never changes: rows that end there have exact slopes."""
    cut = np.clip(borders, low_mm, high_mm)
    if not np.all(np.diff(cut) > 0):
        raise PlanningError("a leaf pair of the machine lies outside the opening that its file calls fixed")
    return cut
