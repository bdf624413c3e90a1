"""A rigid motion between two frames of reference, as a homogeneous matrix in LPS mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from engines.errors import EngineError

Floats = NDArray[np.float64]

RIGID_TOLERANCE = 1e-4
"""Largest deviation of R R^T from the identity that still is a rotation: matrices in DICOM are decimal strings."""


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """matrix (4, 4): point_mm of one frame to the other. Raises EngineError for anything but a proper rotation with a
    shift: a mirror image, a scaling, numbers that are not finite."""

    matrix: Floats

    def __post_init__(self) -> None:
        matrix = np.asarray(self.matrix, np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise EngineError("a rigid transform needs a finite matrix of 4 x 4")
        rotation = matrix[:3, :3]
        is_rotation = np.allclose(rotation @ rotation.T, np.eye(3), rtol=0, atol=RIGID_TOLERANCE)
        is_homogeneous = np.allclose(matrix[3], (0, 0, 0, 1), rtol=0, atol=RIGID_TOLERANCE)
        if not is_rotation or not is_homogeneous or np.linalg.det(rotation) < 0:
            raise EngineError("the matrix is no rigid motion: it mirrors, scales or shears")

    @staticmethod
    def of(
        shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
        rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
        centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> RigidTransform:
        """Rotations about x, then y, then z through `centre_mm`, then the shift."""
        rotation = Rotation.from_euler("xyz", rotation_deg, degrees=True).as_matrix()
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = np.asarray(centre_mm) + np.asarray(shift_mm) - rotation @ np.asarray(centre_mm)
        return RigidTransform(matrix)

    def apply(self, points_mm: Floats) -> Floats:
        """points_mm (..., 3)."""
        return np.asarray(points_mm @ self.matrix[:3, :3].T + self.matrix[:3, 3], np.float64)

    @property
    def inverse(self) -> RigidTransform:
        return RigidTransform(np.asarray(np.linalg.inv(self.matrix), np.float64))

    @property
    def rotation_deg(self) -> float:
        """Angle of the one rotation this is, 0 to 180."""
        return float(np.degrees(Rotation.from_matrix(self.matrix[:3, :3]).magnitude()))

    def motion_mm(self, point_mm: tuple[float, float, float]) -> float:
        """How far the point moves."""
        point = np.asarray(point_mm, np.float64)
        return float(np.linalg.norm(self.apply(point) - point))

    def error_mm(self, truth: RigidTransform, points_mm: Floats) -> float:
        """Largest distance between where both take the points (n, 3): the target registration error."""
        return float(np.linalg.norm(self.apply(points_mm) - truth.apply(points_mm), axis=-1).max())
