"""Structures that follow from others: a CTV grown to its PTV, cropped to the patient; whole, or the slices in reach of
what changed. Both come to the same contours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.case.today.drawn import Drawn, Loops
from appliance.contracts.derived import DerivedRule
from appliance.errors import RefusedContourEdit
from engines.contouring import grown, reached_slices, shrunk
from engines.contouring.shapes import EMPTY, Area, area_of, common, image_area, loops_of, without_crumbs
from engines.contouring.trace import LEAST_PIXELS
from engines.grid import Grid, Margins


def derived_slices(
    rule: DerivedRule, source: Drawn, external: Drawn, grid: Grid, slices: Sequence[int]
) -> dict[int, Loops]:
    """The loops of each of the slices asked for, none where the structure is not. Along the patient the External goes
    on beyond the image as it is on its first and last slice."""
    solid = grown(source.shapes(grid), grid, rule.margins_mm, slices)
    limits = {index: image_area(grid) for index in solid}
    if rule.crop_to_external_mm is not None:
        limits = _body(rule.crop_to_external_mm, external, grid, solid)
    least_mm2 = LEAST_PIXELS * grid.spacing_mm[0] * grid.spacing_mm[1]
    found: dict[int, Loops] = dict.fromkeys(slices, ())
    for index, loops in solid.items():
        area = common(area_of(loops), limits.get(index, EMPTY))
        found[index] = loops_of(without_crumbs(area, least_mm2))
    return found


def slices_to_derive(rule: DerivedRule, source: Sequence[int], external: Sequence[int], grid: Grid) -> tuple[int, ...]:
    """Slices of the derived structure in reach of the slices on which its source and the External changed."""
    touched = {near for index in source for near in reached_slices(index, grid, rule.margins_mm)}
    if rule.crop_to_external_mm is not None:
        inwards = Margins.all_round(rule.crop_to_external_mm)
        touched |= {near for index in external for near in reached_slices(index, grid, inwards)}
    return tuple(sorted(touched))


def in_order(rules: Sequence[DerivedRule]) -> tuple[DerivedRule, ...]:
    """Each rule after the one that makes its source. Raises RefusedContourEdit for two rules of one structure and for
    structures that follow from themselves."""
    waiting = {rule.name: rule for rule in rules}
    if len(waiting) < len(rules):
        raise RefusedContourEdit("two rules make the same structure", remedy="Keep one rule for each structure")
    done: list[DerivedRule] = []
    while waiting:
        ready = [rule for rule in waiting.values() if rule.source not in waiting]
        if not ready:
            raise RefusedContourEdit(
                f"{' and '.join(waiting)} follow from each other", remedy="Name a structure that is drawn as the source"
            )
        for rule in ready:
            done.append(waiting.pop(rule.name))
    return tuple(done)


def _body(inside_mm: float, external: Drawn, grid: Grid, near: Mapping[int, Loops]) -> dict[int, Area]:
    """The External, less so much, where `near` is."""
    if not near or inside_mm == 0:
        outline = {index: external.shape(index, grid) for index in near}
    else:
        outline = shrunk(external.shapes(grid), grid, Margins.all_round(inside_mm), sorted(near), near)
    return {index: area_of(loops) for index, loops in outline.items()}
