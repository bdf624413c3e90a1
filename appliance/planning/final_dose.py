"""Physics dose of a deliverable plan on every voxel of the image grid."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, CalculatedDose, ControlPoint, Image, Jaws, Plan
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
    shapes = _shapes(beam)

    def draw(raster: Raster) -> NDArray[np.float32]:
        fluence = np.zeros((raster.nv, raster.nu), np.float32)
        for jaws, apertures in shapes:
            edges = (jaws.x1_mm, jaws.x2_mm, jaws.y1_mm, jaws.y2_mm)
            boundaries = np.array(beam.leaf_boundaries_mm) if beam.leaf_boundaries_mm else np.array([-500.0, 500.0])
            fluence += ApertureFluence(raster, boundaries, edges, model.collimation).forward(apertures)
        return fluence

    jaws = [group[0] for group in shapes]
    field = (
        min(j.x1_mm for j in jaws), max(j.x2_mm for j in jaws), min(j.y1_mm for j in jaws), max(j.y2_mm for j in jaws)
    )  # fmt: skip
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


def _shapes(beam: Beam) -> list[tuple[Jaws, Apertures]]:
    """The beam's exposures grouped by jaw setting; leaves that move with the beam on become several still shapes."""
    groups: dict[Jaws, list[tuple[float, NDArray[np.float64], NDArray[np.float64]]]] = {}
    for before, after in pairwise(beam.control_points):
        mu = after.cumulative_mu - before.cumulative_mu
        if mu <= 0:
            continue
        if before.jaws != after.jaws:
            raise UnsupportedPlan(f"beam {beam.number} moves its jaws while it delivers; only still jaws are computed")
        for share, left, right in _still_shapes(before, after):
            groups.setdefault(before.jaws, []).append((mu * share, left, right))
    if not groups:
        raise UnsupportedPlan(f"beam {beam.number} delivers no monitor units")
    return [
        (
            jaws,
            Apertures(
                np.stack([left for _, left, _ in parts]),
                np.stack([right for _, _, right in parts]),
                np.array([mu for mu, _, _ in parts]),
            ),
        )
        for jaws, parts in groups.items()
    ]


def _still_shapes(
    before: ControlPoint, after: ControlPoint
) -> list[tuple[float, NDArray[np.float64], NDArray[np.float64]]]:
    if not before.leaf_a_mm:  # jaws only: one wide pair, always open
        return [(1.0, np.array([-500.0]), np.array([500.0]))]
    a0, a1 = np.array(before.leaf_a_mm), np.array(after.leaf_a_mm)
    b0, b1 = np.array(before.leaf_b_mm), np.array(after.leaf_b_mm)
    travel = float(max(np.abs(a1 - a0).max(), np.abs(b1 - b0).max()))
    steps = max(1, int(np.ceil(travel / LEAF_STEP_MM)))
    middles = (np.arange(steps) + 0.5) / steps
    return [(1.0 / steps, a0 + (a1 - a0) * m, b0 + (b1 - b0) * m) for m in middles]
