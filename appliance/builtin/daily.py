"""Images of the day with known truth: a reference image read through a motion in closed form (daily_motion.py), with
the noise, artefacts and changes of density that a registration must bear, and the mix-ups that it must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter

from appliance.builtin.daily_motion import Motion, planes_mm
from appliance.builtin.shapes import Point
from engines.grid import Grid

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

AIR_HU = -1000.0
BODY_HU = -400.0
"""Between air and tissue: what the pulled image shows above it is the body."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """hu (z, y, x), air outside the body; masks by name, External among them."""

    grid: Grid
    hu: Image
    masks: dict[str, Mask]


def today_of(reference: Anatomy, motion: Motion, grid: Grid) -> Anatomy:
    """The reference as the motion shows it on `grid`: cubic in the image, half a voxel's share in the masks. Beyond the
    reference's image there is air."""
    smooth = spline_filter(reference.hu.astype(np.float64), order=3).astype(np.float32)
    image = np.full(grid.shape, AIR_HU, np.float32)
    shares = {name: np.zeros(grid.shape, np.bool_) for name in reference.masks}
    origin, spacing = np.asarray(reference.grid.origin_mm), np.asarray(reference.grid.spacing_mm)
    last = np.asarray(reference.grid.shape) - 1
    for plane, points in enumerate(planes_mm(grid)):
        index = np.moveaxis((motion.apply(points) - origin) / spacing, -1, 0)[::-1]
        if not np.all((index > -1) & (index < last[:, None, None] + 1), axis=0).any():
            continue
        image[plane] = map_coordinates(
            smooth, index, order=3, mode="constant", cval=AIR_HU, prefilter=False, output=np.float32
        )
        for name, mask in reference.masks.items():
            share = map_coordinates(mask.astype(np.float32), index, order=1, mode="constant", output=np.float32)
            shares[name][plane] = share >= 0.5
    return Anatomy(grid, np.where(shares["External"], np.maximum(image, AIR_HU), np.float32(AIR_HU)), shares)


def with_noise(hu: Image, sigma_hu: float, seed: int) -> Image:
    """Gaussian noise with the correlation length of half a voxel."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(hu.shape, np.float32), 0.5)
    return np.asarray(hu + noise * np.float32(sigma_hu / noise.std()), np.float32)


def with_pocket(hu: Image, grid: Grid, centre_mm: Point, radius_mm: float, pocket_hu: float) -> Image:
    """A ball of gas, or of tissue where gas was, with a rim of 3 mm: density that came without the anatomy moving."""
    out = hu.copy()
    for plane, points in enumerate(planes_mm(grid)):
        distance = np.linalg.norm(points - np.asarray(centre_mm), axis=-1) - radius_mm
        share = np.clip(0.5 - distance / 3.0, 0.0, 1.0).astype(np.float32)
        out[plane] += share * (np.float32(pocket_hu) - out[plane])
    return out


@dataclass(frozen=True)
class ConeBeam:
    """What a cone-beam CT does to an image. cupping_hu: how much darker the middle is than the skin. shading_hu: of a
    slow drift across. streaks_hu: of streaks that fan out from one point. scale: of HU about water. field_mm: radius of
    the field of view around the grid's middle, beyond which nothing is known; 0: no limit."""

    cupping_hu: float = 80.0
    shading_hu: float = 40.0
    streaks_hu: float = 40.0
    scale: float = 0.9
    offset_hu: float = 20.0
    noise_hu: float = 40.0
    field_mm: float = 0.0


def cone_beam(anatomy: Anatomy, kind: ConeBeam, seed: int) -> Image:
    """The image with the artefacts of `kind`, NaN beyond its field of view."""
    random = np.random.default_rng(seed)
    body = anatomy.masks["External"]
    x_mm, y_mm, z_mm = (axis - axis.mean() for axis in anatomy.grid.axes_mm())
    out = with_noise(anatomy.hu * np.float32(kind.scale) + np.float32(kind.offset_hu), kind.noise_hu, seed)
    reach = np.hypot(*(0.5 * np.ptp(axis) for axis in (x_mm, y_mm)))
    radius = np.hypot(x_mm[None, :], y_mm[:, None])
    phases = random.uniform(0, 2 * np.pi, 3)
    slow = np.sin(2 * np.pi * x_mm / 250 + phases[0])[None, :] + np.sin(2 * np.pi * y_mm / 250 + phases[1])[:, None]
    from_x, from_y = random.uniform(-30, 30, 2)
    angle = np.arctan2(y_mm[:, None] - from_y, x_mm[None, :] - from_x)
    for plane, height_mm in enumerate(z_mm):
        along = np.cos(2 * np.pi * height_mm / 300 + phases[2])
        added = -kind.cupping_hu * (1 - (radius / reach) ** 2) + 0.5 * kind.shading_hu * slow * along
        added += kind.streaks_hu * np.sin(23 * angle + 0.2 * height_mm) * np.exp(-0.5 * (height_mm / 40) ** 2)
        out[plane] += np.where(body[plane], added, 0.0).astype(np.float32)
        if kind.field_mm > 0:
            out[plane][radius > kind.field_mm] = np.nan
    return np.asarray(out, np.float32)


def flipped_left_right(hu: Image) -> Image:
    return np.ascontiguousarray(hu[:, :, ::-1])


def flipped_head_feet(hu: Image) -> Image:
    return np.ascontiguousarray(hu[::-1])


MIX_UPS: dict[str, Callable[[Image], Image]] = {
    "left-right flipped": flipped_left_right,
    "head-feet flipped": flipped_head_feet,
}
