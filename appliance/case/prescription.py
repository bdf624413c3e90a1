"""What the received plan prescribes, in the names of today's structures."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.case.nomenclature import folded, lookup
from appliance.case.plan import DoseReference, PlanReading
from appliance.contracts import OrganLimit, PrescribedTarget, Structure, StructureKind


def prescription_of(
    reading: PlanReading, structures: Sequence[Structure], structure_set_uid: str
) -> tuple[tuple[PrescribedTarget, ...], tuple[str, ...]]:
    """(prescribed targets, notes). A dose reference belongs to the target its description names; without such a name to
    the target with the ROI number it points to, since a plan of another day may count its structures otherwise only if
    they were renumbered, which is noted; a single dose belongs to a single target. Others are left out with a note."""
    targets = [item for item in structures if item.kind is StructureKind.TARGET]
    own = structure_set_uid in reading.structure_sets
    found: dict[str, float] = {}
    notes = []
    for reference in reading.prescription:
        target = _named(reference, targets)
        if target is None:
            target = next((item for item in targets if item.number == reference.roi_number), None)
            if target is not None and not own:
                notes.append(f"{_dose(reference)} was taken for {target.tg263} by its number alone: check it")
        if target is None and len(targets) == 1 and len(reading.prescription) == 1:
            target = targets[0]
            notes.append(f"{_dose(reference)} was taken for {target.tg263}, the only target: check it")
        if target is None:
            notes.append(f"{_dose(reference)} was left out: none of today's targets is named there")
            continue
        if found.setdefault(target.tg263, reference.dose_gy) != reference.dose_gy:
            notes.append(f"The received plan prescribes two doses to {target.tg263}; the higher one was taken")
            found[target.tg263] = max(found[target.tg263], reference.dose_gy)
    return tuple(PrescribedTarget(name, dose_gy) for name, dose_gy in found.items()), tuple(notes)


def organ_limits_of(
    reading: PlanReading | None, structures: Sequence[Structure], structure_set_uid: str
) -> tuple[OrganLimit, ...]:
    """The lowest of the highest doses that the plan allows each organ. An organ is known by the description, or by its
    ROI number where the plan was made on this structure set; a limit of no organ of today is left out."""
    if reading is None:
        return ()
    organs = [item for item in structures if item.kind is StructureKind.ORGAN]
    own = structure_set_uid in reading.structure_sets
    found: dict[str, float] = {}
    for reference in reading.limits:
        organ = _named(reference, organs)
        if organ is None and own:
            organ = next((item for item in organs if item.number == reference.roi_number), None)
        if organ is not None:
            found[organ.tg263] = min(found.get(organ.tg263, reference.dose_gy), reference.dose_gy)
    return tuple(OrganLimit(name, most_gy) for name, most_gy in found.items())


def _named(reference: DoseReference, targets: Sequence[Structure]) -> Structure | None:
    if not reference.description:
        return None
    known = lookup(reference.description)
    names = {folded(reference.description)} | ({folded(known.tg263)} if known else set())
    return next((item for item in targets if {folded(item.tg263), folded(item.name)} & names), None)


def _dose(reference: DoseReference) -> str:
    return f"A prescription of {reference.dose_gy:g} Gy in the received plan"
