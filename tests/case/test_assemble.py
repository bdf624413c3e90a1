from dataclasses import replace

import numpy as np
import pytest

from appliance.case import assemble
from appliance.contracts import Beam, ControlPoint, Jaws, Plan, PrescribedTarget
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.dicomio.values import new_uid
from appliance.errors import IncompleteCase, InconsistentCase
from engines.grid import Grid

OPEN = Jaws(-50.0, 50.0, -50.0, 50.0)
PLAN = Plan(
    "reference",
    (
        Beam(
            number=1,
            name="AP",
            machine="M120",
            energy_mv=6.0,
            fluence_mode="STANDARD",
            isocentre_mm=(6.0, 2.5, 0.0),
            sad_mm=1000.0,
            dose_rate_mu_min=600.0,
            leaf_boundaries_mm=(),
            control_points=tuple(ControlPoint(mu, 0.0, 0.0, 0.0, OPEN, (), ()) for mu in (0.0, 100.0)),
        ),
    ),
    35,
    "HFS",
)
WANTED = (PrescribedTarget("PTV_7000", 70.0),)
COARSE = Grid((-20.0, -15.0, -9.0), (4.0, 5.0, 3.0), (7, 7, 11))


@pytest.fixture
def parts(study, kit):
    """Image, structure set, plan and dose of one patient; `write(change=..., ...)` makes the last two."""

    def write(*, plan=PLAN, identity=None, prescription=WANTED, frame=None, change=None):
        who = identity or kit.IDENTITY
        structure_set = study.structure_set()
        frame = frame or study.frame_of_reference_uid
        dataset = plan_dataset(
            plan,
            identity=who,
            structure_set=structure_set,
            predecessor=None,
            prescription=prescription,
            frame_of_reference_uid=frame,
        )
        if change is not None:
            change(dataset)
        plan_object = save_durable(dataset, study.folder / "RP.dcm")
        dose = dose_dataset(
            COARSE,
            np.full(COARSE.shape, 50.0, np.float32),
            identity=who,
            frame_of_reference_uid=frame,
            plan=plan_object,
            structure_set=structure_set,
        )
        return structure_set, plan_object, save_durable(dose, study.folder / "RD.dcm")

    return write


def test_a_whole_case(study, parts, kit):
    structure_set, plan, dose = parts()
    case = assemble(kit.received(dose, *study.images, plan, structure_set))
    assert case.identity == kit.IDENTITY and case.patient_position == "HFS" and case.notes == ()
    assert case.fractions == 35 and case.prescription == (PrescribedTarget("PTV_7000", 70.0),)
    assert [image.sop_instance_uid for image in case.images] == [image.sop_instance_uid for image in study.images]
    assert case.structure_set == structure_set
    assert case.reference_plan_object == plan and case.reference_dose_object == dose
    assert case.reference_plan == PLAN
    assert case.external.name == "BODY" and [target.tg263 for target in case.targets] == ["PTV_7000"]
    inside = case.reference_dose_gy[4, 10, 15]
    assert inside == pytest.approx(50.0, abs=1e-3)
    assert case.reference_dose_gy[0, 0, 0] == 0.0


def test_image_and_structures_are_enough(study, kit):
    case = assemble(kit.received(*study.images, study.structure_set()))
    assert case.reference_plan is None and case.reference_dose_gy is None
    assert (case.prescription, case.fractions) == ((), 0)


def test_the_digest_is_of_every_object_and_of_nothing_else(study, parts, kit):
    everything = kit.received(*study.images, *parts())
    case = assemble(everything)
    assert assemble(list(reversed(everything))).digest == case.digest
    assert assemble(everything[:-1]).digest != case.digest
    assert len(case.digest) == 64


def test_plan_and_dose_of_another_frame(study, parts, kit):
    structure_set, plan, dose = parts(frame=new_uid())
    case = assemble(kit.received(*study.images, structure_set, plan, dose))
    assert case.reference_dose_gy is None and case.reference_dose_object == dose
    assert case.reference_plan == PLAN
    assert "received dose is in the frame of reference of another image" in case.notes[0]
    assert "plan is in another frame of reference" in case.notes[1]


def test_a_dose_of_another_plan_is_not_shown(study, parts, kit):
    structure_set, plan, dose = parts()
    kit.altered(dose.path, lambda d: setattr(d.ReferencedRTPlanSequence[0], "ReferencedSOPInstanceUID", new_uid()))
    case = assemble(kit.received(*study.images, structure_set, plan, dose))
    assert case.reference_dose_gy is None and "belongs to another plan" in case.notes[0]


@pytest.mark.parametrize(
    ("prescription", "expected", "note"),
    [
        ((PrescribedTarget("ptv 70", 70.0),), (PrescribedTarget("PTV_7000", 70.0),), None),
        ((PrescribedTarget("tumour", 66.0),), (PrescribedTarget("PTV_7000", 66.0),), "the only target"),
        (
            (PrescribedTarget("PTV_7000", 70.0), PrescribedTarget("PTV_5600", 56.0)),
            (PrescribedTarget("PTV_7000", 70.0),),
            "56 Gy in the received plan was left out",
        ),
        (
            (PrescribedTarget("PTV_7000", 70.0), PrescribedTarget("PTV70", 68.0)),
            (PrescribedTarget("PTV_7000", 70.0),),
            "prescribes two doses",
        ),
        ((), (), None),
    ],
)
def test_prescriptions_find_their_target(study, parts, kit, prescription, expected, note):
    case = assemble(kit.received(*study.images, *parts(prescription=prescription)))
    assert case.prescription == expected
    assert (note is None and case.notes == ()) or any(note in said for said in case.notes)


def test_a_number_alone_is_taken_with_a_note_when_the_structure_set_is_another(study, parts, kit):
    def elsewhere(dataset):
        dataset.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID = new_uid()
        dataset.DoseReferenceSequence[0].DoseReferenceDescription = ""

    case = assemble(kit.received(*study.images, *parts(change=elsewhere)))
    assert case.prescription == (PrescribedTarget("PTV_7000", 70.0),)
    assert "by its number alone" in case.notes[0]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("patient_id", "P-18", "patient ID"),
        ("patient_name", "Roe^Jane", "patient name"),
        ("birth_date", "19500102", "birth date"),
        ("sex", "M", "sex"),
    ],
)
def test_objects_of_two_people(study, parts, kit, field, value, words):
    others = parts(identity=replace(kit.IDENTITY, **{field: value}))
    with pytest.raises(InconsistentCase, match=f"differ in {words}") as refusal:
        assemble(kit.received(*study.images, *others))
    assert refusal.value.fields["rule"] == "case.identity"
    assert value not in refusal.value.sentence


def test_one_name_in_two_spellings_is_one_person(study, parts, kit):
    others = parts(identity=replace(kit.IDENTITY, patient_name="DOE^jane^^^", birth_date=""))
    assert assemble(kit.received(*study.images, *others)).identity == kit.IDENTITY


def test_another_patient_position_in_the_plan(study, parts, kit):
    with pytest.raises(InconsistentCase, match="lies HFS on today's image and FFS in the received plan"):
        assemble(kit.received(*study.images, *parts(plan=replace(PLAN, patient_position="FFS"))))


def test_no_patient_position_on_the_image(study, parts, kit):
    for path in study.paths:
        kit.altered(path, lambda dataset: delattr(dataset, "PatientPosition"))
    case = assemble(kit.received(*study.images, *parts()))
    assert case.patient_position == "HFS" and "taken from the received plan" in case.notes[0]
    with pytest.raises(InconsistentCase, match="stated nowhere"):
        assemble(kit.received(*study.images, study.structure_set()))


def test_an_object_that_changed_on_the_disk(study, kit):
    accepted = kit.received(*study.images, study.structure_set())
    kit.altered(study.paths[4], lambda dataset: setattr(dataset, "SliceLocation", 7))
    with pytest.raises(InconsistentCase) as refusal:
        assemble(accepted)
    assert refusal.value.fields["rule"] == "case.changed"


def test_what_is_not_there(study, kit):
    with pytest.raises(IncompleteCase, match="no structure set"):
        assemble(kit.received(*study.images))
    with pytest.raises(IncompleteCase, match="no CT"):
        assemble(kit.received(study.structure_set()))


def test_two_structure_sets(study, kit, tmp_path):
    structure_set = study.structure_set()
    with pytest.raises(InconsistentCase, match="2 objects of kind structure set") as refusal:
        assemble(kit.received(*study.images, structure_set, structure_set))
    assert refusal.value.fields["rule"] == "case.several"


def test_an_mr_alone_is_refused(study, kit):
    items = [replace(item, sop_class_uid="1.2.840.10008.5.1.4.1.1.4") for item in kit.received(*study.images)]
    with pytest.raises(InconsistentCase, match="dose cannot be calculated on it"):
        assemble([*items, *kit.received(study.structure_set())])
