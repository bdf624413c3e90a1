"""From what the conversation understood to an edit of the plan, or a refusal that says what to ask; and from edits to a
revision that hangs together. Deterministic: no language is looked at here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import (
    Case,
    ChangeGoal,
    ChangePriority,
    ClinicalGoal,
    Command,
    Comparator,
    Edit,
    EditMade,
    GoalSet,
    Metric,
    MetricKind,
    ProtectMore,
    PushCoverage,
    Refusal,
    RemoveHotSpot,
    Revision,
    TakeTrade,
    Undo,
)
from appliance.contracts.navigation import TradeOffSet, Wish
from appliance.errors import EvaluationError, PlanningError, RefusedEdit, RefusedGoals
from appliance.evaluation.goal_conflicts import sure_contradictions
from appliance.evaluation.judged import Judged, Regions, goal_value
from appliance.execution.edit_checks import VOLUMES, check_goal, demand_structure
from appliance.execution.edits import Present, apply_edits
from appliance.execution.navigation import Navigator

HIGH, LOW = 1, 3
"""Priorities that "high" or "must", and at least "low", stand for."""
NEAR_MAXIMUM_CC = 0.1
"""Who says maximum means the guideline's near-maximum, where it has one of at most this volume."""
NOT_KNOWN = (
    "what could be traded around this plan is not known yet; the node works it out while the plan is read, unless "
    "node.navigation turns that off"
)
_UNITS: dict[str, Literal["Gy", "%", "cc"]] = {"Gy": "Gy", "%": "%", "cc": "cc"}
_DOSE = re.compile(r"^D(?P<number>\d+(?:\.\d+)?)(?P<unit>%|cc)?$")
_VOLUME = re.compile(r"^V(?P<number>\d+(?:\.\d+)?)(?:Gy)?$")
_TARGET = re.compile(r"^PTV_?(?P<number>\d+)$", re.IGNORECASE)


def present_plan(case: Case, dose_gy: NDArray[np.float32]) -> Present:
    """The plan in review. dose_gy: (z, y, x) on the image grid, NaN where it does not reach."""
    judged = Judged(Regions(case), dose_gy)

    def value_of(goal: ClinicalGoal) -> float:
        try:
            return goal_value(goal, judged.volume(goal.structure))
        except EvaluationError:
            return float("nan")

    return Present(case, value_of, dose_gy)


def revised(present: Present, before: Revision, edits: Sequence[Edit], who: str) -> Revision:
    """Raises RefusedEdit, also for goals that no dose can meet together."""
    revision = apply_edits(present, before, edits, who)
    if found := sure_contradictions(revision.goal_set.goals):
        raise RefusedEdit(f"{'; '.join(found)}; change or relax one of them in the same revision")
    return revision


def traded(present: Present, before: Revision, trade: TakeTrade, who: str, known: TradeOffSet | None) -> Revision:
    """The wish as a goal that the plan is judged by; what the answer lets go may be lost, at limits of its own, which
    only planning knows. Raises RefusedEdit."""
    wish, named = trade.wish, set(trade.allowed)
    if known is None:
        raise RefusedEdit(NOT_KNOWN)
    demand_structure(present.case, wish.structure)
    if wish.structure not in known.regions:
        raise RefusedEdit(f"what could be traded says nothing of {wish.structure}", tuple(sorted(known.regions)))
    revision = _wished(present, before, trade, who)
    try:
        answer = Navigator(known).ask(wish, trade.allowed)
    except PlanningError as error:
        raise RefusedEdit(str(error.fields["reason"])) from error
    if wish.comparator.holds(answer.now, wish.limit):
        raise RefusedEdit(f"the plan has {answer.now:.2f} {wish.unit} already, which is within '{wish}'")
    goals = revision.goal_set.goals
    told = {(one.structure, one.metric, one.comparator) for one in answer.lost}
    lost = {g.key for g in known.goal_set.goals if (g.structure, str(g.metric), g.comparator.value) in told}
    relaxed = [i for i, g in enumerate(goals) if g.key in lost or g.structure in named]
    giving = "; ".join(str(goals[i]) for i in relaxed if goals[i].key in lost)
    made = EditMade(trade, who, f"{answer.now:.2f} {wish.unit}", f"{wish}{f', letting go {giving}' if giving else ''}")
    relaxed = [i for i in relaxed if i not in revision.asked]
    return replace(revision, made=(made,), relaxed=tuple(relaxed))


def _wished(present: Present, before: Revision, trade: TakeTrade, who: str) -> Revision:
    """As the edit that gives the goal this limit; without one where it has it and the plan misses it."""
    wish = trade.wish
    if (unit := _UNITS.get(wish.unit)) is None:
        raise RefusedEdit(f"'{wish.unit}' is no unit of a goal", tuple(_UNITS))
    edit = ChangeGoal(wish.structure, wish.metric, wish.comparator, wish.limit, unit)
    goals = before.goal_set.goals
    same = [i for i, g in enumerate(goals) if (g.structure, g.metric, g.comparator) == _measured(wish)]
    if not same or goals[same[0]].limit != wish.limit:
        revision = revised(present, before, [edit], who)
        return replace(revision, asked=revision.asked or revision.relaxed)
    number = before.number + 1
    return replace(before, number=number, parent=number, restores=0, asked=(same[0],))


def _measured(wish: Wish) -> tuple[str, Metric, Comparator]:
    return wish.structure, wish.metric, wish.comparator


def edit_of(command: Command, case: Case, goal_set: GoalSet) -> Edit | Refusal:
    """What a command changes of the plan in review."""
    if command.intent == "undo":
        return Undo()
    if command.intent not in ("set_goal", "adjust", "set_priority"):
        return Refusal(f"'{command.intent}' is no change of the plan", ("set_goal", "adjust", "set_priority", "undo"))
    name = structure_of(command.structure, case, goal_set)
    if isinstance(name, Refusal):
        return name
    if command.intent == "set_priority":
        return _priority(command, name, case, goal_set)
    return (_goal if command.intent == "set_goal" else _adjusted)(command, name, case, goal_set)


def structure_of(said: str | None, case: Case, goal_set: GoalSet) -> str | Refusal:
    """The structure of the case that is meant; both of a pair joined by '+'."""
    known = tuple(s.tg263 for s in case.structures if not s.voxels.empty)
    if not said:
        return Refusal("no structure was named; which one is meant?", known)
    if said.endswith("_?"):
        sides = tuple(name for name in known if name in (f"{said[:-1]}L", f"{said[:-1]}R"))
        return Refusal(f"{said[:-2]}: the left or the right one?", sides)
    plain = {name.replace("_", "").lower(): name for name in known}
    if said in known or said.replace("_", "").lower() in plain:
        return said if said in known else plain[said.replace("_", "").lower()]
    if (match := _TARGET.match(said)) is not None:
        number = float(match["number"])
        wanted_gy = number / 100 if number >= 1000 else number
        for target, dose_gy in goal_set.prescription:
            if target in known and abs(dose_gy - wanted_gy) < 0.5:
                return target
    if said.endswith("s") and {f"{said[:-1]}_L", f"{said[:-1]}_R"} <= set(known):
        return f"{said[:-1]}_L+{said[:-1]}_R"
    return Refusal(f"the case has no structure {said}", known)


def metric_of(said: str | None, structure: str, goal_set: GoalSet, direction: Comparator) -> Metric | Refusal:
    """The metric that is meant; where none was said, that of the structure's only goal in this direction."""
    own = [g for g in goal_set.goals if g.structure.split("+")[0] == structure and g.comparator is direction]
    if said is None:
        if len({goal.metric for goal in own}) == 1:
            return own[0].metric
        choices = tuple(str(goal.metric) for goal in own) or ("Mean", "Max")
        return Refusal(f"which metric of {structure} is meant?", choices)
    if said == "coverage":
        if (prescribed_gy := dict(goal_set.prescription).get(structure)) is None:
            return Refusal(
                f"{structure} is no prescribed target and has no coverage", tuple(dict(goal_set.prescription))
            )
        return Metric(MetricKind.VOLUME_AT_DOSE, prescribed_gy)
    if said in ("Dmax", "Max"):
        near = [
            g.metric for g in own if g.metric.kind is MetricKind.DOSE_AT_CC and g.metric.argument <= NEAR_MAXIMUM_CC
        ]
        return near[0] if near else Metric(MetricKind.MAX)
    return _spelt(said)


def _spelt(said: str) -> Metric | Refusal:
    """Dmean, Dmin, D95, D2cc, V20, and whatever a goal file may say."""
    text = {"Dmean": "Mean", "Dmin": "Min"}.get(said, said)
    if (match := _DOSE.match(text)) is not None:
        text = f"D{match['number']}{match['unit'] or '%'}"
    elif (match := _VOLUME.match(text)) is not None:
        text = f"V{match['number']}Gy"
    try:
        return Metric.parse(text)
    except RefusedGoals as error:
        return Refusal(str(error.fields["reason"]))


def _goal(command: Command, name: str, case: Case, goal_set: GoalSet) -> Edit | Refusal:
    if command.comparator not in ("<=", ">="):
        return Refusal(f"at most or at least? {name} {command.metric or ''}".rstrip(), ("<=", ">="))
    if command.value is None:
        return Refusal(f"to what value shall {name} {command.metric or ''} be set?".replace("  ", " "))
    metric = metric_of(command.metric, name, goal_set, Comparator(command.comparator))
    if isinstance(metric, Refusal):
        return metric
    unit = _UNITS.get(command.unit or ("%" if metric.kind in VOLUMES else "Gy"))
    if unit is None:
        return Refusal(f"a goal cannot be in {command.unit}", tuple(_UNITS))
    edit = ChangeGoal(name, metric, Comparator(command.comparator), command.value, unit)
    try:
        check_goal(case, goal_set, edit)
    except RefusedEdit as error:
        return Refusal(str(error.fields["reason"]))
    return edit


def _adjusted(command: Command, name: str, case: Case, goal_set: GoalSet) -> Edit | Refusal:
    is_target = name in dict(goal_set.prescription)
    if command.comparator not in ("up", "down"):
        return Refusal(f"shall {name} get more or less?", ("up", "down"))
    if command.comparator == "up":
        if not is_target:
            return Refusal(f"{name} is not given more dose on purpose; relax its goal or lower its priority instead")
        if command.value is not None and command.unit not in (None, "%"):
            return Refusal(f"by how many percent of its prescription shall {name} get more?", ("%",))
        return PushCoverage(name) if command.value is None else PushCoverage(name, command.value)
    if command.metric in ("Dmax", "Max") and command.value is None:
        return RemoveHotSpot(name)
    if is_target:
        return Refusal(f"the coverage of {name} is not lowered by an adjustment; set its goal to a value instead")
    return _lowered(command, name, goal_set)


def _lowered(command: Command, name: str, goal_set: GoalSet) -> Edit | Refusal:
    metric = None if command.metric is None else metric_of(command.metric, name, goal_set, Comparator.AT_MOST)
    if isinstance(metric, Refusal):
        return metric
    if command.value is None:
        return ProtectMore(name, metric=metric)
    if command.unit not in (None, "Gy", "%"):
        return Refusal(f"{name} cannot be lowered by {command.unit}", ("Gy", "%"))
    return ProtectMore(name, command.value, "%" if command.unit == "%" else "Gy", metric)


def _priority(command: Command, name: str, case: Case, goal_set: GoalSet) -> Edit | Refusal:
    own = [goal for goal in goal_set.goals if goal.structure == name]
    if not own:
        return Refusal(f"{name} has no goal whose priority could change; give it a goal with a limit first")
    said = command.priority or ""
    if said in ("high", "hard", "must"):
        return ChangePriority(name, HIGH)
    if said == "low":
        if not all(goal.caps_dose for goal in own):
            return Refusal(f"coverage of {name} is never given up; set its goal to a value instead")
        return ChangePriority(name, max(LOW, *(goal.priority for goal in goal_set.goals)))
    if said.startswith("over:"):
        return _over(name, said.partition(":")[2], case, goal_set)
    return Refusal(f"how important shall {name} be?", ("high", "low", "over another structure"))


def _over(name: str, others: str, case: Case, goal_set: GoalSet) -> Edit | Refusal:
    """One edit alone: the structure is moved before the others, which keep their place."""
    highest = []
    for said in others.split(","):
        other = structure_of(said.strip(), case, goal_set)
        if isinstance(other, Refusal):
            return other
        parts = {other, *other.split("+")}
        highest += [goal.priority for goal in goal_set.goals if goal.structure in parts]
    if not highest:
        return Refusal(f"{others} has no goal that {name} could come before")
    if min(highest) <= HIGH:
        return Refusal(f"{others} has the highest priority already; lower that first", (f"{others} low",))
    return ChangePriority(name, min(highest) - 1)
