"""Physics dose of a deliverable plan on every voxel of the image grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, CalculatedDose, Image, Plan
from appliance.contracts.progress import Progress, silent
from appliance.errors import UnsupportedPlan
from appliance.planning.beam_models import load_calibrated
from appliance.planning.compute import backend
from appliance.planning.density import load_density, medium
from appliance.planning.pieces import Piece, leaf_boundaries_mm, pieces
from engines.grid import VoxelSet
from engines.photon.aperture import ApertureFluence
from engines.photon.beam_model import BeamModel
from engines.photon.raster import Raster

ALGORITHM = "Couchside SVD pencil beam 1"
FINAL_PITCH_MM = 1.0
"""Fluence raster of the final dose: 0.6 % of the maximum at worst in the penumbra against 0.5 mm (tests/engines)."""
SAD_TOLERANCE_MM = 1.0
"""Chosen: 0.2 % of dose by the inverse square; machines differ by centimetres or not at all."""


class FinalDose:
    """Final doses on one image: the plans may change, the anatomy may not.

    external: the patient's outline, outside which there is neither matter nor dose; None counts the whole image.
    Raises ModelError for a beam model or density table that is missing or unusable.
    """

    def __init__(
        self,
        image: Image,
        external: VoxelSet | None,
        *,
        beam_model: str = "generic_6mv",
        density: str = "generic_ct",
        supports: tuple[VoxelSet, ...] = (),
    ) -> None:
        self._model, self._gy_per_mu = load_calibrated(beam_model)
        self._grid = image.grid
        self._space = medium(image, external, load_density(density), supports)
        wanted = np.full(image.grid.size, external is None)
        if external is not None:
            wanted[external.index] = True
        self._sum = backend().dose_sum(
            self._model, self._space, wanted.reshape(image.grid.shape), pitch_mm=FINAL_PITCH_MM
        )

    def calculate(self, plan: Plan, *, per_beam: bool = False, progress: Progress = silent) -> CalculatedDose:
        """Dose of all fractions, (z, y, x) on the image grid; zero outside the outline.

        Raises UnsupportedPlan for a beam this release cannot compute (moving couch or collimator, another energy) and
        for a plan without a beam."""
        if not plan.beams:
            raise UnsupportedPlan("the plan has no beam")
        for beam in plan.beams:
            _check(beam, self._model)
        work = [(number, beam, piece) for number, beam in enumerate(plan.beams) for piece in pieces(beam, plan)]
        scale = np.float32(self._gy_per_mu * plan.fractions)
        by_beam: list[NDArray[np.float32]] = []
        for done, (number, beam, piece) in enumerate(work):
            progress("final dose", done / len(work))
            self._add(piece, beam)
            if per_beam and (done + 1 == len(work) or work[done + 1][0] != number):
                by_beam.append(self._sum.take() * scale)
        total = np.asarray(sum(by_beam) if per_beam else self._sum.take() * scale, np.float32)
        progress("final dose", 1.0)
        return CalculatedDose(self._grid, total, plan.digest, ALGORITHM, self._model.name, tuple(by_beam))

    def _add(self, piece: Piece, beam: Beam) -> None:
        apertures = piece.apertures

        def draw(raster: Raster) -> NDArray[np.float32]:
            return ApertureFluence(raster, leaf_boundaries_mm(beam), self._model.collimation).forward(apertures)

        x1, x2, y1, y2 = apertures.jaws_mm.T
        field = (float(x1.min()), float(x2.max()), float(y1.min()), float(y2.max()))
        self._sum.add(piece.frame, draw, field_extent_mm=field)


def calculate_dose(
    plan: Plan,
    image: Image,
    external: VoxelSet | None,
    *,
    beam_model: str = "generic_6mv",
    density: str = "generic_ct",
    supports: tuple[VoxelSet, ...] = (),
    per_beam: bool = False,
    progress: Progress = silent,
) -> CalculatedDose:
    """One plan on one image; see FinalDose."""
    final = FinalDose(image, external, beam_model=beam_model, density=density, supports=supports)
    return final.calculate(plan, per_beam=per_beam, progress=progress)


def _check(beam: Beam, model: BeamModel) -> None:
    if abs(beam.energy_mv - model.energy_mv) > 0.5 or beam.fluence_mode != model.fluence_mode:
        raise UnsupportedPlan(
            f"beam {beam.number} is {beam.energy_mv:g} MV {beam.fluence_mode}, but beam model '{model.name}' is "
            f"{model.energy_mv:g} MV {model.fluence_mode}; choose the beam model of this energy"
        )
    if abs(beam.sad_mm - model.sad_mm) > SAD_TOLERANCE_MM:
        raise UnsupportedPlan(
            f"beam {beam.number} has its axis {beam.sad_mm:g} mm from the source, but beam model '{model.name}' "
            f"{model.sad_mm:g} mm; choose the beam model of this machine"
        )
