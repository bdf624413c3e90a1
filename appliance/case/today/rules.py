"""The rules an image of the day is judged by: stable name, what it says, and what to do. docs/today.md lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from appliance.contracts import Finding, Outcome, Severity
from appliance.errors import InconsistentCase

WHAT = "Today's image"


@dataclass(frozen=True)
class DayRule:
    """severity: STOP for what is refused whenever it is found; of the others a finding. source: what asks for it."""

    title: str
    severity: Severity
    remedy: str
    source: str = "chosen"


_CHECK_PATIENT = "Check whose image it is and that it was sent for this patient; send the right one"

RULES: Mapping[str, DayRule] = MappingProxyType(
    {
        "day.modality": DayRule(
            "What made the image",
            Severity.INFO,
            "Name the imager in anatomy.cbct_names if an image of a treatment machine was taken for a CT",
        ),
        "day.no-identity": DayRule(
            "Both images name their patient",
            Severity.WARN,
            "Compare name and birth date by hand, and have the patient ID entered at the imager",
            "AAPM MPPG 11.a, table 8",
        ),
        "day.same-image": DayRule(
            "It is another image than the reference", Severity.STOP, "Send the image that was taken today"
        ),
        "day.before-reference": DayRule(
            "It is not older than the reference", Severity.STOP, "Send the image that was taken today"
        ),
        "day.too-late": DayRule(
            "It is not too long after the reference",
            Severity.STOP,
            "Check that the reference is of this course; for a longer one raise anatomy.longest_days",
        ),
        "day.not-today": DayRule("It was taken today", Severity.WARN, "Check that it is the image of this fraction"),
        "day.undated": DayRule(
            "It says when it was taken", Severity.WARN, "Check that it is the image of this fraction"
        ),
        "day.patient-position": DayRule(
            "The patient lies as in the reference",
            Severity.STOP,
            "Correct the position at the imager, or lay the patient as planned, and take the image again",
            "AAPM TG-275",
        ),
        "day.unstated-position": DayRule(
            "It says how the patient lies", Severity.WARN, "Check that the patient lies as planned"
        ),
        "day.same-frame": DayRule(
            "It has a frame of reference of its own",
            Severity.INFO,
            "Nothing, if the patient was not moved between the images; else the table shift says how far",
        ),
        "day.registration": DayRule(
            "Where the search for the table shift began",
            Severity.INFO,
            "Nothing; the table shift said here is the one that was found",
        ),
        "day.registration-left": DayRule(
            "The registration found is the one that came with the image",
            Severity.WARN,
            "Look at both images beside each other: one of the two registrations is wrong",
            "AAPM TG-132, table V",
        ),
        "day.registration-unused": DayRule(
            "The registration that came with the image can be used",
            Severity.WARN,
            "Send one rigid matrix between the frames of reference of both images, or none",
        ),
        "day.no-overlap": DayRule(
            "Both images show the same region", Severity.STOP, "Take or send an image of the region that is treated"
        ),
        "day.swapped": DayRule(
            "Left is left and head is head",
            Severity.STOP,
            "Check the patient position entered at the imager and the side markers; take or send the image again",
            "AAPM TG-100",
        ),
        "day.unsure-side": DayRule(
            "The image tells left from right",
            Severity.WARN,
            "Check the side by a marker or by what lies on one side only",
        ),
        "day.other-patient": DayRule("The image shows this patient", Severity.STOP, _CHECK_PATIENT, "AAPM TG-100"),
        "day.unlike": DayRule("The image looks like the reference", Severity.WARN, _CHECK_PATIENT),
        "day.misses-target": DayRule(
            "The targets are in the image", Severity.STOP, "Take an image that holds every target, with 1 cm around"
        ),
        "day.cuts-target": DayRule(
            "The targets are whole in the image", Severity.WARN, "Check the target at the image's end"
        ),
        "day.cuts-organ": DayRule(
            "The organs are whole in the image",
            Severity.WARN,
            "Read doses to the organs named with care: what lies outside was taken from the reference, or is missing",
        ),
        "day.truncated": DayRule(
            "The whole body is in the field of view",
            Severity.WARN,
            "Check the outline where it was filled up; take a larger field of view where beams pass there",
        ),
        "day.metal": DayRule(
            "There is no metal",
            Severity.WARN,
            "Check the contours beside it, and give it a density (density_overrides)",
        ),
        "day.hounsfield": DayRule(
            "Tissue has the values of tissue",
            Severity.WARN,
            "Check the imager's calibration, or choose the density deformed (anatomy.ct_density, anatomy.cbct_density)",
        ),
        "day.calibration": DayRule(
            "The values can be calibrated",
            Severity.STOP,
            "Choose anatomy.cbct_density deformed, or measure a phantom and enter anatomy.phantom_points",
        ),
        "day.uncalibrated": DayRule(
            "The values were calibrated to the reference CT",
            Severity.WARN,
            "Check today's outline and gas on the density, or measure a phantom and enter anatomy.phantom_points",
        ),
        "day.density": DayRule(
            "What dose is computed on", Severity.INFO, "Choose another source in the section anatomy"
        ),
    }
)


def refusal(rule: str, reason: str) -> InconsistentCase:
    """reason: completes "Today's image cannot be used: …"; no patient data."""
    return InconsistentCase(reason, what=WHAT, remedy=RULES[rule].remedy, rule=rule)


def finding(rule: str, evidence: str, outcome: Outcome = Outcome.FOUND) -> Finding:
    """The remedy stands behind the evidence of what was found."""
    known = RULES[rule]
    words = f"{evidence}. {known.remedy}" if outcome is Outcome.FOUND else evidence
    return Finding(rule, known.title, known.severity, outcome, words, known.source)
