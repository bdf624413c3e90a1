"""Bodies with texture, and days of them with known truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from appliance.builtin.daily import AIR_HU, Anatomy, today_of, with_noise
from appliance.builtin.daily_motion import Motion
from engines.grid import Grid
from engines.overlap import dice
from engines.registration import DisplacementField, Scan

GRID = Grid((-78.75, -63.75, -61.5), (2.5, 2.5, 3.0), (42, 52, 64))


def textured_body(grid: Grid = GRID, seed: int = 7) -> Anatomy:
    """An elliptic trunk of fat and muscle in lumps of some 12 mm, with a bone along it, an organ and a target."""
    x, y, z = grid.axes_mm()
    x, y, z = x[None, None, :], y[None, :, None], z[:, None, None]
    body = np.broadcast_to((x / 66) ** 2 + (y / 50) ** 2 < 1, grid.shape).copy()
    lumps = gaussian_filter(np.random.default_rng(seed).standard_normal(grid.shape, np.float32), 2.0)
    hu = np.where(lumps > 0, 50.0, -90.0) + 15 * lumps / lumps.std()
    masks = {
        "External": body,
        "Bone": np.broadcast_to(np.hypot(x, y - 30) < 9, grid.shape).copy(),
        "Parotid_L": ((x - 38) / 12) ** 2 + (y / 15) ** 2 + ((z - 5) / 20) ** 2 < 1,
        "PTV": ((x + 15) / 20) ** 2 + ((y + 10) / 18) ** 2 + (z / 24) ** 2 < 1,
    }
    for name, value in (("Bone", 500.0), ("Parotid_L", -20.0), ("PTV", 70.0)):
        hu = np.where(masks[name], value + 0.2 * hu, hu)
    return Anatomy(grid, np.where(body, hu, AIR_HU).astype(np.float32), masks)


@dataclass(frozen=True, eq=False)
class Day:
    reference: Anatomy
    today: Anatomy
    motion: Motion
    fixed: Scan
    moving: Scan

    def errors_mm(self, field: DisplacementField, within: np.ndarray | None = None) -> np.ndarray:
        """Of the voxels of today's body that the reference shows, or of those of a mask."""
        grid, own = self.today.grid, self.reference.grid
        inside = self.today.masks["External"] if within is None else within
        points = grid.centres_mm(np.flatnonzero(inside)).astype(np.float64)
        there = self.motion.apply(points)
        index = (there - np.asarray(own.origin_mm)) / np.asarray(own.spacing_mm)
        known = np.all((index >= 0) & (index <= np.asarray(own.shape[::-1]) - 1), axis=1)
        return np.linalg.norm(field.apply(points) - there, axis=1)[known]

    def dice(self, field: DisplacementField, name: str) -> float:
        """Of the reference's structure carried by the field and by the truth, partial voxels counted as such."""
        grid, own = self.today.grid, self.reference.grid
        truth = DisplacementField(grid, self.motion.field_mm(grid))
        mask = self.reference.masks[name].astype(np.float32)
        return dice(field.pulled(mask, own, grid, outside=0), truth.pulled(mask, own, grid, outside=0))


def day_of(reference: Anatomy, motion: Motion, noise_hu: float = 20.0) -> Day:
    """On a grid shifted by 0.4 voxels, so that no voxel is read unchanged."""
    own = reference.grid
    x, y, z = (first + 0.4 * step for first, step in zip(own.origin_mm, own.spacing_mm, strict=True))
    today = today_of(reference, motion, Grid((x, y, z), own.spacing_mm, own.shape))
    body = today.masks["External"]
    hu = np.where(body, with_noise(today.hu, noise_hu, 1), AIR_HU)
    return Day(
        reference, today, motion, Scan(hu, today.grid, body), Scan(reference.hu, own, reference.masks["External"])
    )


def scan_with(day: Day, hu: np.ndarray) -> Scan:
    """Today as another image shows it; NaN is kept."""
    body = day.today.masks["External"]
    return Scan(np.where(body | np.isnan(hu), hu, AIR_HU), day.today.grid, body & np.isfinite(hu))
