"""Physics dose of a deliverable plan on every voxel of the image grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Required, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import Beam, CalculatedDose, Image, Plan, Structure, StructureKind
from appliance.contracts.progress import Progress, silent
from appliance.errors import UnsupportedPlan
from appliance.planning.algorithms import ALGORITHMS, QUANTITY, TRANSPORT, Algorithm
from appliance.planning.beam_models import load_calibrated, load_superposition
from appliance.planning.compute import backend, device_errors
from appliance.planning.density import Overrides, beyond_notes, load_density, medium, overrides_of
from appliance.planning.pieces import Piece, leaf_layers_mm, pieces
from appliance.planning.superposition_dose import PlanSuperposition
from engines.grid import VoxelSet
from engines.photon.aperture import ApertureFluence
from engines.photon.backend.protocol import DoseSum
from engines.photon.beam_model import BeamModel
from engines.photon.raster import Raster
from engines.photon.superposition.incidence import Exposure

FINAL_PITCH_MM = 1.0
"""Fluence raster of the final dose: 0.6 % of the maximum at worst in the penumbra against 0.5 mm (tests/engines)."""
ARC_PITCH_MM = 2.0
"""The same for beams seen from more than MANY_DIRECTIONS (chosen: what one direction is wrong by in its penumbra, up to
1.5 % of its own dose, does not repeat in the next)."""
MANY_DIRECTIONS = 30
ENERGY_TOLERANCE_MV = 0.5
"""Beam qualities differ by 1 MV or more in name, or not at all."""
SAD_TOLERANCE_MM = 1.0
"""Chosen: 0.2 % of dose by the inverse square; machines differ by centimetres or not at all."""


Volume = NDArray[np.float32]


class FinalDose:
    """Final doses on one image: the plans may change, the anatomy may not.

    external: the patient's outline, outside which there is neither matter nor dose; None counts the whole image.
    overrides: structures whose density is not the CT's (density.overrides_of).
    Raises ModelError for a beam model or density table that is missing or unusable, and for a collapsed cone of a beam
    model that has no superposition section.
    """

    def __init__(
        self,
        image: Image,
        external: VoxelSet | None,
        *,
        beam_model: str,
        density: str,
        algorithm: Algorithm,
        supports: tuple[VoxelSet, ...] = (),
        overrides: Overrides = (),
    ) -> None:
        load = load_superposition if algorithm == "collapsed_cone" else load_calibrated
        self._model, self._gy_per_mu = load(beam_model)
        self._algorithm = algorithm
        self._grid = image.grid
        table, quantity = load_density(density), QUANTITY[algorithm]
        self._space = medium(image, external, table, supports, overrides=overrides, quantity=quantity)
        self._notes, self._overridden = beyond_notes(image, external, table), bool(overrides)
        wanted = np.ones(image.grid.shape, np.bool_)
        if external is not None:
            wanted[:] = False
            wanted.reshape(-1)[external.index] = True
        self._wanted = wanted
        self._sum: DoseSum | None = None
        self._superposition: PlanSuperposition | None = None

    def calculate(self, plan: Plan, *, per_beam: bool = False, progress: Progress = silent) -> CalculatedDose:
        """Dose of all fractions, (z, y, x) on the image grid; zero outside the outline.

        Raises UnsupportedPlan for a beam this release cannot compute (moving couch or collimator, another energy) and
        for a plan without a beam."""
        if not plan.beams:
            raise UnsupportedPlan("the plan has no beam")
        for beam in plan.beams:
            _check(beam, self._model)
        calculate = self._cones if self._algorithm == "collapsed_cone" else self._pencils
        with device_errors():
            total, singles = calculate(plan, per_beam, progress)
        progress("final dose", 1.0)
        return CalculatedDose(
            self._grid,
            total,
            plan.digest,
            ALGORITHMS[self._algorithm],
            self._model.name,
            tuple(singles),
            transport=TRANSPORT[self._algorithm],
            density_overridden=self._overridden,
            notes=self._notes,
        )

    def _cones(self, plan: Plan, per_beam: bool, progress: Progress) -> tuple[Volume, list[Volume]]:
        if self._superposition is None:
            self._superposition = PlanSuperposition(self._model, self._space)
        beams = [[_exposure(piece, beam, self._model) for piece in pieces(beam, plan)] for beam in plan.beams]
        total, singles = self._superposition.doses(
            beams, lambda share: progress("final dose", share), per_beam=per_beam
        )
        scale = np.float32(self._gy_per_mu * plan.fractions)
        for dose in (total, *singles):
            np.multiply(dose, scale, out=dose)
            dose[~self._wanted] = 0.0
        return total, singles

    def _pencils(self, plan: Plan, per_beam: bool, progress: Progress) -> tuple[Volume, list[Volume]]:
        work = [(number, beam, piece) for number, beam in enumerate(plan.beams) for piece in pieces(beam, plan)]
        if self._sum is None:
            self._sum = backend().dose_sum(self._model, self._space, self._wanted)
        singles: list[Volume] = []
        pitch_mm = ARC_PITCH_MM if len(work) > MANY_DIRECTIONS else FINAL_PITCH_MM
        scale = np.float32(self._gy_per_mu * plan.fractions)
        for done, (number, beam, piece) in enumerate(work):
            progress("final dose", done / len(work))
            one = _exposure(piece, beam, self._model)
            self._sum.add(one.frame, one.draw, field_extent_mm=one.field_extent_mm, pitch_mm=pitch_mm)
            if per_beam and (done + 1 == len(work) or work[done + 1][0] != number):
                singles.append(self._sum.take() * scale)
        total = np.asarray(sum(singles) if per_beam else self._sum.take() * scale, np.float32)
        return total, singles


class DoseOptions(TypedDict, total=False):
    """What `FinalDose` is told by keyword. What it needs has no default here: the configuration has the only one."""

    beam_model: Required[str]
    density: Required[str]
    algorithm: Required[Algorithm]
    supports: tuple[VoxelSet, ...]
    overrides: Overrides


def dose_options(planning: PlanningConfig, structures: Sequence[Structure]) -> DoseOptions:
    """What a configuration says of doses in these structures: every dose of a session is calculated with the same."""
    return DoseOptions(
        beam_model=planning.beam_model,
        density=planning.density,
        supports=tuple(item.voxels for item in structures if item.kind is StructureKind.SUPPORT),
        overrides=overrides_of(structures, planning.density_overrides),
        algorithm=planning.algorithm,
    )


def calculate_dose(
    plan: Plan,
    image: Image,
    external: VoxelSet | None,
    *,
    per_beam: bool = False,
    progress: Progress = silent,
    **options: Unpack[DoseOptions],
) -> CalculatedDose:
    """One plan on one image; see FinalDose for the options."""
    return FinalDose(image, external, **options).calculate(plan, per_beam=per_beam, progress=progress)


def _exposure(piece: Piece, beam: Beam, model: BeamModel) -> Exposure:
    apertures = piece.apertures

    def draw(raster: Raster) -> NDArray[np.float32]:
        return ApertureFluence(raster, leaf_layers_mm(beam), model.collimation).forward(apertures)

    x1, x2, y1, y2 = apertures.jaws_mm.T
    field = (float(x1.min()), float(x2.max()), float(y1.min()), float(y2.max()))
    return Exposure(piece.frame, draw, field)


def _check(beam: Beam, model: BeamModel) -> None:
    if abs(beam.energy_mv - model.energy_mv) > ENERGY_TOLERANCE_MV or beam.fluence_mode != model.fluence_mode:
        raise UnsupportedPlan(
            f"beam {beam.number} is {beam.energy_mv:g} MV {beam.fluence_mode}, but beam model '{model.name}' is "
            f"{model.energy_mv:g} MV {model.fluence_mode}; choose the beam model of this energy"
        )
    if abs(beam.sad_mm - model.sad_mm) > SAD_TOLERANCE_MM:
        raise UnsupportedPlan(
            f"beam {beam.number} has its axis {beam.sad_mm:g} mm from the source, but beam model '{model.name}' "
            f"{model.sad_mm:g} mm; choose the beam model of this machine"
        )
