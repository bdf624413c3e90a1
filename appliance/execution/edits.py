"""Edits of a plan in review become goals: what the plan is judged by, and wishes that only planning knows.

A limit or a priority that somebody changes changes the goal set. "More" and "less" without a limit become wishes: goals
of less weight than all others, against what the plan has now, so that they never cost a goal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import (
    Case,
    ChangeGoal,
    ChangePriority,
    ClinicalGoal,
    Comparator,
    Edit,
    EditMade,
    GoalSet,
    Metric,
    MetricKind,
    ProtectMore,
    PushCoverage,
    RemoveHotSpot,
    Revision,
    Structure,
    StructureKind,
    TakeTrade,
    Undo,
)
from appliance.contracts.goals import with_digest
from appliance.errors import RefusedEdit
from appliance.execution.edit_checks import check_goal, demand_structure
from appliance.execution.hot_regions import HOT_METRIC, cooled
from engines.grid import VoxelSet

NEW_GOAL_PRIORITY = 2
"""Of a goal that somebody adds without saying how important (chosen: after targets and serial organs)."""
WISH_PRIORITY = 3
"""Wishes come after every goal, and at least here (chosen: a goal's points are never fewer)."""
LEAST_DOSE_GY = 0.5
"""Less than this cannot be asked to be lowered (chosen: it is leakage and scatter)."""
COVERAGE = Metric(MetricKind.DOSE_AT_PERCENT, 95.0)
"""What is pushed of a target without a coverage goal (ICRU Report 83 names D95% among the near-minimum doses)."""

ValueOf = Callable[[ClinicalGoal], float]
"""The value that the plan in review has for a goal, NaN where it has none."""


@dataclass(frozen=True, eq=False)
class Present:
    """The plan in review. dose_gy: (z, y, x) Gy on the image grid, NaN where its dose does not reach."""

    case: Case
    value_of: ValueOf
    dose_gy: NDArray[np.float32]


def apply_edits(present: Present, before: Revision, edits: Sequence[Edit], who: str) -> Revision:
    """What the plan becomes by these edits, one after the other. before: as it is planned now. Raises RefusedEdit and
    changes nothing where one of them cannot be done. Undo is not for here: it is no change of goals."""
    if not edits:
        raise RefusedEdit("nothing was asked for")
    number = before.number + 1
    revision = replace(before, number=number, parent=number, restores=0, made=(), asked=(), relaxed=())
    goals: set[str] = set()
    wishes: set[str] = set()
    for edit in edits:
        revision, words, keys = _applied(present, revision, edit, who)
        revision = replace(revision, made=(*revision.made, EditMade(edit, who, *words)))
        (goals if isinstance(edit, ChangeGoal | ChangePriority) else wishes).update(keys)
    touched = [i for i, goal in enumerate(revision.goal_set.goals) if goal.key in goals]
    relaxed = tuple(i for i in touched if _is_weaker(revision.goal_set.goals[i], before.goal_set))
    first = len(revision.goal_set.goals)
    asked = tuple(i for i in touched if i not in relaxed)
    asked += tuple(first + i for i, wish in enumerate(revision.wishes) if wish.key in wishes)
    notes = tuple(
        f"Revision {revision.number}: {made.who} changed '{made.old}' to '{made.new}', in place of the goal file's"
        for made in revision.made
        if isinstance(made.edit, ChangeGoal | ChangePriority)
    )
    goal_set = replace(revision.goal_set, notes=(*revision.goal_set.notes, *notes))
    return replace(revision, goal_set=with_digest(goal_set), asked=asked, relaxed=relaxed)


def _is_weaker(goal: ClinicalGoal, before: GoalSet) -> bool:
    """Whether less is asked of it than before: another limit that the old one implies, or a lower priority."""
    old = next((one for one in before.goals if one.key == goal.key), None)
    if old is None or (old.limit, old.priority) == (goal.limit, goal.priority):
        return False
    return goal.comparator.holds(old.limit, goal.limit) and goal.priority >= old.priority


def planning_set(revision: Revision) -> GoalSet:
    """The goals that planning knows: those that the plan is judged by, and the wishes."""
    return with_digest(replace(revision.goal_set, goals=revision.planning_goals))


def in_words(goal_set: GoalSet, revision: Revision) -> GoalSet:
    """The goals with regions that only planning knows as a person called them, to be told."""
    words = {one.name: one.words for one in revision.regions}
    goals = (replace(goal, structure=words.get(goal.structure, goal.structure)) for goal in goal_set.goals)
    return replace(goal_set, goals=tuple(goals))


def planning_case(case: Case, revision: Revision) -> Case:
    """The case with the regions that wishes speak of, as structures that nothing else looks at."""
    first = max(structure.number for structure in case.structures) + 1
    added = tuple(
        Structure(
            first + number, one.name, one.name, StructureKind.OTHER, (),
            VoxelSet(np.asarray(one.index, np.int32), np.ones(len(one.index), np.float32)),
        )
        for number, one in enumerate(revision.regions)
    )  # fmt: skip
    return replace(case, structures=(*case.structures, *added)) if added else case


Applied = tuple[Revision, tuple[str, str], list[str]]
"""The revision, the words of before and after, and the keys of the goals that were asked for."""


def _applied(present: Present, revision: Revision, edit: Edit, who: str) -> Applied:
    match edit:
        case ChangeGoal():
            return _goal_changed(present, revision, edit, who)
        case ChangePriority():
            return _priority_changed(present, revision, edit)
        case ProtectMore():
            return _wished(revision, _protected(present, revision, edit), present, who)
        case PushCoverage():
            return _wished(revision, _covered(present, revision, edit), present, who)
        case RemoveHotSpot():
            with_region, wish = cooled(present.case, present.dose_gy, revision, edit)
            return _wished(with_region, [wish], present, who)
        case Undo() | TakeTrade():
            raise RefusedEdit(f"{edit.kind} stands alone: it cannot be combined with other changes")
        case _:
            assert_never(edit)


def _goal_changed(present: Present, revision: Revision, edit: ChangeGoal, who: str) -> Applied:
    goals = list(revision.goal_set.goals)
    same = [i for i, g in enumerate(goals) if (g.structure, g.metric, g.comparator, g.unit) == _measured(edit)]
    check_goal(present.case, revision.goal_set, edit)
    if same:
        old = goals[same[0]]
        if old.limit == edit.limit:
            raise RefusedEdit(f"the goal is '{old}' already")
        source = f"Asked for by {who} in review, in place of {old.limit:g} {old.unit} ({old.source})"
        new = replace(
            old, limit=edit.limit, source=source, variation=None, points=(), doi="", passage="", approximate=False
        )
        goals[same[0]] = new
        before = str(old)
    else:
        target = any(edit.structure.split("+")[0] == name for name, _ in revision.goal_set.prescription)
        new = ClinicalGoal(
            edit.structure, edit.metric, edit.comparator, edit.limit, edit.unit,
            1 if target else NEW_GOAL_PRIORITY, f"Asked for by {who} in review",
        )  # fmt: skip
        goals.append(new)
        before = "no such goal"
    wishes = tuple(wish for wish in revision.wishes if wish.key != new.key)
    changed = replace(revision, goal_set=replace(revision.goal_set, goals=tuple(goals)), wishes=wishes)
    return changed, (before, str(new)), [new.key]


def _measured(edit: ChangeGoal) -> tuple[str, Metric, Comparator, str]:
    return edit.structure, edit.metric, edit.comparator, edit.unit


def _priority_changed(present: Present, revision: Revision, edit: ChangePriority) -> Applied:
    demand_structure(present.case, edit.structure)
    goals = list(revision.goal_set.goals)
    found = [i for i, g in enumerate(goals) if g.structure == edit.structure and edit.metric in (None, g.metric)]
    if not found:
        raise RefusedEdit(
            f"there is no goal of {edit.structure} whose priority could change; give it a goal with a limit first",
            tuple(str(goal) for goal in goals),
        )
    if not 1 <= edit.priority <= 9:
        raise RefusedEdit(f"a priority is a number from 1 to 9, not {edit.priority}")
    told_old, told_new = [], []
    for i in found:
        goal = goals[i]
        if not goal.caps_dose and edit.priority > goal.priority:
            raise RefusedEdit(f"coverage is never given up: '{goal}' keeps its priority; change its limit instead")
        goals[i] = replace(goal, priority=edit.priority)
        told_old.append(f"{goal} with priority {goal.priority}")
        told_new.append(f"{goal} with priority {edit.priority}")
    if told_old == told_new:
        raise RefusedEdit(f"the priority of {edit.structure} is {edit.priority} already")
    changed = replace(revision, goal_set=replace(revision.goal_set, goals=tuple(goals)))
    return changed, ("; ".join(told_old), "; ".join(told_new)), [goals[i].key for i in found]


def _protected(present: Present, revision: Revision, edit: ProtectMore) -> list[ClinicalGoal]:
    demand_structure(present.case, edit.structure)
    if any(edit.structure == name for name, _ in revision.goal_set.prescription):
        raise RefusedEdit(f"{edit.structure} is a target; a target is not spared, lower its goal or its hot spot")
    if not edit.by > 0 or (edit.unit == "%" and edit.by >= 100):
        raise RefusedEdit(f"an organ cannot be asked for {edit.by:g} {edit.unit} less")
    about = [
        g
        for g in revision.goal_set.goals
        if g.structure == edit.structure and g.comparator is Comparator.AT_MOST and edit.metric in (None, g.metric)
    ]
    metric = edit.metric or Metric(MetricKind.MEAN)
    about = about or [_plain(edit.structure, metric, Comparator.AT_MOST, _unit_of(metric))]
    wishes = []
    for goal in about:
        value = present.value_of(goal)
        if edit.unit == "Gy" and goal.unit != "Gy":
            raise RefusedEdit(f"'{goal}' is in {goal.unit} and cannot be lowered by Gy; say by how many percent")
        limit = value - edit.by if edit.unit == "Gy" else value * (1 - edit.by / 100)
        if not value > (LEAST_DOSE_GY if goal.unit == "Gy" else 0.0) or limit <= 0:
            raise RefusedEdit(
                f"{edit.structure} {goal.metric} is {value:.1f} {goal.unit} already; less cannot be asked"
            )
        wishes.append(_wish(replace(goal, limit=round(limit, 2))))
    return wishes


def _covered(present: Present, revision: Revision, edit: PushCoverage) -> list[ClinicalGoal]:
    prescribed = dict(revision.goal_set.prescription)
    if edit.target not in prescribed:
        raise RefusedEdit(f"{edit.target} is no prescribed target", tuple(prescribed))
    if not 0 < edit.by_percent <= 10:
        raise RefusedEdit(f"coverage can be pushed by up to 10 % of the prescription, not by {edit.by_percent:g} %")
    about = [
        g
        for g in revision.goal_set.goals
        if g.structure.split("+")[0] == edit.target and g.comparator is Comparator.AT_LEAST
    ] or [_plain(edit.target, COVERAGE, Comparator.AT_LEAST, "Gy")]
    most_gy = prescribed[edit.target] * revision.goal_set.hot_spot_percent / 100
    wishes = []
    for goal in about:
        more = edit.by_percent * (prescribed[edit.target] / 100 if goal.unit == "Gy" else 1.0)
        limit = present.value_of(goal) + more
        if goal.unit == "Gy" and limit > most_gy:
            raise RefusedEdit(f"'{goal}' at {limit:.1f} Gy would be above the limit on hot spots ({most_gy:.1f} Gy)")
        if goal.unit == "%" and limit > 100:
            raise RefusedEdit(f"'{goal}' is at {limit - more:.1f} % already; there is no more than 100 %")
        wishes.append(_wish(replace(goal, limit=round(limit, 2))))
    return wishes


def _wished(revision: Revision, wishes: list[ClinicalGoal], present: Present, who: str) -> Applied:
    lowest = max(WISH_PRIORITY, *(goal.priority + 1 for goal in revision.goal_set.goals))
    asked = [replace(wish, priority=lowest, source=f"Wish of {who} in review") for wish in wishes]
    keys = [wish.key for wish in asked]
    old = "; ".join(f"{w.structure} {w.metric} {_now(present, revision, w)}" for w in asked)
    kept = tuple(replace(wish, priority=lowest) for wish in revision.wishes if wish.key not in keys)
    return replace(revision, wishes=(*kept, *asked)), (old, "; ".join(str(wish) for wish in asked)), keys


def _now(present: Present, revision: Revision, wish: ClinicalGoal) -> str:
    region = next((one for one in revision.regions if one.name == wish.structure), None)
    value = HOT_METRIC.of(present.case, present.dose_gy, region.index) if region else present.value_of(wish)
    return f"{value:.2f} {wish.unit}"


def _wish(goal: ClinicalGoal) -> ClinicalGoal:
    return replace(goal, variation=None, points=(), doi="", passage="", endpoint="", approximate=False)


def _plain(structure: str, metric: Metric, comparator: Comparator, unit: str) -> ClinicalGoal:
    return ClinicalGoal(structure, metric, comparator, 0.0, unit, WISH_PRIORITY, "")


def _unit_of(metric: Metric) -> str:
    return "%" if metric.kind in (MetricKind.VOLUME_AT_DOSE, MetricKind.COLD_VOLUME) else "Gy"
