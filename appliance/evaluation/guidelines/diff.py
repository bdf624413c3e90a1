"""What differs between two versions of a guideline, in words and in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.contracts import ClinicalGoal, Comparator, GoalSet
from appliance.evaluation.guidelines.package import Package


@dataclass(frozen=True)
class Change:
    """One difference. kind: 'added', 'removed', 'limit', 'variation', 'priority', 'evidence', 'scope'. before, after:
    the two numbers, where it is one (None: there was none). percent: after against before. stricter: whether the goal
    is harder to meet now; None where that is not the question."""

    kind: str
    goal_set: str
    text: str
    before: float | None = None
    after: float | None = None
    percent: float | None = None
    stricter: bool | None = None


def diff(old: Package | None, new: Package) -> tuple[Change, ...]:
    """Every difference, goal sets in order; old None: everything is new."""
    before = {} if old is None else {one.name: one for one in old.goal_sets}
    after = {one.name: one for one in new.goal_sets}
    changes: list[Change] = []
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if one is None and other is not None:
            changes.append(Change("added", name, f"goal set {name} is new: {len(other.goals)} goals, {other.title}"))
        elif one is not None and other is None:
            changes.append(Change("removed", name, f"goal set {name} is gone: {len(one.goals)} goals, {one.title}"))
        elif one is not None and other is not None:
            changes += [*_scope(one, other), *_goals(one, other)]
    if old is not None:
        changes += _of_package(old, new)
    return tuple(changes)


def _of_package(old: Package, new: Package) -> Iterator[Change]:
    if old.manifest.validity != new.manifest.validity:
        yield Change("scope", "", f"valid {new.manifest.validity} (before: {old.manifest.validity})")
    if old.signer != new.signer:
        yield Change("scope", "", f"signed by {new.signer} (before: {old.signer})")
    texts = [{path: data for path, data in one.content if path.startswith("passages/")} for one in (old, new)]
    for path in sorted({*texts[0], *texts[1]}):
        if texts[0].get(path) != texts[1].get(path):
            yield Change("evidence", "", f"{path} is changed, new or gone")


def _scope(old: GoalSet, new: GoalSet) -> Iterator[Change]:
    fields = ("title", "site", "also_for", "fractions", "prescription", "optional_targets", "fraction_gy",
              "fraction_counts", "hot_spot_percent", "beams", "first_gantry_deg", "automatic")  # fmt: skip
    for name in fields:
        one, other = getattr(old, name), getattr(new, name)
        if one != other:
            yield Change("scope", new.name, f"{name.replace('_', ' ')}: {_words(one)} → {_words(other)}")


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_words(part) for part in value) or "none"
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _goals(old: GoalSet, new: GoalSet) -> Iterator[Change]:
    before, after = _by_meaning(old), _by_meaning(new)
    for key in [*before, *(key for key in after if key not in before)]:
        one, other = before.get(key), after.get(key)
        if one is None and other is not None:
            text = f"goal added: {other} (priority {other.priority})"
            yield Change("added", new.name, text, after=other.limit, stricter=True)
        elif one is not None and other is None:
            text = f"goal removed: {one} (priority {one.priority})"
            yield Change("removed", new.name, text, before=one.limit, stricter=False)
        elif one is not None and other is not None:
            yield from _goal(new.name, one, other)


def _by_meaning(goal_set: GoalSet) -> dict[tuple[str, str, str, str, str], ClinicalGoal]:
    """The unit is part of what a goal means: a limit in % and one in cc are two goals."""
    every = (*goal_set.target_goals, *goal_set.goals)
    return {(g.structure, str(g.metric), g.comparator.value, g.relative, g.unit): g for g in every}


def _goal(goal_set: str, old: ClinicalGoal, new: ClinicalGoal) -> Iterator[Change]:
    side = "upper" if new.comparator is Comparator.AT_MOST else "lower"
    what = f"{new.structure or 'each target'} {new.measure}, {side} limit"
    if old.limit != new.limit:
        percent = 100.0 * (new.limit - old.limit) / old.limit if old.limit else None
        share = "" if percent is None else f" ({percent:+.1f} %)"
        text = f"{what} {old.limit:g} → {new.limit:g} {new.unit}{share}"
        stricter = (new.limit < old.limit) == (new.comparator is Comparator.AT_MOST)
        yield Change("limit", goal_set, f"{text}, {_harder(stricter)}", old.limit, new.limit, percent, stricter)
    if old.variation != new.variation:
        one, other = _variation(old), _variation(new)
        yield Change(
            "variation", goal_set, f"{what}: acceptable variation {one} → {other}", old.variation, new.variation
        )
    if old.priority != new.priority:
        weight = "more" if new.priority < old.priority else "less"
        text = f"{what}: priority {old.priority} → {new.priority}, {weight} important"
        yield Change("priority", goal_set, text, float(old.priority), float(new.priority))
    if old.points != new.points:
        yield Change("limit", goal_set, f"{what}: score points {_words(old.points)} → {_words(new.points)}")
    for name in ("endpoint", "source", "doi", "passage", "approximate"):
        one_text, other_text = getattr(old, name), getattr(new, name)
        if one_text != other_text:
            yield Change("evidence", goal_set, f"{what}: {name} '{one_text}' → '{other_text}'")


def _variation(goal: ClinicalGoal) -> str:
    return "none" if goal.variation is None else f"{goal.variation:g} {goal.unit}"


def _harder(stricter: bool) -> str:
    return "harder to meet" if stricter else "easier to meet"
