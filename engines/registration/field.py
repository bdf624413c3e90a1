"""A displacement field in LPS mm: points and values taken from one anatomy to another, and what it does to
volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from engines.errors import EngineError
from engines.grid import Grid, warped
from engines.registration.transform import RigidTransform

Field = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """Takes points of the fixed image's frame to the moving one's: x_moving = x + u(x).

    displacement_mm: u (z, y, x, 3) float32, components x, y, z in LPS mm, at the voxel centres of `grid`. Between
    centres it is trilinear; beyond the outermost centres the border's value holds on. In this product the fixed image
    is today's and the moving one the reference's. Raises EngineError for a field of another shape or with values that
    are not finite."""

    grid: Grid
    displacement_mm: Field

    def __post_init__(self) -> None:
        if self.displacement_mm.shape != (*self.grid.shape, 3):
            raise EngineError(f"a field of {self.displacement_mm.shape} is not on a grid of {self.grid.shape}")
        if not np.isfinite(self.displacement_mm).all():
            raise EngineError("a displacement field holds values that are not finite")

    @staticmethod
    def of_rigid(transform: RigidTransform, grid: Grid) -> DisplacementField:
        x_mm, y_mm, z_mm = grid.axes_mm()
        turn, shift = transform.matrix[:3, :3] - np.eye(3), transform.matrix[:3, 3]
        field = np.empty((*grid.shape, 3), np.float32)
        for axis in range(3):
            along = turn[axis, 0] * x_mm[None, None, :] + turn[axis, 1] * y_mm[None, :, None]
            field[..., axis] = along + turn[axis, 2] * z_mm[:, None, None] + shift[axis]
        return DisplacementField(grid, field)

    def at(self, points_mm: NDArray[np.floating]) -> Floats:
        """u (..., 3) at points (..., 3) of the fixed frame, x, y, z."""
        points = np.asarray(points_mm, np.float64)
        index = (points.reshape(-1, 3) - np.asarray(self.grid.origin_mm)) / np.asarray(self.grid.spacing_mm)
        found = [
            map_coordinates(self.displacement_mm[..., axis], index.T[::-1], order=1, mode="nearest")
            for axis in range(3)
        ]
        return np.asarray(np.stack(found, axis=-1).reshape(points.shape), np.float64)

    def apply(self, points_mm: NDArray[np.floating]) -> Floats:
        """Points (..., 3) of the fixed frame in the moving one's."""
        points = np.asarray(points_mm, np.float64)
        return points + self.at(points)

    def pulled(
        self, values_zyx: NDArray[np.generic], source: Grid, target: Grid, *, outside: float
    ) -> NDArray[np.float32]:
        """Values (z, y, x) given on `source` (moving frame) at the voxel centres of `target` (fixed frame), float32.

        Trilinear; a point beyond the outer border of the source gets `outside`. Raises EngineError if the values are
        not on `source`."""
        moves = (self.displacement_mm, self.grid)
        return warped(values_zyx, source, target, np.eye(4), outside=outside, displaced=moves)

    def jacobian(self) -> NDArray[np.float32]:
        """Determinant of the map's derivative at each voxel centre (z, y, x), by central differences: volume in the
        moving frame for a volume in the fixed one; 0 or less where the map folds. An axis of one voxel counts as not
        deformed along it."""
        rows = []
        for component in range(3):
            row: list[Any] = [np.float32(component == axis) for axis in range(3)]
            for axis in range(3):  # x, y, z
                if self.grid.shape[2 - axis] > 1:
                    along = np.gradient(self.displacement_mm[..., component], axis=2 - axis)
                    row[axis] = row[axis] + along * np.float32(1 / self.grid.spacing_mm[axis])
            rows.append(row)
        (a, b, c), (d, e, f), (g, h, i) = rows
        found = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
        return np.asarray(np.broadcast_to(found, self.grid.shape), np.float32)
