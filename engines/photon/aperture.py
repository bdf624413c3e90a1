"""Fluence of multileaf apertures and its exact gradient: one beam, all its segments together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.photon.beam_model import Collimation
from engines.photon.raster import Raster

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Apertures:
    """Segments of one beam: left and right (segments, pairs) leaf tips in mm (IEC X_b), mu (segments,).

    A pair with right <= left is closed: it transmits only through its leaves (closed pairs are parked behind a jaw)."""

    left_mm: Array
    right_mm: Array
    mu: Array


class ApertureFluence:
    """Operator from apertures to the fluence of one beam on a raster: leaf and jaw transmission, radiation edge behind
    the leaf tip, exact pixel coverage. Fluence is in MU: 1 MU of an open field gives 1."""

    def __init__(
        self,
        raster: Raster,
        leaf_boundaries_mm: NDArray[np.floating],
        jaws_mm: tuple[float, float, float, float],
        collimation: Collimation,
    ) -> None:
        bounds = np.asarray(leaf_boundaries_mm, np.float64)
        self.raster, self.collimation = raster, collimation
        self._rows = raster.coverage("v", bounds[:-1], bounds[1:])
        x1, x2, y1, y2 = (np.array([value]) for value in jaws_mm)
        self._jaw = raster.coverage("v", y1, y2).T @ raster.coverage("u", x1, x2)

    def _edges(self, apertures: Apertures) -> tuple[Array, Array]:
        """Radiation edges, in pixels from the raster's left border; equal where the pair is closed."""
        offset, raster = self.collimation.leaf_offset_mm, self.raster
        border = raster.u0_mm - 0.5 * raster.pitch_mm
        is_open = apertures.right_mm > apertures.left_mm
        low = (apertures.left_mm - offset - border) / raster.pitch_mm
        high = np.where(is_open, (apertures.right_mm + offset - border) / raster.pitch_mm, low)
        limit = float(raster.nu)
        return np.clip(low, 0.0, limit), np.clip(high, 0.0, limit)

    def forward(self, apertures: Apertures) -> NDArray[np.float32]:
        """Fluence (nv, nu) of all segments together."""
        low, high = self._edges(apertures)
        pixel = np.arange(self.raster.nu, dtype=np.float64)
        covered = np.clip(np.minimum(high[..., None], pixel + 1) - np.maximum(low[..., None], pixel), 0.0, None)
        by_row = np.einsum("s,sju->ju", apertures.mu, covered).astype(np.float32)
        total = np.float32(apertures.mu.sum())
        t, jaw = np.float32(self.collimation.leaf_transmission), np.float32(self.collimation.jaw_transmission)
        inside = t * total + (1 - t) * (self._rows.T @ by_row)
        return np.asarray(self._jaw * inside + (1 - self._jaw) * (jaw * total), np.float32)

    def adjoint(self, apertures: Apertures, gradient: NDArray[np.float32]) -> Apertures:
        """Gradient of a merit with respect to left, right and mu, from its gradient (nv, nu) in the fluence. Closed
        pairs have none."""
        low, high = self._edges(apertures)
        inside = self._jaw * gradient
        rows = (self._rows @ inside).astype(np.float64)
        cumulative = np.concatenate([np.zeros((rows.shape[0], 1)), np.cumsum(rows, axis=1)], axis=1)
        pair = np.arange(rows.shape[0])[None, :]
        t, jaw = self.collimation.leaf_transmission, self.collimation.jaw_transmission

        def at(edge: Array) -> tuple[Array, Array]:
            cell = np.minimum(edge.astype(np.int64), self.raster.nu - 1)
            value = rows[pair, cell]
            return value, cumulative[pair, cell] + (edge - cell) * value

        (at_low, sum_low), (at_high, sum_high) = at(low), at(high)
        moving = (apertures.right_mm > apertures.left_mm) * apertures.mu[:, None] * (1 - t) / self.raster.pitch_mm
        leak = t * float(inside.sum(dtype=np.float64))
        outside = jaw * float(((1 - self._jaw) * gradient).sum(dtype=np.float64))
        by_mu = leak + outside + (1 - t) * (sum_high - sum_low).sum(axis=1)
        return Apertures(-moving * at_low, moving * at_high, by_mu)
