"""Dose of a plan in a patient who lies elsewhere: the fast pencil beam on chosen voxels, the beams moved instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import Case, Plan
from appliance.contracts.robustness import Displacement
from appliance.errors import UnsupportedPlan
from appliance.planning.beam_models import load_calibrated
from appliance.planning.compute import backend, device_errors
from appliance.planning.density import load_density, medium
from appliance.planning.final_dose import ARC_PITCH_MM, FINAL_PITCH_MM, MANY_DIRECTIONS, dose_options
from appliance.planning.pieces import Piece, leaf_layers_mm, pieces
from engines.photon.aperture import ApertureFluence
from engines.photon.backend.protocol import Exposure
from engines.photon.dose import projected_extent
from engines.photon.frame import BeamFrame
from engines.photon.raster import Raster, raster_for
from engines.robustness import moved_frame

REACH_MM = 60.0
"""Dose further than this from a field's edge is left out, as in the optimiser; in place it is part of the correction
that the evaluation adds (chosen: 150 mm changed a scenario's difference by under 0.001 Gy)."""
ROOM_MM = 15.0
"""The raster reaches this much further than the nominal projections, for displacements."""
MOST_DIRECTIONS = 60
"""Arcs are seen from about so many directions at most: what comes from up to 6 degrees is delivered from the middle of
them (chosen: docs/evaluation/robustness.md has what that changes)."""
TOGETHER = 32
"""Directions computed at once, which bounds memory: 20 bytes a voxel and direction."""


@dataclass(frozen=True, eq=False)
class _Direction:
    """Pieces of one beam that are delivered from one place."""

    frame: BeamFrame
    pieces: tuple[Piece, ...]
    layers_mm: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Directions that share a raster, and the fluence of each (directions, nv, nu): the same in every scenario."""

    raster: Raster
    frames: tuple[BeamFrame, ...]
    fluence: NDArray[np.float32]


class DisplacedPlan:
    """Implements contracts.robustness.DisplacedDoses for voxels `index` (n,) of the case's image grid.

    Always the pencil beam, whatever algorithm the configuration names. Turns go about the first beam's isocentre.
    Raises UnsupportedPlan for a plan without a beam or one that cannot be computed, ModelError."""

    def __init__(self, plan: Plan, case: Case, index: NDArray[np.int64], config: PlanningConfig) -> None:
        if not plan.beams:
            raise UnsupportedPlan("the plan has no beam")
        options = dose_options(config, case.structures)
        self._model, gy_per_mu = load_calibrated(config.beam_model)
        self._scale = np.float32(gy_per_mu * plan.fractions)
        table = load_density(config.density)
        self._space = medium(
            case.image, case.external.voxels, table, options.get("supports", ()), overrides=options.get("overrides", ())
        )
        self._points_mm = case.image.grid.centres_mm(index)
        self._centre_mm = plan.beams[0].isocentre_mm
        every = _directions(plan)
        self._pitch_mm = ARC_PITCH_MM if len(every) > MANY_DIRECTIONS else FINAL_PITCH_MM
        self._groups = [self._drawn(every[i : i + TOGETHER]) for i in range(0, len(every), TOGETHER)]

    def _drawn(self, together: list[_Direction]) -> _Drawn:
        frames = tuple(direction.frame for direction in together)
        jaws = np.concatenate([piece.apertures.jaws_mm for direction in together for piece in direction.pieces])
        field = (float(jaws[:, 0].min()), float(jaws[:, 1].max()), float(jaws[:, 2].min()), float(jaws[:, 3].max()))
        low_u, high_u, low_v, high_v = projected_extent(frames, self._points_mm)
        extent = (low_u - ROOM_MM, high_u + ROOM_MM, low_v - ROOM_MM, high_v + ROOM_MM)
        raster = raster_for(extent, field, self._pitch_mm, reach_mm=REACH_MM)
        fluence = np.zeros((len(frames), raster.nv, raster.nu), np.float32)
        for row, direction in zip(fluence, together, strict=True):
            draw = ApertureFluence(raster, direction.layers_mm, self._model.collimation)
            for piece in direction.pieces:
                np.add(row, draw.forward(piece.apertures), out=row)
        return _Drawn(raster, frames, fluence)

    def __call__(self, displacement: Displacement) -> NDArray[np.float32]:
        total = np.zeros(len(self._points_mm), np.float32)
        with device_errors():
            for drawn in self._groups:
                moved = tuple(
                    moved_frame(frame, displacement.shift_mm, displacement.rotation_deg, self._centre_mm)
                    for frame in drawn.frames
                )
                exposure = Exposure.of(self._space, moved, self._points_mm)
                total += backend().dose_operator(self._model, drawn.raster, exposure).forward(drawn.fluence)
        return total * self._scale


def _directions(plan: Plan) -> list[_Direction]:
    by_beam = [(beam, pieces(beam, plan)) for beam in plan.beams]
    group = -(-sum(len(own) for _, own in by_beam) // MOST_DIRECTIONS)
    made = []
    for beam, own in by_beam:
        for start in range(0, len(own), group):
            some = own[start : start + group]
            made.append(_Direction(some[len(some) // 2].frame, some, leaf_layers_mm(beam)))
    return made
