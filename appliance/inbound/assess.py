"""Which of the received objects make today's case, and whether they are all there.

Today is the newest structure set, with the one image series it was drawn on. The predecessor is the newest plan, which
may rest on an older structure set and image (the reference day), and the dose that belongs to it. Where no plan has
come, a dose that names today's structure set itself is kept: what was planned on this anatomy elsewhere.

An image series that nobody has drawn on, and that is newer than plan and structure set, is the image of the day: its
contours are still to be made from the reference, which is then handed over beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from appliance.contracts import Received
from appliance.errors import InconsistentCase
from appliance.inbound.catalogue import IMAGE_MODALITIES, Modality, SetRule
from appliance.inbound.registrations import registration_of
from appliance.inbound.stack import check_stack, in_order

_IDENTITY = ("patient ID", "name", "birth date", "sex")
_WHOLE_PLAN = ("PLAN", "PLAN_OVERVIEW", "")  # Dose Summation Types of a whole plan (PS3.3 C.8.8.3); '' is not stated


@dataclass(frozen=True)
class Completeness:
    """missing: '' or the part of a sentence that says what is not there. chosen: today's images by z, the structure
    set (none where today's contours are still to be made), then the predecessor plan and its dose, and a registration
    of today's image to the reference, if there are any; empty while incomplete. reference: images by z and the
    structure set of the day that the plan was made for, where that is another day and both are here. notes: what was
    left aside and why."""

    complete: bool
    missing: str
    chosen: tuple[Received, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
    reference: tuple[Received, ...] = ()


def assess(received: Sequence[Received], *, of_today: bool = False) -> Completeness:
    """Judges the objects of one patient (of a store: `ObjectStore.case_objects`). An object that may still come makes
    the case incomplete; objects that contradict each other raise InconsistentCase with the rule they break.

    of_today: the anatomy must be newer than the predecessor plan. A node that holds a plan and the anatomy it was made
    on waits for today's image; a person who plans a folder anew does not.
    """
    structure_set = _newest(received, Modality.RTSTRUCT)
    if structure_set is None:
        return Completeness(False, "no structure set has arrived")
    present = {item.sop_instance_uid: item for item in received if item.modality in IMAGE_MODALITIES}
    if missing := _missing_images(structure_set, present):
        return Completeness(False, missing)
    plan = _newest(received, Modality.RTPLAN)
    planned_on = _of_plan(received, plan)
    if day := _image_of_the_day(received, structure_set, plan):
        return _undrawn(received, day, planned_on or structure_set, present)
    if of_today and plan is not None and structure_set.sop_instance_uid in plan.references:
        return Completeness(False, "today's image and structure set; the newest here are those the plan was made on")
    series = _series_of(structure_set, present)
    predecessor, notes = _predecessor(received, structure_set)
    reference = () if planned_on in (None, structure_set) else _reference(planned_on, present)
    registration, aside = registration_of(received, series, reference)
    chosen = (*in_order(series), structure_set, *predecessor, *registration)
    notes += aside
    notes += _one_person(received, (*chosen, *reference))
    if missing := check_stack(series):
        return Completeness(False, missing)
    _one_frame(structure_set, series)
    return Completeness(True, "", chosen, notes, reference)


def _image_of_the_day(
    received: Sequence[Received], structure_set: Received, plan: Received | None
) -> tuple[Received, ...]:
    """The newest image series, if no structure set names any of it and it was taken after the plan was made, or where
    there is no plan the structure set: images of the planning day that nobody drew on are older."""
    drawn_on = {uid for item in received if item.modality == Modality.RTSTRUCT for uid in item.references}
    since = (plan or structure_set).made_at
    later = [
        slices
        for slices in _by_series(received)
        if since and drawn_on.isdisjoint(item.sop_instance_uid for item in slices) and _taken(slices) > since
    ]
    return _newest_series(later)


def _by_series(received: Sequence[Received]) -> tuple[tuple[Received, ...], ...]:
    """The images, each series in order of arrival."""
    series: dict[str, list[Received]] = {}
    for item in received:
        if item.modality in IMAGE_MODALITIES:
            series.setdefault(item.series_instance_uid, []).append(item)
    return tuple(tuple(slices) for slices in series.values())


def _taken(series: Sequence[Received]) -> str:
    return max(item.made_at for item in series)


def _newest_series(series: Sequence[Sequence[Received]]) -> tuple[Received, ...]:
    """A localiser beside a series has one slice, and is taken only where there is nothing else."""
    newest = sorted(series, key=lambda slices: (len(slices) > 1, _taken(slices)))
    return tuple(newest[-1]) if newest else ()


def assess_pair(reference: Sequence[Received], today: Sequence[Received]) -> Completeness:
    """As `assess`, where a person says which objects are of which day: images, structure set, plan and dose of the
    reference, and today's image with or without a structure set drawn on it. Both were read with one set of keys."""
    everything = (*reference, *today)
    plan = _newest(reference, Modality.RTPLAN)
    drawn = _of_plan(reference, plan) or _newest(reference, Modality.RTSTRUCT)
    if drawn is None:
        return Completeness(False, "the reference has no structure set")
    present = {item.sop_instance_uid: item for item in everything if item.modality in IMAGE_MODALITIES}
    now = _newest(today, Modality.RTSTRUCT)
    if now is not None:
        found = assess([*today, *(item for item in reference if item.modality in (Modality.RTPLAN, Modality.RTDOSE))])
        if not found.complete:
            return found
        before = _reference(drawn, present)
        images = [item for item in found.chosen if item.modality in IMAGE_MODALITIES]
        registration, aside = registration_of(everything, images, before)
        chosen = (*found.chosen, *registration)
        notes = (*found.notes, *aside, *_one_person(everything, (*chosen, *before)))
        return replace(found, chosen=chosen, reference=before, notes=notes)
    if not (series := _by_series(today)):
        return Completeness(False, "there is no image of today")
    return _undrawn(everything, _newest_series(series), drawn, present)


def _undrawn(
    received: Sequence[Received], day: Sequence[Received], drawn: Received, present: Mapping[str, Received]
) -> Completeness:
    """Today's image without contours, beside the reference they are made from."""
    if missing := _missing_images(drawn, present):
        return Completeness(False, missing)
    if missing := check_stack(day):
        return Completeness(False, missing)
    reference = _reference(drawn, present)
    predecessor, notes = _predecessor(received, drawn)
    registration, aside = registration_of(received, day, reference)
    chosen = (*in_order(day), *predecessor, *registration)
    notes += aside
    notes += _one_person(received, (*chosen, *reference))
    return Completeness(True, "", chosen, notes, reference)


def _of_plan(received: Sequence[Received], plan: Received | None) -> Received | None:
    """The structure set the plan was made on, if it is here."""
    if plan is None:
        return None
    return next(
        (it for it in received if it.modality == Modality.RTSTRUCT and it.sop_instance_uid in plan.references), None
    )


def _reference(drawn: Received | None, present: Mapping[str, Received]) -> tuple[Received, ...]:
    """Images by z and structure set of the reference day; nothing where a slice is missing. Raises InconsistentCase."""
    if drawn is None or _missing_images(drawn, present):
        return ()
    series = _series_of(drawn, present)
    if check_stack(series):
        return ()
    _one_frame(drawn, series)
    return (*in_order(series), drawn)


def _one_person(received: Sequence[Received], chosen: Sequence[Received]) -> tuple[str, ...]:
    """Every chosen object agrees in every part of the identity, and every image in the patient ID. An object that a
    newer one has replaced is only noted: it cannot be taken back, and must not stand in the way of its correction.

    An empty value contradicts nothing: many systems leave sex or birth date out of some objects.
    """
    images = [item for item in received if item.modality in IMAGE_MODALITIES]
    _agree((*chosen, *images), _IDENTITY[:1])
    _agree(chosen, _IDENTITY)
    if any(_differ((*received, *chosen), index) for index, _ in enumerate(_IDENTITY)):
        return ("objects with another identity were left aside",)
    return ()


def _agree(objects: Sequence[Received], parts: Sequence[str]) -> None:
    for index, what in enumerate(parts):
        if _differ(objects, index):
            raise InconsistentCase(
                f"they differ in {what}",
                what="The objects of this case",
                remedy="Check that they belong to one patient, correct the wrong ones at their source, send them again",
                rule=SetRule.IDENTITY.value,
            )


def _differ(objects: Sequence[Received], index: int) -> bool:
    return len({item.identity_keys[index] for item in objects} - {""}) > 1


def _newest(received: Sequence[Received], modality: Modality) -> Received | None:
    """By the date it was made, then by arrival."""
    candidates = [(item.made_at, index, item) for index, item in enumerate(received) if item.modality == modality]
    return max(candidates, key=lambda candidate: candidate[:2])[2] if candidates else None


def _missing_images(structure_set: Received, present: Mapping[str, Received]) -> str:
    absent = sum(uid not in present for uid in structure_set.references)
    if not absent:
        return ""
    if absent < len(structure_set.references):
        return f"{absent} of the {len(structure_set.references)} slices the structure set refers to have not arrived"
    if present:
        return "the newest structure set was drawn on another image series than those that arrived"
    return "the images the structure set refers to have not arrived"


def _series_of(structure_set: Received, present: Mapping[str, Received]) -> list[Received]:
    """Every slice of the series the structure set was drawn on. If it names a CT and an MR series, the CT."""
    referenced = [present[uid] for uid in structure_set.references]
    modality = Modality.CT if any(item.modality == Modality.CT for item in referenced) else Modality.MR
    names = {item.series_instance_uid for item in referenced if item.modality == modality}
    if len(names) != 1:
        raise InconsistentCase(
            f"it was drawn on {len(names)} {modality} series",
            what="The structure set",
            remedy="Draw it on one series, or export it for one",
            rule=SetRule.OTHER_SERIES.value,
        )
    return [item for item in present.values() if item.series_instance_uid in names]


def _one_frame(structure_set: Received, series: Sequence[Received]) -> None:
    frames = {item.frame_of_reference_uid for item in series}
    if len(frames) != 1 or structure_set.frame_of_reference_uid not in frames:
        raise InconsistentCase(
            "its frame of reference is not that of its images",
            what="The structure set",
            remedy="It belongs to another image, or one of both was changed; export both again from one system",
            rule=SetRule.FRAME.value,
        )


def _predecessor(received: Sequence[Received], structure_set: Received) -> tuple[tuple[Received, ...], tuple[str, ...]]:
    """The newest plan and the dose of it, or without a plan the dose of today's structure set; and notes on what does
    not fit."""
    plan = _newest(received, Modality.RTPLAN)
    owner = structure_set if plan is None else plan
    doses = [item for item in received if item.modality == Modality.RTDOSE]
    notes = []
    if plan is not None and {item.sop_instance_uid for item in received}.isdisjoint(plan.references):
        notes.append("the structure set of the predecessor plan is not here")
    own = [item for item in doses if owner.sop_instance_uid in item.references]
    if doses and not own:
        notes.append(
            "doses without a plan were left aside"
            if plan is None
            else "the doses received belong to another plan and were left aside"
        )
    whole = [item for item in own if item.summation in _WHOLE_PLAN]
    if own and not whole:
        notes.append("only doses of single beams were received, none of a whole plan")
    chosen = (plan, _newest(whole, Modality.RTDOSE))
    return tuple(item for item in chosen if item is not None), tuple(notes)
