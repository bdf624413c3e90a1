"""Output calibration: from fluence units to gray per monitor unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.beam_model import BeamModel
from engines.photon.convolution import KernelMaps
from engines.photon.raster import Raster, raster_for


def square_field(raster: Raster, side_mm: float) -> NDArray[np.float32]:
    """Open square field centred on the axis, exact pixel coverage, (nv, nu)."""
    half = np.array([side_mm / 2])
    return np.asarray(raster.coverage("v", -half, half).T @ raster.coverage("u", -half, half), np.float32)


def axis_dose(
    model: BeamModel, *, field_mm: float, ssd_mm: float, depth_mm: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Dose per unit fluence in water on the axis at depth_mm (n,), for a square field at the isocentre plane."""
    half = field_mm / 2
    extent = (-half, half, -half, half)
    reach = float(model.kernels[0].radius_mm[-1])
    raster = raster_for((-1.0, 1.0, -1.0, 1.0), extent, 0.5, reach_mm=reach, align_mm=0.25)
    maps = KernelMaps(model, raster, (ssd_mm,)).forward(square_field(raster, field_mm)[None])[0]
    iv, iu = int(np.argmin(np.abs(raster.v_mm))), int(np.argmin(np.abs(raster.u_mm)))
    inverse_square = (model.sad_mm / (ssd_mm + np.asarray(depth_mm, np.float64))) ** 2
    return np.asarray(inverse_square * (maps[iv, iu, :3].astype(np.float64) @ model.depth_factors(depth_mm)))


def gy_per_mu(model: BeamModel) -> float:
    """Gray of one monitor unit of unit fluence, from the model's reference conditions. Raises EngineError if the model
    has none (an uncalibrated import)."""
    if model.reference is None:
        raise EngineError(f"beam model '{model.name}' has no output calibration (reference conditions)")
    r = model.reference
    dose = axis_dose(model, field_mm=r.field_mm, ssd_mm=r.ssd_mm, depth_mm=np.array([r.depth_mm]))
    return r.gy_per_mu / float(dose[0])
