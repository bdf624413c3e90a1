"""The earlier image brought onto today's, judged, and refused where it does not fit.

A registration object that says how the two frames lie is used as it stands; otherwise the images are registered
rigidly. Either way the result is judged on what both images show: bodies, Hounsfield units, and every organ that is
drawn on both. A mirrored or wrong patient shows in the organs even where a body is symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, StructureKind
from appliance.contracts.prior import PriorMaterial, RegistrationQuality
from appliance.errors import EvaluationError
from engines.errors import EngineError
from engines.grid import Grid, VoxelSet
from engines.registration import Agreement, RigidTransform, agreement, moved, register_rigid
from engines.registration.agreement import dice

LEAST_SIMILARITY = 0.7
LEAST_BODY_OVERLAP = 0.85
LARGEST_SURFACE_MM = 10.0
LEAST_ORGAN_OVERLAP = 0.1
LARGEST_ORGAN_MM = 15.0
"""Chosen, because a patient years later, heavier by a few centimetres and drawn by another hand, still passes, and
another patient, a mirror image or a registration that slipped by a vertebra does not."""

FLOOR_MM = 2.0
"""Least uncertainty of any registration that is counted (chosen: about a voxel of a planning CT)."""

JUDGED_MM = 3.0
"""Voxel size at which the fit is judged (chosen: its figures are means over thousands of voxels)."""

AIR_HU = -1000.0
REMEDY = "check that it is the same patient in the same position, or send a registration object made by a person"


@dataclass(frozen=True, eq=False)
class Placed:
    """to_prior takes points of today's frame to the earlier one."""

    to_prior: RigidTransform
    quality: RegistrationQuality


@dataclass(frozen=True)
class _Organs:
    compared: int
    worst: str
    overlap: float
    distance_mm: float
    mean_mm: float


def place(case: Case, prior: PriorMaterial) -> Placed:
    """Raises EvaluationError for another patient, or where the earlier image cannot be brought onto today's; the
    sentence says which measure failed."""
    check_same_patient(case, prior.case)
    try:
        to_prior = _transform(case, prior)
        fit = _agreement(case, prior.case, to_prior)
    except EngineError as error:
        raise EvaluationError(f"the earlier course cannot be placed on today's image: {error}; {REMEDY}") from error
    organs = _organs(case, prior.case, to_prior)
    centre = _centre_mm(case)
    quality = RegistrationQuality(
        method="rigid, from the images" if prior.to_prior is None else "registration object",
        similarity=fit.similarity,
        body_overlap=fit.overlap,
        surface_mm=fit.surface_mm,
        organs_compared=organs.compared,
        organ=organs.worst,
        organ_overlap=organs.overlap,
        organ_distance_mm=organs.distance_mm,
        shift_mm=to_prior.motion_mm(centre),
        rotation_deg=to_prior.rotation_deg,
        uncertainty_mm=max(FLOOR_MM, fit.surface_mm, organs.mean_mm),
    )
    _check(quality)
    return Placed(to_prior, quality)


def check_same_patient(case: Case, prior: Case) -> None:
    """Raises EvaluationError where both name a patient and not the same one."""
    one, other = (item.identity.patient_id.strip().casefold() for item in (case, prior))
    if one and other and one != other:
        raise EvaluationError(
            "the earlier course has another patient ID than today's image; give the earlier course of this patient"
        )


def _check(quality: RegistrationQuality) -> None:
    failed = []
    if quality.similarity < LEAST_SIMILARITY:
        failed.append(f"similarity {quality.similarity:.2f} (at least {LEAST_SIMILARITY:g})")
    if quality.body_overlap < LEAST_BODY_OVERLAP:
        failed.append(f"overlap of the bodies {quality.body_overlap:.2f} (at least {LEAST_BODY_OVERLAP:g})")
    if quality.surface_mm > LARGEST_SURFACE_MM:
        failed.append(f"outlines {quality.surface_mm:.1f} mm apart (at most {LARGEST_SURFACE_MM:g} mm)")
    if quality.organ_distance_mm > LARGEST_ORGAN_MM and quality.organ_overlap < LEAST_ORGAN_OVERLAP:
        failed.append(f"{quality.organ} lies {quality.organ_distance_mm:.0f} mm away from where it was drawn")
    if failed:
        raise EvaluationError(
            f"the earlier image does not fit today's ({quality.method}): {'; '.join(failed)}; {REMEDY}"
        )


def _transform(case: Case, prior: PriorMaterial) -> RigidTransform:
    if prior.to_prior is not None:
        return RigidTransform(prior.to_prior)
    if case.frame_of_reference_uid == prior.case.frame_of_reference_uid:
        return RigidTransform(np.eye(4))
    return register_rigid(_inside(case), case.image.grid, _inside(prior.case), prior.case.image.grid)


def _inside(case: Case) -> NDArray[np.float32]:
    """HU within the outline, air elsewhere: couch and mask must not steer."""
    body = case.external.voxels.mask(case.image.grid.shape)
    return np.where(body, case.image.hu.astype(np.float32), np.float32(AIR_HU))


def _agreement(case: Case, prior: Case, to_prior: RigidTransform) -> Agreement:
    grid, step = _thinned(case.image.grid)
    hu = _inside(case)[step]
    other = moved(_inside(prior), prior.image.grid, grid, to_prior, outside=np.nan)
    body = case.external.voxels.mask(case.image.grid.shape)[step]
    prior_body = moved(prior.external.voxels.dense(prior.image.grid.shape), prior.image.grid, grid, to_prior, outside=0)
    return agreement(hu, other, body, prior_body >= 0.5, grid)


def _thinned(grid: Grid) -> tuple[Grid, tuple[slice, slice, slice]]:
    """Every n-th voxel of a fine grid."""
    nx, ny, nz = (max(1, int(JUDGED_MM / step)) for step in grid.spacing_mm)
    spacing = (grid.spacing_mm[0] * nx, grid.spacing_mm[1] * ny, grid.spacing_mm[2] * nz)
    shape = (-(-grid.shape[0] // nz), -(-grid.shape[1] // ny), -(-grid.shape[2] // nx))
    return Grid(grid.origin_mm, spacing, shape), (slice(None, None, nz), slice(None, None, ny), slice(None, None, nx))


def _organs(case: Case, prior: Case, to_prior: RigidTransform) -> _Organs:
    """Every organ drawn on both images, wholly within what both reach; targets change and are not compared."""
    found: list[tuple[float, float, str]] = []
    for organ in case.structures:
        before = prior.structure(organ.tg263)
        is_organ = organ.kind is StructureKind.ORGAN and before is not None and before.kind is StructureKind.ORGAN
        if not is_organ or before is None or organ.voxels.empty or before.voxels.empty:
            continue
        today_mm = _centroid_mm(organ.voxels, case.image.grid)
        before_mm = to_prior.inverse.apply(_centroid_mm(before.voxels, prior.image.grid))
        there = moved(
            before.voxels.dense(prior.image.grid.shape), prior.image.grid, case.image.grid, to_prior, outside=0
        )
        overlap = dice(organ.voxels.dense(case.image.grid.shape), there)
        found.append((float(np.linalg.norm(today_mm - before_mm)), overlap, organ.tg263))
    if not found:
        return _Organs(0, "", 1.0, 0.0, 0.0)
    distance_mm, overlap, worst = max(found)
    return _Organs(len(found), worst, overlap, distance_mm, float(np.mean([item[0] for item in found])))


def _centroid_mm(voxels: VoxelSet, grid: Grid) -> NDArray[np.float64]:
    centres = grid.centres_mm(voxels.index).astype(np.float64)
    return np.asarray(np.average(centres, axis=0, weights=voxels.fraction))


def _centre_mm(case: Case) -> tuple[float, float, float]:
    x, y, z = _centroid_mm(case.external.voxels, case.image.grid)
    return float(x), float(y), float(z)
