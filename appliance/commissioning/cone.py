"""The collapsed cone's dose at measured points, in a water tank of voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from appliance.commissioning.curves import SINGLE_POINT, Array, Curve, Kind, Slab
from appliance.commissioning.points import beam_points_mm, surface_mm
from engines.grid import Grid
from engines.photon.beam_model import Collimation
from engines.photon.dose import Medium
from engines.photon.frame import beam_frame
from engines.photon.raster import Raster
from engines.photon.superposition.dose import SuperpositionDose
from engines.photon.superposition.incidence import Exposure
from engines.photon.superposition.model import SuperpositionModel

SPACING_MM, AXIS_SPACING_MM = 2.5, 4.0
"""Voxels of the tank, and their width across the beam where only doses on its axis are asked for (chosen: near the 3 mm
of final doses, with every fourth node on a round depth; nothing changes across the beam near its axis)."""
MARGIN_MM, BEHIND_MM = 80.0, 60.0
"""Water beside the field's edge and below the deepest point (chosen: as much as a scanning tank has)."""
LARGEST_HALF_MM = 330.0
"""Half of the widest tank: a scanning tank's (chosen)."""


@dataclass(frozen=True)
class _Tank:
    """What one run of the engine serves."""

    half_mm: tuple[float, float]
    ssd_mm: float
    slab: Slab | None
    across_mm: float


@dataclass
class _Need:
    depth_mm: float = 0.0
    beside_mm: float = 0.0
    doses: RegularGridInterpolator | None = field(default=None)


class CollapsedCone:
    """Algorithm of predict.py. One run of the engine for each field, distance and slab among `curves`."""

    name = "collapsed cone"

    def __init__(
        self, model: SuperpositionModel, collimation: Collimation, sad_mm: float, curves: Sequence[Curve]
    ) -> None:
        self._model, self._jaw, self.sad_mm = model, collimation.jaw_transmission, sad_mm
        self._needs: dict[_Tank, _Need] = {}
        for curve in curves:
            self.expect(curve)

    @property
    def runs(self) -> int:
        return len(self._needs)

    def expect(self, curve: Curve) -> None:
        """Makes the tank of a curve's setup large enough for it, before the first dose is asked for."""
        if curve.kind is Kind.COLLIMATOR_FACTOR:
            return
        points = beam_points_mm(curve)
        for tank in self._tanks(curve):
            need = self._needs.setdefault(tank, _Need())
            need.depth_mm = max(need.depth_mm, float(points[:, 2].max()))
            need.beside_mm = max(need.beside_mm, float(np.abs(points[:, :2]).max()))

    def dose(self, curve: Curve) -> Array:
        """Dose per unit fluence at the curve's points (n,); nan for what is measured in air."""
        if curve.kind is Kind.COLLIMATOR_FACTOR:
            return np.full(curve.positions_mm.shape, np.nan)
        points, tanks = beam_points_mm(curve), self._tanks(curve)
        if len(tanks) == 1:
            return self._sampled(tanks[0], points)
        return np.concatenate([self._sampled(t, p[None]) for t, p in zip(tanks, points, strict=True)])

    def _tanks(self, curve: Curve) -> list[_Tank]:
        """One, or one for each point of a tissue-phantom ratio. On the axis a field gives what it gives turned by 90
        degrees: a table of output factors takes half as many tanks as it has fields."""
        half = (0.5 * curve.field_x_mm, 0.5 * curve.field_y_mm)
        if curve.kind is not Kind.PROFILE:
            half = (max(half), min(half))
        surfaces = surface_mm(curve, self.sad_mm)
        if curve.kind in SINGLE_POINT or curve.kind is not Kind.TISSUE_PHANTOM_RATIO:
            surfaces = surfaces[:1]
        across = SPACING_MM if curve.kind is Kind.PROFILE else AXIS_SPACING_MM
        return [_Tank(half, round(float(s), 3), curve.slab, across) for s in surfaces]

    def _sampled(self, tank: _Tank, points: Array) -> Array:
        need = self._needs.setdefault(tank, _Need())
        need.depth_mm = max(need.depth_mm, float(points[:, 2].max()))
        if need.doses is None:
            need.doses = self._computed(tank, need)
        inside = np.array(points)
        for axis, (low, high) in enumerate((g[0], g[-1]) for g in (need.doses.grid[2], need.doses.grid[0])):
            inside[:, axis] = np.clip(inside[:, axis], low, high)
        inside[:, 2] = np.clip(inside[:, 2], need.doses.grid[1][0], need.doses.grid[1][-1])
        return np.asarray(need.doses(inside[:, [1, 2, 0]]), np.float64)

    def _computed(self, tank: _Tank, need: _Need) -> RegularGridInterpolator:
        """Dose of the tank by (y, depth, x) of the beam: gantry 0, so x is patient x, y is patient z, depth is y."""
        deep = need.depth_mm + BEHIND_MM
        widest = (tank.ssd_mm + need.depth_mm) / self.sad_mm
        across = [
            min(LARGEST_HALF_MM, max(half * widest, need.beside_mm - MARGIN_MM / 2) + MARGIN_MM)
            for half in tank.half_mm
        ]
        wide = tank.across_mm
        nx, nz = (int(2 * np.ceil(a / wide)) + 1 for a in across)
        ny = int(np.ceil(deep / SPACING_MM))
        # The surface lies on the upper face of the first layer; the isocentre is the origin.
        top = tank.ssd_mm - self.sad_mm
        origin = (-(nx // 2) * wide, top + SPACING_MM / 2, -(nz // 2) * wide)
        grid = Grid(origin_mm=origin, spacing_mm=(wide, SPACING_MM, wide), shape=(nz, ny, nx))
        density = np.ones(grid.shape, np.float32)
        depth = (np.arange(ny) + 0.5) * SPACING_MM
        if tank.slab is not None:
            density[:, (depth > tank.slab.from_mm) & (depth < tank.slab.to_mm), :] = tank.slab.density
        dose = self._dose(Medium(grid, density), tank)
        x, z = ((np.arange(n) - n // 2) * wide for n in (nx, nz))
        surface = np.concatenate([1.5 * dose[:, :1] - 0.5 * dose[:, 1:2], dose], axis=1)
        return RegularGridInterpolator((z, np.append(0.0, depth), x), surface, method="linear")

    def _dose(self, medium: Medium, tank: _Tank) -> NDArray[np.float32]:
        x, y = tank.half_mm
        frame = beam_frame((0.0, 0.0, 0.0), gantry_deg=0.0, sad_mm=self.sad_mm)

        def draw(raster: Raster) -> NDArray[np.float32]:
            rows = raster.coverage("v", np.array([-y]), np.array([y]))
            opening = rows.T @ raster.coverage("u", np.array([-x]), np.array([x]))
            return np.asarray(self._jaw + (1.0 - self._jaw) * opening, np.float32)

        engine = SuperpositionDose(self._model, medium, spacing_mm=max(SPACING_MM, tank.across_mm))
        return engine.calculate([Exposure(frame, draw, (-x, x, -y, y))])
