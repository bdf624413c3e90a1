"""Fluence to kernel maps: three exact 2-D convolutions a beam, and their transpose."""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from engines.errors import EngineError
from engines.photon.beam_model import BeamModel
from engines.photon.head_scatter import HeadScatter
from engines.photon.raster import Raster

SAMPLE_MM = 0.5
"""Pitch on which the radial kernels are laid out before they are averaged over pixels: that of the tables in use."""

INTERLEAVE = 4
TOGETHER = 1 << 17
"""Map values that are transformed in one call (chosen: half a megabyte stays in the second-level cache; one call for
each beam of a small raster takes longer than its transforms)."""


def _threads() -> int:
    """Those of the processors given to this process, or as few as OMP_NUM_THREADS allows."""
    given, allowed = len(os.sched_getaffinity(0)), os.environ.get("OMP_NUM_THREADS", "")
    return min(given, int(allowed)) if allowed.isdigit() and int(allowed) > 0 else given


THREADS = _threads()


@lru_cache(maxsize=12)
def _spectrum(model: BeamModel, table_ssd_mm: float) -> NDArray[np.float32]:
    """Cosine transform (3, half + 1, half + 1) of a table of kernels laid out on SAMPLE_MM. Kernels are even in u and
    v: a quarter of the plane is all of it. Kept in float32: 2 MB a table."""
    kernels = model.kernels_at(table_ssd_mm)
    axis = np.arange(_half(model) + 1) * SAMPLE_MM
    radius = np.hypot(axis[:, None], axis[None, :])
    laid_out = np.stack([np.interp(radius, kernels.radius_mm, values, right=0.0) for values in kernels.values])
    return fft.dctn(laid_out, type=1, axes=(1, 2), overwrite_x=True).astype(np.float32)


def _half(model: BeamModel) -> int:
    """Samples from the axis to where penumbra and kernels have ended."""
    reach = float(model.kernels[0].radius_mm[-1])
    return fft.next_fast_len(int(np.ceil((reach + 4 * model.penumbra_fwhm_mm) / SAMPLE_MM)), real=True)


def _pixel_kernels(model: BeamModel, table_ssd_mm: float, pitch_mm: float) -> NDArray[np.float64]:
    """Kernels (3, r + 1, r + 1) for pixel-wise constant fluence: (penumbra * w_i) integrated over one pixel, at offsets
    of whole pixels >= 0. The pixel average is taken in the frequency domain, so it is exact for any pitch."""
    half, sigma = _half(model), model.penumbra_fwhm_mm / (2.0 * np.sqrt(2.0 * np.log(2.0)))
    f = np.arange(half + 1) / (2 * half * SAMPLE_MM)
    smooth = np.exp(-2.0 * (np.pi * sigma * f) ** 2) * np.sinc(f * pitch_mm)
    # Linear interpolation between nodes adds pitch^2/12 of the second derivative on average; taken off here, the maps
    # are unbiased between nodes and the largest error in the penumbra falls by a third.
    smooth *= 1.0 + (2 * np.pi * pitch_mm * f) ** 2 / 12
    fine = fft.idctn(_spectrum(model, table_ssd_mm) * (smooth[:, None] * smooth), type=1, axes=(1, 2), overwrite_x=True)
    count = int(np.floor(float(model.kernels[0].radius_mm[-1]) / pitch_mm)) + 1
    where = np.arange(count, dtype=np.float64) * pitch_mm
    return _sample(fine, where) * (pitch_mm**2)


def _sample(fine: NDArray[np.float64], where_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bilinear values (3, n, n) of smooth fine maps at where x where; exact where the pitch is a multiple of
    SAMPLE_MM."""
    position = where_mm / SAMPLE_MM
    low = np.clip(np.floor(position + 1e-9).astype(int), 0, fine.shape[1] - 2)
    t = position - low
    if np.all(t < 1e-9):
        return fine[:, low[:, None], low]
    rows = fine[:, low] * (1 - t)[:, None] + fine[:, low + 1] * t[:, None]
    return np.asarray(rows[:, :, low] * (1 - t) + rows[:, :, low + 1] * t)


@lru_cache(maxsize=16)
def _transfer(model: BeamModel, table_ssd_mm: float, pitch_mm: float, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Transfer functions (3, nv, nu/2+1) of the three kernels on a cyclic raster; real, because kernels are even."""
    quarter = _pixel_kernels(model, table_ssd_mm, pitch_mm)
    nv, nu = shape
    cyclic = np.zeros((3, nv, nu))
    # Offsets beyond the raster cannot occur between a point and the field (see raster_for); they are left out.
    reach_v, reach_u = min(quarter.shape[1], (nv + 1) // 2), min(quarter.shape[2], (nu + 1) // 2)
    cyclic[:, :reach_v, :reach_u] = quarter[:, :reach_v, :reach_u]
    cyclic[:, nv - reach_v + 1 :] = cyclic[:, reach_v - 1 : 0 : -1]
    cyclic[:, :, nu - reach_u + 1 :] = cyclic[:, :, reach_u - 1 : 0 : -1]
    return np.ascontiguousarray(fft.rfft2(cyclic).real, np.float32)


def transfer_functions(model: BeamModel, ssd_mm: float, raster: Raster) -> NDArray[np.float32]:
    """Real transfer functions (3, nv, nu/2+1) of the kernel table nearest to a source-surface distance."""
    return _transfer(model, model.kernels_at(ssd_mm).ssd_mm, raster.pitch_mm, (raster.nv, raster.nu))


def in_air_profile(model: BeamModel, raster: Raster) -> NDArray[np.float32]:
    """In-air fluence relative to the axis at every node, (nv, nu)."""
    radius = np.hypot(raster.v_mm[:, None], raster.u_mm[None, :])
    return np.interp(radius, model.profile_radius_mm, model.profile_relative).astype(np.float32)


def head_scatter(model: BeamModel, raster: Raster) -> HeadScatter | None:
    """What adds the extra-focal source of a model to fluence on a raster; None for a model without one."""
    if model.extra_focal is None:
        return None
    return HeadScatter(model.extra_focal, raster, model.sad_mm, in_air_profile(model, raster))


class KernelMaps:
    """Linear operator from fluence (beams, nv, nu) to interleaved kernel maps (beams, nv, nu, 4), float32.

    ssd_mm: source-surface distance of each beam's axis; chooses its kernel table. In-air profile and head scatter of
    the beam model are part of the operator. The fourth channel is a pad and stays zero.
    """

    def __init__(self, model: BeamModel, raster: Raster, ssd_mm: tuple[float, ...], *, threads: int = THREADS) -> None:
        self.model, self.raster, self.threads = model, raster, threads
        shape = (raster.nv, raster.nu)
        tables = [model.kernels_at(s).ssd_mm for s in ssd_mm]
        self._transfer = [_transfer(model, s, raster.pitch_mm, shape) for s in tables]
        many = max(1, TOGETHER // (3 * raster.nv * raster.nu))
        self._groups = [slice(first, first + many) for first in range(0, len(tables), many)]
        self._profile = in_air_profile(model, raster)
        self._head = head_scatter(model, raster)

    def forward(self, fluence: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        self._check(fluence)
        maps = np.zeros((*fluence.shape, INTERLEAVE), np.float32) if out is None else out
        seen = self._head.add(fluence) if self._head else fluence
        spectra = fft.rfft2(seen * self._profile, workers=self.threads)
        size = fluence.shape[1:]
        for group in self._groups:
            products = np.stack([s * t for s, t in zip(spectra[group], self._transfer[group], strict=True)])
            values = fft.irfft2(products, s=size, workers=self.threads, overwrite_x=True)
            for i in range(3):
                maps[group, :, :, i] = values[:, i]
        return maps

    def adjoint(self, map_gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        """Exact transpose: gradient of the maps (beams, nv, nu, 4) to gradient of the fluence (beams, nv, nu)."""
        beams, nv, nu = map_gradient.shape[:3]
        spectra = np.empty((beams, nv, nu // 2 + 1), np.complex64)
        for group in self._groups:
            channels = np.ascontiguousarray(np.moveaxis(map_gradient[group, :, :, :3], 3, 1))
            found = fft.rfft2(channels, workers=self.threads)
            for spectrum, transfer, out in zip(found, self._transfer[group], spectra[group], strict=True):
                np.einsum("ivu,ivu->vu", spectrum, transfer, out=out)
        seen = np.asarray(fft.irfft2(spectra, s=(nv, nu), workers=self.threads) * self._profile, np.float32)
        return self._head.transposed(seen) if self._head else seen

    def _check(self, fluence: NDArray[np.float32]) -> None:
        if fluence.shape != (len(self._transfer), self.raster.nv, self.raster.nu):
            raise EngineError(
                f"fluence must be ({len(self._transfer)}, {self.raster.nv}, {self.raster.nu}), got {fluence.shape}"
            )
