"""The CPU backend: the C++ kernels of engines/photon, through the classes of dose.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.photon.backend.protocol import DoseSum, Exposure, LinearDose, Superposition, wanted_index
from engines.photon.beam_model import BeamModel
from engines.photon.dose import (
    BeamDose,
    DoseOperator,
    FluenceOnRaster,
    Medium,
    box_corners_mm,
    point_geometry,
    projected_extent,
)
from engines.photon.frame import BeamFrame
from engines.photon.grid_dose import GridDose
from engines.photon.raster import Raster
from engines.photon.superposition.dose import SuperpositionDose
from engines.photon.superposition.model import SuperpositionModel


class CpuBackend:
    """Implements Backend."""

    name = "cpu"
    summary = "CPU, C++ and OpenMP"

    def dose_operator(self, model: BeamModel, raster: Raster, exposure: Exposure) -> LinearDose:
        return CpuDoseOperator(model, raster, exposure)

    def dose_sum(self, model: BeamModel, medium: Medium, wanted: NDArray[np.bool_]) -> DoseSum:
        return CpuDoseSum(model, medium, wanted)

    def superposition(self, model: SuperpositionModel, medium: Medium) -> Superposition:
        return SuperpositionDose(model, medium)


class CpuDoseOperator(DoseOperator):
    """A DoseOperator that knows what its points lie in, so that points can be added."""

    def __init__(
        self, model: BeamModel, raster: Raster, exposure: Exposure, geometry: NDArray[np.float32] | None = None
    ) -> None:
        made = _geometry(model, exposure, exposure.points_mm) if geometry is None else geometry
        super().__init__(model, raster, made, exposure.ssd_mm)
        self._model, self._exposure = model, exposure

    def with_points(self, added_mm: NDArray[np.float32], order: NDArray[np.integer]) -> CpuDoseOperator:
        """Traces the added points only."""
        added = _geometry(self._model, self._exposure, np.ascontiguousarray(added_mm, np.float32))
        every = np.concatenate([self.geometry, added], axis=1)[:, order]
        exposure = self._exposure.with_points(added_mm, order)
        return CpuDoseOperator(self._model, self.raster, exposure, np.ascontiguousarray(every))


def _geometry(model: BeamModel, exposure: Exposure, points_mm: NDArray[np.float32]) -> NDArray[np.float32]:
    # Filled in place: for the directions of an arc a stack of parts would take the memory twice.
    out = np.empty((len(exposure.frames), len(points_mm), 5), np.float32)
    for number, frame in enumerate(exposure.frames):
        depth_mm = exposure.medium.depth_mm(frame, points_mm)
        out[number] = point_geometry(model, frame, points_mm, depth_mm)
    return out


class CpuDoseSum:
    """Implements DoseSum with one BeamDose a beam, on rows of the grid."""

    def __init__(self, model: BeamModel, medium: Medium, wanted: NDArray[np.bool_]) -> None:
        wanted_index(medium, wanted)
        self._model, self._medium = model, medium
        self._grid_dose = GridDose(medium, wanted)
        self._corners_mm = box_corners_mm(self._grid_dose.grid)
        self._dose = self._grid_dose.empty()

    def add(
        self,
        frame: BeamFrame,
        fluence: FluenceOnRaster,
        *,
        field_extent_mm: tuple[float, float, float, float],
        pitch_mm: float = 1.0,
    ) -> None:
        beam = BeamDose(
            self._model, self._medium, frame, fluence,
            points_extent_mm=projected_extent([frame], self._corners_mm), field_extent_mm=field_extent_mm,
            pitch_mm=pitch_mm,
        )  # fmt: skip
        self._grid_dose.add(beam, self._dose)

    def take(self) -> NDArray[np.float32]:
        taken, self._dose = self._dose, self._grid_dose.empty()
        return self._grid_dose.on_grid(taken)
