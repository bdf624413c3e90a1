"""What nine beams can do to a patient: a small linear dose model, D = sum of (kernel * fluence) attenuation.

The plans of OpenKBP have nine coplanar 6 MV beams at 0, 40, ... 320 degrees (Babier et al., Med Phys 48:5549, 2021).
The model here is meant as an input of the network, which corrects it, not as a dose calculation: exponential
attenuation, inverse square, build-up, a narrow and a wide Gaussian in the fluence plane. The isocentre is taken to be
the centre of all targets; depth is counted inside `possible_dose_mask`, which every patient has, with or without CT.

Axes: 0 towards posterior, 1 towards left, 2 towards inferior; mm. A gantry angle t looks from (-cos t, sin t, 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

GANTRY_DEG = tuple(40.0 * n for n in range(9))
SAD_MM = 1000.0
PIXEL_MM, PIXELS = 5.0, 80
"""Of a fluence map at the isocentre: beamlets of 5 mm as in the challenge's plans; 400 mm wide."""
DEPTH_STEP_MM, DEPTH_STEPS, DEPTH_PIXELS = 5.0, 128, 40
ATTENUATION_PER_MM, BUILDUP_PER_MM = 0.0045, 0.25
"""Chosen: broad 6 MV beams lose some 0.4 to 0.5 % a mm and reach their maximum at about 15 mm."""
NARROW_MM, WIDE_MM, WIDE_SHARE = 3.0, 22.0, 0.12
"""Chosen: fitted by eye to the reference doses' penumbrae and shoulders."""


@dataclass(frozen=True, eq=False)
class BeamGeometry:
    """Of n points under the nine beams. place (9, n, 2): position in the fluence map as grid_sample takes it (-1 ... 1;
    u, w). weight (9, n): dose per fluence. indices (n,) of the points in the flattened patient."""

    place: Tensor
    weight: Tensor
    indices: Tensor


def points_mm(shape: tuple[int, int, int], spacing: tuple[float, float, float], indices: Tensor) -> Tensor:
    """(n, 3) of flat indices, from the first voxel's centre."""
    a, rest = indices // (shape[1] * shape[2]), indices % (shape[1] * shape[2])
    index = torch.stack([a, rest // shape[2], rest % shape[2]], 1).float()
    return index * torch.tensor(spacing, device=indices.device)


def geometry(body: Tensor, spacing: tuple[float, float, float], isocentre_mm: Tensor, indices: Tensor) -> BeamGeometry:
    """body (z, y, x) of 0 and 1; isocentre (3,) from the first voxel's centre."""
    at = points_mm(tuple(body.shape), spacing, indices) - isocentre_mm  # type: ignore[arg-type]
    angle = torch.tensor(GANTRY_DEG, device=body.device) * (math.pi / 180)
    towards = torch.stack([-angle.cos(), angle.sin()], 1)  # (9, 2): from the isocentre to the source
    across = torch.stack([angle.sin(), angle.cos()], 1)
    s, u = towards @ at[:, :2].T, across @ at[:, :2].T
    magnified = SAD_MM / (SAD_MM - s)
    u, w = u * magnified, at[:, 2] * magnified
    half = PIXEL_MM * PIXELS / 2
    place = torch.stack([u, w], 2) / half
    depth = _depth_mm(body, spacing, isocentre_mm, (towards, across), torch.stack([s, u, w], 2))
    weight = (-ATTENUATION_PER_MM * depth).exp() * (1 - (-BUILDUP_PER_MM * (depth + 2.0)).exp()) * magnified**2
    return BeamGeometry(place, weight, indices)


def _depth_mm(
    body: Tensor, spacing: tuple[float, float, float], isocentre_mm: Tensor, axes: tuple[Tensor, Tensor], suw: Tensor
) -> Tensor:
    """(9, n): path inside the body from the source to points (9, n, 3) of (s, u, w at the isocentre)."""
    device, half = body.device, PIXEL_MM * PIXELS / 2
    s = DEPTH_STEP_MM * (DEPTH_STEPS / 2 - 0.5 - torch.arange(DEPTH_STEPS, device=device))  # source side first
    lateral = half * ((torch.arange(DEPTH_PIXELS, device=device) + 0.5) * 2 / DEPTH_PIXELS - 1)
    shape = torch.tensor(body.shape, device=device)
    found = []
    for towards, across, where in zip(*axes, suw, strict=True):
        scale = (SAD_MM - s) / SAD_MM
        u, w = lateral[None, :] * scale[:, None], lateral[None, :] * scale[:, None]
        first = towards[0] * s[:, None] + across[0] * u
        second = towards[1] * s[:, None] + across[1] * u
        grid = torch.stack(
            [torch.broadcast_to(t, (DEPTH_STEPS, DEPTH_PIXELS, DEPTH_PIXELS))
             for t in (first[:, None, :], second[:, None, :], w[:, :, None])], -1
        )  # fmt: skip
        place = (grid + isocentre_mm) / torch.tensor(spacing, device=device)
        place = (2 * place + 1) / shape - 1
        inside = functional.grid_sample(body[None, None], place.flip(-1)[None], align_corners=False)[0, 0]
        path = DEPTH_STEP_MM * (inside.cumsum(0) - 0.5 * inside)
        extent = torch.tensor([half, half, DEPTH_STEP_MM * DEPTH_STEPS / 2], device=device)
        here = torch.stack([where[:, 1], where[:, 2], -where[:, 0]], 1) / extent
        told = functional.grid_sample(
            path[None, None], here[None, None, None], align_corners=False, padding_mode="border"
        )
        found.append(told[0, 0, 0, 0])
    return torch.stack(found)


def spread(fluence: Tensor) -> Tensor:
    """Fluence maps (..., w, u) with the beam's narrow and wide Gaussian; beyond their edge there is none."""
    narrow, wide = (_gaussian(sigma, fluence.device) for sigma in (NARROW_MM, WIDE_MM))
    return (1 - WIDE_SHARE) * (narrow @ fluence @ narrow) + WIDE_SHARE * (wide @ fluence @ wide)


@lru_cache(maxsize=8)
def _gaussian(sigma_mm: float, device: torch.device) -> Tensor:
    """(PIXELS, PIXELS), symmetric: what each pixel gives to each other along one axis."""
    apart = torch.arange(PIXELS, device=device, dtype=torch.float32)
    apart = (apart[:, None] - apart[None, :]) * PIXEL_MM
    reach = torch.arange(-PIXELS, PIXELS + 1, device=device, dtype=torch.float32) * PIXEL_MM
    kernel = (-0.5 * (apart / sigma_mm) ** 2).exp() / (-0.5 * (reach / sigma_mm) ** 2).exp().sum()
    return torch.where(apart.abs() <= 3 * sigma_mm + PIXEL_MM, kernel, 0.0)


def dose(fluence: Tensor, beams: BeamGeometry) -> Tensor:
    """(n,) of fluence (9, w, u)."""
    return beam_doses(fluence, beams).sum(0)


def beam_doses(fluence: Tensor, beams: BeamGeometry) -> Tensor:
    """(9, n): each beam's."""
    sampled = functional.grid_sample(spread(fluence)[:, None], beams.place[:, :, None], align_corners=False)
    return sampled[:, 0, :, 0] * beams.weight


def shadow(target: Tensor, beams: BeamGeometry) -> Tensor:
    """Open fields (9, w, u) of 0 and 1 that cover a target, given for the points (n,) of `beams`: every pixel that a
    target point falls into, and its neighbours, so that sampling leaves no holes."""
    column = ((beams.place + 1) * (PIXELS / 2)).long()
    inside = ((column >= 0) & (column < PIXELS)).all(2) & target
    flat = (column[..., 1] * PIXELS + column[..., 0]).clamp(0, PIXELS * PIXELS - 1)
    maps = torch.zeros(len(beams.weight), PIXELS * PIXELS, device=beams.weight.device)
    maps.scatter_reduce_(1, flat, inside.float(), "amax")
    return functional.max_pool2d(maps.view(-1, 1, PIXELS, PIXELS), 3, 1, 1)[:, 0]
