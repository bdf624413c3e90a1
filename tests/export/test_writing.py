from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from appliance.contracts import CalculatedDose, ExportSet, PredictedDose
from appliance.errors import ExportError, NotApproved
from appliance.export import write_export_set, write_unapproved_set
from appliance.export.writing import cropped_to_dose
from engines.grid import Grid

from .conftest import Approved, approve


@pytest.fixture(scope="module")
def written(approved: Approved, tmp_path_factory: pytest.TempPathFactory) -> ExportSet:
    return write_export_set(
        approved.case,
        approved.plan,
        approved.dose,
        approved.approval,
        tmp_path_factory.mktemp("set") / "export",
        per_beam_dose=True,
    )


def test_the_set_lists_its_files_with_uid_and_digest(written: ExportSet) -> None:
    assert [path.name for path in written.files] == ["RP.dcm", "RD.dcm", "RD_beam_01.dcm", "RD_beam_02.dcm", "RS.dcm"]
    assert sorted(written.plan.parent.iterdir()) == sorted(written.files)
    for path, uid, sha256 in zip(written.files, written.sop_instance_uids, written.sha256, strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        assert dcmread(path).SOPInstanceUID == uid == dcmread(path).file_meta.MediaStorageSOPInstanceUID


def test_references_are_closed_down_to_the_images(written: ExportSet, approved: Approved) -> None:
    plan, structures = dcmread(written.plan), dcmread(written.structures)
    for path in written.doses:
        assert dcmread(path).ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    assert plan.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == structures.SOPInstanceUID
    frame = structures.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    on_disk = {dcmread(image.path).SOPInstanceUID for image in approved.case.images}
    assert {item.ReferencedSOPInstanceUID for item in series.ContourImageSequence} == on_disk
    before = approved.case.reference_plan_object
    assert before is not None
    assert plan.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == before.sop_instance_uid
    assert {dcmread(path).FrameOfReferenceUID for path in written.files} == {approved.case.frame_of_reference_uid}


def test_beam_doses_at_the_isocentre_are_of_one_fraction(written: ExportSet, approved: Approved) -> None:
    """The fields are linear in x and y, so trilinear interpolation at (1.5, -2.25), index 12.875, 9.4375, is exact."""
    beams = dcmread(written.plan).FractionGroupSequence[0].ReferencedBeamSequence
    expected = [(20 + slope * 12.875 + 0.3 * 9.4375) / 25 for slope in (0.5, 0.25)]
    assert [float(beam.BeamDose) for beam in beams] == pytest.approx(expected, abs=1e-4)


def test_the_dose_is_cut_to_its_box_and_nothing_is_lost(written: ExportSet, approved: Approved) -> None:
    dataset = dcmread(written.doses[0])
    assert dataset.pixel_array.shape == (7, 14, 17)
    total = dataset.pixel_array.sum(dtype=np.int64) * float(dataset.DoseGridScaling)
    assert total == pytest.approx(float(approved.dose.dose_gy.sum(dtype=np.float64)), rel=1e-5)


def test_no_dose_anywhere_keeps_the_whole_grid() -> None:
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2, 3, 4))
    box, dose_gy = cropped_to_dose(grid, np.zeros(grid.shape, np.float32))
    assert box == grid
    assert dose_gy.shape == grid.shape


@pytest.mark.parametrize("changed", ["plan", "dose", "case", "dose of another plan"])
def test_nothing_is_written_unless_exactly_this_was_approved(changed: str, approved: Approved, tmp_path: Path) -> None:
    case, plan, dose, approval = approved.case, approved.plan, approved.dose, approved.approval
    if changed == "plan":
        plan = replace(plan, fractions=plan.fractions + 1)
    elif changed == "dose":
        warmer = dose.dose_gy.copy()
        warmer[4, 8, 12] += 0.01
        dose = replace(dose, dose_gy=warmer)
    elif changed == "case":
        case = replace(case, digest="another")
    else:
        dose = CalculatedDose(dose.grid, dose.dose_gy, "another plan", "test", "generic_6mv")
        approval = approve(case, plan, dose)
    with pytest.raises(NotApproved, match=changed.split(maxsplit=1)[0]):
        write_export_set(case, plan, dose, approval, tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_dose_per_beam_that_was_not_calculated_is_refused(approved: Approved, tmp_path: Path) -> None:
    dose = replace(approved.dose, beam_dose_gy=())
    approval = approve(approved.case, approved.plan, dose)
    with pytest.raises(ExportError, match="not calculated"):
        write_export_set(approved.case, approved.plan, dose, approval, tmp_path / "export", per_beam_dose=True)
    plain = write_export_set(approved.case, approved.plan, dose, approval, tmp_path / "export")
    assert len(plain.doses) == 1


@pytest.mark.peer
def test_every_object_passes_dciodvfy_and_dcmdump(written: ExportSet) -> None:
    for tool in ("dciodvfy", "dcmdump"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    for path in written.files:
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, encoding="latin-1", check=False)
        errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
        assert (path.name, errors) == (path.name, [])
        subprocess.run(["dcmdump", "-q", str(path)], capture_output=True, check=True)


@pytest.mark.parametrize("approved_too", [False, True])
def test_a_predicted_dose_is_never_written_as_a_plans(approved_too: bool, approved: Approved, tmp_path: Path) -> None:
    """The type checker refuses it first (tests/house); this is for whoever gets past it."""
    dose = approved.dose
    predicted = PredictedDose(dose.grid, dose.dose_gy, dose.dose_gy, dose.dose_gy, "dose@0123abcd")
    given = (approved.case, approved.plan, predicted)
    with pytest.raises(ExportError, match="a prediction guides planning alone"):
        if approved_too:
            write_export_set(*given, approved.approval, tmp_path / "export")  # type: ignore[arg-type]
        else:
            write_unapproved_set(*given, tmp_path / "export")  # type: ignore[arg-type]
    assert not (tmp_path / "export").exists()
