"""Sentences for a clinician, with numbers from the computation only."""

from __future__ import annotations

import math

from appliance.contracts import ClinicalGoal, Comparator, GoalSet
from appliance.contracts.explanation import Change, Explanation, Reached, Reason, Slope

UNCHANGED = 0.01
"""A change smaller than this share of the limit is no gain (chosen: what two runs of the optimiser differ by)."""
CLOSE = 0.1
"""Values this near to a limit are told to a hundredth."""


def amount(value: float, unit: str, *, beside: float | None = None) -> str:
    """To a tenth; finer beside a limit that it would seem to equal, and for cc."""
    close = beside is not None and abs(value - beside) < CLOSE
    return f"{value:.2f} {unit}" if close or unit == "cc" else f"{value:.1f} {unit}"


def percent_of_prescription(goal_set: GoalSet, goal: ClinicalGoal, limit: float) -> str:
    """' (97.8 % of 70 Gy)' for doses of a prescribed target, else ''."""
    prescribed = dict(goal_set.prescription).get(goal.structure.split("+")[0])
    if prescribed is None or goal.unit != "Gy":
        return ""
    return f" ({100 * limit / prescribed:.1f} % of {prescribed:g} Gy)"


def headline(goal: ClinicalGoal, value: float, state: str) -> str:
    against = f"{goal.structure} {goal.metric} is {amount(value, goal.unit, beside=goal.limit)}"
    wanted = f"{'at most' if goal.comparator is Comparator.AT_MOST else 'at least'} {goal.limit:g} {goal.unit}"
    miss = amount(abs(value - goal.limit), goal.unit, beside=0.0)
    if state == "failed":
        return f"{against}; wanted is {wanted}: missed by {miss}"
    return f"{against}; wanted is {wanted}: met with only {miss} of room"


def change_sentence(goal_set: GoalSet, goal: ClinicalGoal, change: Change) -> str:
    """'Parotid_L Mean 26 Gy is reachable if PTV_7000 D95% falls to 68.5 Gy (97.8 % of 70 Gy)', and how it was shown."""
    giver = goal_set.goals[change.giver]
    verb = "falls" if giver.comparator is Comparator.AT_LEAST else "may rise"
    told = (
        f"{goal.structure} {goal.metric} {goal.limit:g} {goal.unit} is reachable if {giver.structure} {giver.metric} "
        f"{verb} to {change.limit_to:g} {giver.unit}{percent_of_prescription(goal_set, giver, change.limit_to)}"
    )
    return f"{told}; {_shown(goal, change)}"


def _shown(goal: ClinicalGoal, change: Change) -> str:
    room = f"with {amount(abs(change.room), goal.unit, beside=0.0)} of room"
    value = amount(change.value, goal.unit, beside=goal.limit)
    if change.level == "deliverable":
        return f"verified by a whole plan made from scratch, {value} {room}"
    shown = f"verified on beamlet fluence optimised from scratch, {value} {room}"
    if change.deliverable_value is None:
        return f"{shown}; a deliverable plan was not made"
    return (
        f"{shown}; but the deliverable plan made from scratch with it has "
        f"{amount(change.deliverable_value, goal.unit, beside=goal.limit)}, so that apertures need a little more"
    )


def trade_off(goal: ClinicalGoal, giver: ClinicalGoal, slope: float, furthest: float) -> Slope:
    if abs(slope * (furthest - giver.limit)) < UNCHANGED * abs(goal.limit):
        words = (
            f"weakening the limit of {giver.structure} {giver.metric} from {giver.limit:g} to {furthest:g} "
            f"{giver.unit} moves {goal.structure} {goal.metric} by no more than two runs of the optimiser differ"
        )
        return Slope(f"{giver.structure} {giver.metric}", slope, f"{goal.unit}/{giver.unit}", words)
    verb = "lower" if giver.comparator is Comparator.AT_LEAST else "higher"
    better = "falls" if goal.comparator is Comparator.AT_MOST else "rises"
    words = (
        f"for each {giver.unit} that the limit of {giver.structure} {giver.metric} is {verb}, {goal.structure} "
        f"{goal.metric} {better} by {slope:.2f} {goal.unit} (between {giver.limit:g} and {furthest:g} {giver.unit})"
    )
    return Slope(f"{giver.structure} {giver.metric}", slope, f"{goal.unit}/{giver.unit}", words)


def conflict_reason(sentence: str) -> Reason:
    """sentence: as the TPS tells it, with the goal before a colon."""
    told = sentence.partition(": ")[2] or sentence
    return Reason("conflict", f"in the optimisation {told}")


def entrance_reason(goal: ClinicalGoal, alone: float, plan_value: float) -> Reason:
    """plan_value: what this plan has; its finer apertures may be ahead of the coarse fluence."""
    asked = f"even where nothing but coverage and {goal.structure} was asked for, {goal.metric} of {goal.structure} "
    if plan_value < alone:
        found = (
            f"came no lower than this plan's {amount(plan_value, goal.unit, beside=goal.limit)} "
            f"({amount(alone, goal.unit, beside=goal.limit)} on coarse beamlets)"
        )
    else:
        found = f"stayed at {amount(alone, goal.unit, beside=goal.limit)}"
    words = f"{asked}{found} with these beams: this much they bring through it and scatter into it"
    return Reason("entrance", words, (("best with only coverage asked", min(alone, plan_value), goal.unit),))


def hair_reason(goal_set: GoalSet, number: int, reached: Reached) -> Reason:
    """Where the goal is met and others are missed, but by no more than two runs of the optimiser differ."""
    goal, short, numbers = goal_set.goals[number], [], []
    for other, value in zip(goal_set.goals, reached.values, strict=True):
        if other is not goal and not math.isnan(value) and not other.met_by(value):
            told = amount(value, other.unit, beside=other.limit)
            short.append(f"{other.structure} {other.metric} {told} for {other.limit:g}")
            numbers.append((f"{other.structure} {other.metric}", value, other.unit))
    own = amount(reached.values[number], goal.unit, beside=goal.limit)
    words = (
        f"beamlet fluence just fails to meet all goals together: with {goal.structure} {goal.metric} {own} it has "
        f"{', '.join(short) or 'the rest, but at a limit'}"
    )
    return Reason("conflict", words, tuple(numbers))


def delivery_reason(goal: ClinicalGoal, value: float, together: float) -> Reason:
    words = (
        f"beamlet fluence meets it beside all other goals ({amount(together, goal.unit)}); the deliverable plan has "
        f"{amount(value, goal.unit)}: what is lost lies in its apertures and weights, not in the anatomy"
    )
    numbers = (("fluence with all goals", together, goal.unit), ("this plan", value, goal.unit))
    return Reason("delivery", words, numbers)


def summary(explanation: Explanation) -> str:
    """The whole of it in one paragraph."""
    parts = [explanation.sentence, *(reason.sentence for reason in explanation.reasons)]
    if explanation.change is not None:
        parts.append(explanation.change.sentence)
    elif explanation.no_change:
        parts.append(explanation.no_change)
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."
