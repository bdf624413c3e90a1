from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from appliance.contracts import Approval, Beam, Identity, Plan, PrescribedTarget, Shown, SourceObject
from appliance.dicomio.beams import beam_item
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.errors import ExportError

APPROVAL = Approval(
    Shown("s", "c", "p", "d", "e"), "Dr A. Example", "physician", "00", "00", "2026-01-02T11:12:13+00:00", is_demo=True
)


@pytest.fixture
def written(plan: Plan, identity: Identity, structure_set: SourceObject, tmp_path: Path) -> Dataset:
    dataset = plan_dataset(
        plan,
        identity=identity,
        structure_set=structure_set,
        predecessor=replace(structure_set, sop_class_uid="1.2.840.10008.5.1.4.1.1.481.5", sop_instance_uid="2.25.5"),
        prescription=(PrescribedTarget("PTV_7000", 70.0), PrescribedTarget("PTV_Absent", 56.1)),
        approval=APPROVAL,
        beam_dose_gy={1: 1.23456},
    )
    return dcmread(save_durable(dataset, tmp_path / "RP.dcm").path)


def states(item: Dataset) -> list[dict[str, Any]]:
    """Control points with what they inherit filled in: PS3.3 C.8.8.14.5."""
    state: dict[str, Any] = {}
    found = []
    for control_point in item.ControlPointSequence:
        for element in control_point:
            if element.keyword == "BeamLimitingDevicePositionSequence":
                for device in element.value:
                    state[device.RTBeamLimitingDeviceType] = [float(v) for v in device.LeafJawPositions]
            else:
                state[element.keyword] = element.value
        found.append(dict(state))
    return found


def test_every_control_point_reads_back_to_the_machine_state(written: Dataset, plan: Plan) -> None:
    metersets = {
        int(ref.ReferencedBeamNumber): float(ref.BeamMeterset)
        for ref in written.FractionGroupSequence[0].ReferencedBeamSequence
    }
    for beam, item in zip(plan.beams, written.BeamSequence, strict=True):
        assert metersets[beam.number] == pytest.approx(beam.mu, abs=1e-6)
        for point, state in zip(beam.control_points, states(item), strict=True):
            assert state["MLCX"] == pytest.approx([*point.leaf_a_mm, *point.leaf_b_mm], abs=0.005001)
            assert state["ASYMX"] == [point.jaws.x1_mm, point.jaws.x2_mm]
            assert state["ASYMY"] == [point.jaws.y1_mm, point.jaws.y2_mm]
            angles = [float(state[key]) for key in ("GantryAngle", "BeamLimitingDeviceAngle", "PatientSupportAngle")]
            assert angles == [point.gantry_deg, point.collimator_deg, point.couch_deg]
            assert float(state["CumulativeMetersetWeight"]) * metersets[beam.number] == pytest.approx(
                point.cumulative_mu, abs=1e-6
            )
        assert [float(v) for v in states(item)[0]["IsocenterPosition"]] == [1.25, -30.1235, 4.0]


def test_leaves_are_written_only_where_they_move(written: Dataset) -> None:
    moved = ["BeamLimitingDevicePositionSequence" in point for point in written.BeamSequence[0].ControlPointSequence]
    assert moved == [True, False, True, False]
    third = written.BeamSequence[0].ControlPointSequence[2].BeamLimitingDevicePositionSequence
    assert [device.RTBeamLimitingDeviceType for device in third] == ["MLCX"]


def test_an_arc_turns_the_short_way_and_stops(written: Dataset) -> None:
    arc = written.BeamSequence[2]
    assert arc.BeamType == "DYNAMIC"
    assert [state["GantryRotationDirection"] for state in states(arc)] == ["CW", "CC", "NONE", "NONE"]
    assert [beam.BeamType for beam in written.BeamSequence[:2]] == ["STATIC", "STATIC"]


def test_beams_say_what_machine_they_need(written: Dataset, plan: Plan) -> None:
    first, second, _ = written.BeamSequence
    assert (first.TreatmentMachineName, first.PrimaryDosimeterUnit) == ("millennium120", "MU")
    assert float(first.SourceAxisDistance) == 1000.0
    assert first.PrimaryFluenceModeSequence[0].FluenceMode == "STANDARD"
    assert second.PrimaryFluenceModeSequence[0].FluenceMode == "NON_STANDARD"
    assert second.PrimaryFluenceModeSequence[0].FluenceModeID == "FFF"
    pairs = {d.RTBeamLimitingDeviceType: d.NumberOfLeafJawPairs for d in first.BeamLimitingDeviceSequence}
    assert pairs == {"ASYMX": 1, "ASYMY": 1, "MLCX": 4}
    assert [float(b) for b in first.BeamLimitingDeviceSequence[2].LeafPositionBoundaries] == list(
        plan.beams[0].leaf_boundaries_mm
    )
    assert float(states(first)[0]["NominalBeamEnergy"]) == 6.0
    assert float(states(first)[0]["DoseRateSet"]) == 600.0


def test_prescription_fractions_references_and_approval(written: Dataset, structure_set: SourceObject) -> None:
    ptv, absent = written.DoseReferenceSequence
    assert (ptv.DoseReferenceStructureType, ptv.ReferencedROINumber, float(ptv.TargetPrescriptionDose)) == (
        "VOLUME",
        4,
        70.0,
    )
    assert (absent.DoseReferenceStructureType, absent.DoseReferenceDescription) == ("SITE", "PTV_Absent")
    group = written.FractionGroupSequence[0]
    assert (group.NumberOfFractionsPlanned, group.NumberOfBeams) == (25, 3)
    assert float(group.ReferencedBeamSequence[0].BeamDose) == 1.2346
    assert "BeamDose" not in group.ReferencedBeamSequence[1]
    assert written.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == structure_set.sop_instance_uid
    assert written.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == "2.25.5"
    assert written.ReferencedRTPlanSequence[0].RTPlanRelationship == "PREDECESSOR"
    assert written.PatientSetupSequence[0].PatientPosition == "HFS"
    assert (written.ApprovalStatus, str(written.ReviewerName)) == ("APPROVED", "Dr A. Example")
    assert written.RTPlanDescription.startswith("NOT FOR CLINICAL USE - research software")
    assert "demonstration identity" in written.RTPlanDescription
    assert written.RTPlanLabel == "Adapted 2026-01-"
    assert written.PlanIntent == "RESEARCH"


def test_without_an_approval_the_plan_is_unapproved(
    plan: Plan, identity: Identity, structure_set: SourceObject
) -> None:
    dataset = plan_dataset(plan, identity=identity, structure_set=structure_set, predecessor=None, prescription=())
    assert dataset.ApprovalStatus == "UNAPPROVED"
    for keyword in ("ReviewerName", "ReviewDate", "ReviewTime", "ReferencedRTPlanSequence", "DoseReferenceSequence"):
        assert keyword not in dataset


@given(steps=st.lists(st.floats(0, 50), min_size=1, max_size=60).filter(lambda mu: sum(mu) > 0.01))
def test_metersets_stay_monotonic_and_end_at_one(steps: list[float], plan: Plan) -> None:
    first = plan.beams[0].control_points[0]
    points = [first]
    for step in steps:
        points.append(replace(first, cumulative_mu=points[-1].cumulative_mu + step))
    item = beam_item(replace(plan.beams[0], control_points=tuple(points)))
    weights = [float(point.CumulativeMetersetWeight) for point in item.ControlPointSequence]
    assert weights[0] == 0
    assert weights[-1] == 1 == float(item.FinalCumulativeMetersetWeight)
    assert all(after >= before for before, after in pairwise(weights))
    for (before, after), mu in zip(pairwise(weights), steps, strict=True):
        assert (after - before) * points[-1].cumulative_mu == pytest.approx(mu, abs=1e-6)


def broken(beam: Beam, what: str) -> Beam:
    points = list(beam.control_points)
    if what == "fewer than two":
        points = points[:1]
    elif what == "rise from zero":
        points[1], points[3] = replace(points[1], cumulative_mu=500.0), points[3]
    elif what == "leaf pairs":
        points[2] = replace(points[2], leaf_a_mm=points[2].leaf_a_mm[:-1])
    elif what == "half a turn":
        points[2] = replace(points[2], gantry_deg=180.0)
    elif what == "not numbers":
        points[2] = replace(points[2], couch_deg=float("nan"))
    return replace(beam, control_points=tuple(points))


@pytest.mark.parametrize("what", ["fewer than two", "rise from zero", "leaf pairs", "half a turn", "not numbers"])
def test_what_no_machine_could_deliver_is_refused(what: str, plan: Plan) -> None:
    with pytest.raises(ExportError, match=what):
        beam_item(broken(plan.beams[0], what))


def test_an_opening_without_jaws_that_is_not_symmetric_is_refused(plan: Plan) -> None:
    with pytest.raises(ExportError, match="no jaws along X"):
        beam_item(replace(lopsided(plan.beams[0]), jaw_axes="Y"))


def lopsided(beam: Beam) -> Beam:
    points = tuple(replace(p, jaws=replace(p.jaws, x1_mm=-20.0)) for p in beam.control_points)
    return replace(beam, control_points=points)


def test_a_second_layer_along_y_has_no_name_in_dicom(plan: Plan) -> None:
    points = tuple(replace(p, lower_a_mm=(0.0,), lower_b_mm=(5.0,)) for p in plan.beams[0].control_points)
    stacked = replace(plan.beams[0], lower_boundaries_mm=(-5.0, 5.0), leaf_axis="Y", control_points=points)
    with pytest.raises(ExportError, match="DICOM has no name"):
        beam_item(stacked)


def test_repeated_beam_numbers_are_refused(plan: Plan, identity: Identity, structure_set: SourceObject) -> None:
    twice = replace(plan, beams=(plan.beams[0], plan.beams[0]))
    with pytest.raises(ExportError, match="same number"):
        plan_dataset(twice, identity=identity, structure_set=structure_set, predecessor=None, prescription=())
