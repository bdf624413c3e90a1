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
LARGEST_CACHE_BYTES = 200 * 2**20
"""Depths of nine beams on five million voxels (chosen, to stay far below 1 GiB in all)."""
LEAF_STEP_MM = 1.0
"""A leaf that moves while the beam is on is drawn at steps of this (sliding window)."""
SAD_TOLERANCE_MM = 1.0
"""Chosen: 0.2 % of dose by the inverse square; machines differ by centimetres or not at all."""
ANGLE_TOLERANCE_DEG = 0.05
"""Smaller changes of an angle within a beam are the writer's rounding."""


class FinalDose:
    """Final doses on one image: the plans may change, the anatomy may not. Radiological depths, which are most of a
    final dose's time, are kept for beams that come again (up to LARGEST_CACHE_BYTES).

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
        whole = np.arange(image.grid.size, dtype=np.int64)
        self._index = whole if external is None else external.index.astype(np.int64)
        self._depths: dict[tuple[bytes, int], NDArray[np.float32]] = {}

    def calculate(self, plan: Plan, *, per_beam: bool = False, progress: Progress = silent) -> CalculatedDose:
        """Dose of all fractions, (z, y, x) on the image grid; zero outside the outline.

        Raises UnsupportedPlan for a beam this release cannot compute (arcs, moving couch, another energy) and for a
        plan without a beam."""
        if not plan.beams:
            raise UnsupportedPlan("the plan has no beam")
        engines = [_beam_dose(beam, plan, self._model, self._space) for beam in plan.beams]
        grid, index = self._grid, self._index
        total = np.zeros(grid.size, np.float32)
        singles = [np.zeros(grid.size, np.float32) for _ in engines] if per_beam else []
        scale = np.float32(self._gy_per_mu * plan.fractions)
        for start in range(0, index.size, CHUNK_VOXELS):
            part = index[start : start + CHUNK_VOXELS]
            points_mm = grid.centres_mm(part)
            for number, engine in enumerate(engines):
                progress("final dose", (start + part.size * number / len(engines)) / index.size)
                dose = engine.at(points_mm, self._depth_mm(engine, points_mm, start)) * scale
                total[part] += dose
                if per_beam:
                    singles[number][part] = dose
        progress("final dose", 1.0)
        by_beam = tuple(single.reshape(grid.shape) for single in singles)
        return CalculatedDose(grid, total.reshape(grid.shape), plan.digest, ALGORITHM, self._model.name, by_beam)

    def _depth_mm(self, engine: BeamDose, points_mm: NDArray[np.float32], start: int) -> NDArray[np.float32]:
        """Depth (n,) of the chunk of voxels that begins at `start` in the list of voxels."""
        key = (engine.frame.source_mm.tobytes(), start)
        if key in self._depths:
            return self._depths[key]
        depth_mm = engine.depth_mm(points_mm)
        if depth_mm.nbytes + sum(d.nbytes for d in self._depths.values()) <= LARGEST_CACHE_BYTES:
            self._depths[key] = depth_mm
        return depth_mm


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
    if abs(beam.sad_mm - model.sad_mm) > SAD_TOLERANCE_MM:
        raise UnsupportedPlan(
            f"beam {beam.number} has its axis {beam.sad_mm:g} mm from the source, but beam model '{model.name}' "
            f"{model.sad_mm:g} mm; choose the beam model of this machine"
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
