"""Are the structures there that a prediction needs, each where it belongs?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from appliance.prediction.facts import AnatomyFacts
from appliance.prediction.range_finding import RangeFinding, note, refuse, warn
from appliance.prediction.range_model import RangeModel
from appliance.prediction.range_words import ORGANS

USUAL_SHARE = 0.98
"""An organ that so many patients have is warned of where it is absent; of others it is noted, because the network has
met many patients without them (chosen: two in a hundred are too few to learn from)."""
IN_AIR = 0.5
"""Share of air in the targets above which nothing is there to be treated (chosen)."""
OVERLAP_CC = 0.5
"""Below, an overlap is voxels along a border (chosen: some ten voxels of 4 x 4 x 2.5 mm)."""
MIXED_MM = 10.0
"""How far two organs must stand in the wrong order to be called exchanged (chosen: two to three voxels)."""
ORDER = (
    ("Parotid_L", "Parotid_R", "x", "left and right are exchanged"),
    ("SpinalCord", "Bone_Mandible", "y", "front and back are exchanged"),
    ("Brainstem", "Larynx", "z", "head and feet are exchanged"),
    ("Brainstem", "Esophagus", "z", "head and feet are exchanged"),
    ("SpinalCord", "Larynx", "y", "front and back are exchanged"),
)
"""The first lies further to patient left, to the back or to the head than the second, in every head and neck."""


def judge_structures(facts: AnatomyFacts, model: RangeModel) -> Iterator[RangeFinding]:
    yield from _targets(facts)
    yield from _overlaps(facts)
    yield from _organs(facts, model)
    yield from _order(facts)
    if not facts.has_ct:
        yield note("ct.missing", "There is no CT: the network predicts from contours alone, with a larger error.")


def _targets(facts: AnatomyFacts) -> Iterator[RangeFinding]:
    if not facts.values:
        yield refuse("body.empty", "There is no voxel where dose is possible. Check the external contour.")
        return
    if not facts.prescribed_gy:
        yield refuse("target.none", "There is no target with a prescribed dose. Name targets in the goals.")
    for gy in facts.prescribed_gy:
        if not (math.isfinite(gy) and gy > 0):
            yield refuse("target.prescription", f"A target is prescribed {gy:g} Gy. Correct the goals.")
    for gy in facts.empty_gy:
        yield refuse(f"target.empty.{gy:g}", f"The target of {gy:g} Gy has no voxel in the patient. Contour it.")
    if facts.values.get("ct.target_air_share", 0.0) > IN_AIR:
        share = facts.values["ct.target_air_share"]
        yield refuse("target.air", f"{100 * share:.0f} % of the targets are air. Check contours and CT numbers.")
    if facts.values.get("targets.outside_share", 0.0) > IN_AIR:
        share = facts.values["targets.outside_share"]
        yield refuse("target.outside", f"{100 * share:.0f} % of the targets lie outside the patient.")


def _overlaps(facts: AnatomyFacts) -> Iterator[RangeFinding]:
    for overlap in facts.overlaps:
        if overlap.volume_cc >= OVERLAP_CC:
            yield warn(
                f"target.overlap.{overlap.higher_gy:g}.{overlap.lower_gy:g}",
                f"Targets of {overlap.higher_gy:g} and {overlap.lower_gy:g} Gy share {overlap.volume_cc:.1f} cm3 "
                f"although neither holds the other; {overlap.higher_gy:g} Gy is taken there. Check which is meant.",
            )


def _organs(facts: AnatomyFacts, model: RangeModel) -> Iterator[RangeFinding]:
    here = [organ for organ in model.presence if facts.organs.get(organ)]
    if not here:
        yield refuse(
            "organs.none",
            f"None of the organs is contoured that the network knows ({', '.join(model.presence)}). It was trained on "
            "head and neck only.",
        )
        return
    missing = [organ for organ in model.presence if organ not in here]
    if len(here) < model.fewest_organs:
        few = f"Of the organs that the network knows only {', '.join(map(_name, here))} is contoured"
        yield warn("organs.few", f"{few}; the fewest it was trained with are {model.fewest_organs}.")
    for organ in missing:
        share = model.presence[organ]
        said = f"{_name(organ).capitalize()} is not contoured"
        if share >= USUAL_SHARE:
            rest = f"{100 * share:.0f} % of the patients that the network knows have it. Contour it to have it spared."
            yield warn(f"organ.missing.{organ}", f"{said}; {rest}")
        else:
            yield note(f"organ.missing.{organ}", f"{said}: the predicted dose there is not held down for its sake.")
    unknown = {*facts.treatment.others, *(organ for organ, there in facts.organs.items() if there)} - {*model.presence}
    if unknown:
        others = ", ".join(sorted(unknown))
        yield note("organs.others", f"The network has no name for {others}: what is predicted there was not trained.")


def _order(facts: AnatomyFacts) -> Iterator[RangeFinding]:
    for first, second, axis, what in ORDER:
        a, b = (facts.values.get(f"{organ}.offset_{axis}_mm", math.nan) for organ in (first, second))
        if a < b - MIXED_MM:
            yield refuse(
                f"order.{first}.{second}",
                f"{_name(first).capitalize()} and {_name(second)} stand as if {what}. Check the names of contours and "
                "the orientation of the image.",
            )


def _name(organ: str) -> str:
    return ORGANS.get(organ, organ)
