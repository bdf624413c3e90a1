"""The goals as a DICOM structured report: TID 1500, one measurement group for each goal, for programs to read.

DICOM has no code for most dose-volume metrics, so names of the coding scheme 99COUCHSIDE say which: the metric itself
is the code value (D95%, V20Gy, Mean). Units are UCUM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    EnhancedSR,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    TrackingIdentifier,
)
from highdicom.uid import UID
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from appliance.dicomio.files import MANUFACTURER, MODEL_NAME, RESEARCH_NOTICE, software_version
from appliance.dicomio.values import new_uid

SCHEME = "99COUCHSIDE"
UNITS = {
    "Gy": CodedConcept("Gy", "UCUM", "gray"),
    "%": CodedConcept("%", "UCUM", "percent"),
    "cc": CodedConcept("cm3", "UCUM", "cubic centimeter"),
    "": CodedConcept("1", "UCUM", "no units"),
}
TARGET = CodedConcept("228793007", "SCT", "Planning target volume")
ORGAN = CodedConcept("130060", "DCM", "Organ At Risk")
PROCEDURE = CodedConcept("PLAN_EVALUATION", SCHEME, "Evaluation of a radiotherapy plan")
TITLE = CodedConcept("126000", "DCM", "Imaging Measurement Report")


def measurement_report(card: Mapping[str, Any], evidence: Sequence[Dataset], *, final: bool) -> EnhancedSR:
    """`card`: the scorecard; `evidence`: the plan, dose and structure set that it judges, whose patient and study the
    report takes over. final: the plan was approved. Verified by nobody: that stays with the plan's own approval."""
    targets = {target["structure"] for target in card["targets"]}
    groups = [_goal_group(goal, targets) for goal in card["goals"]]
    groups += [_target_group(target) for target in card["targets"]]
    groups.append(_plan_group(card))
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer()),
        procedure_reported=PROCEDURE,
        imaging_measurements=groups,
        title=TITLE,
    )
    report = EnhancedSR(
        evidence=list(evidence),
        content=ContentSequence(content)[0] if isinstance(content, list) else content[0],
        series_instance_uid=new_uid(),
        series_number=1,
        sop_instance_uid=new_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=final,
        is_verified=False,
        transfer_syntax_uid="1.2.840.10008.1.2",
    )
    report.SeriesDescription = "Plan evaluation, measurements"
    report.ManufacturerModelName, report.SoftwareVersions = MODEL_NAME, software_version()
    report.ContentQualification = "RESEARCH"
    return report


def _observer() -> ObserverContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=UID(), name=MODEL_NAME, manufacturer_name=MANUFACTURER, model_name=RESEARCH_NOTICE[:64]
    )
    return ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


def _goal_group(goal: Mapping[str, Any], targets: set[str]) -> MeasurementsAndQualitativeEvaluations:
    name = f"{goal['structure']} {goal['metric']}"
    measured = [_measured(goal["metric"], goal["metric"], goal["value"], goal["unit"])]
    measured.append(_measured("GOAL_LIMIT", f"Limit, {goal['comparator']}", goal["limit"], goal["unit"]))
    if goal["max_score"]:
        measured.append(_measured("GOAL_SCORE", "Score of the goal", goal["score"], ""))
    verdict = CodedConcept(str(goal["grade"]).upper().replace(" ", "_")[:16], SCHEME, str(goal["grade"]))
    return _group(name, measured, verdict, TARGET if goal["structure"].split("+")[0] in targets else ORGAN)


def _target_group(target: Mapping[str, Any]) -> MeasurementsAndQualitativeEvaluations:
    measured = [
        _measured("PADDICK_CI", "Conformity index (Paddick 2000)", target["paddick_conformity"], ""),
        _measured("ICRU83_HI", "Homogeneity index (ICRU 83)", target["homogeneity"], ""),
        _measured("PRESCRIBED", "Prescribed dose", target["prescribed_gy"], "Gy"),
    ]
    return _group(f"{target['structure']} indices", measured, None, TARGET)


def _plan_group(card: Mapping[str, Any]) -> MeasurementsAndQualitativeEvaluations:
    measured = [
        _measured("HOTTEST_01CC", "Dose to the hottest 0.1 cc of the patient", card["hottest_01cc_gy"], "Gy"),
        _measured("GOALS_MET", "Number of goals met", card["goals_met"], ""),
        _measured("MU", "Monitor units of a fraction", card["plan"]["mu"], ""),
    ]
    return _group("plan", measured, None, None)


def _group(
    name: str, measured: list[Measurement], verdict: CodedConcept | None, kind: CodedConcept | None
) -> MeasurementsAndQualitativeEvaluations:
    judged = (
        [QualitativeEvaluation(CodedConcept("VERDICT", SCHEME, "Verdict on the goal"), verdict)] if verdict else None
    )
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=UID(), identifier=name),
        finding_type=kind,
        algorithm_id=AlgorithmIdentification("Couchside evaluation", software_version()),
        measurements=measured,
        qualitative_evaluations=judged,
    )


def _measured(code: str, meaning: str, value: float, unit: str) -> Measurement:
    return Measurement(name=CodedConcept(code[:16], SCHEME, meaning[:64]), value=float(value), unit=UNITS[unit])
