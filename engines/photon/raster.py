"""The isocentre-plane raster of fluence, and apertures drawn on it with exact pixel coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from engines.errors import EngineError

LARGEST_RASTER = 4096
"""Nodes along one side; more means that the geometry is wrong (chosen: 4 m at 1 mm)."""


@dataclass(frozen=True)
class Raster:
    """Square pixels on the isocentre plane in beam limiting device coordinates: the centre of pixel (j, i) lies at
    v = v0 + j pitch (IEC Y_b), u = u0 + i pitch (IEC X_b), mm. Arrays are (v, u)."""

    u0_mm: float
    v0_mm: float
    pitch_mm: float
    nu: int
    nv: int

    @property
    def u_mm(self) -> NDArray[np.float64]:
        return self.u0_mm + self.pitch_mm * np.arange(self.nu, dtype=np.float64)

    @property
    def v_mm(self) -> NDArray[np.float64]:
        return self.v0_mm + self.pitch_mm * np.arange(self.nv, dtype=np.float64)

    def coverage(self, axis: str, low_mm: NDArray[np.floating], high_mm: NDArray[np.floating]) -> NDArray[np.float32]:
        """Share of each pixel along 'u' or 'v' covered by the intervals [low, high] (k,): array (k, pixels)."""
        centre = self.u_mm if axis == "u" else self.v_mm
        half = 0.5 * self.pitch_mm
        low = np.maximum(np.asarray(low_mm)[:, None], centre - half)
        high = np.minimum(np.asarray(high_mm)[:, None], centre + half)
        return np.asarray(np.clip(high - low, 0.0, None) / self.pitch_mm, np.float32)


def raster_for(
    points_extent_mm: tuple[float, float, float, float],
    field_extent_mm: tuple[float, float, float, float],
    pitch_mm: float,
    *,
    reach_mm: float,
    align_mm: float = 0.0,
) -> Raster:
    """A raster large enough that cyclic convolution is exact for kernels of radius `reach_mm`: it covers the field and
    all projected points within reach of it (the others get no dose), and leaves at least the reach, or the largest
    distance there is if that is less, between a point and the field's periodic image. A smaller reach than the kernels'
    cuts their tails and saves time.

    Extents are (u_min, u_max, v_min, v_max) in mm. Pixel edges fall on `align_mm`, so that leaf and beamlet borders
    coincide with pixel borders where the pitch divides them. Raises EngineError if the raster would be absurd.
    """
    starts, counts = [], []
    for low, high in ((0, 1), (2, 3)):
        points_low = max(points_extent_mm[low], field_extent_mm[low] - reach_mm)
        points_high = min(points_extent_mm[high], field_extent_mm[high] + reach_mm)
        first = min(points_low, field_extent_mm[low]) - 2 * pitch_mm
        last = max(points_high, field_extent_mm[high]) + 2 * pitch_mm
        steps = np.floor((first - align_mm) / pitch_mm)
        first = align_mm + steps * pitch_mm
        points_and_field = max(points_high - field_extent_mm[low], field_extent_mm[high] - points_low)
        length = max(last - first, points_and_field + min(reach_mm, points_and_field) + 2 * pitch_mm)
        count = next_fast_len(int(np.ceil(length / pitch_mm)) + 1, real=True)
        if count > LARGEST_RASTER:
            raise EngineError(f"fluence raster of {count} pixels: points lie too far from the beam axis")
        starts.append(first + 0.5 * pitch_mm)
        counts.append(count)
    return Raster(starts[0], starts[1], pitch_mm, counts[0], counts[1])
