"""`couchside accumulate` from folders of DICOM to its doses, page and JSON, on three days of a small patient."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.builtin.deformation import Bump, Deformation
from appliance.case import assemble, read_accumulated_dose, read_dose
from appliance.contracts import Contour, Identity, Image, Structure, StructureKind
from appliance.contracts.accumulation import Placed
from appliance.dicomio.ct import write_ct_series
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import save_durable
from appliance.dicomio.registration import (
    RegisteredImage,
    deformable_registration_dataset,
    spatial_registration_dataset,
)
from appliance.dicomio.structure_set import structure_set_dataset
from appliance.dicomio.values import new_uid
from appliance.errors import NotAccumulated, RefusedInput, RefusedObject
from appliance.inbound import assess, read_folder
from appliance.session_accumulate import Asked, accumulate_course
from engines.grid import Grid, VoxelSet
from engines.registration import DisplacementField, RigidTransform
from tests.dicomio.test_validators import findings
from tests.flow.planned import plan_of, write_plan

FRACTIONS, GY = 5, 2.0
"""Of every plan (tests/flow/planned.py), and their dose a fraction in the target."""
GRID = Grid((-54.0, -54.0, -39.0), (3.0, 3.0, 3.0), (27, 37, 37))
SHIFT = RigidTransform.of((3.0, -2.0, 1.5))
DEFORMATION = Deformation((-3.0, 2.0, -1.5), (Bump((10.0, -5.0, 4.0), (4.0, -3.0, 2.0), 20.0),))
"""From the fraction to the reference, as everywhere in the built-in cases."""


GOALS = (
    'name = "two"\ntitle = "Two"\nsite = "c-shape"\nfractions = 5\n'
    '[[prescription]]\nstructure = "PTV"\ndose_gy = 10.0\n'
    '[[goal]]\nstructure = "Core"\nmetric = "Max"\ncomparator = "<="\nlimit = 12.0\nunit = "Gy"\n'
    'priority = 2\nsource = "test"\n'
)


def tissue_gy(x_mm, y_mm, z_mm) -> np.ndarray:
    """Dose of one fraction to tissue at these points of the reference: a ball of 22 mm with a steep edge."""
    radius = np.sqrt(x_mm**2 + y_mm**2 + z_mm**2)
    return GY / (1 + np.exp((radius - 22.0) / 2.0))


def meshed(grid: Grid) -> tuple[np.ndarray, ...]:
    x_mm, y_mm, z_mm = grid.axes_mm()
    return np.broadcast_arrays(x_mm[None, None, :], y_mm[None, :, None], z_mm[:, None, None])


def disc(radius_mm: float, half_mm: float) -> tuple[Contour, ...]:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    loop = radius_mm * np.stack([np.cos(angle), np.sin(angle)], -1)
    return tuple(Contour(float(z), loop) for z in GRID.axes_mm()[2] if abs(z) <= half_mm)


def write_day(folder: Path, dose_gy: np.ndarray, *, person: str = "COURSE-1") -> RegisteredImage:
    """A cylinder with a target and a core, a plan on it, and the plan's dose: dose_gy (z, y, x) in each fraction."""
    identity = Identity(person, "Doe^Jane", "19500101", "F", new_uid(), study_date="20260316")
    frame_uid = new_uid()
    hu = np.where(sum(axis**2 for axis in meshed(GRID)[:2]) < 48.0**2, 20, -1000).astype(np.int16)
    images = write_ct_series(
        Image(GRID, hu), identity=identity, frame_of_reference_uid=frame_uid, patient_position="HFS", folder=folder
    )
    drawn = (("External", StructureKind.EXTERNAL, 48.0, 99.0), ("PTV", StructureKind.TARGET, 18.0, 15.0))
    drawn += (("Core", StructureKind.ORGAN, 8.0, 12.0),)
    nothing = VoxelSet(np.zeros(0, np.int32), np.zeros(0, np.float32))
    structures = tuple(
        Structure(number, name, name, kind, disc(radius_mm, half_mm), nothing)
        for number, (name, kind, radius_mm, half_mm) in enumerate(drawn, 1)
    )
    structure_set = save_durable(
        structure_set_dataset(
            structures, identity=identity, frame_of_reference_uid=frame_uid, images=images, label="Day"
        ),
        folder / "RS.dcm",
    )
    [plan] = [
        item
        for item in read_folder(write_plan(plan_of("static"), folder, folder / "RP.dcm").parent)
        if item.modality == "RTPLAN"
    ]
    dataset = dose_dataset(
        GRID,
        (FRACTIONS * dose_gy).astype(np.float32),
        identity=identity,
        frame_of_reference_uid=frame_uid,
        plan=plan,
        structure_set=structure_set,
    )
    save_durable(dataset, folder / "RD.dcm")
    return RegisteredImage(identity, frame_uid, images)


def to_fraction(grid: Grid) -> DisplacementField:
    """From the reference to the fraction: the inverse of the deformation, by fixed-point iteration."""
    home = [axis.astype(np.float64) for axis in meshed(grid)]
    there = [axis.copy() for axis in home]
    for _ in range(20):
        back = DEFORMATION.to_reference(*there)
        there = [now + start - was for now, start, was in zip(there, home, back, strict=True)]
    field = np.stack([now - start for now, start in zip(there, home, strict=True)], -1)
    return DisplacementField(grid, field.astype(np.float32))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """reference/, deformed/ with a deformable object and shifted/ with a rigid one; nobody changes them."""
    root = tmp_path_factory.mktemp("course")
    points = meshed(GRID)
    fixed = write_day(root / "reference", tissue_gy(*points))
    moving = write_day(root / "deformed", tissue_gy(*DEFORMATION.to_reference(*points)))
    field = to_fraction(Grid((-60.0, -60.0, -45.0), (5.0, 5.0, 5.0), (19, 25, 25)))
    save_durable(deformable_registration_dataset(field, fixed=fixed, moving=moving), root / "deformed" / "REG.dcm")
    home = SHIFT.inverse.apply(np.stack(points, -1).astype(np.float64))
    moving = write_day(root / "shifted", tissue_gy(*np.moveaxis(home, -1, 0)))
    save_durable(spatial_registration_dataset(SHIFT, fixed=fixed, moving=moving), root / "shifted" / "REG.dcm")
    return root


def changed(root: Path, name: str, tmp_path: Path, **values) -> Path:
    """A copy of a fraction with other values in one of its files: FILE__Keyword=value."""
    folder = tmp_path / name
    shutil.copytree(root / name, folder)
    for where, value in values.items():
        stem, keyword = where.split("__")
        dataset = pydicom.dcmread(folder / f"{stem}.dcm")
        setattr(dataset, keyword, value)
        dataset.save_as(folder / f"{stem}.dcm")
    return folder


def test_two_days_are_added_up_where_the_tissue_is(root, run, tmp_path):
    out = tmp_path / "out"
    ran = run("accumulate", root / "reference", root / "deformed", root / "shifted", "--out", out, "--delivered", "1,2")
    assert ran.code == 0, ran.err
    assert "not for clinical use" in ran.out
    grid, dose_gy = read_accumulated_dose(out / "accumulated.dcm")
    truth = 3 * tissue_gy(*meshed(grid))
    # The edge has 0.75 Gy a mm; both maps are exact but for sampling of field and dose.
    inside = sum(axis**2 for axis in meshed(grid)) < 34.0**2
    assert np.abs(dose_gy - truth)[inside].max() < 0.3
    assert np.abs(dose_gy - truth)[inside].mean() < 0.06
    _, eqd2_gy = read_accumulated_dose(out / "accumulated_eqd2.dcm")
    assert float(eqd2_gy.max()) == pytest.approx(3 * GY, abs=0.01)  # fractions of 2 Gy
    document = json.loads((out / "accumulation.json").read_bytes())
    assert document["schema"] == "couchside.accumulation/1" and document["delivered"] == 3
    assert [item["registered_by"] for item in document["fractions"]] == [
        "deformable registration object",
        "rigid registration object",
    ]
    core = [item for item in document["figures"] if item["structure"] == "Core"]
    for item in core:
        assert item["low"] <= item["low_independent"] <= item["value"] <= item["high_independent"] <= item["high"]
        assert item["value"] == pytest.approx(item["planned"], rel=0.02)
    page = (out / "accumulation.html").read_text()
    assert "Dose-volume histograms" in page and "COURSE-1" not in page and "Doe" not in page


def test_the_doses_say_what_they_are_and_no_reader_takes_them_for_a_plans(root, run, tmp_path):
    out = tmp_path / "out"
    assert run("accumulate", root / "reference", root / "deformed", root / "shifted", "--out", out).code == 0
    physical, effective = (pydicom.dcmread(out / name) for name in ("accumulated.dcm", "accumulated_eqd2.dcm"))
    assert (physical.DoseType, effective.DoseType) == ("PHYSICAL", "EFFECTIVE")
    assert physical.DoseComment == "ACCUMULATED over 2 fractions, physical, research only"
    assert effective.DoseComment == "ACCUMULATED over 2 fractions, EQD2 a/b 3 Gy, research only"
    assert physical.DoseSummationType == "MULTI_PLAN" and len(physical.ReferencedRTPlanSequence) == 2
    said = physical.ContributingEquipmentSequence[0].ContributionDescription
    assert said.count("registration object, off by up to 3 mm") == 2
    with pytest.raises(RefusedObject, match="several fractions") as refusal:
        read_dose(out / "accumulated.dcm")
    assert refusal.value.fields["rule"] == "dose.accumulated"
    with pytest.raises(RefusedObject, match="several fractions"):
        read_folder(out)
    with pytest.raises(RefusedObject, match="no accumulated dose"):
        read_accumulated_dose(root / "reference" / "RD.dcm")


@pytest.mark.peer
def test_a_validator_finds_no_error_in_doses_of_one_plan_and_of_two(root, run, tmp_path):
    for name, days in (("one", ("deformed",)), ("two", ("deformed", "shifted"))):
        assert run("accumulate", root / "reference", *(root / d for d in days), "--out", tmp_path / name).code == 0
        for file in ("accumulated.dcm", "accumulated_eqd2.dcm"):
            assert findings(tmp_path / name / file) == []


def test_goals_of_the_rest_are_made_on_request(root, run, tmp_path):
    goals = tmp_path / "goals.toml"
    goals.write_text(GOALS)
    out = tmp_path / "out"
    ran = run("accumulate", root / "reference", root / "deformed", "--out", out, "--goals", goals)
    assert ran.code == 0, ran.err
    rest = json.loads((out / "accumulation.json").read_bytes())["remaining_goals"]
    assert rest["fractions"] == 4 and rest["prescription"] == [["PTV", 8.0]]
    # The core lies in the ball: 2 Gy had of 12, no alpha/beta of its own.
    assert rest["goals"][0]["limit"] == pytest.approx(10.0, abs=0.05)
    assert "Goals of the fractions that are left" in (out / "accumulation.html").read_text()
    ran = run("accumulate", root / "reference", root / "deformed", "--out", out, "--goals", goals, "--delivered", 5)
    assert ran.code == 4 and "none is left" in ran.err


def test_objects_that_a_session_wrote_the_other_way_and_those_beside_the_anatomy_are_used(root, tmp_path):
    """Today is the fixed image there; and one day's anatomy may be reached from another's through the reference."""
    tell = lambda *_: None  # noqa: E731
    sides = {}
    for name in ("reference", "deformed"):
        case = assemble(assess(read_folder(root / name)).chosen)
        sides[name] = RegisteredImage.of(case)
    folder = changed(root, "deformed", tmp_path)
    field = DisplacementField(GRID, DEFORMATION.field_mm(GRID))
    dataset = deformable_registration_dataset(field, fixed=sides["deformed"], moving=sides["reference"])
    save_durable(dataset, folder / "REG.dcm")
    course = accumulate_course(root / "reference", [folder], Asked(), tell)
    assert course.fractions[0].origin == "deformable registration object, turned round"
    assert 3.0 <= course.fractions[0].delivered.uncertainty_mm < 3.1
    inside = sum(axis**2 for axis in meshed(GRID)) < 34.0**2
    assert np.abs(course.dose.dose_gy - tissue_gy(*meshed(GRID)))[inside].mean() < 0.02
    # On today's anatomy: the shifted day, reached from the deformed one through the reference.
    course = accumulate_course(folder, [root / "shifted"], Asked(), tell)
    assert "through another image" in course.fractions[0].origin
    assert 6.0 <= course.fractions[0].delivered.uncertainty_mm < 6.1
    truth = tissue_gy(*DEFORMATION.to_reference(*meshed(GRID)))
    assert np.abs(course.dose.dose_gy - truth)[inside].mean() < 0.02


def test_a_fraction_without_a_registration_is_refused_or_registered(root, tmp_path):
    folder = changed(root, "deformed", tmp_path)
    (folder / "REG.dcm").unlink()
    with pytest.raises(NotAccumulated, match=r"deformed was refused.*no registration to this anatomy"):
        accumulate_course(root / "reference", [folder], Asked(), lambda *_: None)
    asked = []

    def register(onto, case):
        asked.append((onto.frame_of_reference_uid, case.frame_of_reference_uid))
        return Placed(RigidTransform.of(), 4.0, "made up")

    course = accumulate_course(root / "reference", [folder], Asked(), lambda *_: None, register=register)
    onto, fraction = (assemble(assess(read_folder(path)).chosen) for path in (root / "reference", folder))
    assert asked == [(onto.frame_of_reference_uid, fraction.frame_of_reference_uid)]
    assert course.fractions[0].origin == "made up" and course.fractions[0].delivered.uncertainty_mm == 4.0


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"REG__FrameOfReferenceUID": "1.2.3"}, "no registration to this anatomy"),
        ({"RD__FrameOfReferenceUID": "1.2.3"}, "no dose of its plan on its own image"),
        ({"RD__DoseSummationType": "BEAM"}, "no dose of its plan on its own image"),
        ({"RD__ReferencedRTPlanSequence": []}, "does not say which plan"),
        ({"RD__PatientID": "ANOTHER"}, "differ in patient ID"),
    ],
)
def test_what_does_not_belong_together_is_refused_by_name(root, tmp_path, values, match):
    folder = changed(root, "deformed", tmp_path, **values)
    with pytest.raises(NotAccumulated, match=match):
        accumulate_course(root / "reference", [folder], Asked(), lambda *_: None)


def test_another_patient_a_dose_without_its_plan_and_one_fraction_twice_are_refused(root, tmp_path):
    other = tmp_path / "other"
    write_day(other, tissue_gy(*meshed(GRID)), person="ANOTHER")
    tell = lambda *_: None  # noqa: E731
    with pytest.raises(NotAccumulated, match="differ in patient ID"):
        accumulate_course(root / "reference", [other], Asked(), tell)
    folder = changed(root, "deformed", tmp_path)
    (folder / "RP.dcm").unlink()
    with pytest.raises(NotAccumulated, match="no plan"):
        accumulate_course(root / "reference", [folder], Asked(), tell)
    with pytest.raises(NotAccumulated, match="same dose object"):
        accumulate_course(root / "reference", [root / "deformed", root / "deformed"], Asked(), tell)
    with pytest.raises(NotAccumulated, match="1 folders and 2 numbers"):
        accumulate_course(root / "reference", [root / "deformed"], Asked(counts=(1, 2)), tell)
    with pytest.raises(RefusedInput):
        accumulate_course(root / "nowhere", [root / "deformed"], Asked(), tell)


def test_without_a_plan_of_the_reference_there_is_nothing_to_compare_with(root, run, tmp_path):
    folder, out = changed(root, "reference", tmp_path), tmp_path / "out"
    for name in ("RP.dcm", "RD.dcm"):
        (folder / name).unlink()
    course = accumulate_course(folder, [root / "shifted"], Asked(), lambda *_: None)
    assert course.dose.planned == 0 and all(item.planned is None for item in course.dose.figures)
    goals = tmp_path / "goals.toml"
    goals.write_text(GOALS)
    ran = run("accumulate", folder, root / "shifted", "--out", out, "--goals", goals)
    assert ran.code == 5 and "length of the course is not known" in ran.err and not out.exists()


def test_an_image_in_the_same_frame_is_taken_as_it_lies_and_said_to_be(root):
    course = accumulate_course(root / "reference", [root / "reference"], Asked(counts=(2,)), lambda *_: None)
    planned = 2 / FRACTIONS * course.case.reference_dose_gy
    assert np.abs(course.dose.dose_gy - planned).max() < 1e-4
    assert course.fractions[0].origin == "same frame of reference"
    assert any("taken as it lies there" in note for note in course.dose.notes)
    asked = []
    accumulate_course(
        root / "reference",
        [root / "reference"],
        Asked(),
        lambda *_: None,
        register=lambda *cases: asked.append(cases) or Placed(RigidTransform.of(), 4.0, "made up"),
    )
    assert len(asked) == 1


def test_the_command_says_what_it_takes(root, run, tmp_path):
    ran = run("accumulate", root / "reference", root / "deformed", "--out", tmp_path / "o", "--delivered", "two")
    assert ran.code == 3 and "such as 1,3,1" in ran.err
    ran = run("accumulate", root / "reference", root / "deformed", "--out", tmp_path / "o", "--alpha-beta", "inf")
    assert ran.code == 3 and "finite" in ran.err
    assert not (tmp_path / "o").exists()
