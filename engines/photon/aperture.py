"""Fluence of multileaf apertures and its exact gradient: one beam, all its segments together."""

from __future__ import annotations

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
    """Operator from apertures to the fluence (nv, nu) of one beam on a raster, in MU: 1 MU of an open field gives 1.

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
        self._rows = leaf_rows(layers, collimation)
        self._across = self._rows.coverage(raster) * self._rows.factor[:, None].astype(np.float32)
        borders = layers[0] if len(layers) == 1 else merged_rows(*(layer.tolist() for layer in layers)).boundaries_mm
        self._bare_rows = raster.coverage("v", borders[:-1], borders[1:])
        self._border_mm = raster.u0_mm - 0.5 * raster.pitch_mm

    def _pixels(self, u_mm: Array) -> Array:
        """Positions along u in pixels from the raster's left border, kept on the raster."""
        return np.clip((u_mm - self._border_mm) / self.raster.pitch_mm, 0.0, float(self.raster.nu))

    def _edges(self, a: Apertures) -> _Edges:
        offset, members = self.collimation.leaf_offset_mm, self._rows.members
        x1, x2 = a.jaws_mm[:, 0:1], a.jaws_mm[:, 1:2]
        is_open = (a.right_mm > a.left_mm)[:, members].all(axis=2)
        every_left, every_right = a.left_mm[:, members], a.right_mm[:, members]
        first, last = every_left.argmax(axis=2), every_right.argmin(axis=2)
        left = np.take_along_axis(every_left, first[..., None], axis=2)[..., 0] - offset
        right = np.take_along_axis(every_right, last[..., None], axis=2)[..., 0] + offset
        is_open &= right > left
        low = self._pixels(np.where(is_open, np.clip(left, x1, x2), x1))
        high = np.where(is_open, self._pixels(np.clip(right, x1, x2)), low)
        row = np.arange(members.shape[0])
        return _Edges(
            low=low,
            high=np.maximum(high, low),
            moves_low=is_open & (left > x1) & (left < x2),
            moves_high=is_open & (right < x2) & (right > x1),
            low_pair=members[row, first],
            high_pair=members[row, last],
        )

    def _boxes(self, a: Apertures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Jaw openings as coverage along v (segments, nv) and u (segments, nu)."""
        x1, x2, y1, y2 = a.jaws_mm.T
        return self.raster.coverage("v", y1, y2), self.raster.coverage("u", x1, x2)

    def _cut(self, a: Apertures) -> NDArray[np.bool_]:
        """Segments whose Y jaws cut through an open leaf row."""
        is_open = (a.right_mm > a.left_mm)[:, self._rows.members].all(axis=2)
        beyond = (self._rows.low_mm[None] < a.jaws_mm[:, 2:3] - 1e-6) | (
            self._rows.high_mm[None] > a.jaws_mm[:, 3:4] + 1e-6
        )
        return np.asarray((is_open & beyond).any(axis=1))

    def forward(self, apertures: Apertures) -> NDArray[np.float32]:
        """Fluence (nv, nu) of all segments together."""
        t, jaw = self._rows.behind, self.collimation.jaw_transmission
        boxes_v, boxes_u = self._boxes(apertures)
        weighted = boxes_v * (apertures.mu * (t - jaw))[:, None].astype(np.float32)
        fluence = np.asarray(weighted.T @ boxes_u, np.float32)
        fluence += np.float32(jaw * apertures.mu.sum())
        edges = self._edges(apertures)
        cut = self._cut(apertures)
        if not cut.all():
            some = self._row_fluence(edges.low[~cut], edges.high[~cut], apertures.mu[~cut])
            fluence += self._across.T @ some
        for y1, y2 in np.unique(apertures.jaws_mm[cut, 2:], axis=0):
            alike = cut & (apertures.jaws_mm[:, 2] == y1) & (apertures.jaws_mm[:, 3] == y2)
            across = self._rows.coverage(self.raster, y1, y2) * self._rows.factor[:, None].astype(np.float32)
            fluence += across.T @ self._row_fluence(edges.low[alike], edges.high[alike], apertures.mu[alike])
        return fluence

    def _row_fluence(self, low: Array, high: Array, mu: Array) -> NDArray[np.float32]:
        """(pairs, nu) MU seen along each leaf row. Each edge is a step; a step inside pixel i adds i + 1 - e there and
        the rest from the next pixel on: two differences, summed up along the row."""
        pairs, columns = low.shape[1], self.raster.nu
        row = np.broadcast_to(np.arange(pairs) * (columns + 2), low.shape)
        weight = np.broadcast_to(mu[:, None], low.shape)
        cells, weights = [], []
        for edge, sign in ((low, 1.0), (high, -1.0)):
            cell = edge.astype(np.int64)
            inside = edge - cell
            cells += [(row + cell).ravel(), (row + cell + 1).ravel()]
            weights += [(sign * weight * (1.0 - inside)).ravel(), (sign * weight * inside).ravel()]
        steps = np.bincount(np.concatenate(cells), np.concatenate(weights), pairs * (columns + 2))
        return np.cumsum(steps.reshape(pairs, columns + 2), axis=1)[:, :columns].astype(np.float32)

    def adjoint(self, apertures: Apertures, gradient: NDArray[np.float32]) -> Apertures:
        """Gradient of a merit in left, right, the X jaws and mu, from its gradient (nv, nu) in the fluence.
        Closed pairs and leaves behind a jaw have none; an X jaw's is that of its own leakage, right where no open leaf
        pair reaches behind it; Y jaws are held. Raises EngineError if Y jaws cut open leaves, for which there is no
        such gradient."""
        if self._cut(apertures).any():
            raise EngineError("Y jaws cut through open leaf pairs: no gradient")
        t, jaw = self._rows.behind, self.collimation.jaw_transmission
        pitch = self.raster.pitch_mm
        edges = self._edges(apertures)
        rows = np.asarray(self._across @ gradient, np.float64)
        row = np.arange(rows.shape[0])[None, :]
        at_low, sum_low = _value_and_sum(rows, row, edges.low)
        at_high, sum_high = _value_and_sum(rows, row, edges.high)
        mu = apertures.mu[:, None]
        boxes_v, boxes_u = self._boxes(apertures)
        seen = (boxes_v @ gradient).astype(np.float64)
        by_jaws = np.zeros_like(apertures.jaws_mm)
        segment = np.arange(len(apertures.mu))[:, None]
        at_jaw, _ = _value_and_sum(seen, segment, self._pixels(apertures.jaws_mm[:, :2]))
        by_jaws[:, :2] = at_jaw * mu * (t - jaw) / pitch * np.array([-1.0, 1.0])
        by_mu = jaw * float(gradient.sum(dtype=np.float64)) + (t - jaw) * (seen * boxes_u).sum(axis=1)
        by_mu += (sum_high - sum_low).sum(axis=1)
        slope = mu / pitch
        left = _by_pair(-slope * at_low * edges.moves_low, edges.low_pair, apertures.left_mm.shape)
        right = _by_pair(slope * at_high * edges.moves_high, edges.high_pair, apertures.left_mm.shape)
        return Apertures(left, right, by_jaws, by_mu)

    def row_gradient(self, gradient: NDArray[np.float32]) -> Array:
        """(rows, nu) sum of a fluence gradient (nv, nu) over each leaf's height (of two layers the height that one pair
        of each covers): what opening it there changes, leaves being what they are without tongue and groove."""
        return np.asarray(self._bare_rows @ gradient, np.float64)


def _by_pair(by_row: Array, pair: NDArray[np.int64], shape: tuple[int, ...]) -> Array:
    """(segments, pairs) sums of values of rows (segments, rows) by the pair whose leaf makes the row's edge."""
    segment = np.arange(shape[0])[:, None] * shape[1]
    return np.asarray(np.bincount((segment + pair).ravel(), by_row.ravel(), shape[0] * shape[1]).reshape(shape))


def _value_and_sum(rows: Array, row: NDArray[np.integer], edge: Array) -> tuple[Array, Array]:
    """Of piecewise-constant rows (k, nu): the value at an edge (in pixels), the integral from the border up to it."""
    cell = np.minimum(edge.astype(np.int64), rows.shape[1] - 1)
    value = rows[row, cell]
    before = np.concatenate([np.zeros((rows.shape[0], 1)), np.cumsum(rows, axis=1)], axis=1)
    return value, before[row, cell] + (edge - cell) * value
