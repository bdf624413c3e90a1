"""How a patient of the day differs from the reference, as one-to-one maps in closed form.

Each step takes points of today (n, 3), x, y, z in LPS mm, one step nearer to the reference; a motion is their
composition. Every step is one-to-one by construction (its docstring says why), so their composition is, and its
Jacobian is positive everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.builtin.deformation import Deformation
from appliance.builtin.shapes import Point
from engines.grid import Grid
from engines.registration import RigidTransform

Points = NDArray[np.float64]


class Step(Protocol):
    def __call__(self, points_mm: Points) -> Points: ...


@dataclass(frozen=True)
class Bumps:
    """A shift and Gaussian bumps. One-to-one where `deformation.steepness` is below 1 (deformation.py)."""

    deformation: Deformation

    def __call__(self, points_mm: Points) -> Points:
        shifted = self.deformation.to_reference(points_mm[:, 0], points_mm[:, 1], points_mm[:, 2])
        return np.stack(shifted, axis=1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class SetUp:
    """A rigid motion."""

    to_reference: RigidTransform

    def __call__(self, points_mm: Points) -> Points:
        return self.to_reference.apply(points_mm)


@dataclass(frozen=True)
class WeightLoss:
    """Around an axis along z the body is thinner: r_reference = r (1 + s(z) (1 - exp(-r^2 / radius^2))), with
    s = strength below z_mm and falling to none over fade_mm above it (the skull does not slim).

    r_reference grows with r for any strength >= 0 and z stays, so the map is one-to-one. A section loses
    1 - 1 / (1 + s g)^2 of its area, g the bracket's value at the outline."""

    axis_xy_mm: tuple[float, float]
    radius_mm: float
    strength: float
    z_mm: float
    fade_mm: float = 60.0

    def __call__(self, points_mm: Points) -> Points:
        from_axis = points_mm[:, :2] - np.asarray(self.axis_xy_mm)
        inside = 1.0 - np.exp(-np.square(from_axis).sum(axis=1) / self.radius_mm**2)
        slim = self.strength * (1.0 - _smooth_step((points_mm[:, 2] - self.z_mm) / self.fade_mm))
        out = points_mm.copy()
        out[:, :2] += from_axis * (slim * inside)[:, None]
        return out


@dataclass(frozen=True)
class Shrinkage:
    """Everything around a centre is drawn in: r_reference = r (1 + strength exp(-q^2 / 2)), q = r in units of the
    half axes. Along each ray it grows with r as long as strength < exp(3/2) / 2 = 2.24."""

    centre_mm: Point
    half_axes_mm: Point
    strength: float

    def __call__(self, points_mm: Points) -> Points:
        from_centre = points_mm - np.asarray(self.centre_mm)
        weight = np.exp(-0.5 * np.square(from_centre / np.asarray(self.half_axes_mm)).sum(axis=1))
        return np.asarray(points_mm + self.strength * weight[:, None] * from_centre, np.float64)


@dataclass(frozen=True)
class Flexion:
    """The head nods: planes above pivot turn about the left-right axis through the pivot (y, z), by an angle that
    grows from 0 at the pivot's height to angle_deg over length_mm.

    Turning by an angle that depends on z alone has the determinant 1 + (dangle/dz)(y' - y_pivot), y' the turned y:
    positive while 1.5 angle / length times the distance from the pivot stays below 1 (300 mm for 8 degrees over
    80 mm)."""

    pivot_yz_mm: tuple[float, float]
    angle_deg: float
    length_mm: float = 80.0

    def __call__(self, points_mm: Points) -> Points:
        y, z = points_mm[:, 1] - self.pivot_yz_mm[0], points_mm[:, 2] - self.pivot_yz_mm[1]
        angle = np.radians(self.angle_deg) * _smooth_step(z / self.length_mm)
        out = points_mm.copy()
        out[:, 1] = self.pivot_yz_mm[0] + np.cos(angle) * y - np.sin(angle) * z
        out[:, 2] = self.pivot_yz_mm[1] + np.sin(angle) * y + np.cos(angle) * z
        return out


def _smooth_step(t: Points) -> Points:
    """0 below 0, 1 above 1, 3 t^2 - 2 t^3 between."""
    t = np.clip(t, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float64)


@dataclass(frozen=True)
class Motion:
    """Steps from today to the reference, the first taken first."""

    steps: tuple[Step, ...] = ()

    def apply(self, points_mm: NDArray[np.floating]) -> Points:
        """Points (..., 3) of today in the reference's frame."""
        points = np.asarray(points_mm, np.float64)
        moved = points.reshape(-1, 3)
        for step in self.steps:
            moved = step(moved)
        return moved.reshape(points.shape)

    def field_mm(self, grid: Grid) -> NDArray[np.float32]:
        """u at the voxel centres: (z, y, x, 3), x, y, z in mm."""
        field = np.empty((*grid.shape, 3), np.float32)
        for plane, points in enumerate(planes_mm(grid)):
            field[plane] = self.apply(points) - points
        return field

    def jacobian(self, points_mm: NDArray[np.floating], step_mm: float = 0.05) -> Points:
        """Determinant (n,) at points (n, 3), by central differences of the closed form."""
        columns = []
        for axis in range(3):
            offset = np.zeros(3)
            offset[axis] = step_mm
            columns.append((self.apply(points_mm + offset) - self.apply(points_mm - offset)) / (2 * step_mm))
        return np.asarray(np.linalg.det(np.stack(columns, axis=-1)), np.float64)


def planes_mm(grid: Grid) -> list[Points]:
    """Voxel centres (y, x, 3) of each slice."""
    x_mm, y_mm, z_mm = grid.axes_mm()
    planes = []
    for height_mm in z_mm:
        points = np.empty((y_mm.size, x_mm.size, 3))
        points[..., 0], points[..., 1], points[..., 2] = x_mm[None, :], y_mm[:, None], height_mm
        planes.append(points)
    return planes


def strength_leaving(volume_share: float) -> float:
    """Strength of a Shrinkage around an ellipsoid of its own half axes that leaves it this share of its volume: its
    surface r_today = volume_share^(1/3) must be taken to r = 1."""
    today = volume_share ** (1.0 / 3.0)
    return float((1.0 / today - 1.0) * np.exp(0.5 * today * today))
