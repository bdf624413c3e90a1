"""One person, one course, one side. Evidence names attributes, never their values."""

from __future__ import annotations

import re

import numpy as np
from pydicom.valuerep import PersonName

from appliance.checking.attributes import text
from appliance.checking.material import Material
from appliance.checking.registry import CHOSEN, MPPG_11A, Said, check, found, not_tested, passed, verdict
from appliance.contracts import Severity, StructureKind

PERSON = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
SIDE = re.compile(r"(?:^|[\s_\-.])(?P<side>L|R|LT|RT|LEFT|RIGHT)(?=$|[\s_\-.\d])", re.IGNORECASE)
MIDLINE_MM = 10.0
"""A structure closer to the middle of the body has no side (chosen: midline organs shift by less)."""


@check("identity.same-person", "One patient in all objects", Severity.STOP, source=MPPG_11A)
def same_person(material: Material) -> Said:
    named, wrong = material.objects.named(), []
    for keyword in PERSON:
        values = {_plain(text(dataset, keyword)) for _, dataset in named} - {""}
        if len(values) > 1:
            wrong.append(f"{keyword} differs between {', '.join(name for name, _ in named)}")
    if not _plain(text(material.objects.plan, "PatientID")):
        wrong.append("the plan has no PatientID")
    return verdict(wrong, f"patient ID, name, birth date and sex agree over {', '.join(name for name, _ in named)}")


def _plain(value: str) -> str:
    """Case, blanks and trailing delimiters differ between systems for one person."""
    return "^".join(" ".join(part.split()) for part in str(PersonName(value)).split("^")).rstrip("^").casefold()


@check("identity.same-study", "One study and accession", Severity.WARN, source="AAPM TG-275; DICOM PS3.3 C.7.2")
def same_study(material: Material) -> Said:
    named, wrong = material.objects.named(), []
    for keyword in ("StudyInstanceUID", "AccessionNumber"):
        if len({text(dataset, keyword) for _, dataset in named} - {""}) > 1:
            wrong.append(f"{keyword} differs between {', '.join(name for name, _ in named)}")
    return verdict(wrong, "study and accession number do not contradict each other")


@check("identity.laterality", "Sides in names are sides in the patient", Severity.STOP, source=f"{MPPG_11A} (site)")
def laterality(material: Material) -> Said:
    """A structure called left lies left of the body's middle. LPS: left is positive x, in every patient position."""
    if material.image is None or not material.structures:
        return not_tested(material.why_no("structures"))
    grid, wrong, right = material.image.grid, [], 0
    external = next((s for s in material.structures if s.kind is StructureKind.EXTERNAL), None)
    if external is None or external.voxels.empty:
        return not_tested("there is no outline to tell the middle of the body from")
    middle_mm = float(np.average(grid.centres_mm(external.voxels.index)[:, 0], weights=external.voxels.fraction))
    for structure in material.structures:
        match = SIDE.search(structure.name)
        if match is None or structure.voxels.empty:
            continue
        centre_mm = float(np.average(grid.centres_mm(structure.voxels.index)[:, 0], weights=structure.voxels.fraction))
        off_mm, is_left = centre_mm - middle_mm, match["side"].upper().startswith("L")
        if abs(off_mm) > MIDLINE_MM and (off_mm > 0) != is_left:
            side = "left" if off_mm > 0 else "right"
            wrong.append(f"{structure.name} lies {abs(off_mm):.0f} mm {side} of the middle of the body")
        right += 1
    if not right:
        return not_tested("no structure names a side")
    return verdict(wrong, f"{right} structures that name a side lie on it or within {MIDLINE_MM:g} mm of the middle")


@check("identity.label-side", "The plan's label names no side against its target", Severity.WARN, source=CHOSEN)
def label_side(material: Material) -> Said:
    match = SIDE.search(f"{text(material.objects.plan, 'RTPlanLabel')} {text(material.objects.plan, 'RTPlanName')}")
    if match is None:
        return not_tested("the plan's label and name say no side")
    targets = [s for s in material.structures if s.kind is StructureKind.TARGET and not s.voxels.empty]
    if material.image is None or not targets:
        return not_tested("there is no target to compare with")
    index = np.concatenate([s.voxels.index for s in targets])
    centre_mm = float(material.image.grid.centres_mm(index)[:, 0].mean())
    external = next((s for s in material.structures if s.kind is StructureKind.EXTERNAL), targets[0])
    off_mm = centre_mm - float(material.image.grid.centres_mm(external.voxels.index)[:, 0].mean())
    if abs(off_mm) > MIDLINE_MM and (off_mm > 0) != match["side"].upper().startswith("L"):
        return found(f"the label says {match['side']}, the targets lie {off_mm:+.0f} mm to the left of the middle")
    return passed(f"the label says {match['side']}, the targets lie {off_mm:+.0f} mm to the left of the middle")
