"""Fluence given as weights of square bixels, as matRad and pyRadPlan plans hold it, drawn on a raster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.dose import FluenceOnRaster
from engines.photon.raster import Raster


def bixel_fluence(
    centres_mm: NDArray[np.floating], weights: NDArray[np.floating], *, width_mm: float
) -> tuple[FluenceOnRaster, tuple[float, float, float, float]]:
    """The fluence of bixels with their edges exact on any raster, and the extent (u_min, u_max, v_min, v_max) it fills,
    as `BeamDose` takes them.

    centres_mm (n, 2): u and v on the isocentre plane, mm: pyRadPlan's beam's eye view x and z with the collimator at 0
    and the patient head first supine. weights (n,): fluence, 1 = open beam. Overlapping bixels add up.
    Raises EngineError for other shapes, values that are not finite, or a width that is not positive.
    """
    centres, weight = np.asarray(centres_mm, np.float64), np.asarray(weights, np.float64)
    if centres.ndim != 2 or centres.shape[1] != 2 or weight.shape != centres.shape[:1] or not weight.size:
        raise EngineError(f"bixels need centres (n, 2) and weights (n,), got {centres.shape} and {weight.shape}")
    if not (np.isfinite(centres).all() and np.isfinite(weight).all() and width_mm > 0):
        raise EngineError("bixel centres and weights must be finite and their width positive")
    low, high = centres - 0.5 * width_mm, centres + 0.5 * width_mm

    def draw(raster: Raster) -> NDArray[np.float32]:
        along_u = raster.coverage("u", low[:, 0], high[:, 0])
        along_v = raster.coverage("v", low[:, 1], high[:, 1])
        return np.asarray((along_v * weight[:, None]).T @ along_u, np.float32)

    (u_min, v_min), (u_max, v_max) = low.min(axis=0), high.max(axis=0)
    return draw, (float(u_min), float(u_max), float(v_min), float(v_max))
