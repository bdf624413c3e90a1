"""Physics dose of a deliverable plan on every voxel of the image grid."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, CalculatedDose, ControlPoint, Image, Plan
from appliance.contracts.progress import Progress, silent
from appliance.errors import UnsupportedPlan
from appliance.planning.beam_models import load_calibrated
from appliance.planning.density import load_density, medium
from engines.grid import VoxelSet
from engines.photon.aperture import ApertureFluence, Apertures
from engines.photon.beam_model import BeamModel
from engines.photon.dose import BeamDose, Medium, box_corners_mm, projected_extent
from engines.photon.frame import BeamFrame, beam_frame
from engines.photon.raster import Raster

ALGORITHM = "Couchside SVD pencil beam 1"
FINAL_PITCH_MM = 1.0
"""Fluence raster of the final dose: 0.6 % of the maximum at worst in the penumbra against 0.5 mm (tests/engines)."""
CHUNK_VOXELS = 1 << 19
LEAF_STEP_MM = 1.0
"""A leaf that moves while the beam is on is drawn at steps of this (sliding window)."""
ANGLE_TOLERANCE_DEG = 0.05
"""Smaller changes of an angle within a beam are the writer's rounding."""


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
    """Dose of all fractions, (z, y, x) on the image grid; zero outside the external where one is given.

    Raises UnsupportedPlan for a beam this release cannot compute (arcs, moving couch), ModelError for a beam model that
    is missing, uncalibrated or of another energy.
    """
    model, gy_per_mu = load_calibrated(beam_model)
    space = medium(image, external, load_density(density), supports)
    grid = image.grid
    index = np.arange(grid.size, dtype=np.int64) if external is None else external.index.astype(np.int64)
    total = np.zeros(grid.size, np.float32)
    singles: list[NDArray[np.float32]] = []
    for number, beam in enumerate(plan.beams):
        engine = _beam_dose(beam, plan, model, space)
        own = np.zeros(grid.size, np.float32) if per_beam else total
        for start in range(0, index.size, CHUNK_VOXELS):
            progress("final dose", (number + start / index.size) / len(plan.beams))
            part = index[start : start + CHUNK_VOXELS]
            own[part] += engine.at(grid.centres_mm(part)) * np.float32(gy_per_mu * plan.fractions)
        if per_beam:
            total += own
            singles.append(own.reshape(grid.shape))
    progress("final dose", 1.0)
    return CalculatedDose(grid, total.reshape(grid.shape), plan.digest, ALGORITHM, model.name, tuple(singles))


def _beam_dose(beam: Beam, plan: Plan, model: BeamModel, space: Medium) -> BeamDose:
    _check(beam, model)
    frame = frame_of(beam, plan.patient_position)
    apertures = _apertures(beam)
    boundaries = np.array(beam.leaf_boundaries_mm) if beam.leaf_boundaries_mm else np.array([-500.0, 500.0])

    def draw(raster: Raster) -> NDArray[np.float32]:
        return ApertureFluence(raster, boundaries, model.collimation).forward(apertures)

    x1, x2, y1, y2 = apertures.jaws_mm.T
    field = (float(x1.min()), float(x2.max()), float(y1.min()), float(y2.max()))
    return BeamDose(
        model,
        space,
        frame,
        draw,
        points_extent_mm=projected_extent([frame], box_corners_mm(space.grid)),
        field_extent_mm=field,
        pitch_mm=FINAL_PITCH_MM,
    )


def frame_of(beam: Beam, patient_position: str) -> BeamFrame:
    first = beam.control_points[0]
    return beam_frame(
        beam.isocentre_mm,
        first.gantry_deg,
        collimator_deg=first.collimator_deg,
        couch_deg=first.couch_deg,
        sad_mm=beam.sad_mm,
        patient_position=patient_position,
    )


def _check(beam: Beam, model: BeamModel) -> None:
    first = beam.control_points[0]
    for point in beam.control_points[1:]:
        for name in ("gantry_deg", "collimator_deg", "couch_deg"):
            if abs((getattr(point, name) - getattr(first, name) + 180) % 360 - 180) > ANGLE_TOLERANCE_DEG:
                axis = name.removesuffix("_deg")
                raise UnsupportedPlan(f"beam {beam.number} moves its {axis} while it delivers; only static beams are")
    if abs(beam.energy_mv - model.energy_mv) > 0.5 or beam.fluence_mode != model.fluence_mode:
        raise UnsupportedPlan(
            f"beam {beam.number} is {beam.energy_mv:g} MV {beam.fluence_mode}, but beam model '{model.name}' is "
            f"{model.energy_mv:g} MV {model.fluence_mode}; choose the beam model of this energy"
        )


def _apertures(beam: Beam) -> Apertures:
    """The beam's exposures; leaves and jaws that move with the beam on become several still shapes."""
    left, right, jaws, mu = [], [], [], []
    for before, after in pairwise(beam.control_points):
        dose = after.cumulative_mu - before.cumulative_mu
        if dose <= 0:
            continue
        a0, b0, j0 = _shape(before)
        a1, b1, j1 = _shape(after)
        travel = max(float(np.abs(end - start).max()) for start, end in ((a0, a1), (b0, b1), (j0, j1)))
        steps = max(1, int(np.ceil(travel / LEAF_STEP_MM - 1e-9)))
        for middle in (np.arange(steps) + 0.5) / steps:
            left.append(a0 + (a1 - a0) * middle)
            right.append(b0 + (b1 - b0) * middle)
            jaws.append(j0 + (j1 - j0) * middle)
            mu.append(dose / steps)
    if not mu:
        raise UnsupportedPlan(f"beam {beam.number} delivers no monitor units")
    return Apertures(np.stack(left), np.stack(right), np.stack(jaws), np.array(mu))


def _shape(point: ControlPoint) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Left and right leaves and jaws (x1, x2, y1, y2); without an MLC one wide pair that is always open."""
    jaws = point.jaws
    edges = np.array([jaws.x1_mm, jaws.x2_mm, jaws.y1_mm, jaws.y2_mm])
    if not point.leaf_a_mm:
        return np.array([-500.0]), np.array([500.0]), edges
    return np.array(point.leaf_a_mm), np.array(point.leaf_b_mm), edges
