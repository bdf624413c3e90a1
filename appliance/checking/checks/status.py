"""Is each object itself only, approved, and not older than what it rests on?"""

from __future__ import annotations

from itertools import pairwise

from appliance.checking.attributes import text
from appliance.checking.material import Material
from appliance.checking.registry import MPPG_11A, TG_275, Said, check, found, not_tested, passed, verdict
from appliance.contracts import Severity

PATIENT_INTENTS = ("CURATIVE", "PALLIATIVE", "PROPHYLACTIC")
MACHINE_INTENTS = ("VERIFICATION", "MACHINE_QA", "SERVICE")
"""Defined terms of Plan Intent (PS3.3 C.8.8.9); RESEARCH, which Couchside writes, is neither."""


@check("status.same-uid-other-bytes", "No UID stands for two contents", Severity.STOP, source="DICOM PS3.5, 9")
def same_uid_other_bytes(material: Material) -> Said:
    return verdict(material.objects.copies, f"{len(material.objects.sha256)} objects, each UID with one content")


@check("status.approval", "The plan is approved by somebody", Severity.WARN, source=f"{MPPG_11A} (approvals)")
def approval(material: Material) -> Said:
    plan = material.objects.plan
    status, reviewer = text(plan, "ApprovalStatus"), text(plan, "ReviewerName")
    if status != "APPROVED":
        return found(f"its ApprovalStatus is {status or 'not stated'}")
    if not reviewer or not text(plan, "ReviewDate"):
        return found("it is APPROVED, but reviewer or review date are missing")
    return passed("APPROVED, with reviewer and date")


@check("status.intent", "The plan is meant to treat", Severity.WARN, source=f"{TG_275}; DICOM PS3.3 C.8.8.9")
def intent(material: Material) -> Said:
    stated = text(material.objects.plan, "PlanIntent")
    if stated in MACHINE_INTENTS:
        return found(f"its PlanIntent is {stated}: it is no plan for a patient", Severity.STOP)
    if stated not in PATIENT_INTENTS:
        return found(f"its PlanIntent is {stated or 'not stated'}")
    return passed(f"its PlanIntent is {stated}")


@check("status.structures-approval", "The structure set is not rejected", Severity.STOP, source=TG_275)
def structures_approval(material: Material) -> Said:
    if material.objects.structures is None:
        return not_tested("there is no structure set")
    status = text(material.objects.structures, "ApprovalStatus")
    if status == "REJECTED":
        return found("its ApprovalStatus is REJECTED")
    return passed(f"its ApprovalStatus is {status or 'not stated'}")


@check("status.order-of-dates", "Nothing is older than what it rests on", Severity.WARN, source=TG_275)
def order_of_dates(material: Material) -> Said:
    """Dates alone: clocks of two systems may differ by minutes."""
    objects = material.objects
    image = max((text(item, "AcquisitionDate") or text(item, "ContentDate") for item in objects.images), default="")
    chain = [
        ("CT", image),
        ("structure set", text(objects.structures, "StructureSetDate")),
        ("plan", text(objects.plan, "RTPlanDate")),
        ("dose", text(objects.dose, "InstanceCreationDate") or text(objects.dose, "ContentDate")),
    ]
    dated = [(name, date) for name, date in chain if date]
    if len(dated) < 2:
        return not_tested("fewer than two of CT, structure set, plan and dose state a date")
    wrong = [
        f"the {name} ({date}) is older than the {before} ({earlier})"
        for (before, earlier), (name, date) in pairwise(dated)
        if date < earlier
    ]
    return verdict(wrong, ", then ".join(f"{name} {date}" for name, date in dated))
