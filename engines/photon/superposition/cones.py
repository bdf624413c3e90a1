"""Cone directions and how much of each beam's kernel goes into each cone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engines.photon.superposition.model import TERMS, ExponentialKernel

Array = NDArray[np.float64]

DEGREE, SCATTER_DEGREE = 17, 29
"""Of the Lebedev rules that give the directions of primary and scatter: 110 and 302, exact for angular polynomials of
these degrees (Lebedev and Laikov, Doklady Mathematics 59:477, 1999). Scatter goes so far that single cones show deep
beside a field (docs/superposition.md, with the error against exact integration)."""
TURN_DEG = (11.0, 7.0, 17.0)
"""The rule is turned about x, y and z (chosen: as published it has a cone along each axis of the grid and others in
symmetry around it, whose errors add up on the axes of beams
from 0, 90, 180 and 270 degrees: up to 3.6 % deep in water, turned
0.7 %)."""
SMOOTHING_DEG = 5.0
"""Kernels are averaged over this angle around each polar angle: about one bin of the Monte Carlo tables, whose bins
near the axis hold few histories (chosen; 2 and 5 degrees differ by 0.4 %)."""
TABLE_STEP_DEG = 0.5
CAP_RINGS, CAP_SPOKES = 12, 24


@dataclass(frozen=True, eq=False)
class Cones:
    """directions (n, 3): unit vectors along x, y, z (LPS); solid_angles (n,) in steradian, adding up to 4 pi."""

    directions: Array
    solid_angles: Array


@lru_cache(maxsize=8)
def cones(degree: int) -> Cones:
    from scipy.integrate import lebedev_rule  # here, because both take most of a second to load
    from scipy.spatial.transform import Rotation

    directions, weights = lebedev_rule(degree)
    turn = Rotation.from_euler("xyz", TURN_DEG, degrees=True).as_matrix()
    return Cones(np.ascontiguousarray((turn @ directions).T), weights)


@lru_cache(maxsize=8)
def smoothed(kernel: ExponentialKernel, half_angle_deg: float) -> Array:
    """The kernel's terms per steradian averaged over a cone of `half_angle_deg` around each polar angle (step
    TABLE_STEP_DEG from 0 to 180): (2, angles, TERMS), primary and scatter."""
    polar = np.deg2rad(np.arange(0.0, 180.0 + TABLE_STEP_DEG / 2, TABLE_STEP_DEG))
    # Rings of equal solid angle in the cone, about the pole, and their polar angles once the pole is tilted to `polar`.
    cosine = 1 - (np.arange(CAP_RINGS) + 0.5) / CAP_RINGS * (1 - np.cos(np.deg2rad(half_angle_deg)))
    spokes = 2 * np.pi * (np.arange(CAP_SPOKES) + 0.5) / CAP_SPOKES
    across = np.sqrt(1 - cosine**2)[None, :, None] * np.cos(spokes)
    tilted = np.cos(polar)[:, None, None] * cosine[None, :, None] + np.sin(polar)[:, None, None] * across
    angles = np.rad2deg(np.arccos(np.clip(tilted, -1, 1)))
    edges = kernel.polar_edges_deg
    bins = np.clip(np.searchsorted(edges, angles, side="right") - 1, 0, edges.size - 2)
    per_sr = 1.0 / (2 * np.pi * -np.diff(np.cos(np.deg2rad(edges))))
    return np.stack([(part * per_sr[:, None])[bins].mean(axis=(1, 2)) for part in (kernel.primary, kernel.scatter)])


def cone_weights(kernel: ExponentialKernel, part: int, chosen: Cones, rays: Array) -> NDArray[np.float32]:
    """What `transport` takes, (cones, groups, CONE_WEIGHTS), of the kernel's primary (part 0) or scatter (1), for
    groups of beams with sample rays (groups, samples, 3) - unit vectors from the source to where energy is released.
    Each cone's share of each term is a quadratic of the cosine between ray and cone, fitted over the rays; before, what
    all cones together lack of each term's energy along a ray, or have too much, is shared out to them in proportion,
    so that energy is conserved."""
    table = smoothed(kernel, SMOOTHING_DEG)[part]
    cosine = np.einsum("cx,gsx->cgs", chosen.directions, rays)
    position = np.rad2deg(np.arccos(np.clip(cosine, -1, 1))) / TABLE_STEP_DEG
    low = np.minimum(position.astype(int), table.shape[0] - 2)
    t = (position - low)[..., None]
    shares = (table[low] * (1 - t) + table[low + 1] * t) * chosen.solid_angles[:, None, None, None]
    size = np.abs(shares)
    wanted = (kernel.primary, kernel.scatter)[part].sum(axis=0)
    shares += (wanted - shares.sum(axis=0, keepdims=True)) * size / size.sum(axis=0, keepdims=True)
    centre = cosine.mean(axis=2)
    apart = cosine - centre[..., None]
    powers = np.stack([np.ones_like(apart), apart, apart**2], axis=-1)
    fitted = np.einsum("cgps,cgst->cgtp", np.linalg.pinv(powers, rcond=1e-6), shares)
    head = np.stack([centre, apart.min(axis=2), apart.max(axis=2)], axis=-1)
    out = np.concatenate([head, fitted.reshape(*centre.shape, TERMS * 3)], axis=-1)
    return np.ascontiguousarray(out, np.float32)
