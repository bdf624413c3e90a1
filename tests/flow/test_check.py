"""`couchside check` on real files: plans of every technique pass, and each thing spoilt is found under its own id."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from appliance.checking import CHECKS

from ..cli.conftest import Ran
from ..session.small_case import write_small_case
from .bad_study import edited, moved, put, refused, slices
from .planned import TECHNIQUES, beam, plan_of, point, write_plan

Run = Callable[..., Ran]
Found = dict[str, dict[str, object]]
NAMES = {name: name.replace(" ", "-") for name in TECHNIQUES}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CT and structure set in ct/; plans beside it, doses when they are first asked for."""
    folder = tmp_path_factory.mktemp("check")
    write_small_case(folder / "ct")
    for technique, name in NAMES.items():
        write_plan(plan_of(technique), folder / "ct", folder / f"{name}.dcm")
    return folder


def dose_of(run: Run, made: Path, name: str) -> Path:
    out = made / f"{name}-dose.dcm"
    if not out.exists():
        ran = run("dose", made / f"{name}.dcm", "--ct", made / "ct", "--out", out, "--json")
        assert ran.code == 0, ran.err
    return out


def check(run: Run, plan: Path, dose: Path, ct: Path, *more: object) -> tuple[int, dict[str, object], Found]:
    ran = run("check", plan, dose, "--ct", ct, "--json", *more)
    assert ran.out, ran.err
    document = json.loads(ran.out)
    return ran.code, document, {str(item["id"]): item for item in document["findings"]}


def unspoilt(run: Run, made: Path) -> Found:
    """What is found in the static plan as it was made; asked once."""
    kept = made / "static-found.json"
    if not kept.exists():
        kept.write_text(json.dumps(check(run, made / "static.dcm", dose_of(run, made, "static"), made / "ct")[2]))
    found: Found = json.loads(kept.read_bytes())
    return found


def test_every_check_has_an_id_of_its_own_and_a_source() -> None:
    ids = [item.id for item in CHECKS]
    assert len(ids) == len(set(ids)) > 50
    assert all(item.title and item.source and "." in item.id for item in CHECKS)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_plan_of_each_technique_passes_and_reads_back_to_its_dose(run: Run, made: Path, technique: str) -> None:
    name = NAMES[technique]
    code, document, found = check(run, made / f"{name}.dcm", dose_of(run, made, name), made / "ct")
    stops = [item for item in found.values() if (item["outcome"], item["severity"]) == ("found", "stop")]
    # The dose prescribed is a guess of this test, its maximum is what the beams give.
    assert [item["id"] for item in stops] in ([], ["dose.maximum"]), stops
    assert code == (12 if stops else 0)
    assert document["schema"] == "couchside.check/1"
    second = document["second_check"]
    assert second["gamma_pass_percent"] == 100.0  # type: ignore[index]
    # The same algorithm, but beam by beam, where each has its own sets of cones' lines.
    assert abs(second["point_difference_percent"]) < 0.3  # type: ignore[index]
    assert found["points.limits"]["outcome"] == "passed", found["points.limits"]
    assert found["second.independent"]["outcome"] == "found", "both doses are Couchside's, which must be said"


def on_plan(change: Callable[[Dataset], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with edited(folder / "plan.dcm") as dataset:
            change(dataset)

    return spoil


def on_dose(change: Callable[[Dataset], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with edited(folder / "dose.dcm") as dataset:
            change(dataset)

    return spoil


def on_structures(change: Callable[[Dataset], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with edited(folder / "ct" / "RS.dcm") as dataset:
            change(dataset)

    return spoil


def beam_of(dataset: Dataset) -> Dataset:
    return dataset.BeamSequence[0]


def points_of(dataset: Dataset) -> list[Dataset]:
    return list(beam_of(dataset).ControlPointSequence)


def on_point(**values: object) -> Callable[[Path], None]:
    """On the first control point."""
    return on_plan(lambda dataset: put(**values)(points_of(dataset)[0]))


def open_contour(dataset: Dataset) -> None:
    dataset.ROIContourSequence[1].ContourSequence[0].ContourGeometricType = "OPEN_PLANAR"


def leaf_out(dataset: Dataset) -> None:
    points_of(dataset)[0].BeamLimitingDevicePositionSequence[2].LeafJawPositions[0] = -260.0


def doubled(dataset: Dataset) -> None:
    dataset.DoseGridScaling = float(dataset.DoseGridScaling) * 1.08


def moved_dose(dataset: Dataset) -> None:
    x, y, z = map(float, dataset.ImagePositionPatient)
    dataset.ImagePositionPatient = [x + 8.0, y, z]


def renamed(dataset: Dataset) -> None:
    next(roi for roi in dataset.StructureSetROISequence if roi.ROIName == "Core").ROIName = "Parotid_L"


def missing_slice(folder: Path) -> None:
    slices(folder / "ct")[5].unlink()


def another_content(folder: Path) -> None:
    shutil.copy(folder / "plan.dcm", folder / "ct" / "copy.dcm")
    with edited(folder / "ct" / "copy.dcm") as dataset:
        dataset.RTPlanLabel = "other"


def with_bolus(dataset: Dataset) -> None:
    item = Dataset()
    item.ReferencedROINumber = 9
    beam_of(dataset).ReferencedBolusSequence = [item]


def turned(dataset: Dataset) -> None:
    point = points_of(dataset)[1]
    point.GantryAngle = 4.0


def nan_leaf(dataset: Dataset) -> None:
    device = points_of(dataset)[0].BeamLimitingDevicePositionSequence[2]
    device.LeafJawPositions = [float("nan"), *list(device.LeafJawPositions)[1:]]


def falling(dataset: Dataset) -> None:
    points_of(dataset)[0].CumulativeMetersetWeight = 0.4


def with_setup_beam(dataset: Dataset) -> None:
    """A setup beam of another isocentre."""
    other = copy.deepcopy(beam_of(dataset))
    other.BeamNumber, other.BeamName, other.TreatmentDeliveryType = 2, "AP", "SETUP"
    other.ControlPointSequence[0].IsocenterPosition = [1.0, -10.0, 0.0]
    dataset.BeamSequence.append(other)


def second_beam(**first_point: object) -> Callable[[Dataset], None]:
    """A copy of the first beam, with values of its own in its first control point."""

    def add(dataset: Dataset) -> None:
        put(TableTopVerticalPosition=10, TableTopLongitudinalPosition=20, TableTopLateralPosition=0)(
            points_of(dataset)[0]
        )
        other = copy.deepcopy(beam_of(dataset))
        other.BeamNumber = 2
        put(**first_point)(other.ControlPointSequence[0])
        dataset.BeamSequence.append(other)

    return add


def other_prescription(dataset: Dataset) -> None:
    item = Dataset()
    item.ReferencedDoseReferenceNumber, item.TargetPrescriptionDose = 1, 6.0
    dataset.FractionGroupSequence[0].ReferencedDoseReferenceSequence = [item]


def metal(folder: Path) -> None:
    """A cube of 4096 HU in the middle of three slices."""
    paths = sorted(slices(folder / "ct"), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))
    for path in paths[len(paths) // 2 - 1 : len(paths) // 2 + 2]:
        with edited(path) as dataset:
            stored = dataset.pixel_array.copy()
            row, column = stored.shape[0] // 2, stored.shape[1] // 2
            stored[row - 2 : row + 3, column - 2 : column + 3] = 4096 - int(dataset.RescaleIntercept)
            dataset.PixelData = stored.tobytes()


def shallow_dose(dataset: Dataset) -> None:
    """Only its frames up to the middle."""
    count = int(dataset.NumberOfFrames) // 2
    size = int(dataset.Rows) * int(dataset.Columns) * 2
    dataset.NumberOfFrames = count
    dataset.GridFrameOffsetVector = list(dataset.GridFrameOffsetVector)[:count]
    dataset.PixelData = dataset.PixelData[: count * size]


SPOILT: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "another patient's dose": (on_dose(put(PatientID="OTHER")), "identity.same-person", "stop", "PatientID"),
    "another study": (on_plan(put(StudyInstanceUID=generate_uid())), "identity.same-study", "warn", "Study"),
    "dose of another plan": (
        on_dose(lambda d: setattr(d.ReferencedRTPlanSequence[0], "ReferencedSOPInstanceUID", generate_uid())),
        "references.plan-of-dose", "stop", "another plan",
    ),
    "plan on another structure set": (
        on_plan(lambda d: setattr(d.ReferencedStructureSetSequence[0], "ReferencedSOPInstanceUID", generate_uid())),
        "references.structures-of-plan", "stop", "another structure set",
    ),
    "another frame": (on_plan(put(FrameOfReferenceUID=generate_uid())), "references.frame", "stop", "plan"),
    "two contents of one UID": (another_content, "status.same-uid-other-bytes", "stop", "other content"),
    "nobody approved": (on_plan(put(ApprovalStatus="REJECTED")), "status.approval", "warn", "REJECTED"),
    "plan older than its image": (on_plan(put(RTPlanDate="20200101")), "status.order-of-dates", "warn", "older"),
    "missing slice": (missing_slice, "images.whole", "stop", "missing"),
    "lies another way": (
        on_plan(lambda d: setattr(d.PatientSetupSequence[0], "PatientPosition", "FFS")),
        "images.patient-position", "stop", "FFS",
    ),
    "open contour": (
        on_structures(open_contour), "contours.closed", "warn", "OPEN_PLANAR",
    ),
    "contours off the planes": (on_structures(moved("Core", (0, 0, 1.5))), "contours.readable", "stop", "Core"),
    "organ outside": (on_structures(moved("Core", (70, 0, 0))), "contours.inside-body", "warn", "Core"),
    "left on the right": (
        lambda folder: (on_structures(renamed)(folder), on_structures(moved("Parotid_L", (-40, 0, 0)))(folder)),
        "identity.laterality", "stop", "right",
    ),
    "wedge": (on_plan(lambda d: setattr(beam_of(d), "NumberOfWedges", 1)), "beams.readable", "stop", "wedge"),
    "electrons": (
        on_plan(lambda d: setattr(beam_of(d), "RadiationType", "ELECTRON")), "beams.kinds", "warn", "ELECTRON",
    ),
    "another energy": (
        on_plan(lambda d: setattr(points_of(d)[0], "NominalBeamEnergy", 15)), "beams.energy", "stop", "15 MV",
    ),
    "another machine": (
        on_plan(lambda d: setattr(beam_of(d), "TreatmentMachineName", "LINAC9")), "beams.machine", "warn", "LINAC9",
    ),
    "zero monitor units": (
        on_plan(lambda d: setattr(d.FractionGroupSequence[0].ReferencedBeamSequence[0], "BeamMeterset", 0)),
        "beams.meterset", "stop", "beam 1",
    ),
    "beam not delivered": (
        on_plan(lambda d: setattr(d.FractionGroupSequence[0].ReferencedBeamSequence[0], "ReferencedBeamNumber", 7)),
        "beams.count", "stop", "7",
    ),
    "isocentre outside": (
        on_point(IsocenterPosition=[400, 0, 0]), "beams.isocentre", "stop", "beam 1",
    ),
    "bolus": (on_plan(with_bolus), "setup.bolus", "stop", "beam 1"),
    "stated distance": (
        on_plan(lambda d: setattr(points_of(d)[0], "SourceToSurfaceDistance", 800)), "setup.ssd", "warn", "800",
    ),
    "too few control points": (
        on_plan(lambda d: setattr(beam_of(d), "NumberOfControlPoints", 5)), "points.count", "stop", "states 5",
    ),
    "no gantry angle": (
        on_plan(lambda d: delattr(points_of(d)[0], "GantryAngle")), "points.first-states-all", "stop", "GantryAngle",
    ),
    "NaN": (on_plan(nan_leaf), "points.numbers", "stop", "beam 1 (B1), control point 0: MLCX"),
    "metersets from 0.4": (on_plan(falling), "points.meterset", "stop", "control point 0"),
    "turns without a direction": (on_plan(turned), "points.gantry-direction", "stop", "control point 1"),
    "leaf beyond the bank": (
        on_plan(leaf_out), "points.limits", "stop", "beam 1, control point 0",
    ),
    "prescribed twice the dose": (
        on_plan(lambda d: setattr(d.DoseReferenceSequence[0], "TargetPrescriptionDose", 20.0)),
        "prescription.targets", "warn", "of 20 Gy",
    ),
    "a hundred fractions": (
        on_plan(lambda d: setattr(d.FractionGroupSequence[0], "NumberOfFractionsPlanned", 100)),
        "prescription.fractions", "warn", "100 fractions",
    ),
    "a plan of the machine's own": (on_plan(put(PlanIntent="MACHINE_QA")), "status.intent", "stop", "MACHINE_QA"),
    "beams of one name": (on_plan(second_beam()), "beams.names", "warn", "2 beams are called b1"),
    "three monitor units": (
        on_plan(lambda d: setattr(d.FractionGroupSequence[0].ReferencedBeamSequence[0], "BeamMeterset", 3)),
        "beams.smallest-meterset", "warn", "beam 1 has 3.00 MU",
    ),
    "two prescriptions": (
        on_plan(other_prescription), "prescription.references", "warn", "prescribes 5 Gy, the fraction group 6 Gy",
    ),
    "prescribed to no structure": (
        on_plan(lambda d: setattr(d.DoseReferenceSequence[0], "ReferencedROINumber", 77)),
        "prescription.references", "warn", "ROI 77",
    ),
    "setup beam elsewhere": (on_plan(with_setup_beam), "setup.fields-place", "warn", "beam 2 (AP)"),
    "table tops that differ": (
        on_plan(second_beam(TableTopVerticalPosition=15)), "setup.couch-position", "warn", "beam 2",
    ),
    "tilted couch": (on_point(TableTopPitchAngle=2.0), "setup.couch-position", "warn", "TableTopPitchAngle of 2"),
    "metal": (metal, "images.hounsfield", "warn", "above 2500 HU"),
    "half a dose grid": (on_dose(shallow_dose), "dose.cut-off", "warn", "inside the body"),
    "relative dose": (on_dose(put(DoseUnits="RELATIVE")), "dose.kind", "stop", "RELATIVE"),
    "dose of one fraction": (
        on_dose(lambda d: setattr(d, "DoseGridScaling", float(d.DoseGridScaling) / 5)), "dose.maximum", "stop", "of 5",
    ),
    "eight percent more dose": (on_dose(doubled), "second.point", "stop", "-7.4"),
    "dose 8 mm beside": (on_dose(moved_dose), "second.gamma", "stop", "action limit"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_spoilt_is_found_under_its_id(run: Run, made: Path, tmp_path: Path, name: str) -> None:
    spoil, expected, severity, words = SPOILT[name]
    dose = dose_of(run, made, "static")
    shutil.copytree(made / "ct", tmp_path / "ct")
    shutil.copy(made / "static.dcm", tmp_path / "plan.dcm")
    shutil.copy(dose, tmp_path / "dose.dcm")
    spoil(tmp_path)
    code, _, found = check(run, tmp_path / "plan.dcm", tmp_path / "dose.dcm", tmp_path / "ct")
    assert (found[expected]["outcome"], found[expected]["severity"]) == ("found", severity), found[expected]
    assert words in str(found[expected]["evidence"]), found[expected]["evidence"]
    assert found[expected] != unspoilt(run, made)[expected]
    if severity == "stop":
        assert code == 12


def test_what_changed_against_the_reference_plan(run: Run, made: Path, tmp_path: Path) -> None:
    """Leaves, monitor units and isocentre may change; fractions, energy and directions may not."""
    dose = dose_of(run, made, "static")
    shifted = replace(plan_of("static"), beams=(beam(point(0, -15, 15), point(90, -15, 15), isocentre_mm=(3, -10, 0)),))
    allowed = write_plan(shifted, made / "ct", tmp_path / "allowed.dcm")
    _, _, found = check(run, allowed, dose, made / "ct", "--reference", made / "static.dcm")
    assert found["difference.kept"]["outcome"] == "passed"
    assert "-10.0 %" in str(found["difference.monitor-units"]["evidence"])
    assert "+3.0" in str(found["difference.isocentre"]["evidence"])
    other = replace(shifted, fractions=6, beams=(beam(point(0, -15, 15, 30.0), point(90, -15, 15, 30.0)),))
    written = write_plan(other, made / "ct", tmp_path / "other.dcm")
    _, _, found = check(run, written, dose, made / "ct", "--reference", made / "static.dcm")
    said = str(found["difference.kept"]["evidence"])
    assert found["difference.kept"]["outcome"] == "found" and "fractions" in said and "directions" in said
    _, _, found = check(run, made / "static.dcm", dose, made / "ct", "--reference", made / "static.dcm")
    assert found["references.predecessor"]["outcome"] == "found", "an adapted plan has a UID of its own"


def test_the_page_names_no_patient_and_loads_nothing(run: Run, made: Path, tmp_path: Path) -> None:
    page = tmp_path / "check.html"
    ran = run("check", made / "static.dcm", dose_of(run, made, "static"), "--ct", made / "ct", "--html", page)
    assert "checks:" in ran.out
    text = page.read_text("utf-8")
    assert "second.gamma" in text and "http" not in text.replace("http-equiv", "")
    identity = pydicom.dcmread(made / "static.dcm")
    for secret in ("SMALL-1", "Small^Case", str(identity.SOPInstanceUID)):
        assert secret not in text and secret not in ran.out


def test_files_that_are_no_plan_are_refused(run: Run, made: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM")
    dose = dose_of(run, made, "static")
    refused(run("check", broken, dose, "--ct", made / "ct", "--json"), 4, "refused.object", "RTPLAN")
    refused(run("check", made / "static.dcm", broken, "--ct", made / "ct", "--json"), 4, "refused.object", "RTDOSE")
    wanted = run("check", made / "static.dcm", dose, "--ct", made / "ct", "--algorithm", "guess", "--json")
    refused(wanted, 3, "config", "pencil_beam")
