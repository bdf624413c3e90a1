"""What was ordered against what the plan gives."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from appliance.checking.attributes import items, number, numbers, text
from appliance.checking.material import Material
from appliance.checking.registry import MPPG_11A, TG_275, Said, check, found, not_tested, passed, verdict
from appliance.contracts import Severity
from engines.dvh import DoseVolume

USUAL_FRACTIONS, USUAL_GY = (1, 50), (0.5, 34.0)
"""Fractions and Gy a fraction beyond which a second look is due; chosen: from single fractions of stereotactic lung
treatment (34 Gy) to hyperfractionation."""
BEAM_DOSE_PERCENT = 5.0
"""Sum of the beams' stated doses against the calculated dose at their point: the 5 % of MPPG 11.a again."""
SAME_GY = 0.005
"""Doses written twice are one up to this (chosen: half of the 0.01 Gy that systems show)."""
COVERED = 0.90
"""Median of a prescribed target, of its prescription (chosen: less is no plan for that prescription)."""


@check("prescription.fractions", "Fractions and dose a fraction are usual", Severity.WARN, source=MPPG_11A)
def fractions(material: Material) -> Said:
    groups = items(material.objects.plan, "FractionGroupSequence")
    planned = number(groups[0], "NumberOfFractionsPlanned") if groups else None
    doses = [dose for _, dose in _prescribed(material)]
    if planned is None or planned < 1:
        return found("the plan states no number of fractions", Severity.STOP)
    if not doses:
        return found(f"{planned:g} fractions, but the plan prescribes no dose")
    each_gy = max(doses) / planned
    told = f"{planned:g} fractions, {max(doses):g} Gy, {each_gy:.2f} Gy each"
    usual = USUAL_FRACTIONS[0] <= planned <= USUAL_FRACTIONS[1] and USUAL_GY[0] <= each_gy <= USUAL_GY[1]
    return passed(told) if usual else found(told)


def _prescribed(material: Material) -> list[tuple[str, float]]:
    """(ROI number or '', Gy) of each target of the dose references."""
    found = []
    for item in items(material.objects.plan, "DoseReferenceSequence"):
        dose = number(item, "TargetPrescriptionDose")
        if text(item, "DoseReferenceType") == "TARGET" and dose is not None:
            found.append((text(item, "ReferencedROINumber"), dose))
    return found


@check("prescription.targets", "Prescribed targets receive their dose", Severity.WARN, source=MPPG_11A)
def targets(material: Material) -> Said:
    """Median dose of each prescribed structure, from the plan's dose."""
    if material.dose is None or material.image is None or not material.structures:
        return not_tested("it needs dose, image and structures")
    by_number = {str(s.number): s for s in material.structures}
    dose_gy = material.dose_on_image()
    wrong: list[str] = []
    told: list[str] = []
    for roi, wanted_gy in _prescribed(material):
        structure = by_number.get(roi)
        if structure is None or structure.voxels.empty or dose_gy is None:
            continue
        values = dose_gy.reshape(-1)[structure.voxels.index]
        median_gy = DoseVolume.of(np.maximum(values, 0), structure.voxels.fraction).dose_at_percent(50)
        line = f"{structure.name}: median {median_gy:.2f} of {wanted_gy:g} Gy"
        (told if median_gy >= COVERED * wanted_gy else wrong).append(line)
    if not told and not wrong:
        return not_tested("no prescribed dose refers to a structure of the set")
    return verdict(wrong, "; ".join(told))


@check("prescription.beam-doses", "The beams' stated doses add up", Severity.WARN, source=MPPG_11A)
def beam_doses(material: Material) -> Said:
    """BeamDose of each beam, times the fractions, against the dose at the point they are stated for."""
    groups = items(material.objects.plan, "FractionGroupSequence")
    if material.dose is None or not groups:
        return not_tested(material.why_no("dose"))
    stated, places = [], set()
    for item in items(groups[0], "ReferencedBeamSequence"):
        dose, place = number(item, "BeamDose"), numbers(item, "BeamDoseSpecificationPoint")
        if dose is not None and len(place) == 3:
            stated.append(dose)
            places.add(place)
    if not stated or len(places) != 1:
        return not_tested("the beams state no dose at one common point")
    whole_gy = sum(stated) * (number(groups[0], "NumberOfFractionsPlanned") or 0)
    there_gy = material.dose_at(next(iter(places)))
    if there_gy is None or there_gy <= 0:
        return found("the point that the beams' doses are stated for lies outside the dose")
    percent = 100.0 * (whole_gy - there_gy) / there_gy
    told = f"stated {whole_gy:.2f} Gy, calculated {there_gy:.2f} Gy there ({percent:+.1f} %)"
    return passed(told) if abs(percent) <= BEAM_DOSE_PERCENT else found(told)


@check("prescription.intent", "The plan is what the physician's intent asks for", Severity.WARN, source=TG_275)
def intent(material: Material) -> Said:
    return not_tested("no RT Physician Intent object is read by this release")


@check("prescription.references", "Prescription, fractions and targets fit each other", Severity.WARN,
       source=f"{MPPG_11A}; DICOM PS3.3 C.8.8.10")  # fmt: skip
def dose_references(material: Material) -> Said:
    """The dose references, what the fraction group says of them, and the structures they name."""
    plan = material.objects.plan
    known = {text(item, "DoseReferenceNumber"): item for item in items(plan, "DoseReferenceSequence")}
    wrong = [sentence for number_, item in known.items() for sentence in _reference(number_, item, material)]
    if len(known) != len(items(plan, "DoseReferenceSequence")):
        wrong.append("two dose references have one number")
    for group in items(plan, "FractionGroupSequence"):
        for item in items(group, "ReferencedDoseReferenceSequence"):
            named = text(item, "ReferencedDoseReferenceNumber")
            there, here = number(known.get(named), "TargetPrescriptionDose"), number(item, "TargetPrescriptionDose")
            if named not in known:
                wrong.append(f"the fraction group names dose reference {named or 'none'}, which is not there")
            elif there is not None and here is not None and abs(there - here) > SAME_GY:
                wrong.append(f"dose reference {named} prescribes {there:g} Gy, the fraction group {here:g} Gy for it")
    if not known:
        return found("the plan has no dose reference: what is prescribed is not in it")
    return verdict(wrong, f"{len(known)} dose references, {len(_prescribed(material))} of them prescribe a target")


def _reference(name: str, item: Dataset, material: Material) -> list[str]:
    wrong, dose = [], number(item, "TargetPrescriptionDose")
    low, high = number(item, "TargetMinimumDose"), number(item, "TargetMaximumDose")
    if text(item, "DoseReferenceType") == "TARGET" and (dose is None or dose <= 0):
        wrong.append(f"dose reference {name} is a target without a prescribed dose")
    if dose is not None and ((low is not None and low > dose) or (high is not None and high < dose)):
        wrong.append(f"dose reference {name} prescribes {dose:g} Gy outside its own minimum and maximum")
    rois = {text(roi, "ROINumber") for roi in items(material.objects.structures, "StructureSetROISequence")}
    if (roi := text(item, "ReferencedROINumber")) and rois and roi not in rois:
        wrong.append(f"dose reference {name} is of ROI {roi}, which the structure set does not hold")
    return wrong
