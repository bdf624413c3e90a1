"""Fluence of leaves that move while the beam is on (VMAT, sliding window) and its exact gradient.

Between two control points leaves and jaws move evenly. The fluence of such an interval is the share of it during which
a point is open: an edge that sweeps from a to b makes a linear ramp between them. Its mean over a pixel is a parabola,
smooth in both ends of the way, so leaf positions have exact gradients however coarse the raster is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.photon import _kernels
from engines.photon.beam_model import Collimation
from engines.photon.convolution import THREADS
from engines.photon.leaf_rows import LeafRows, leaf_rows
from engines.photon.raster import Raster

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Leaves of one beam over its control points: left and right (points, pairs) tips in mm along the leaf axis, x_mm
    (points, 2) the jaws along that axis; mu (points - 1,) of the intervals between. left < right everywhere: a pair
    that is closed keeps its gap."""

    left_mm: Array
    right_mm: Array
    x_mm: Array
    mu: Array


class MovingFluence:
    """Operator from a Trajectory to the fluence (intervals, nv, nu) in MU: 1 MU of an open field gives 1.

    F_k = mu_k [ t_jaw + (t - t_jaw) box_k + sum_r f_r v_r (x) open_kr ]: t what all closed leaves let through, box_k
    what the jaws leave open on average, r the rows of LeafRows with their coverage v_r across and their open time
    along the leaf. The jaws across the leaves stand still at y_mm; rows they hide are left out.

    layers_mm: leaf borders, growing, one array a layer; pairs of all layers are numbered one after the other.
    """

    def __init__(
        self,
        raster: Raster,
        layers_mm: tuple[NDArray[np.floating], ...],
        collimation: Collimation,
        *,
        y_mm: tuple[float, float],
        active: NDArray[np.bool_] | None = None,
        threads: int = THREADS,
    ) -> None:
        """active (pairs,): pairs that may open; None: all. A row of others alone is taken as closed, though a gap that
        only one layer covers lets a little through (0.5 mm of leaf transmission)."""
        self.raster, self.collimation, self._threads = raster, collimation, threads
        rows = leaf_rows(layers_mm, collimation)
        opens = np.ones(rows.low_mm.size, np.bool_) if active is None else active[rows.members].any(axis=1)
        seen = np.flatnonzero(opens & (rows.high_mm > y_mm[0] + 1e-9) & (rows.low_mm < y_mm[1] - 1e-9))
        self.rows = LeafRows(
            rows.members[seen], rows.low_mm[seen], rows.high_mm[seen], rows.factor[seen], rows.behind, rows.pairs
        )
        box = raster.coverage("v", np.array([y_mm[0]]), np.array([y_mm[1]])) * (
            rows.behind - collimation.jaw_transmission
        )
        cover = self.rows.coverage(raster, *y_mm) * self.rows.factor[:, None]
        self._across = np.ascontiguousarray(np.concatenate([cover, box]), np.float32)
        self._border_mm = raster.u0_mm - 0.5 * raster.pitch_mm
        self._edges = np.zeros((0, 0, 4), np.float32)
        self._which: tuple[NDArray[np.intp], NDArray[np.intp]] = (np.zeros(0, np.intp), np.zeros(0, np.intp))
        self._inside = np.zeros((0, 0, 4), np.bool_)
        self._shut = np.zeros((0, 0), np.bool_)

    def _place(self, path: Trajectory) -> None:
        """Edges (intervals, rows + 1, 4) in pixels, and which member of each row makes them."""
        offset, members = self.collimation.leaf_offset_mm, self.rows.members
        left, right = path.left_mm[:, members] - offset, path.right_mm[:, members] + offset
        first, last = left.argmax(axis=2), right.argmin(axis=2)
        low = np.take_along_axis(left, first[..., None], axis=2)[..., 0]
        high = np.take_along_axis(right, last[..., None], axis=2)[..., 0]
        self._shut = high < low
        high = np.maximum(high, low)
        low = np.concatenate([low, path.x_mm[:, :1]], axis=1)
        high = np.concatenate([high, path.x_mm[:, 1:]], axis=1)
        edges = np.stack([low[:-1], low[1:], high[:-1], high[1:]], axis=2)
        pixels = (edges - self._border_mm) / self.raster.pitch_mm
        self._inside = (pixels > 0) & (pixels < self.raster.nu)
        self._edges = np.clip(pixels, 0.0, float(self.raster.nu)).astype(np.float32)
        row = np.arange(members.shape[0])
        self._which = members[row, first], members[row, last]

    def forward(self, path: Trajectory) -> NDArray[np.float32]:
        """Fluence (intervals, nv, nu)."""
        self._place(path)
        mu = path.mu.astype(np.float32)
        weight = np.ascontiguousarray(np.broadcast_to(mu[:, None], self._edges.shape[:2]), np.float32)
        along = np.empty((*weight.shape, self.raster.nu), np.float32)
        _kernels.leaf_rows(self._edges, weight, along, self._threads)
        fluence = np.matmul(self._across.T, along)
        fluence += (np.float32(self.collimation.jaw_transmission) * mu)[:, None, None]
        return np.asarray(fluence, np.float32)

    def adjoint(self, path: Trajectory, gradient: NDArray[np.float32]) -> Trajectory:
        """Gradient of a merit in the trajectory, from its gradient (intervals, nv, nu) in the fluence. Where two pairs
        make the same edge of a strip, it is that of the first."""
        self._place(path)
        rows = np.matmul(self._across, np.ascontiguousarray(gradient, np.float32))
        slopes, seen = np.empty((*rows.shape[:2], 4), np.float32), np.empty(rows.shape[:2], np.float32)
        _kernels.leaf_rows_adjoint(self._edges, rows, slopes, seen, self._threads)
        by_mu = self.collimation.jaw_transmission * gradient.sum(axis=(1, 2), dtype=np.float64)
        by_mu += seen.sum(axis=1, dtype=np.float64)
        by_edge = slopes.astype(np.float64) * self._inside * (path.mu / self.raster.pitch_mm)[:, None, None]
        low, high = np.zeros((2, len(path.mu) + 1, rows.shape[1]))
        low[:-1] += by_edge[..., 0]
        low[1:] += by_edge[..., 1]
        high[:-1] += by_edge[..., 2]
        high[1:] += by_edge[..., 3]
        # A row that its members shut together ends where it begins: both edges follow the left one.
        low[:, :-1] += np.where(self._shut, high[:, :-1], 0.0)
        high[:, :-1] *= ~self._shut
        x_mm = np.stack([low[:, -1], high[:, -1]], axis=1)
        left = self._by_pair(low[:, :-1], self._which[0], path.left_mm.shape)
        right = self._by_pair(high[:, :-1], self._which[1], path.left_mm.shape)
        return Trajectory(left, right, x_mm, by_mu)

    @staticmethod
    def _by_pair(by_row: Array, pair: NDArray[np.intp], shape: tuple[int, ...]) -> Array:
        point = np.arange(shape[0])[:, None] * shape[1]
        total = np.bincount((point + pair).ravel(), by_row.ravel(), shape[0] * shape[1])
        return np.asarray(total.reshape(shape), np.float64)
