"""Whether today's image is one of this patient for this reference, by what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from appliance.case.assemble import check_one_person
from appliance.case.attributes import date_of
from appliance.case.image import ImageSeries
from appliance.case.plan import PlanReading
from appliance.case.structure_set import StructureReading
from appliance.case.today.modality import DayImage
from appliance.case.today.rules import finding, refusal
from appliance.config import AnatomyConfig
from appliance.contracts import Finding, Identity, Outcome, StructureKind

HALF = 0.5
"""Share of a voxel in a structure from which it counts as inside."""


@dataclass(frozen=True, eq=False)
class DayReference:
    """What today is compared with: the planning CT, what was drawn on it and, where there is one, the plan."""

    series: ImageSeries
    structures: StructureReading
    plan: PlanReading | None = None


def external_of(reference: DayReference) -> NDArray[np.bool_]:
    """The body (z, y, x) on the reference's image."""
    drawn = next(item for item in reference.structures.structures if item.kind is StructureKind.EXTERNAL)
    return drawn.voxels.mask(reference.series.image.grid.shape, HALF)


def match_day(
    reference: DayReference, today: DayImage, limits: AnatomyConfig, *, on: date
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """(notes, findings) of an image that may be used, before anything is registered. on: the day of treatment.

    Raises InconsistentCase: `case.identity` for another patient, `day.same-image`, `day.before-reference`,
    `day.too-late`, `day.patient-position`."""
    identities = [reference.structures.identity, *([reference.plan.identity] if reference.plan else [])]
    check_one_person(today.series.identity, [reference.series.identity, *identities])
    _check_other_image(reference.series, today.series)
    findings = [finding("day.modality", today.told_by, Outcome.PASSED)]
    findings += _named(reference.series.identity, today.series.identity)
    findings += _dated(date_of(reference.series.scanner.taken_on), date_of(today.series.scanner.taken_on), limits, on)
    findings += _lying(reference, today.series)
    notes = [f"Today's image: {today.told_by[0].lower()}{today.told_by[1:]}"]
    if today.series.frame_of_reference_uid == reference.series.frame_of_reference_uid:
        findings.append(
            finding(
                "day.same-frame",
                "It is in the frame of reference of the reference: imager and table say that the patient was not moved",
            )
        )
        notes.append("Today's image is in the reference's frame of reference: the patient was not moved in between")
    return tuple(notes), tuple(findings)


def _check_other_image(reference: ImageSeries, today: ImageSeries) -> None:
    before = {source.sop_instance_uid for source in reference.sources}
    if any(source.sop_instance_uid in before for source in today.sources):
        raise refusal("day.same-image", "it is the reference image, or shares slices with it")
    grids = reference.image.grid.same_as(today.image.grid)
    if grids and np.array_equal(reference.image.hu, today.image.hu):
        raise refusal("day.same-image", "it shows the reference image, voxel by voxel, under another name")


def _named(reference: Identity, today: Identity) -> list[Finding]:
    without = [name for name, who in (("the reference", reference), ("today's image", today)) if not who.patient_id]
    if not without:
        return []
    return [finding("day.no-identity", f"There is no patient ID in {' and '.join(without)}")]


def _dated(before: date | None, taken: date | None, limits: AnatomyConfig, on: date) -> list[Finding]:
    if taken is None:
        return [finding("day.undated", "It has no date of acquisition, series or study")]
    if before is not None and taken < before:
        raise refusal("day.before-reference", f"it was taken {(before - taken).days} days before the reference")
    if before is not None and (taken - before).days > limits.longest_days:
        raise refusal(
            "day.too-late",
            f"it was taken {(taken - before).days} days after the reference, and {limits.longest_days} is the limit",
        )
    if taken != on:
        apart = f"{abs((on - taken).days)} day(s) {'before' if taken < on else 'after'} {on.isoformat()}"
        return [finding("day.not-today", f"It was taken {apart}, the day of treatment")]
    return []


def _lying(reference: DayReference, today: ImageSeries) -> list[Finding]:
    planned = reference.plan.plan.patient_position if reference.plan else ""
    before = reference.series.patient_position or planned
    if not today.patient_position:
        return [finding("day.unstated-position", "It does not say how the patient lies")]
    if before and before != today.patient_position:
        raise refusal(
            "day.patient-position", f"the patient lies {today.patient_position} on it and {before} on the reference"
        )
    return []
