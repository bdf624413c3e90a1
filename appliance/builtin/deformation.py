"""How today's anatomy differs from the reference: a set-up shift plus smooth bumps, known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.builtin.shapes import FloatArray, Point
from engines.grid import Grid


@dataclass(frozen=True)
class Bump:
    """A Gaussian displacement: amplitude_mm (x, y, z) at centre_mm, falling with standard deviation sigma_mm."""

    centre_mm: Point
    amplitude_mm: Point
    sigma_mm: float

    @property
    def steepness(self) -> float:
        """Largest change of the displacement per mm. The Gaussian falls fastest at one sigma: exp(-1/2) / sigma."""
        return float(np.linalg.norm(self.amplitude_mm)) * float(np.exp(-0.5)) / self.sigma_mm


@dataclass(frozen=True)
class Deformation:
    """Takes a point of today to the point of the reference it came from: x_reference = x_today + u(x_today), with
    u(x) = shift_mm + Σ amplitude · exp(−|x − centre|² / 2 sigma²), all in LPS mm.

    Today's solids are the reference's read through this map, so contours need no inverse. A map whose displacement
    changes by less than 1 mm a mm is one-to-one and its Jacobian is positive everywhere (Banach's fixed-point
    theorem); `steepness` is a bound of that change and is tested for every case.
    """

    shift_mm: Point = (0.0, 0.0, 0.0)
    bumps: tuple[Bump, ...] = ()

    @property
    def steepness(self) -> float:
        return sum(bump.steepness for bump in self.bumps)

    @property
    def reach_mm(self) -> float:
        """No point moves further than this along any axis."""
        return max(
            abs(shift) + sum(abs(bump.amplitude_mm[axis]) for bump in self.bumps)
            for axis, shift in enumerate(self.shift_mm)
        )

    @property
    def identity(self) -> bool:
        return not self.bumps and self.shift_mm == (0.0, 0.0, 0.0)

    def to_reference(
        self, x_mm: NDArray[np.floating], y_mm: NDArray[np.floating], z_mm: NDArray[np.floating]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Reference coordinates (x, y, z) of today's points; the arrays broadcast together."""
        today = tuple(np.asarray(axis, np.float32) for axis in (x_mm, y_mm, z_mm))
        moved = [axis + np.float32(shift) for axis, shift in zip(today, self.shift_mm, strict=True)]
        for bump in self.bumps:
            weight = _gaussian(today, bump)
            for axis, amplitude in enumerate(bump.amplitude_mm):
                if amplitude:
                    moved[axis] = moved[axis] + np.float32(amplitude) * weight
        return moved[0], moved[1], moved[2]

    def field_mm(self, grid: Grid) -> FloatArray:
        """u at the voxel centres of `grid`: (z, y, x, 3) float32, components x, y, z in mm."""
        x_mm, y_mm, z_mm = grid.axes_mm()
        today = (
            np.asarray(x_mm[None, None, :], np.float32),
            np.asarray(y_mm[None, :, None], np.float32),
            np.asarray(z_mm[:, None, None], np.float32),
        )
        field = np.empty((*grid.shape, 3), np.float32)
        field[...] = np.asarray(self.shift_mm, np.float32)
        for bump in self.bumps:
            weight = _gaussian(today, bump)
            for axis, amplitude in enumerate(bump.amplitude_mm):
                if amplitude:
                    field[..., axis] += np.float32(amplitude) * weight
        return field


def _gaussian(points: tuple[FloatArray, ...], bump: Bump) -> FloatArray:
    """exp(−|x − centre|² / 2 sigma²) as a product of one factor an axis: cheap where the axes are 1-D."""
    factor = np.float32(-0.5 / bump.sigma_mm**2)
    along = [np.exp(factor * (p - np.float32(c)) ** 2) for p, c in zip(points, bump.centre_mm, strict=True)]
    return np.asarray(along[0] * along[1] * along[2], np.float32)
