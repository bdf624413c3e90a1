"""Today's contours: received, or carried from the reference, with External and derived structures made anew."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from appliance.case.today.editing import ContourDesk
from appliance.case.today.laid import rigid_field
from appliance.case.today.propagate import Carried, carried, contours_of, moved_region
from appliance.case.today.reading import Day, Reference
from appliance.case.today.recognising import clinical_targets, planning_targets, recognised_rules
from appliance.case.today.registering import Registered
from appliance.case.today.rules import refusal
from appliance.case.today.seen import SeenRegion
from appliance.config import AnatomyConfig
from appliance.contracts import Case, Image, Structure, StructureKind
from appliance.contracts.anatomy import Segmenter
from appliance.contracts.derived import DerivedRule
from appliance.contracts.origin import ContourOrigin, Origin
from appliance.errors import EvaluationError, ModelError, RefusedContourEdit
from engines.grid import Grid, Margins, voxels_placed, voxels_taken
from engines.registration import DisplacementField

RECEIVED = "Today's structures came with today's image: they are compared with the reference, nothing was propagated"


@dataclass(frozen=True, eq=False)
class DayContours:
    """structures: today's, with what follows from others made of them. notes: what a person must know. recognised: the
    rules in effect that no configuration holds, but the reference shows."""

    structures: tuple[Structure, ...]
    notes: tuple[str, ...]
    recognised: tuple[DerivedRule, ...] = ()


def contours_today(
    today: Day,
    before: Reference,
    found: Registered,
    seen: SeenRegion,
    *,
    config: AnatomyConfig,
    segmenter: Segmenter | None = None,
) -> DayContours:
    """Today's structures on seen.larger. Raises InconsistentCase `day.misses-target`, RefusedContourEdit for rules of
    the configuration that fit no structures."""
    grid = seen.larger
    if today.is_drawn:
        there = (replace(item, voxels=voxels_placed(item.voxels, today.grid, grid)) for item in today.structures)
        return DayContours(tuple(there), (RECEIVED,))
    rigid = rigid_field(found.rigid, grid)

    def map_of(structure: Structure) -> DisplacementField:
        is_rigid = config.targets == "rigid" and structure.kind is StructureKind.TARGET
        return rigid if is_rigid else found.field

    external = _external(today, before, found, seen)
    done = carried(before.structures, before.grid, grid, external.voxels, map_of)
    _check_lost(done, before.structures)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = [replace(item, origin=_origin(item, found, config.targets, now)) for item in done.structures]
    made, said = _segmented(made, (today, external, grid), config.segmented, segmenter)
    cut = (f"{name} reaches the end of today's image and may go on beyond it" for name in done.cut)
    lost = (f"{name} does not lie in today's image and has no contour today" for name in done.lost)
    whole = _with_derived((external, *made), grid, before, config)
    return replace(whole, notes=(*cut, *lost, *said, *whole.notes))


def _with_derived(structures: Sequence[Structure], grid: Grid, before: Reference, config: AnatomyConfig) -> DayContours:
    """With those that follow from others made anew. Where margins that were recognised leave nothing of a target today,
    all such targets stay as they were carried."""
    rules = rules_of(config, {item.tg263 for item in structures if item.kind is not StructureKind.EXTERNAL})
    is_asked = config.margins == "recognised" and bool(clinical_targets(structures))
    names = {rule.name for rule in rules}
    recognised = recognised_rules(before.structures, before.grid, names) if is_asked else ()
    try:
        desk = ContourDesk(structures, grid, (*rules, *recognised))
    except RefusedContourEdit as refused:
        if not recognised:
            raise
        desk = ContourDesk(structures, grid, rules)
        said = [f"The margins of the reference were not used today: {refused.fields['reason']}"]
        return DayContours(desk.structures, (*_followed(desk, ()), *said))
    followed = names | {rule.name for rule in recognised}
    alone = [item.tg263 for item in planning_targets(structures) if is_asked and item.tg263 not in followed]
    said = [f"{name} was carried: in the reference it is no other target with a margin round it" for name in alone]
    return DayContours(desk.structures, (*_followed(desk, recognised), *said), recognised)


def _followed(desk: ContourDesk, recognised: Collection[DerivedRule]) -> list[str]:
    words = {True: ", as in the reference", False: ""}
    return [f"{rule.name} was made anew of today's {rule.words}{words[rule in recognised]}" for rule in desk.rules]


def _segmented(
    made: list[Structure], where: tuple[Day, Structure, Grid], names: Sequence[str], segmenter: Segmenter | None
) -> tuple[list[Structure], list[str]]:
    """Organs that a network is to contour, by it; propagated where it fails or finds nothing, and that is said. where:
    today, its External, and the grid that contours are made on."""
    if not names or segmenter is None:
        return made, []
    today, external, grid = where
    try:
        outline = voxels_taken(external.voxels, grid, today.grid)
        # A cone-beam CT has been brought near Hounsfield units; the values of an MR are its own.
        modality = "MR" if today.series.image.modality == "MR" else "CT"
        seen = segmenter(Image(today.grid, today.hu, modality), outline)
    except (EvaluationError, ModelError) as error:
        return made, [f"Nothing was segmented, and all organs were propagated: {error.fields['reason']}"]
    done, said = [], []
    for structure in made:
        voxels = seen.get(structure.tg263) if structure.tg263 in names else None
        there = None if voxels is None else voxels_placed(voxels, today.grid, grid).intersection(external.voxels)
        contours = () if there is None else contours_of(there, grid)
        if there is None or not contours:
            if structure.tg263 in names:
                said.append(f"{structure.tg263} was propagated: the network {segmenter.name} finds none")
            done.append(structure)
            continue
        origin = ContourOrigin(Origin.SEGMENTED, segmenter.name, structure.origin.at_utc if structure.origin else "")
        done.append(replace(structure, contours=contours, voxels=there, origin=origin))
    return done, said


def contour_desk(config: AnatomyConfig, case: Case, recognised: Sequence[DerivedRule]) -> ContourDesk:
    """Where today's contours of a case are edited, under the rules of the configuration and those that were recognised
    when the contours were made. Raises RefusedContourEdit."""
    rules = rules_of(config, {item.tg263 for item in case.structures})
    names = {rule.name for rule in rules}
    # The configuration may have changed since: its rules win, and nothing may come to follow from itself.
    kept = [rule for rule in recognised if not names & {rule.name, rule.source}]
    return ContourDesk(case.structures, case.image.grid, (*rules, *kept))


def rules_of(config: AnatomyConfig, present: Collection[str]) -> tuple[DerivedRule, ...]:
    """Those of the configuration whose source the case has: one configuration serves all sites."""
    rules = []
    for one in config.derived:
        margins = Margins.all_round(one.margin_mm[0]) if len(one.margin_mm) == 1 else Margins(*one.margin_mm)
        if one.source in present:
            rules.append(DerivedRule(one.name, one.source, margins, one.crop_to_external_mm))
    return tuple(rules)


def _origin(structure: Structure, found: Registered, targets: str, now: str) -> ContourOrigin:
    is_rigid = not found.method or (targets == "rigid" and structure.kind is StructureKind.TARGET)
    kind = Origin.PROPAGATED_RIGID if is_rigid else Origin.PROPAGATED_DEFORMABLE
    return ContourOrigin(kind, by="rigid" if is_rigid else found.method, at_utc=now, from_="the reference")


def _external(today: Day, before: Reference, found: Registered, seen: SeenRegion) -> Structure:
    """As seen on today's image, and carried where that does not show it, under the reference's name and number; on an
    MR, which shows no outline, carried."""
    former = before.external
    taken = {item.number for item in before.structures if item is not former}
    number = former.number if former and former.number not in taken else 1 + max(taken, default=0)
    name, colour = (former.name, former.colour_rgb) if former else ("External", (0, 255, 0))
    if today.external is None:
        voxels, _ = moved_region(before.body, before.grid, seen.larger, found.field)
        kind = StructureKind.EXTERNAL
        return Structure(number, name, "External", kind, contours_of(voxels, seen.larger), voxels, colour)
    own = replace(today.external, number=number, name=name, colour_rgb=colour)
    if not seen.extends:
        return own
    voxels = seen.outline(own.voxels, before.known, found.field)
    return replace(own, voxels=voxels, contours=contours_of(voxels, seen.larger))


def _check_lost(done: Carried, structures: Sequence[Structure]) -> None:
    targets = {item.tg263 for item in structures if item.kind is StructureKind.TARGET}
    if missed := sorted(targets & set(done.lost)):
        raise refusal("day.misses-target", f"it does not hold the target {', '.join(missed)}")
