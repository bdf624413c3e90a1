"""Beamlets: the free fluence values of all beams, laid out in rows of leaf pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.planning.geometry import Arrangement
from appliance.planning.leaf_layers import leaf_layers
from appliance.planning.machine import Machine
from engines.photon.raster import Raster

MARGIN_MM = 6.0
"""Beamlets this far outside the target's projection stay free, to build the penumbra (chosen: about one FWHM)."""


class Beamlets:
    """Layout of beamlets: `variables` of them over all beams, each one leaf row high and `width_mm` wide.

    Rows follow the machine's leaf pairs (of two layers the rows that a pair of each covers); column c of a beam covers
    u in [c, c + 1) * width_mm.
    """

    def __init__(
        self,
        arrangement: Arrangement,
        machine: Machine,
        raster: Raster,
        targets_mm: NDArray[np.float32],
        width_mm: float,
    ) -> None:
        self.layers = leaf_layers(machine)
        self.boundaries_mm = self.layers.row_borders_mm
        self.width_mm, self.raster = width_mm, raster
        self.columns = int(np.ceil(machine.mlc.position_max_mm / width_mm))
        pixel_row = np.searchsorted(self.boundaries_mm, raster.v_mm) - 1
        pixel_column = np.floor(raster.u_mm / width_mm).astype(np.int64) + self.columns
        cells = (self.boundaries_mm.size - 1, 2 * self.columns)
        self.cells: list[NDArray[np.int64]] = []
        pixels, variables, count = [], [], 0
        for number, frame in enumerate(arrangement.frames):
            number_of = np.full(cells, -1, np.int64)
            is_open = self._open_cells(*frame.project(targets_mm), cells)
            number_of[is_open] = np.arange(count, count + int(is_open.sum()))
            count += int(is_open.sum())
            self.cells.append(number_of)
            rows_inside = (pixel_row >= 0) & (pixel_row < cells[0])
            columns_inside = (pixel_column >= 0) & (pixel_column < cells[1])
            drawn = np.full((raster.nv, raster.nu), -1, np.int64)
            drawn[np.ix_(rows_inside, columns_inside)] = number_of[
                np.ix_(pixel_row[rows_inside], pixel_column[columns_inside])
            ]
            flat = np.flatnonzero(drawn.reshape(-1) >= 0)
            pixels.append(flat + number * raster.nv * raster.nu)
            variables.append(drawn.reshape(-1)[flat])
        self._pixel, self._variable = np.concatenate(pixels), np.concatenate(variables)
        self.variables = count
        self._shape = (len(arrangement.frames), raster.nv, raster.nu)
        self.neighbours = self._neighbours()

    def _open_cells(
        self, u_mm: NDArray[np.float64], v_mm: NDArray[np.float64], cells: tuple[int, int]
    ) -> NDArray[np.bool_]:
        is_open = np.zeros(cells, np.bool_)
        for du in (-MARGIN_MM, 0.0, MARGIN_MM):
            for dv in (-MARGIN_MM, 0.0, MARGIN_MM):
                row = np.searchsorted(self.boundaries_mm, v_mm + dv) - 1
                column = np.floor((u_mm + du) / self.width_mm).astype(np.int64) + self.columns
                good = (row >= 0) & (row < cells[0]) & (column >= 0) & (column < cells[1])
                is_open[row[good], column[good]] = True
        return is_open

    def _neighbours(self) -> NDArray[np.int64]:
        """Pairs (k, 2) of beamlets side by side along the leaf or across it."""
        pairs = []
        for cells in self.cells:
            for a, b in ((cells[:, :-1], cells[:, 1:]), (cells[:-1], cells[1:])):
                both = (a >= 0) & (b >= 0)
                pairs.append(np.stack([a[both], b[both]], axis=1))
        return np.concatenate(pairs)

    def field_mm(self, beam: int) -> float:
        """Width of one beam's beamlets along the leaves."""
        used = np.flatnonzero((self.cells[beam] >= 0).any(axis=0))
        return float(used[-1] + 1 - used[0]) * self.width_mm if used.size else 0.0

    def draw(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Fluence (beams, nv, nu) of beamlet values (variables,)."""
        fluence = np.zeros(self._shape, np.float32)
        fluence.reshape(-1)[self._pixel] = np.asarray(values, np.float32)[self._variable]
        return fluence

    def collect(self, gradient: NDArray[np.float32]) -> NDArray[np.float64]:
        """Transpose of draw: sum of each beamlet's pixels."""
        total = np.bincount(self._variable, gradient.reshape(-1)[self._pixel], minlength=self.variables)
        return np.asarray(total, np.float64)

    def map_of(self, beam: int, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(rows, columns) of one beam's fluence, zero where no beamlet is."""
        cells = self.cells[beam]
        return np.where(cells >= 0, np.asarray(values, np.float64)[np.maximum(cells, 0)], 0.0)

    def side_by_side(self) -> tuple[NDArray[np.int64], tuple[int, int, int]]:
        """Where each variable lies in maps (beams, rows, columns) of all beams, laid out flat and cut to the rows and
        columns that any beam uses, and the maps' shape."""
        cells = np.stack(self.cells)
        rows, columns = (np.flatnonzero((cells >= 0).any(axis=axes)) for axes in ((0, 2), (0, 1)))
        cells = cells[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        place = np.flatnonzero(cells >= 0)
        return place[np.argsort(cells.reshape(-1)[place])], cells.shape

    def rows_of(self, beam: int) -> NDArray[np.bool_]:
        """(rows,) true for the rows that face a target of one beam."""
        return np.asarray((self.cells[beam] >= 0).any(axis=1))
