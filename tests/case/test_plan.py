from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from appliance.case import read_plan
from appliance.case.plan import read_plan_file
from appliance.contracts import Beam, ControlPoint, Jaws, Plan, PrescribedTarget
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.errors import RefusedObject, UnsupportedPlan

BOUNDARIES = (-20.0, -10.0, -5.0, 0.0, 5.0, 10.0, 20.0)
PAIRS = len(BOUNDARIES) - 1


def point(mu, *, gantry=40.0, a=-10.0, jaws=(-40.0, 40.0, -20.0, 20.0), collimator=2.0):
    leaf_a = tuple(a + index for index in range(PAIRS))
    leaf_b = tuple(15.0 + 2 * index for index in range(PAIRS))
    return ControlPoint(mu, gantry, collimator, 0.0, Jaws(*jaws), leaf_a, leaf_b)


def beam(number, points, **changes):
    fields = {
        "number": number,
        "name": f"B{number}",
        "machine": "M120",
        "energy_mv": 6.0,
        "fluence_mode": "STANDARD",
        "isocentre_mm": (1.5, -2.25, 30.0),
        "sad_mm": 1000.0,
        "dose_rate_mu_min": 600.0,
        "leaf_boundaries_mm": BOUNDARIES,
        "control_points": tuple(points),
    }
    return Beam(**(fields | changes))


def step_and_shoot():
    """Two segments with a move between them that delivers nothing, and one open jaw-only field."""
    segments = [point(0.0), point(30.0), point(30.0, a=-4.0, jaws=(-20.0, 30.0, -20.0, 10.0)), None]
    segments[3] = ControlPoint(75.5, *[getattr(segments[2], name) for name in list(vars(segments[2]))[1:]])
    jaws_only = [ControlPoint(mu, 270.0, 0.0, 0.0, Jaws(-50.0, 50.0, -50.0, 50.0), (), ()) for mu in (0.0, 100.0)]
    beams = (beam(1, segments), beam(2, jaws_only, leaf_boundaries_mm=(), fluence_mode="FFF"))
    return Plan("adapt 1", beams, 25, "HFS")


def arc():
    points = [point(0.5 * index, gantry=(170.0 + 2 * index) % 360, a=-10.0 + index % 3) for index in range(40)]
    return Plan("arc", (beam(1, points),), 5, "FFP", "VMAT")


def sliding():
    return Plan("slide", (beam(1, [point(0.0), point(20.0, a=-8.0), point(50.0, a=-2.0)]),), 5, "HFP", "SLIDING_WINDOW")


@pytest.fixture
def write(study, kit):
    """Writes a plan, after `change` was done to its dataset."""

    def write_plan(plan, change=None, prescription=()):
        dataset = plan_dataset(
            plan,
            identity=kit.IDENTITY,
            structure_set=study.structure_set(),
            predecessor=None,
            prescription=prescription,
            frame_of_reference_uid=study.frame_of_reference_uid,
        )
        if change is not None:
            change(dataset)
        return save_durable(dataset, study.folder / "RP.dcm").path

    return write_plan


def assert_same(read: Plan, written: Plan):
    assert (read.label, read.fractions, read.patient_position) == (
        written.label,
        written.fractions,
        written.patient_position,
    )
    assert read.technique == written.technique
    for one, other in zip(read.beams, written.beams, strict=True):
        for name in ("number", "name", "machine", "energy_mv", "fluence_mode", "isocentre_mm", "sad_mm"):
            assert getattr(one, name) == getattr(other, name)
        assert one.dose_rate_mu_min == other.dose_rate_mu_min
        assert one.leaf_boundaries_mm == other.leaf_boundaries_mm
        for name in ("leaf_axis", "jaw_axes", "lower_boundaries_mm"):
            assert getattr(one, name) == getattr(other, name)
        for a, b in zip(one.control_points, other.control_points, strict=True):
            assert a.cumulative_mu == pytest.approx(b.cumulative_mu, abs=1e-6)
            assert (a.gantry_deg, a.collimator_deg, a.couch_deg) == (b.gantry_deg, b.collimator_deg, b.couch_deg)
            np.testing.assert_allclose(list(vars(a.jaws).values()), list(vars(b.jaws).values()), atol=0.01)
            np.testing.assert_allclose(a.leaf_a_mm, b.leaf_a_mm, atol=0.01)
            np.testing.assert_allclose(a.leaf_b_mm, b.leaf_b_mm, atol=0.01)
            np.testing.assert_allclose(a.lower_a_mm, b.lower_a_mm, atol=0.01)
            np.testing.assert_allclose(a.lower_b_mm, b.lower_b_mm, atol=0.01)


def along_y():
    """Leaves along Y with jaws along X only, of a machine 1435 mm from source to axis."""
    borders = tuple(round(-21.525 + 7.175 * i, 3) for i in range(PAIRS + 1))
    points = [point(mu, jaws=(-20.0, 15.0, -110.0, 110.0), collimator=0.0) for mu in (0.0, 60.0)]
    return Plan(
        "y", (beam(1, points, leaf_boundaries_mm=borders, leaf_axis="Y", jaw_axes="X", sad_mm=1435.0),), 3, "HFS"
    )


def stacked():
    """Two layers offset by half a leaf and no jaws; the lower layer moves while the beam is on."""
    lower = (-15.0, -5.0, 5.0, 15.0)
    shapes = [((-8.0, -9.0, -7.5), (6.0, 8.25, 7.0)), ((-3.0, -4.0, -2.5), (9.0, 11.25, 12.0))]
    points = [
        replace(point(mu, jaws=(-140.0, 140.0, -140.0, 140.0)), lower_a_mm=a, lower_b_mm=b)
        for mu, (a, b) in zip((0.0, 80.0), shapes, strict=True)
    ]
    changes = {"lower_boundaries_mm": lower, "jaw_axes": "", "fluence_mode": "FFF"}
    return Plan("two", (beam(1, points, **changes),), 4, "HFS", "SLIDING_WINDOW")


@pytest.mark.parametrize("make", [step_and_shoot, arc, sliding, along_y, stacked])
def test_a_written_plan_reads_back_equal(write, make):
    plan = make()
    assert_same(read_plan(write(plan)), plan)


@pytest.mark.parametrize(
    ("make", "kinds"), [(along_y, ["ASYMX", "Y", "MLCY"]), (stacked, ["X", "Y", "MLCX1", "MLCX2"])]
)
def test_each_collimator_carries_the_devices_its_machine_knows(write, make, kinds):
    item = pydicom.dcmread(write(make())).BeamSequence[0]
    assert [device.RTBeamLimitingDeviceType for device in item.BeamLimitingDeviceSequence] == kinds
    first = item.ControlPointSequence[0].BeamLimitingDevicePositionSequence
    assert [device.RTBeamLimitingDeviceType for device in first] == kinds


def test_the_lower_layer_of_a_stacked_collimator_is_mlcx1_with_one_pair_less(write):
    """As plans of dual-layer machines carry it: MLCX1 is the distal layer."""
    item = pydicom.dcmread(write(stacked())).BeamSequence[0]
    pairs = {d.RTBeamLimitingDeviceType: d.NumberOfLeafJawPairs for d in item.BeamLimitingDeviceSequence}
    assert (pairs["MLCX1"], pairs["MLCX2"]) == (3, PAIRS)
    moved = item.ControlPointSequence[1].BeamLimitingDevicePositionSequence
    assert [(d.RTBeamLimitingDeviceType, [float(v) for v in d.LeafJawPositions]) for d in moved] == [
        ("MLCX1", [-3.0, -4.0, -2.5, 9.0, 11.25, 12.0])
    ]


def test_a_plan_that_states_no_jaws_at_all_is_open_as_far_as_its_leaves_reach(write):
    def strip(dataset):
        item = dataset.BeamSequence[0]
        item.BeamLimitingDeviceSequence = item.BeamLimitingDeviceSequence[2:]
        first = item.ControlPointSequence[0]
        first.BeamLimitingDevicePositionSequence = first.BeamLimitingDevicePositionSequence[2:]

    read = read_plan(write(stacked(), strip)).beams[0]
    assert (read.jaw_axes, read.control_points[0].jaws) == ("", Jaws(-200.0, 200.0, -15.0, 15.0))


def test_what_dicom_leaves_out_is_put_back(write):
    path = write(step_and_shoot())
    stored = pydicom.dcmread(path).BeamSequence[0].ControlPointSequence
    assert "BeamLimitingDevicePositionSequence" not in stored[1] and "GantryAngle" not in stored[2]
    points = read_plan(path).beams[0].control_points
    assert points[1].leaf_a_mm == points[0].leaf_a_mm and points[2].gantry_deg == 40.0
    assert points[3].jaws == Jaws(-20.0, 30.0, -20.0, 10.0)


def test_a_device_that_stays_is_inherited_when_another_moves(write):
    def jaws_only_move(dataset):
        positions = dataset.BeamSequence[0].ControlPointSequence[2].BeamLimitingDevicePositionSequence
        del positions[[item.RTBeamLimitingDeviceType for item in positions].index("MLCX")]

    points = read_plan(write(step_and_shoot(), jaws_only_move)).beams[0].control_points
    assert points[2].leaf_a_mm == points[0].leaf_a_mm and points[2].jaws.x1_mm == -20.0


def test_bank_a_comes_first_and_is_the_x1_side(write):
    """The first half of the leaf positions is bank X1, in the order of the boundaries (PS3.3 C.8.8.14.5)."""

    def by_hand(dataset):
        for item in dataset.BeamSequence[0].ControlPointSequence[0].BeamLimitingDevicePositionSequence:
            if item.RTBeamLimitingDeviceType == "MLCX":
                item.LeafJawPositions = [-6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6]

    first = read_plan(write(step_and_shoot(), by_hand)).beams[0].control_points[0]
    assert first.leaf_a_mm == (-6, -5, -4, -3, -2, -1)
    assert first.leaf_b_mm == (1, 2, 3, 4, 5, 6)


def test_meterset_weights_of_any_scale(write):
    def in_percent(dataset):
        item = dataset.BeamSequence[0]
        item.FinalCumulativeMetersetWeight = 100
        for control_point in item.ControlPointSequence:
            control_point.CumulativeMetersetWeight = round(float(control_point.CumulativeMetersetWeight) * 100, 8)

    plan = step_and_shoot()
    assert_same(read_plan(write(plan, in_percent)), plan)


def test_symmetric_jaws_and_machines_without_an_x_jaw(write):
    def symmetric(dataset):
        for item in dataset.BeamSequence[1].BeamLimitingDeviceSequence:
            item.RTBeamLimitingDeviceType = item.RTBeamLimitingDeviceType[-1]
        for item in dataset.BeamSequence[1].ControlPointSequence[0].BeamLimitingDevicePositionSequence:
            item.RTBeamLimitingDeviceType = item.RTBeamLimitingDeviceType[-1]

    assert read_plan(write(step_and_shoot(), symmetric)).beams[1].control_points[0].jaws == Jaws(-50, 50, -50, 50)

    def no_x(dataset):
        item = dataset.BeamSequence[0]
        del item.BeamLimitingDeviceSequence[0]
        for control_point in item.ControlPointSequence:
            positions = control_point.get("BeamLimitingDevicePositionSequence") or []
            control_point.BeamLimitingDevicePositionSequence = [
                position for position in positions if position.RTBeamLimitingDeviceType != "ASYMX"
            ]

    jaws = read_plan(write(step_and_shoot(), no_x)).beams[0].control_points[0].jaws
    assert jaws == Jaws(-200.0, 200.0, -20.0, 20.0)


def test_setup_beams_are_left_out_with_a_note(write):
    def setup(dataset):
        dataset.BeamSequence[1].TreatmentDeliveryType = "SETUP"

    reading = read_plan_file(write(step_and_shoot(), setup))
    assert [item.number for item in reading.plan.beams] == [1]
    assert reading.notes == ("RTPLAN, beam 2 (B2) was left out: it does not treat (SETUP)",)


def first_beam(**values):
    def change(dataset):
        for keyword, value in values.items():
            setattr(dataset.BeamSequence[0], keyword, value)

    return change


def first_point(**values):
    def change(dataset):
        for keyword, value in values.items():
            setattr(dataset.BeamSequence[0].ControlPointSequence[0], keyword, value)

    return change


def later_point(**values):
    def change(dataset):
        for keyword, value in values.items():
            setattr(dataset.BeamSequence[0].ControlPointSequence[2], keyword, value)

    return change


def device_type(kind):
    def change(dataset):
        dataset.BeamSequence[0].BeamLimitingDeviceSequence[2].RTBeamLimitingDeviceType = kind

    return change


def no_meterset(dataset):
    del dataset.FractionGroupSequence[0].ReferencedBeamSequence[0]


def short_leaves(dataset):
    item = dataset.BeamSequence[0].ControlPointSequence[0].BeamLimitingDevicePositionSequence[2]
    item.LeafJawPositions = item.LeafJawPositions[:-1]


UNSUPPORTED = [
    (first_beam(RadiationType="ELECTRON"), r"beam 1 \(B1\): it is no photon beam \(ELECTRON\)"),
    (first_beam(RadiationType="PROTON"), "no photon beam"),
    (first_beam(NumberOfWedges=1), r"beam 1 \(B1\): it uses a wedge"),
    (first_beam(NumberOfBlocks=2), "it uses a block"),
    (first_beam(NumberOfCompensators=1), "it uses a compensator"),
    (first_beam(NumberOfBoli=1), "it uses a bolus"),
    (first_beam(ApplicatorSequence=[Dataset()]), "it uses an applicator"),
    (first_beam(PrimaryDosimeterUnit="MINUTE"), "meterset is in MINUTE"),
    (first_beam(TreatmentDeliveryType="CONTINUATION"), "continues an interrupted treatment"),
    (first_beam(FinalCumulativeMetersetWeight=2), "do not rise from zero to the final weight"),
    (later_point(CumulativeMetersetWeight=0.1), "do not rise"),
    (first_point(TableTopPitchAngle=1.0), "TableTopPitchAngle is not zero"),
    (later_point(IsocenterPosition=[0, 0, 0]), "IsocenterPosition changes during the beam"),
    (later_point(NominalBeamEnergy=10), "NominalBeamEnergy changes during the beam"),
    (device_type("MLCZ"), r"does not know \(MLCZ\)"),
    (device_type("MLCY"), r"positions a device it does not have \(MLCX\)"),
    (device_type("MLCX1"), "of its two layers of leaves one is missing"),
    (device_type("ASYMX"), r"does not know \(ASYMX\)"),
    (no_meterset, r"beam 1 \(B1\): it has no monitor units"),
    (lambda d: setattr(d.FractionGroupSequence[0], "NumberOfFractionsPlanned", 0), "it has 0 fractions"),
    (lambda d: setattr(d, "FractionGroupSequence", []), "0 fraction groups"),
    (lambda d: setattr(d, "ApplicationSetupSequence", [Dataset()]), "brachytherapy"),
    (lambda d: setattr(d.PatientSetupSequence[0], "PatientPosition", "SITTING"), "patient position SITTING"),
    (lambda d: delattr(d, "PatientSetupSequence"), r"position \(not stated\)"),
    (lambda d: delattr(d, "BeamSequence"), "no treatment beam"),
    (lambda d: setattr(d.BeamSequence[1], "BeamNumber", 1), "same number"),
]


@pytest.mark.parametrize(("change", "words"), UNSUPPORTED, ids=[words for _, words in UNSUPPORTED])
def test_what_cannot_be_computed_is_refused_by_name(write, change, words):
    with pytest.raises(UnsupportedPlan, match=words) as refusal:
        read_plan(write(step_and_shoot(), change))
    assert "Doe" not in refusal.value.sentence


REFUSED = [
    (short_leaves, "LeafJawPositions does not hold"),
    (lambda d: delattr(d.BeamSequence[0].ControlPointSequence[0], "GantryAngle"), "GantryAngle is missing"),
    (lambda d: delattr(d.BeamSequence[0].ControlPointSequence[0], "IsocenterPosition"), "IsocenterPosition is missing"),
    (lambda d: delattr(d.BeamSequence[0], "SourceAxisDistance"), "SourceAxisDistance is missing"),
    (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.481.8"), "no RT Plan of photons"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_is_missing_is_refused_by_name(write, change, words):
    with pytest.raises(RefusedObject, match=words):
        read_plan(write(step_and_shoot(), change))


def test_prescription_as_written(write):
    targets = (PrescribedTarget("PTV_7000", 70.0), PrescribedTarget("PTV_5600", 56.0))
    references = read_plan_file(write(step_and_shoot(), prescription=targets)).prescription
    assert [(item.dose_gy, item.description) for item in references] == [(70.0, "PTV_7000"), (56.0, "PTV_5600")]
    assert references[0].roi_number == 2 and references[1].roi_number is None
