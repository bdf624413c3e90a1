"""What planning asks of a backend, whichever machine answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.beam_model import BeamModel
from engines.photon.dose import FluenceOnRaster, Medium
from engines.photon.frame import BeamFrame
from engines.photon.raster import Raster
from engines.photon.superposition.dose import Report
from engines.photon.superposition.incidence import Exposure as StillExposure
from engines.photon.superposition.model import SuperpositionModel


@dataclass(frozen=True, eq=False)
class Exposure:
    """Points (n, 3) LPS mm of a medium under beams. ssd_mm, the source-surface distance of each beam's axis, chooses
    its kernel table."""

    medium: Medium
    frames: tuple[BeamFrame, ...]
    points_mm: NDArray[np.float32]
    ssd_mm: tuple[float, ...]

    @staticmethod
    def of(medium: Medium, frames: Sequence[BeamFrame], points_mm: NDArray[np.float32]) -> Exposure:
        """Raises EngineError without a beam or a point."""
        points = np.ascontiguousarray(points_mm, np.float32)
        if not frames or points.ndim != 2 or points.shape[1] != 3 or not len(points):
            raise EngineError(f"dose needs a beam and points (n, 3), got {len(frames)} beams and {points.shape}")
        return Exposure(medium, tuple(frames), points, tuple(medium.ssd_mm(frame) for frame in frames))

    def with_points(self, added_mm: NDArray[np.float32], order: NDArray[np.integer]) -> Exposure:
        """These points and the added ones (k, 3), in the order given: indices into both together."""
        every = np.concatenate([self.points_mm, np.asarray(added_mm, np.float32)])[order]
        return replace(self, points_mm=np.ascontiguousarray(every))


class LinearDose(Protocol):
    """D = A F for fixed points and beams, and its exact transpose."""

    @property
    def raster(self) -> Raster: ...

    def forward(self, fluence: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fluence (beams, nv, nu) to dose (n,)."""

    def adjoint(self, dose_gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gradient in the dose (n,) to gradient in the fluence (beams, nv, nu)."""

    def with_points(self, added_mm: NDArray[np.float32], order: NDArray[np.integer]) -> LinearDose:
        """The operator of these points and the added ones (k, 3), ordered by indices into both together."""


class DoseSum(Protocol):
    """Doses of beams with known fluence, one after the other, on the wanted voxels of a medium's grid: for final
    doses."""

    def add(
        self,
        frame: BeamFrame,
        fluence: FluenceOnRaster,
        *,
        field_extent_mm: tuple[float, float, float, float],
        pitch_mm: float = 1.0,
    ) -> None:
        """Adds one beam's dose; its fluence is drawn on the raster of that pitch that the engine chooses."""

    def take(self) -> NDArray[np.float32]:
        """Dose (z, y, x) on the medium's grid of the beams added since the last call, per unit fluence of the beam
        model; zero where none was wanted."""


class Superposition(Protocol):
    """Collapsed-cone doses in one medium."""

    def calculate(self, exposures: list[StillExposure], report: Report = ...) -> NDArray[np.float32]:
        """Dose (z, y, x) of all exposures together on the medium's grid; zero in empty voxels."""


def wanted_index(medium: Medium, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Flat indices of the wanted voxels. Raises EngineError for another grid than the medium's, or for none."""
    if wanted.shape != medium.grid.shape or not wanted.any():
        raise EngineError(f"wanted voxels must be some of {medium.grid.shape} as the medium's grid, got {wanted.shape}")
    return np.flatnonzero(wanted).astype(np.int64)


class Backend(Protocol):
    """`name` is 'cpu' or 'cuda'; `summary` says in a few words what computes."""

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...

    def dose_operator(self, model: BeamModel, raster: Raster, exposure: Exposure) -> LinearDose: ...

    def dose_sum(self, model: BeamModel, medium: Medium, wanted: NDArray[np.bool_]) -> DoseSum:
        """wanted (z, y, x): the voxels of the medium's grid whose dose is asked for."""

    def superposition(self, model: SuperpositionModel, medium: Medium) -> Superposition:
        """Raises EngineError for a medium that is not finite or holds no matter."""
