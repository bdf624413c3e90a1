"""Fluence of multileaf apertures and its exact gradient: one beam, all its segments together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.beam_model import Collimation
from engines.photon.raster import Raster

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Apertures:
    """Segments of one beam: left and right (segments, pairs) leaf tips along IEC X_b and jaws (segments, 4) as x1, x2,
    y1, y2, all in mm at the isocentre plane; mu (segments,).

    A pair with right <= left is closed and transmits only through its leaves (a closed pair is parked behind a jaw)."""

    left_mm: Array
    right_mm: Array
    jaws_mm: Array
    mu: Array


class ApertureFluence:
    """Operator from apertures to the fluence (nv, nu) of one beam on a raster, in MU: 1 MU of an open field gives 1.

    F = sum_s mu_s [ t_jaw + (t_leaf - t_jaw) box_s + (1 - t_leaf) open_s ], with box_s what the jaws leave open and
    open_s what leaves and jaws leave open, each with exact pixel coverage; the radiation edge of a leaf lies
    `leaf_offset_mm` behind its tip. leaf_boundaries_mm: pairs + 1 values along IEC Y_b.
    """

    def __init__(self, raster: Raster, leaf_boundaries_mm: NDArray[np.floating], collimation: Collimation) -> None:
        self.raster, self.collimation = raster, collimation
        self._bounds = np.asarray(leaf_boundaries_mm, np.float64)
        self._rows = raster.coverage("v", self._bounds[:-1], self._bounds[1:])
        self._border_mm = raster.u0_mm - 0.5 * raster.pitch_mm

    def _pixels(self, u_mm: Array) -> Array:
        """Positions along u in pixels from the raster's left border, kept on the raster."""
        return np.clip((u_mm - self._border_mm) / self.raster.pitch_mm, 0.0, float(self.raster.nu))

    def _edges(self, a: Apertures) -> tuple[Array, Array, NDArray[np.bool_], NDArray[np.bool_]]:
        """Radiation edges of every pair inside the jaws, in pixels (equal where closed), and where a leaf (not a jaw)
        makes the left and the right edge."""
        offset = self.collimation.leaf_offset_mm
        x1, x2 = a.jaws_mm[:, 0:1], a.jaws_mm[:, 1:2]
        is_open = a.right_mm > a.left_mm
        left, right = a.left_mm - offset, a.right_mm + offset
        low = self._pixels(np.where(is_open, np.clip(left, x1, x2), x1))
        high = np.where(is_open, self._pixels(np.clip(right, x1, x2)), low)
        return low, np.maximum(high, low), is_open & (left > x1) & (left < x2), is_open & (right < x2) & (right > x1)

    def _boxes(self, a: Apertures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Jaw openings as coverage along v (segments, nv) and u (segments, nu)."""
        x1, x2, y1, y2 = a.jaws_mm.T
        return self.raster.coverage("v", y1, y2), self.raster.coverage("u", x1, x2)

    def _cut(self, a: Apertures) -> NDArray[np.bool_]:
        """Segments whose Y jaws cut through an open leaf pair."""
        is_open = a.right_mm > a.left_mm
        beyond = (self._bounds[None, :-1] < a.jaws_mm[:, 2:3] - 1e-6) | (
            self._bounds[None, 1:] > a.jaws_mm[:, 3:4] + 1e-6
        )
        return np.asarray((is_open & beyond).any(axis=1))

    def forward(self, apertures: Apertures) -> NDArray[np.float32]:
        """Fluence (nv, nu) of all segments together."""
        t, jaw = self.collimation.leaf_transmission, self.collimation.jaw_transmission
        boxes_v, boxes_u = self._boxes(apertures)
        weighted = boxes_v * (apertures.mu * (t - jaw))[:, None].astype(np.float32)
        fluence = np.asarray(weighted.T @ boxes_u, np.float32)
        fluence += np.float32(jaw * apertures.mu.sum())
        low, high, _, _ = self._edges(apertures)
        cut = self._cut(apertures)
        if not cut.all():
            fluence += np.float32(1 - t) * (self._rows.T @ self._row_fluence(low[~cut], high[~cut], apertures.mu[~cut]))
        for s in np.flatnonzero(cut):
            y1, y2 = apertures.jaws_mm[s, 2:]
            bounds = np.clip(self._bounds, y1, y2)
            rows = self.raster.coverage("v", bounds[:-1], bounds[1:])
            one = slice(s, s + 1)
            fluence += np.float32(1 - t) * (rows.T @ self._row_fluence(low[one], high[one], apertures.mu[one]))
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
        t, jaw = self.collimation.leaf_transmission, self.collimation.jaw_transmission
        pitch = self.raster.pitch_mm
        low, high, moves_low, moves_high = self._edges(apertures)
        rows = self.row_gradient(gradient)
        pair = np.arange(rows.shape[0])[None, :]
        at_low, sum_low = _value_and_sum(rows, pair, low)
        at_high, sum_high = _value_and_sum(rows, pair, high)
        mu = apertures.mu[:, None]
        boxes_v, boxes_u = self._boxes(apertures)
        seen = (boxes_v @ gradient).astype(np.float64)
        by_jaws = np.zeros_like(apertures.jaws_mm)
        segment = np.arange(len(apertures.mu))[:, None]
        edges = self._pixels(apertures.jaws_mm[:, :2])
        at_jaw, _ = _value_and_sum(seen, segment, edges)
        by_jaws[:, :2] = at_jaw * mu * (t - jaw) / pitch * np.array([-1.0, 1.0])
        by_mu = jaw * float(gradient.sum(dtype=np.float64)) + (t - jaw) * (seen * boxes_u).sum(axis=1)
        by_mu += (1 - t) * (sum_high - sum_low).sum(axis=1)
        slope = mu * (1 - t) / pitch
        return Apertures(-slope * at_low * moves_low, slope * at_high * moves_high, by_jaws, by_mu)

    def row_gradient(self, gradient: NDArray[np.float32]) -> Array:
        """(pairs, nu) sum of a fluence gradient (nv, nu) over each leaf's height: what opening a leaf there changes."""
        return np.asarray(self._rows @ gradient, np.float64)


def _value_and_sum(rows: Array, row: NDArray[np.integer], edge: Array) -> tuple[Array, Array]:
    """Of piecewise-constant rows (k, nu): the value at an edge (in pixels), the integral from the border up to it."""
    cell = np.minimum(edge.astype(np.int64), rows.shape[1] - 1)
    value = rows[row, cell]
    before = np.concatenate([np.zeros((rows.shape[0], 1)), np.cumsum(rows, axis=1)], axis=1)
    return value, before[row, cell] + (edge - cell) * value
