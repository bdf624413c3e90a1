"""Writes the objects of one approved plan: RTSTRUCT, RTPLAN, RTDOSE, each whole on the disk or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.ndimage import map_coordinates

from appliance.contracts import Approval, CalculatedDose, Case, ExportSet, Plan, SourceObject
from appliance.dicomio.dose import LEVELS, dose_dataset, name_medium
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.dicomio.structure_set import structure_set_dataset
from appliance.errors import ExportError, NotApproved
from engines.grid import Grid


def write_export_set(
    case: Case, plan: Plan, dose: CalculatedDose, approval: Approval, folder: Path, *, per_beam_dose: bool = False
) -> ExportSet:
    """Writes RS.dcm, RP.dcm, RD.dcm (and RD_beam_NN.dcm) into `folder` with new UIDs.

    References are closed, doses -> plan -> structures -> images of the case, and the plan names the plan it adapts.
    Doses are cut to the box that holds dose. The caller has checked the signature; here the approval must be for
    exactly this case, plan and dose. Raises NotApproved, ExportError, DiskFull, WriteFailed.
    """
    require_calculated(dose)
    _require_approval(case, plan, dose, approval)
    return _write_set(case, plan, dose, approval, folder, per_beam_dose=per_beam_dose)


def write_unapproved_set(
    case: Case, plan: Plan, dose: CalculatedDose, folder: Path, *, per_beam_dose: bool = False
) -> ExportSet:
    """The same files for a plan that nobody has approved: its RTPLAN says UNAPPROVED, and `send` refuses the set.

    Raises ExportError, DiskFull, WriteFailed."""
    return _write_set(case, plan, dose, None, folder, per_beam_dose=per_beam_dose)


def _write_set(
    case: Case, plan: Plan, dose: CalculatedDose, approval: Approval | None, folder: Path, *, per_beam_dose: bool
) -> ExportSet:
    require_calculated(dose)
    if per_beam_dose and len(dose.beam_dose_gy) != len(plan.beams):
        raise ExportError("the dose of each beam was asked for but not calculated; calculate with dose per beam")
    structures = _write_structures(case, plan, folder)
    written_plan = _write_plan(case, plan, dose, approval, structures, folder)
    doses = [_write_dose(case, dose, dose.dose_gy, written_plan, folder / "RD.dcm")]
    if per_beam_dose:
        doses += [
            _write_dose(case, dose, beam_gy, written_plan, folder / f"RD_beam_{beam.number:02d}.dcm", beam=beam.number)
            for beam, beam_gy in zip(plan.beams, dose.beam_dose_gy, strict=True)
        ]
    objects = (written_plan, *doses, structures)
    return ExportSet(
        plan=written_plan.path,
        doses=tuple(written.path for written in doses),
        structures=structures.path,
        sop_instance_uids=tuple(written.sop_instance_uid for written in objects),
        sha256=tuple(written.sha256 for written in objects),
        approved=approval is not None,
    )


def require_calculated(dose: object) -> None:
    """The type says so already; a prediction that got past it must not reach a file that somebody treats by."""
    if not isinstance(dose, CalculatedDose):
        raise ExportError(
            "only a dose that was calculated for its plan is exported; a prediction guides planning alone"
        )


def _require_approval(case: Case, plan: Plan, dose: CalculatedDose, approval: Approval) -> None:
    shown = approval.shown
    for what, approved, actual in (
        ("plan", shown.plan_digest, plan.digest),
        ("dose", shown.dose_digest, dose.digest),
        ("case", shown.case_digest, case.digest),
    ):
        if approved != actual:
            raise NotApproved(f"The {what} is not the one that was approved; review and approve it again")
    if dose.plan_digest != plan.digest:
        raise NotApproved("The dose was calculated for another plan; calculate, review and approve it again")


def _write_structures(case: Case, plan: Plan, folder: Path) -> SourceObject:
    dataset = structure_set_dataset(
        case.structures,
        identity=case.identity,
        frame_of_reference_uid=case.frame_of_reference_uid,
        images=case.images,
        label=plan.label,
        predecessor=case.structure_predecessor or case.structure_set,
    )
    return save_durable(dataset, folder / "RS.dcm")


def _write_plan(
    case: Case, plan: Plan, dose: CalculatedDose, approval: Approval | None, structures: SourceObject, folder: Path
) -> SourceObject:
    dataset = plan_dataset(
        plan,
        identity=case.identity,
        structure_set=structures,
        predecessor=case.reference_plan_object,
        prescription=case.prescription,
        approval=approval,
        frame_of_reference_uid=case.frame_of_reference_uid,
        beam_dose_gy=_beam_dose_at_isocentre(plan, dose),
    )
    return save_durable(dataset, folder / "RP.dcm")


def _beam_dose_at_isocentre(plan: Plan, dose: CalculatedDose) -> dict[int, float]:
    """Gy of one fraction at each beam's isocentre, trilinear; empty if the dose was not calculated beam by beam."""
    found = {}
    for beam, beam_gy in zip(plan.beams, dose.beam_dose_gy, strict=False):
        index_xyz = (np.array(beam.isocentre_mm) - dose.grid.origin_mm) / dose.grid.spacing_mm
        at_gy = map_coordinates(beam_gy, index_xyz[::-1, None], order=1, mode="constant", cval=0.0)
        found[beam.number] = float(at_gy[0]) / plan.fractions
    return found


def _write_dose(
    case: Case, dose: CalculatedDose, dose_gy: NDArray[np.float32], plan: SourceObject, path: Path, *,
    beam: int | None = None,
) -> SourceObject:  # fmt: skip
    return save_durable(dataset_of_dose(case, dose, dose_gy, plan, beam=beam), path)


def dataset_of_dose(
    case: Case, dose: CalculatedDose, dose_gy: NDArray[np.float32], plan: SourceObject, *, beam: int | None = None
) -> Dataset:
    """RTDOSE, cut to where dose is. dose_gy: that of the plan or of one beam, on the grid of `dose`."""
    box, inside_gy = cropped_to_dose(dose.grid, dose_gy)
    dataset = dose_dataset(
        box,
        inside_gy,
        identity=case.identity,
        frame_of_reference_uid=case.frame_of_reference_uid,
        plan=plan,
        structure_set=None,
        summation="PLAN" if beam is None else "BEAM",
        beam_number=beam,
    )
    name_medium(dataset, dose)
    return dataset


def cropped_to_dose(grid: Grid, dose_gy: NDArray[np.float32]) -> tuple[Grid, NDArray[np.float32]]:
    """The smallest box, one voxel wider on each side, that holds every voxel which would not be written as zero."""
    occupied = dose_gy > float(dose_gy.max()) / (2 * LEVELS)
    if not occupied.any():
        return grid, dose_gy
    lower, upper = [], []
    for axis in range(3):
        along = np.flatnonzero(occupied.any(axis=tuple(other for other in range(3) if other != axis)))
        lower.append(max(int(along[0]) - 1, 0))
        upper.append(min(int(along[-1]) + 2, dose_gy.shape[axis]))
    box = grid.cropped((lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
    return box, dose_gy[tuple(slice(low, high) for low, high in zip(lower, upper, strict=True))]
