"""What was changed between two lists of objectives, in the words of a planner at the TPS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.contracts import GoalSet, Objective, ObjectiveKind, Objectives, StoryChange
from appliance.execution.steering.changes import FLOORS

SINGLE = 4
"""Up to so many changes are told one by one, more of them grouped by what was done (chosen: a row stays readable)."""
NAMED = 3
"""So many objectives of a group are named; the others are counted."""
SAME = 1e-3
"""Relative: weights and doses closer than this were not changed."""
TIMES = {2.0: "doubled", 4.0: "quadrupled", 0.5: "halved", 0.25: "quartered"}
GROUPS = {
    "raise": "more weight on",
    "lower": "less weight on",
    "tighten": "tighter limits on",
    "relax": "looser limits on",
    "add": "added",
    "remove": "taken out",
}
HELPERS = {
    ObjectiveKind.SQUARED_DEVIATION: "uniformity of {0}",
    ObjectiveKind.SQUARED_UNDERDOSE: "coverage of {0} at {1:.4g} Gy",
    ObjectiveKind.SQUARED_OVERDOSE: "dose of {0} above {1:.4g} Gy",
    ObjectiveKind.MEAN_DOSE: "mean dose of {0}",
    ObjectiveKind.GEUD: "gEUD of {0}",
    ObjectiveKind.DVH_MAX: "{0} D{2:g}%",
    ObjectiveKind.DVH_MIN: "{0} D{2:g}%",
}


@dataclass(frozen=True)
class Pair:
    """One objective before and after; None where it was not in the list. At least one is there."""

    before: Objective | None
    after: Objective | None

    @property
    def known(self) -> Objective:
        found = self.before or self.after
        if found is None:
            raise ValueError("a pair without objectives")
        return found


def paired(before: Objectives, after: Objectives) -> tuple[Pair, ...]:
    """By structure, kind and goal, in the order of the later list; what is in one list only is alone."""
    waiting: dict[tuple[object, ...], list[Objective]] = {}
    for objective in before:
        waiting.setdefault(_key(objective), []).append(objective)
    pairs = []
    for objective in after:
        earlier = waiting.get(_key(objective), [])
        pairs.append(Pair(earlier.pop(0) if earlier else None, objective))
    return (*pairs, *(Pair(gone, None) for left in waiting.values() for gone in left))


def _key(objective: Objective) -> tuple[object, ...]:
    return objective.structure, objective.kind, objective.goal, objective.hot_spot


def named(goal_set: GoalSet, objective: Objective) -> str:
    """What an objective is of: its goal's structure and metric, or what a helper is there for."""
    if objective.goal >= 0:
        goal = goal_set.goals[objective.goal]
        return f"{goal.structure} {goal.measure}"
    if objective.hot_spot:
        return "hot-spot limit"
    if objective.kind is ObjectiveKind.FALLOFF:
        return "dose fall-off around the targets"
    if objective.kind is ObjectiveKind.SQUARED_DIFFERENCE:
        return "likeness to the predicted dose"
    name, *without = objective.structure.split("!")
    if "^" in name:
        return f"ring around {name.partition('^')[0]}"
    targets = {target for target, _ in goal_set.prescription}
    if targets & set(without) and not targets & set(name.split("+")):
        return f"{name} outside the targets"
    return HELPERS[objective.kind].format(name, objective.dose_gy, objective.volume_percent)


def changes_of(goal_set: GoalSet, pair: Pair) -> tuple[StoryChange, ...]:
    """What was done to one objective: nothing, one thing, or its weight and what it asks for."""
    before, after, name = pair.before, pair.after, named(goal_set, pair.known)
    if before is None:
        return (_change(pair.known, "add", _added(name, pair.known), name),)
    if after is None:
        return (_change(before, "remove", f"{name} taken out", name),)
    found = []
    if _differ(after.weight, before.weight):
        what = "raise" if after.weight > before.weight else "lower"
        found.append(_change(before, what, f"{name}: weight {_times(before.weight, after.weight)}", name))
    for asked, then, of, unit in (
        (after.dose_gy, before.dose_gy, "dose", "Gy"),
        (after.volume_percent, before.volume_percent, "volume", "%"),
    ):
        if _differ(asked, then):
            is_more = asked > then
            what = "tighten" if is_more == (before.kind in FLOORS) else "relax"
            percent = 100 * abs(asked - then) / then if then else 0.0
            size = f"{percent:.2g} % " if percent else ""
            sentence = f"asked {size}{'more' if is_more else 'less'} {of} of {name}"
            found.append(_change(before, what, f"{sentence} ({asked:.4g} instead of {then:.4g} {unit})", name))
    return tuple(found)


def summary(changes: Sequence[StoryChange], *, changed: int, objectives: int) -> str:
    """One line; '' where nothing was changed. changed: objectives; objectives: in the list."""
    if len(changes) <= SINGLE:
        return "; ".join(change.sentence for change in changes)
    parts = []
    for what, verb in GROUPS.items():
        names = list(dict.fromkeys(change.objective for change in changes if change.what == what))
        if names:
            rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            parts.append(f"{verb} {', '.join(names[:NAMED])}{rest}")
    return f"{changed} of {objectives} objectives changed: {'; '.join(parts)}"


def _change(objective: Objective, what: str, sentence: str, name: str) -> StoryChange:
    return StoryChange(objective.structure.split("!")[0].partition("^")[0], what, sentence, name)


def _added(name: str, objective: Objective) -> str:
    bound = "at least" if objective.kind in FLOORS else "at most"
    added = name.replace("ring around", "ring added around") if name.startswith("ring around") else f"{name} added"
    return f"{added} ({bound} {objective.dose_gy:.4g} Gy)"


def _differ(one: float, other: float) -> bool:
    return abs(one - other) > SAME * max(abs(one), abs(other))


def _times(before: float, after: float) -> str:
    if before <= 0:
        return f"put to {after:.3g}"
    factor = after / before
    for known, word in TIMES.items():
        if abs(factor / known - 1) < SAME:
            return word
    return f"raised {factor:.3g}-fold" if factor > 1 else f"lowered to {100 * factor:.2g} %"
