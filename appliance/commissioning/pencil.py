"""The pencil beam's dose at measured points, in a flat water tank where radiological depth is known without tracing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from appliance.commissioning.curves import Array, Curve, Kind
from appliance.commissioning.points import beam_points_mm, surface_mm
from engines.photon.beam_model import BeamModel
from engines.photon.convolution import KernelMaps
from engines.photon.raster import Raster, raster_for

PITCH_MM = 1.0
"""As the final dose of the pencil beam."""
ALIGN_MM = 0.5


class PencilBeam:
    """Algorithm of predict.py: the same convolutions as engines.photon.dose, evaluated at the points."""

    name = "pencil beam"

    def __init__(self, model: BeamModel) -> None:
        self.model = model
        self._maps: dict[tuple[float, float, float], tuple[Raster, Array]] = {}

    def softened_by(self, softening: tuple[float, float]) -> PencilBeam:
        """The same beam with another softening, which changes depths only: kernel maps that are known stay."""
        other = PencilBeam(replace(self.model, softening=softening))
        other._maps = self._maps
        return other

    def dose(self, curve: Curve) -> Array:
        """Dose per unit fluence at the curve's points (n,); nan for what is measured in air."""
        if curve.kind is Kind.COLLIMATOR_FACTOR:
            return np.full(curve.positions_mm.shape, np.nan)
        points, ssd = beam_points_mm(curve), surface_mm(curve, self.model.sad_mm)
        depth = points[:, 2]
        to_plane = self.model.sad_mm / (ssd + depth)
        factors = self.model.depth_factors(_radiological(curve, points, ssd) * self._softened(points, ssd))
        squared = (ssd + depth) ** 2 + (points[:, :2] ** 2).sum(axis=1)
        kernels = np.empty((3, depth.size))
        tables = np.array([self.model.kernels_at(s).ssd_mm for s in ssd])
        for table in np.unique(tables):
            raster, maps = self._field(curve, float(table))
            here = tables == table
            u, v = points[here, 0] * to_plane[here], points[here, 1] * to_plane[here]
            kernels[:, here] = _bilinear(raster, maps, u, v)
        return np.asarray(self.model.sad_mm**2 / squared * (factors * kernels).sum(axis=0))

    def _softened(self, points: Array, ssd: Array) -> Array:
        """What depths count times (n,) off the axis."""
        tangent2 = (points[:, :2] ** 2).sum(axis=1) / (ssd + points[:, 2]) ** 2
        s2, s4 = self.model.softening
        return np.asarray(1.0 + tangent2 * (s2 + tangent2 * s4))

    def _field(self, curve: Curve, ssd_mm: float) -> tuple[Raster, Array]:
        """Kernel maps (nv, nu, 3) of the curve's field."""
        key = (curve.field_x_mm, curve.field_y_mm, ssd_mm)
        if key not in self._maps:
            x, y = 0.5 * curve.field_x_mm, 0.5 * curve.field_y_mm
            reach = float(self.model.kernels[0].radius_mm[-1])
            field = (-x, x, -y, y)
            raster = raster_for((-400.0, 400.0, -400.0, 400.0), field, PITCH_MM, reach_mm=reach, align_mm=ALIGN_MM)
            opening = raster.coverage("v", np.array([-y]), np.array([y])).T @ raster.coverage(
                "u", np.array([-x]), np.array([x])
            )
            jaw = self.model.collimation.jaw_transmission
            fluence = np.asarray(jaw + (1.0 - jaw) * opening, np.float32)
            maps = KernelMaps(self.model, raster, (ssd_mm,)).forward(fluence[None])[0, :, :, :3]
            self._maps[key] = (raster, np.asarray(maps, np.float64))
        return self._maps[key]


def _radiological(curve: Curve, points: Array, ssd: Array) -> Array:
    """Depth (n,) along the ray to each point, in mm of water."""
    depth = points[:, 2]
    slant = np.hypot(1.0, np.hypot(points[:, 0], points[:, 1]) / (ssd + depth))
    along = depth.copy()
    if curve.slab is not None:
        inside = np.clip(depth, curve.slab.from_mm, curve.slab.to_mm) - curve.slab.from_mm
        along += (curve.slab.density - 1.0) * inside
    return np.asarray(along * slant)


def _bilinear(raster: Raster, maps: Array, u_mm: Array, v_mm: Array) -> Array:
    """(3, n) of maps (nv, nu, 3); zero outside the raster."""
    column = (u_mm - raster.u0_mm) / raster.pitch_mm
    row = (v_mm - raster.v0_mm) / raster.pitch_mm
    inside = (column >= 0) & (column <= raster.nu - 1) & (row >= 0) & (row <= raster.nv - 1)
    i = np.clip(np.floor(column).astype(int), 0, raster.nu - 2)
    j = np.clip(np.floor(row).astype(int), 0, raster.nv - 2)
    s, t = (column - i)[:, None], (row - j)[:, None]
    low = maps[j, i] * (1 - s) + maps[j, i + 1] * s
    high = maps[j + 1, i] * (1 - s) + maps[j + 1, i + 1] * s
    return np.asarray(((low * (1 - t) + high * t) * inside[:, None]).T)
