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
from appliance.errors import PriorNotSummed
from engines.errors import EngineError
from engines.grid import Grid, VoxelSet
from engines.overlap import dice
from engines.registration import Agreement, RigidTransform, Scan, agreement, moved, register_rigid

LEAST_SIMILARITY = 0.75
LEAST_BODY_OVERLAP = 0.85
LARGEST_SURFACE_MM = 10.0
LEAST_ORGAN_OVERLAP = 0.1
LARGEST_ORGAN_MM = 15.0
LARGEST_UNCERTAINTY_MM = 10.0
"""Chosen, because a patient years later, heavier by a few centimetres and drawn by another hand, still passes, and
another patient, a mirror image or a registration that slipped by a vertebra does not: of the 30 ordered pairs of six
OpenKBP patients all are refused (the nearest: similarity 0.73, bodies 0.94, organs 19 mm apart on average)."""

LEAST_SEEN = 0.2
"""Part of an organ of today's that the earlier image must reach for it to be compared (chosen)."""

FLOOR_MM = 2.0
"""Least uncertainty of any registration that is counted (chosen: about a voxel of a planning CT)."""

JUDGED_MM = 3.0
"""Voxel size at which the fit is judged (chosen: its figures are means over thousands of voxels)."""

REMEDY = "check that it is the same patient in the same position, or send a registration object made by a person"


@dataclass(frozen=True, eq=False)
class Placed:
    """to_prior takes points of today's frame to the earlier one."""

    to_prior: RigidTransform
    quality: RegistrationQuality


@dataclass(frozen=True, eq=False)
class _Seen:
    """Both images on a thinned grid of today's: HU (z, y, x) inside the outlines; `other` NaN beyond the earlier
    image. step: takes a full array of today's to this grid."""

    grid: Grid
    step: tuple[slice, slice, slice]
    hu: NDArray[np.float32]
    other: NDArray[np.float32]


@dataclass(frozen=True)
class _Organs:
    compared: int
    worst: str
    overlap: float
    distance_mm: float
    mean_mm: float


def place(case: Case, prior: PriorMaterial) -> Placed:
    """Raises PriorNotSummed for another patient, or where the earlier image cannot be brought onto today's; the
    sentence says which measure failed."""
    check_same_patient(case, prior.case)
    try:
        to_prior = _transform(case, prior)
        seen = _look(case, prior.case, to_prior)
        fit = _agreement(case, prior.case, to_prior, seen)
    except EngineError as error:
        raise PriorNotSummed(f"it cannot be placed on today's image: {error}; {REMEDY}") from error
    organs = _organs(case, prior.case, to_prior, seen)
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
    """Raises PriorNotSummed where both name a patient and not the same one."""
    one, other = (item.identity.patient_id.strip().casefold() for item in (case, prior))
    if one and other and one != other:
        raise PriorNotSummed("it has another patient ID than today's image; give the earlier course of this patient")


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
    if quality.uncertainty_mm > LARGEST_UNCERTAINTY_MM:
        failed.append(f"uncertain by {quality.uncertainty_mm:.0f} mm (at most {LARGEST_UNCERTAINTY_MM:g} mm)")
    if failed:
        raise PriorNotSummed(f"its image does not fit today's ({quality.method}): {'; '.join(failed)}; {REMEDY}")


def _transform(case: Case, prior: PriorMaterial) -> RigidTransform:
    if prior.to_prior is not None:
        return RigidTransform(prior.to_prior)
    if case.frame_of_reference_uid == prior.case.frame_of_reference_uid:
        return RigidTransform(np.eye(4))
    fixed, moving = _inside(case), _inside(prior.case)
    return register_rigid(fixed.hu, fixed.grid, moving.hu, moving.grid)


def _inside(case: Case) -> Scan:
    return Scan.inside(case.image.hu, case.image.grid, case.external.voxels.mask(case.image.grid.shape))


def _look(case: Case, prior: Case, to_prior: RigidTransform) -> _Seen:
    grid, step = _thinned(case.image.grid)
    other = moved(_inside(prior).hu, prior.image.grid, grid, to_prior, outside=np.nan)
    return _Seen(grid, step, np.asarray(_inside(case).hu[step], np.float32), other)


def _agreement(case: Case, prior: Case, to_prior: RigidTransform, seen: _Seen) -> Agreement:
    body = case.external.voxels.mask(case.image.grid.shape)[seen.step]
    prior_body = moved(
        prior.external.voxels.dense(prior.image.grid.shape), prior.image.grid, seen.grid, to_prior, outside=0
    )
    return agreement(seen.hu, seen.other, body, prior_body >= 0.5, seen.grid)


def _thinned(grid: Grid) -> tuple[Grid, tuple[slice, slice, slice]]:
    """Every n-th voxel of a fine grid."""
    nx, ny, nz = (max(1, int(JUDGED_MM / step)) for step in grid.spacing_mm)
    spacing = (grid.spacing_mm[0] * nx, grid.spacing_mm[1] * ny, grid.spacing_mm[2] * nz)
    shape = (-(-grid.shape[0] // nz), -(-grid.shape[1] // ny), -(-grid.shape[2] // nx))
    return Grid(grid.origin_mm, spacing, shape), (slice(None, None, nz), slice(None, None, ny), slice(None, None, nx))


def _organs(case: Case, prior: Case, to_prior: RigidTransform, seen: _Seen) -> _Organs:
    """Every organ drawn on both images, as far as both images reach; targets change and are not compared."""
    reached = np.isfinite(seen.other)
    found: list[tuple[float, float, str]] = []
    for organ in case.structures:
        before = prior.structure(organ.tg263)
        if before is None or organ.kind is not StructureKind.ORGAN or before.kind is not StructureKind.ORGAN:
            continue
        if organ.voxels.empty or before.voxels.empty:
            continue
        whole = organ.voxels.dense(case.image.grid.shape)[seen.step]
        here = whole * reached
        there = moved(before.voxels.dense(prior.image.grid.shape), prior.image.grid, seen.grid, to_prior, outside=0)
        if float(here.sum()) < LEAST_SEEN * float(whole.sum()) or not here.any():
            continue
        before_mm = (
            _middle_mm(there, seen)
            if there.any()
            else to_prior.inverse.apply(_centroid_mm(before.voxels, prior.image.grid))
        )
        distance_mm = float(np.linalg.norm(_middle_mm(here, seen) - before_mm))
        found.append((distance_mm, dice(here, there), organ.tg263))
    if not found:
        return _Organs(0, "", 1.0, 0.0, 0.0)
    distance_mm, overlap, worst = max(found)
    return _Organs(len(found), worst, overlap, distance_mm, float(np.mean([item[0] for item in found])))


def _middle_mm(dense: NDArray[np.float32], seen: _Seen) -> NDArray[np.float64]:
    return _centroid_mm(VoxelSet.from_dense(dense), seen.grid)


def _centroid_mm(voxels: VoxelSet, grid: Grid) -> NDArray[np.float64]:
    centres = grid.centres_mm(voxels.index).astype(np.float64)
    return np.asarray(np.average(centres, axis=0, weights=voxels.fraction))


def _centre_mm(case: Case) -> tuple[float, float, float]:
    x, y, z = _centroid_mm(case.external.voxels, case.image.grid)
    return float(x), float(y), float(z)
