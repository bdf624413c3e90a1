"""The tables of the convolution on the device: Hartley matrices and the kernels' real spectra. Pure NumPy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.beam_model import BeamModel
from engines.photon.convolution import transfer_functions
from engines.photon.raster import Raster

EVEN_TOLERANCE = 1e-5
"""Share of a kernel's largest spectral value by which it may fail to be even (float32 transforms leave 1e-7)."""


@lru_cache(maxsize=8)
def hartley_matrix(n: int) -> NDArray[np.float32]:
    """H (n, n) with H[j, k] = cas(2 pi j k / n), cas x = cos x + sin x; symmetric, and H H = n I (Bracewell, Discrete
    Hartley transform, J Opt Soc Am 73:1832, 1983). The angle is reduced in integers, so that no entry loses digits."""
    turns = np.outer(np.arange(n, dtype=np.int64), np.arange(n, dtype=np.int64)) % n
    angle = 2 * np.pi / n * np.arange(n)
    return np.asarray((np.cos(angle) + np.sin(angle))[turns], np.float32)


def real_spectra(model: BeamModel, ssd_mm: float, raster: Raster) -> NDArray[np.float32]:
    """(3, nv, nu) real transfer functions of the three kernels, whole plane. Raises EngineError for kernels that are
    not even along the rows of the raster, for which the Hartley form of the convolution does not hold."""
    half = transfer_functions(model, ssd_mm, raster)
    columns = np.arange(raster.nu)
    spectra = np.ascontiguousarray(half[:, :, np.where(columns <= raster.nu // 2, columns, raster.nu - columns)])
    rows = (-np.arange(raster.nv)) % raster.nv
    odd = float((np.abs(spectra - spectra[:, rows]).max(axis=(1, 2)) / np.abs(spectra).max(axis=(1, 2))).max())
    if not odd <= EVEN_TOLERANCE:
        raise EngineError(f"the beam model's kernels are not even ({odd:.1e} of their maximum)")
    return spectra
