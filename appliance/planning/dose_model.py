"""Dose on the samples from the directions of one stage of planning, in Gy of the whole course, and its transpose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.planning.compute import backend
from engines.photon.backend.protocol import Exposure
from engines.photon.beam_model import BeamModel
from engines.photon.dose import Medium, projected_extent
from engines.photon.frame import BeamFrame
from engines.photon.raster import Raster, raster_for

OPTIMISER_PITCH_MM = 2.5
OPTIMISER_REACH_MM = 60.0
"""The optimiser leaves out dose further than this from a field's edge (nine open fields on an OpenKBP patient: 1.8 % of
the maximum at worst, 0.2 % root mean square; 100 mm took 15 % longer to the same goals). The final dose has no such
cut, and what it differs by is added from the first `judge` on."""


class DoseModel:
    """fluence (directions, nv, nu) in MU -> dose (samples,) in Gy. scale: Gy of the course a unit of the engine."""

    def __init__(
        self,
        model: BeamModel,
        space: Medium,
        frames: tuple[BeamFrame, ...],
        points_mm: NDArray[np.float32],
        *,
        raster: Raster,
        scale: float,
    ) -> None:
        self.frames, self.raster = frames, raster
        self._scale = np.float32(scale)
        self._operator = backend().dose_operator(model, raster, Exposure.of(space, frames, points_mm))

    def add(self, points_mm: NDArray[np.float32], order: NDArray[np.int64]) -> None:
        """More samples; order: how the old ones followed by the new ones now lie."""
        self._operator = self._operator.with_points(points_mm, order)

    def forward(self, fluence: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._operator.forward(fluence) * self._scale

    def adjoint(self, slope: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gradient (directions, nv, nu) in the fluence from the gradient (samples,) in the dose."""
        return self._operator.adjoint(slope) * self._scale


def planning_raster(
    frames: tuple[BeamFrame, ...],
    points_mm: NDArray[np.float32],
    targets_mm: NDArray[np.float32],
    *,
    beamlet_mm: float,
    pitch_mm: float = OPTIMISER_PITCH_MM,
    reach_mm: float = OPTIMISER_REACH_MM,
) -> Raster:
    """The optimiser's fluence raster: beamlets are whole numbers of its pixels, which are at most pitch_mm wide; dose
    further than reach_mm from a field's edge is left out."""
    pitch = beamlet_mm / max(1, int(np.ceil(beamlet_mm / pitch_mm)))
    return raster_for(
        projected_extent(frames, points_mm), projected_extent(frames, targets_mm), pitch, reach_mm=reach_mm
    )
