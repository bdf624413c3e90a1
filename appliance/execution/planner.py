"""The rule-based virtual planner: operates any TPS until the goals are met or its rounds are used, then spares organs.

Fluence: what could be had. Apertures (`meeting`): a deliverable plan that meets the goals. Sparing (`sparing`): lower
organ doses and fewer monitor units without losing a goal."""

from __future__ import annotations

from collections.abc import Callable

from appliance.contracts import (
    CalculatedDose,
    CanImitate,
    GoalSet,
    Objectives,
    Opponent,
    Plan,
    PlanningState,
    TradeOff,
    TreatmentPlanningSystem,
)
from appliance.contracts.progress import Progress, silent
from appliance.execution.concede import goal_to_give_up
from appliance.execution.guide import Guide
from appliance.execution.meeting import EARLY, Met, meet
from appliance.execution.operator import Operator
from appliance.execution.rules import Rules
from appliance.execution.sparing import SPARING_ROUNDS, spare

FLUENCE_ROUNDS, CONCESSIONS = 3, 3
"""Rounds of pushing in the fluence, and rounds at most that each give up one goal afterwards (chosen: later rounds
rarely change a goal)."""
FLUENCE_ROOM = 0.003
"""Goals are wanted with this room (relative) in the fluence, because sequencing costs some of it."""
HOPELESS = 0.005
"""A goal that the fluence misses by more than this after its rounds cannot be had beside the others: apertures are no
better than the fluence that they were made from."""
APERTURES_FROM, SPARING_FROM = 0.3, 0.7
"""Progress at which the later stages begin."""


def plan_case(
    tps: TreatmentPlanningSystem,
    goal_set: GoalSet,
    progress: Progress = silent,
    *,
    sparing_rounds: int = SPARING_ROUNDS,
    guide: Guide | None = None,
    note: Callable[[str], None] = lambda _: None,
    trade_off: Callable[[TradeOff], None] = lambda _: None,
) -> tuple[Plan, CalculatedDose]:
    """The best deliverable plan found and its dose: a true dose, of the full calculation on every voxel. A later round
    can never make the result worse. The last progress step says why planning stopped. note: told which goals were given
    up, and which stand against each other where some are missed; trade_off: told each of the latter. sparing_rounds: 0
    stops when goals are met. guide: what a predicted dose says beforehand; it decides where to begin, never what is
    kept."""
    operator = Operator(tps, goal_set)
    rules, objectives, _ = plan_fluence(operator, guide, progress)
    met = make_deliverable(operator, rules, objectives, progress)
    best = spare(operator, met, sparing_rounds, part_of(progress, SPARING_FROM, 1.0))
    for item in traded(operator, met, best.state):
        note(item.sentence)
        trade_off(item)
    progress(f"planner: {ending(operator, met, best.state)}", 1.0)
    return operator.result(best)


def make_deliverable(operator: Operator, rules: Rules, objectives: Objectives, progress: Progress) -> Met:
    """From the fluence to a deliverable plan that meets the goals, as far as it can."""
    progress("planner: apertures", APERTURES_FROM)
    operator.tps.sequence(objectives)
    return meet(operator, rules, objectives, part_of(progress, APERTURES_FROM, SPARING_FROM))


def ending(operator: Operator, met: Met, state: PlanningState) -> str:
    return "all goals met" if operator.satisfied(state, 0.0) else met.why


def traded(operator: Operator, met: Met, state: PlanningState) -> list[TradeOff]:
    """What each missed goal gives way to. A goal given up is asked for in full again here: what little is asked of it
    in planning would pull at nothing. Where no gradient opposes it now, it is named without opponents."""
    if operator.satisfied(state, 0.0):
        return []
    rules, goals = met.rules, operator.goal_set.goals
    lost = {number for number in rules.given_up if not goals[number].met_by(state.goal_values[number])}
    asked = tuple(
        first if first.goal in rules.given_up else objective
        for objective, first in zip(met.objectives, rules.first, strict=True)
    )
    found = {conflict.goal: conflict for conflict in operator.tps.conflicts(asked)}
    items = []
    for number in sorted(lost | found.keys()):
        foreseen = ", as a predicted dose had foreseen" if number in rules.foreseen else ""
        said = [f"{goals[number]} was given up in favour of other goals{foreseen}"] if number in lost else []
        against: tuple[Opponent, ...] = ()
        if number in found:
            told = found[number].sentence
            said.append(told.partition(" is missed: ")[2] or told if number in lost else told)
            against = found[number].opponents
        items.append(TradeOff.of(goals[number], against, "; ".join(said), given_up=number in lost))
    return items


def rules_of(operator: Operator, guide: Guide | None, found: Objectives = ()) -> Rules:
    """found: objectives that were found by exploring: weights are bounded against those, and what a prediction would
    have pressed is theirs to say; what it knows of organs with room is added. Without them the template's."""
    first = found or operator.tps.initial_objectives()
    if guide is None:
        return Rules(operator.goal_set, first)
    begun = (*first, *guide.spared()) if found else guide.begin(first)
    return Rules(operator.goal_set, begun, foreseen=guide.out_of_reach, easy=guide.easy)


def imitate_first(tps: TreatmentPlanningSystem, guide: Guide | None) -> None:
    """Begins from a fluence that imitates the predicted dose, where there is one and the TPS can."""
    if guide is not None and guide.dose_gy is not None and isinstance(tps, CanImitate):
        tps.imitate(guide.dose_gy)


def part_of(progress: Progress, start: float, end: float) -> Progress:
    return lambda step, part: progress(step, start + (end - start) * part)


def plan_fluence(
    operator: Operator, guide: Guide | None = None, progress: Progress = silent
) -> tuple[Rules, Objectives, PlanningState]:
    """Rules and objectives under which the fluence meets the goals with room, as far as it can, and how far it came."""
    imitate_first(operator.tps, guide)
    return push_fluence(operator, rules_of(operator, guide), progress)


def push_fluence(
    operator: Operator, rules: Rules, progress: Progress = silent, *, begun: PlanningState | None = None
) -> tuple[Rules, Objectives, PlanningState]:
    """The same from where the fluence stands. begun: of a fluence that was optimised for `rules.first` just now."""
    tps = operator.tps
    objectives = rules.first
    rounds = FLUENCE_ROUNDS + CONCESSIONS
    for number in range(rounds):
        progress("planner: fluence", APERTURES_FROM * number / rounds)
        state = begun if begun is not None and number == 0 else tps.optimise_fluence(objectives)
        operator.seen(objectives, state)
        if operator.satisfied(state, FLUENCE_ROOM, besides=rules.given_up) or number == rounds - 1:
            break
        is_pushed = number >= FLUENCE_ROUNDS - 1
        if is_pushed or rules.foreseen - rules.given_up:
            found = tps.conflicts(objectives)
            hopeless = goal_to_give_up(
                rules.goal_set, state.goal_values, found, given_up=rules.given_up,
                among=None if is_pushed else rules.foreseen, room=-HOPELESS if is_pushed else -EARLY,
            )  # fmt: skip
            if hopeless is None and is_pushed:
                break
            if hopeless is not None:
                rules = rules.giving_up(hopeless, state.goal_values[hopeless])
        objectives = rules.adjust(objectives, state.goal_values, state.hottest_gy, room=FLUENCE_ROOM)
    rules = rules.taking_back(state.goal_values, HOPELESS)
    # What was pushed against a goal that is given up was pushed too far: apertures would start stiff.
    return rules, rules.afresh() if rules.given_up else objectives, state
