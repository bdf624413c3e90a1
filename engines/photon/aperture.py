"""Fluence of multileaf apertures and its exact gradient: all segments of all beams together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.layers import merged_rows
from engines.photon.beam_model import Collimation
from engines.photon.leaf_rows import leaf_rows
from engines.photon.raster import Raster

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Apertures:
    """Segments of one beam: left and right (segments, pairs) leaf tips along IEC X_b and jaws (segments, 4) as x1, x2,
    y1, y2, all in mm at the isocentre plane; mu (segments,). Pairs of a second layer follow those of the first.

    A pair with right <= left is closed and transmits only through its leaves (a closed pair is parked behind a jaw)."""

    left_mm: Array
    right_mm: Array
    jaws_mm: Array
    mu: Array


@dataclass(frozen=True, eq=False)
class _Edges:
    """Radiation edges of every row inside the jaws, in pixels (equal where closed), where a leaf (not a jaw) makes the
    left and the right edge, and of which pair that leaf is; all (segments, rows)."""

    low: Array
    high: Array
    moves_low: NDArray[np.bool_]
    moves_high: NDArray[np.bool_]
    low_pair: NDArray[np.int64]
    high_pair: NDArray[np.int64]


class ApertureFluence:
    """Operator from apertures to the fluence (nv, nu) of beams on one raster, in MU: 1 MU of an open field gives 1.

    F = sum_s mu_s [ t_jaw + (t - t_jaw) box_s + sum_r f_r open_sr ], with t what all closed leaves let through, box_s
    what the jaws leave open and open_sr what the jaws and the leaves of row r leave open (see LeafRows; without
    tongue and groove and with one layer a row is a leaf pair and f_r = 1 - t), each with exact pixel coverage; the
    radiation edge of a leaf lies `leaf_offset_mm` behind its tip. layers_mm: leaf borders along IEC Y_b, pairs + 1
    values; two arrays for two layers."""

    def __init__(
        self,
        raster: Raster,
        layers_mm: NDArray[np.floating] | tuple[NDArray[np.floating], ...],
        collimation: Collimation,
    ) -> None:
        self.raster, self.collimation = raster, collimation
        layers = layers_mm if isinstance(layers_mm, tuple) else (layers_mm,)
        self.rows = leaf_rows(layers, collimation)
        self.across = self.rows.coverage(raster) * self.rows.factor[:, None].astype(np.float32)
        borders = layers[0] if len(layers) == 1 else merged_rows(*(layer.tolist() for layer in layers)).boundaries_mm
        self._bare_rows = raster.coverage("v", borders[:-1], borders[1:])
        self._border_mm = raster.u0_mm - 0.5 * raster.pitch_mm

    def draw(self, beams: Sequence[Apertures]) -> Drawing:
        """Beams that are seen on the same raster, for their fluences and gradients."""
        return Drawing(self, beams)

    def forward(self, apertures: Apertures) -> NDArray[np.float32]:
        """Fluence (nv, nu) of all segments of one beam together."""
        return np.asarray(self.draw((apertures,)).fluence()[0], np.float32)

    def adjoint(self, apertures: Apertures, gradient: NDArray[np.float32]) -> Apertures:
        """Of one beam, from its gradient (nv, nu); see Drawing.adjoint."""
        return self.draw((apertures,)).adjoint(gradient[None])[0]

    def row_gradient(self, gradient: NDArray[np.float32]) -> Array:
        """(rows, nu) sum of a fluence gradient (nv, nu) over each leaf's height (of two layers the height that one pair
        of each covers): what opening it there changes, leaves being what they are without tongue and groove."""
        return np.asarray(self._bare_rows @ gradient, np.float64)

    def pixels(self, u_mm: Array) -> Array:
        """Positions along u in pixels from the raster's left border, kept on the raster."""
        return np.clip((u_mm - self._border_mm) / self.raster.pitch_mm, 0.0, float(self.raster.nu))

    def edges(self, a: Apertures) -> _Edges:
        offset, members = self.collimation.leaf_offset_mm, self.rows.members
        x1, x2 = a.jaws_mm[:, 0:1], a.jaws_mm[:, 1:2]
        is_open = (a.right_mm > a.left_mm)[:, members].all(axis=2)
        every_left, every_right = a.left_mm[:, members], a.right_mm[:, members]
        first, last = every_left.argmax(axis=2), every_right.argmin(axis=2)
        left = np.take_along_axis(every_left, first[..., None], axis=2)[..., 0] - offset
        right = np.take_along_axis(every_right, last[..., None], axis=2)[..., 0] + offset
        is_open &= right > left
        low = self.pixels(np.where(is_open, np.clip(left, x1, x2), x1))
        high = np.where(is_open, self.pixels(np.clip(right, x1, x2)), low)
        row = np.arange(members.shape[0])
        return _Edges(
            low=low,
            high=np.maximum(high, low),
            moves_low=is_open & (left > x1) & (left < x2),
            moves_high=is_open & (right < x2) & (right > x1),
            low_pair=members[row, first],
            high_pair=members[row, last],
        )

    def boxes(self, a: Apertures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Jaw openings as coverage along v (segments, nv) and u (segments, nu)."""
        x1, x2, y1, y2 = a.jaws_mm.T
        return self.raster.coverage("v", y1, y2), self.raster.coverage("u", x1, x2)

    def cut(self, a: Apertures) -> NDArray[np.bool_]:
        """Segments whose Y jaws cut through an open leaf row."""
        is_open = (a.right_mm > a.left_mm)[:, self.rows.members].all(axis=2)
        beyond = (self.rows.low_mm[None] < a.jaws_mm[:, 2:3] - 1e-6) | (
            self.rows.high_mm[None] > a.jaws_mm[:, 3:4] + 1e-6
        )
        return np.asarray((is_open & beyond).any(axis=1))


class Drawing:
    """What beams' apertures are on one raster: edges are found once, for the fluence and for its gradient."""

    def __init__(self, drawer: ApertureFluence, beams: Sequence[Apertures]) -> None:
        self._drawer, self._beams = drawer, len(beams)
        self._ends = np.cumsum([len(beam.mu) for beam in beams])
        self._of = np.repeat(np.arange(len(beams)), [len(beam.mu) for beam in beams])
        self._all = Apertures(
            np.concatenate([beam.left_mm for beam in beams]),
            np.concatenate([beam.right_mm for beam in beams]),
            np.concatenate([beam.jaws_mm for beam in beams]),
            np.concatenate([beam.mu for beam in beams]),
        )
        self._edges, self._cut = drawer.edges(self._all), drawer.cut(self._all)
        self._boxes = drawer.boxes(self._all)

    def _each(self) -> Iterator[tuple[int, slice]]:
        """Number and segments of each beam."""
        for beam, end in enumerate(self._ends):
            yield beam, slice(self._ends[beam - 1] if beam else 0, end)

    def fluence(self) -> NDArray[np.float32]:
        """(beams, nv, nu)"""
        drawer, every = self._drawer, self._all
        t, jaw = drawer.rows.behind, drawer.collimation.jaw_transmission
        rows = self._rows_of(np.where(self._cut, 0.0, every.mu))
        fluence = np.asarray(np.matmul(drawer.across.T, rows), np.float32)
        boxes_v, boxes_u = self._boxes
        weighted = boxes_v * (every.mu * (t - jaw))[:, None].astype(np.float32)
        for beam, own in self._each():
            fluence[beam] += weighted[own].T @ boxes_u[own]
            fluence[beam] += np.float32(jaw * every.mu[own].sum())
        for y1, y2 in np.unique(every.jaws_mm[self._cut, 2:], axis=0) if self._cut.any() else ():
            alike = self._cut & (every.jaws_mm[:, 2] == y1) & (every.jaws_mm[:, 3] == y2)
            across = drawer.rows.coverage(drawer.raster, y1, y2) * drawer.rows.factor[:, None].astype(np.float32)
            fluence += np.matmul(across.T, self._rows_of(np.where(alike, every.mu, 0.0)))
        return fluence

    def _rows_of(self, mu: Array) -> NDArray[np.float32]:
        """(beams, rows, nu) MU seen along each leaf row. Each edge is a step; a step inside pixel i adds i + 1 - e
        there and the rest from the next pixel on: two differences, summed up along the row."""
        edges, columns = self._edges, self._drawer.raster.nu
        rows = edges.low.shape[1]
        row = (self._of[:, None] * rows + np.arange(rows)) * (columns + 2)
        cells, weights = [], []
        for edge, sign in ((edges.low, 1.0), (edges.high, -1.0)):
            cell = edge.astype(np.int64)
            beyond = sign * mu[:, None] * (edge - cell)
            cells += [(row + cell).ravel(), (row + cell + 1).ravel()]
            weights += [(sign * mu[:, None] - beyond).ravel(), beyond.ravel()]
        steps = np.bincount(np.concatenate(cells), np.concatenate(weights), self._beams * rows * (columns + 2))
        return np.cumsum(steps.reshape(self._beams, rows, columns + 2), axis=2)[..., :columns].astype(np.float32)

    def adjoint(self, gradient: NDArray[np.float32]) -> list[Apertures]:
        """Gradient of a merit in each beam's left, right, X jaws and mu, from its gradient (beams, nv, nu) in the
        fluence. Closed pairs and leaves behind a jaw have none; an X jaw's is that of its own leakage, right where no
        open leaf pair reaches behind it; Y jaws are held. Raises EngineError if Y jaws cut open leaves, for which there
        is no such gradient."""
        if self._cut.any():
            raise EngineError("Y jaws cut through open leaf pairs: no gradient")
        drawer, every, edges = self._drawer, self._all, self._edges
        t, jaw = drawer.rows.behind, drawer.collimation.jaw_transmission
        pitch, columns = drawer.raster.pitch_mm, drawer.raster.nu
        rows = np.matmul(drawer.across, gradient).astype(np.float64).reshape(-1, columns)
        row = self._of[:, None] * edges.low.shape[1] + np.arange(edges.low.shape[1])
        before = _sums(rows)
        at_low, sum_low = _value_and_sum(rows, before, row, edges.low)
        at_high, sum_high = _value_and_sum(rows, before, row, edges.high)
        boxes_v, boxes_u = self._boxes
        seen = np.concatenate([boxes_v[own] @ gradient[beam] for beam, own in self._each()]).astype(np.float64)
        by_jaws = np.zeros_like(every.jaws_mm)
        segment = np.arange(len(every.mu))[:, None]
        at_jaw, _ = _value_and_sum(seen, _sums(seen), segment, drawer.pixels(every.jaws_mm[:, :2]))
        slope = every.mu[:, None] / pitch
        by_jaws[:, :2] = at_jaw * slope * (t - jaw) * np.array([-1.0, 1.0])
        by_mu = jaw * gradient.sum(axis=(1, 2), dtype=np.float64)[self._of] + (t - jaw) * (seen * boxes_u).sum(axis=1)
        by_mu += (sum_high - sum_low).sum(axis=1)
        left = _by_pair(-slope * at_low * edges.moves_low, edges.low_pair, every.left_mm.shape)
        right = _by_pair(slope * at_high * edges.moves_high, edges.high_pair, every.left_mm.shape)
        return [Apertures(left[own], right[own], by_jaws[own], by_mu[own]) for _, own in self._each()]


def _by_pair(by_row: Array, pair: NDArray[np.int64], shape: tuple[int, ...]) -> Array:
    """(segments, pairs) sums of values of rows (segments, rows) by the pair whose leaf makes the row's edge."""
    segment = np.arange(shape[0])[:, None] * shape[1]
    return np.asarray(np.bincount((segment + pair).ravel(), by_row.ravel(), shape[0] * shape[1]).reshape(shape))


def _sums(rows: Array) -> Array:
    """(k, nu + 1): integrals of rows (k, nu) from the border up to each pixel's left border, and of all."""
    sums = np.zeros((rows.shape[0], rows.shape[1] + 1))
    np.cumsum(rows, axis=1, out=sums[:, 1:])
    return sums


def _value_and_sum(rows: Array, before: Array, row: NDArray[np.integer], edge: Array) -> tuple[Array, Array]:
    """Of piecewise-constant rows (k, nu): the value at an edge (in pixels), the integral from the border up to it."""
    cell = np.minimum(edge.astype(np.int64), rows.shape[1] - 1)
    value = rows[row, cell]
    return value, before[row, cell] + (edge - cell) * value
