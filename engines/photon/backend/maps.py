"""Fluence to kernel maps and back on the device: the launches of kernels/transform.cuh, made once and run again."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from engines.photon.backend.device import Buffer, Device, filled
from engines.photon.backend.hartley import hartley_matrix, real_spectra
from engines.photon.backend.parameters import Launch, blocks, pack
from engines.photon.beam_model import BeamModel
from engines.photon.convolution import INTERLEAVE, head_scatter, in_air_profile
from engines.photon.raster import Raster

TILE = 64
"""Rows and columns of the product that one block of `multiply` makes (kTile of transform.cuh)."""
KERNELS = 3
FLOAT = 4


class DeviceMaps:
    """The linear operator of convolution.KernelMaps, resident on a device, but for head scatter: whoever uploads
    fluence passes it through `head`, where that is not None, and its gradient back.

    fluence (beams, nv, nu) float32 is where `forward` reads and `adjoint` writes; maps (beams, nv, nu, 4) is where
    `forward` writes; planes (beams, 3, nv, nu) is where `adjoint` reads the gradient of the maps. All launches are made
    here, because no address changes afterwards. Made inside Device.run."""

    def __init__(self, device: Device, model: BeamModel, raster: Raster, ssd_mm: tuple[float, ...]) -> None:
        self.beams, self.raster = len(ssd_mm), raster
        self.head = head_scatter(model, raster)
        self._pixels = raster.nu * raster.nv
        plane = FLOAT * self.beams * self._pixels
        self.fluence = Buffer(device, plane)
        self.planes = Buffer(device, KERNELS * plane)
        self._other = Buffer(device, KERNELS * plane)
        self.maps = Buffer(device, INTERLEAVE * plane)
        device.clear(self.maps.address, self.maps.nbytes)
        tables = sorted({model.kernels_at(ssd).ssd_mm for ssd in ssd_mm})
        which = np.array([tables.index(model.kernels_at(ssd).ssd_mm) for ssd in ssd_mm], np.int32)
        self._table = filled(device, which)
        self._spectra = filled(device, np.stack([real_spectra(model, ssd, raster) for ssd in tables]))
        self._profile = filled(device, in_air_profile(model, raster))
        self._along_u = filled(device, hartley_matrix(raster.nu))
        self._along_v = self._along_u if raster.nv == raster.nu else filled(device, hartley_matrix(raster.nv))

    @staticmethod
    def bytes_needed(raster: Raster, beams: int, tables: int) -> int:
        """Device memory of one of these."""
        pixels = raster.nu * raster.nv
        return FLOAT * (
            pixels * (beams * (1 + 2 * KERNELS + INTERLEAVE) + 3 * tables + 1) + raster.nu**2 + raster.nv**2
        )

    @cached_property
    def forward(self) -> tuple[Launch, ...]:
        """Fluence to maps."""
        a, b = self.planes.address, self._other.address
        count = KERNELS * self.beams
        return (
            self._weigh("weigh", self.fluence.address, a),
            self._times_u(a, b, self.beams),
            self._times_v(b, a, self.beams),
            self._weigh("spread", a, b),
            self._times_u(b, a, count),
            self._times_v(a, self.maps.address, count, scale=self._inverse, channels=KERNELS, step=INTERLEAVE),
        )

    @cached_property
    def adjoint(self) -> tuple[Launch, ...]:
        """Gradient of the maps, in planes, to gradient of the fluence. The operator without its profile is symmetric,
        so this is the same chain read backwards."""
        a, b = self.planes.address, self._other.address
        count = KERNELS * self.beams
        return (
            self._times_u(a, b, count),
            self._times_v(b, a, count),
            self._weigh("combine", a, b),
            self._times_u(b, a, self.beams),
            self._times_v(a, b, self.beams, scale=self._inverse),
            self._weigh("weigh", b, self.fluence.address),
        )

    @property
    def _inverse(self) -> float:
        return 1.0 / self._pixels

    def _times_u(self, source: int, target: int, images: int) -> Launch:
        """Every row of every image times the matrix along u: one tall product."""
        return _multiply(
            source, self._along_u.address, target,
            rows=images * self.raster.nv, inner=self.raster.nu, columns=self.raster.nu,
        )  # fmt: skip

    def _times_v(
        self, source: int, target: int, images: int, *, scale: float = 1.0, channels: int = 1, step: int = 1
    ) -> Launch:
        """The matrix along v times every image; `channels` images are interleaved in the target, `step` apart."""
        return _multiply(
            self._along_v.address, source, target,
            rows=self.raster.nv, inner=self.raster.nv, columns=self.raster.nu, images=images, b_batch=self._pixels,
            c_batch=step * self._pixels, channels=channels, c_channel=int(channels > 1), c_step=step, scale=scale,
        )  # fmt: skip

    def _weigh(self, kernel: str, source: int, target: int) -> Launch:
        factor = self._profile if kernel == "weigh" else self._spectra
        fields = {
            "in": source, "factor": factor.address, "table": self._table.address, "out": target,
            "pixels": self._pixels, "beam_count": self.beams,
        }  # fmt: skip
        return Launch(kernel, (blocks(self._pixels), self.beams, 1), pack(kernel, **fields))


def _multiply(a: int, b: int, c: int, *, images: int = 1, **fields: float) -> Launch:
    """c = a b. fields: rows, inner, columns, and what differs from the defaults below."""
    every = {
        "a_batch": 0, "b_batch": 0, "c_batch": 0, "channels": 1, "c_channel": 0, "c_step": 1, "scale": 1.0, **fields,
    }  # fmt: skip
    grid = (-(-int(every["rows"]) // TILE), -(-int(every["columns"]) // TILE), images)
    return Launch("multiply", grid, pack("multiply", a=a, b=b, c=c, **every))
