"""The objects of an earlier course of radiotherapy, read for summing: its CT, structure set, dose, plan and, if there,
a registration object that places it on today's image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SpatialRegistrationStorage,
)

from appliance.case.assemble import WHOLE_PLAN, check_one_person
from appliance.case.attributes import date_of, identity_of, items, source_of, text
from appliance.case.dose import WHAT as RTDOSE
from appliance.case.dose import dose_of
from appliance.case.image import ImageSeries, read_image
from appliance.case.spatial_registration import Matrix, read_registration
from appliance.case.structure_set import read_structures
from appliance.contracts import Case, SourceObject
from appliance.contracts.prior import PriorMaterial
from appliance.dicomio.read import read_dataset
from appliance.errors import IncompleteCase, InconsistentCase, RefusedObject
from engines.grid import resample

PLANNING_DAYS = 28
"""From the planning CT of the earlier course to its first fraction, taken off where only the CT has a date (chosen,
because too short an interval is the safe side)."""

ESTIMATED = (
    "The time since the earlier course, {days} days, was estimated: from its CT to today's, less the {fractions} "
    "fractions at five a week and {planning} days before them"
)
UNKNOWN_DATES = "The time since the earlier course is not known: the two images are not both dated"
CROPPED = "The earlier dose is counted as 0 where its own dose grid or image does not reach"


@dataclass(eq=False)
class _Files:
    """Paths by SOP class, and what was passed over."""

    by_class: dict[str, list[Path]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, sop_class_uid: str) -> list[Path]:
        return self.by_class.get(str(sop_class_uid), [])

    def one(self, sop_class_uid: str, name: str) -> Path:
        found = self.of(sop_class_uid)
        if not found:
            raise IncompleteCase(f"the earlier course has no {name}", remedy=f"Add the {name} of the earlier course")
        if len(found) > 1:
            raise InconsistentCase(
                f"it holds {len(found)} objects of kind {name}",
                what="The earlier course",
                remedy=f"Give one {name}; several courses, or a plan and its boost, are given one at a time",
                rule="case.several",
            )
        return found[0]


def read_prior(
    paths: Sequence[Path], today: Case, *, fractions: int = 0, days_since: float | None = None
) -> PriorMaterial:
    """What `assess_prior` needs of the earlier course in these files (any order; files that are no DICOM are passed
    over with a note).

    Needed: one CT series, one structure set on it and one dose of a whole plan in its frame of reference. fractions: of
    the earlier course, 0: as its RTPLAN plans them. days_since: between the courses; None: estimated from the dates of
    the images, which a note says. A spatial registration between both frames is taken if there is one. Raises
    IncompleteCase, InconsistentCase (also for another patient than today's), RefusedObject, as reading raises them.
    """
    files = _sorted(paths)
    dose_path = files.one(RTDoseStorage, "dose (RTDOSE)")
    series = _series(files)
    structures = read_structures(files.one(RTStructureSetStorage, "structure set"), series)
    dataset = read_dataset(dose_path, what=RTDOSE)
    _check_dose(dataset, series)
    grid, dose_gy = dose_of(dataset)
    check_one_person(today.identity, [series.identity, structures.identity, identity_of(dataset)])
    count = fractions or _planned_fractions(files)
    days, said = _interval(series, today, count) if days_since is None else (days_since, "")
    sources = (*series.sources, structures.source, source_of(dataset, dose_path, RTDOSE))
    notes = (*files.notes, *structures.notes, *((said,) if said else ()), CROPPED)
    case = Case(
        digest=_digest(sources),
        identity=series.identity,
        frame_of_reference_uid=series.frame_of_reference_uid,
        patient_position=series.patient_position or today.patient_position,
        image=series.image,
        structures=structures.structures,
        prescription=(),
        fractions=count,
        images=series.sources,
        structure_set=structures.source,
        reference_dose_object=sources[-1],
        reference_dose_gy=resample(dose_gy, grid, series.image.grid),
        notes=notes,
    )
    return PriorMaterial(case, count, days, _registration(files, today, series))


def _sorted(paths: Sequence[Path]) -> _Files:
    files = _Files()
    for path in paths:
        try:
            dataset = read_dataset(path, what="An object of the earlier course", pixels=False)
        except RefusedObject as error:
            if error.fields["rule"] != "not-dicom":
                raise
            files.notes.append("A file of the earlier course is no DICOM object and was passed over")
            continue
        files.by_class.setdefault(text(dataset, "SOPClassUID"), []).append(path)
    return files


def _series(files: _Files) -> ImageSeries:
    slices = files.of(CTImageStorage)
    if not slices:
        raise IncompleteCase("the earlier course has no CT", remedy="Add the CT that its dose was calculated on")
    return read_image(slices)


def _check_dose(dataset: Dataset, series: ImageSeries) -> None:
    if text(dataset, "FrameOfReferenceUID") != series.frame_of_reference_uid:
        raise InconsistentCase(
            "its dose is in another frame of reference than its CT",
            what="The earlier course",
            remedy="Give the CT that the dose was calculated on",
            rule="case.frame",
        )
    if text(dataset, "DoseSummationType") not in WHOLE_PLAN:
        raise InconsistentCase(
            f"its dose is of kind {text(dataset, 'DoseSummationType') or 'unknown'}, not that of a whole plan",
            what="The earlier course",
            remedy="Give the dose of the whole plan",
            rule="case.summation",
        )


def _planned_fractions(files: _Files) -> int:
    """Of the one RTPLAN with one fraction group, else 0: then the caller has to be told."""
    plans = files.of(RTPlanStorage)
    if len(plans) != 1:
        return 0
    groups = items(read_dataset(plans[0], what="RTPLAN"), "FractionGroupSequence")
    planned = text(groups[0], "NumberOfFractionsPlanned") if len(groups) == 1 else ""
    return int(planned) if planned.isdigit() else 0


def _interval(series: ImageSeries, today: Case, fractions: int) -> tuple[float | None, str]:
    before, now = date_of(series.identity.study_date), date_of(today.identity.study_date)
    if before is None or now is None:
        return None, UNKNOWN_DATES
    course_days = 7 * fractions // 5
    days = max(0, (now - before).days - course_days - PLANNING_DAYS)
    return float(days), ESTIMATED.format(days=days, fractions=fractions, planning=PLANNING_DAYS)


def _registration(files: _Files, today: Case, series: ImageSeries) -> Matrix | None:
    found = [
        matrix
        for path in files.of(SpatialRegistrationStorage)
        if (matrix := read_registration(path, today.frame_of_reference_uid, series.frame_of_reference_uid)) is not None
    ]
    if len(found) > 1:
        raise InconsistentCase(
            f"{len(found)} registration objects place it on today's image",
            what="The earlier course",
            remedy="Give the one that a person has approved",
            rule="case.several",
        )
    return found[0] if found else None


def _digest(sources: Sequence[SourceObject]) -> str:
    return hashlib.sha256("\n".join(source.sha256 for source in sources).encode()).hexdigest()
