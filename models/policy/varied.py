"""Random prescriptions, goal sets and beams for one case, so that the policy learns to plan and not one protocol.

Whatever comes out can be planned: a target with a dose and a goal, goals that fit the case and do not contradict each
other, fractions as prescribed. All shares and spans are chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from appliance.contracts import Case, ClinicalGoal, Comparator, GoalSet, MetricKind
from appliance.errors import RefusedGoals
from appliance.evaluation import goals_for_case, list_goal_sets
from appliance.evaluation.goal_reduction import present_structures
from appliance.session_work import prescribed

ATTEMPTS = 20
DOSE_KINDS = (MetricKind.VOLUME_AT_DOSE, MetricKind.COLD_VOLUME)
"""Metrics whose argument is a dose."""
CONVENTIONAL = ("openkbp", "quantec", "tg119")
"""Goal sets whose organ goals may be added to others: limits for fractions of about 2 Gy."""
LEAST_PERCENT, MOST_PERCENT = 1.0, 99.0


@dataclass(frozen=True)
class Variation:
    """How far tasks may differ from what ships. plain: share of the tasks that keep the shipped goal set and beams.
    guideline: share of cases with a QUANTEC set that fits them planned by that one. dose: span of the factor on all
    prescribed doses and on the goals of targets. level_dropped, goal_dropped, priority_changed: chance of each lower
    dose level, organ goal and organ goal's priority. limit_moved: chance that an organ goal's limit is multiplied by a
    factor of the span `limit`. added: the most organ goals taken from other guidelines. beams: numbers of beams, each
    from a random first angle."""

    plain: float = 0.15
    guideline: float = 0.2
    dose: tuple[float, float] = (0.85, 1.08)
    level_dropped: float = 0.2
    goal_dropped: float = 0.15
    priority_changed: float = 0.2
    limit_moved: float = 0.5
    limit: tuple[float, float] = (0.75, 1.2)
    added: int = 2
    beams: tuple[int, ...] = (5, 7, 9, 11)


def varied_goal_set(base: GoalSet, case: Case, variation: Variation, random: np.random.Generator) -> GoalSet:
    """A random goal set for the case. The shipped one after ATTEMPTS draws that contradict themselves. Raises
    RefusedGoals where the shipped one does not fit either."""
    shipped = goals_for_case(base, prescribed(case, base))
    if random.random() < variation.plain:
        return shipped
    for _ in range(ATTEMPTS):
        try:
            return _drawn(shipped, case, variation, random)
        except RefusedGoals:
            continue
    return shipped


def _drawn(shipped: GoalSet, case: Case, variation: Variation, random: np.random.Generator) -> GoalSet:
    """Raises RefusedGoals for goals that contradict each other."""
    start = shipped
    if random.random() < variation.guideline:
        start = _by_guideline(shipped, case)
    levels = _levels(start, variation, random)
    factor = float(random.uniform(*variation.dose))
    wanted = tuple((name, round(dose_gy * factor, 2)) for name, dose_gy in levels)
    kept = frozenset(name for name, _ in wanted)
    dropped = frozenset(name for name, _ in start.prescription) - kept
    of_targets = [goal for goal in start.goals if _of(goal, kept | dropped)]
    organs = [goal for goal in start.goals if not _of(goal, kept | dropped)]
    of_targets = [scaled(one, factor) for goal in of_targets if (one := _without(goal, dropped)) is not None]
    organs = [goal for goal in organs if random.random() >= variation.goal_dropped]
    organs += _more(organs, case, variation, random)
    beams = int(random.choice(variation.beams))
    goal_set = replace(
        start,
        prescription=wanted,
        optional_targets=tuple(name for name in start.optional_targets if name in kept),
        goals=(*of_targets, *(_moved(goal, variation, random) for goal in organs)),
        beams=beams,
        first_gantry_deg=round(float(random.uniform(0, 360 / beams)), 1),
        notes=(), left_out=(), guideline=None,
    )  # fmt: skip
    check_usable(goal_set)
    return goals_for_case(goal_set, prescribed(case, goal_set))


def check_usable(goal_set: GoalSet) -> None:
    """Raises RefusedGoals without a minimum dose to the target of the highest dose, which makes a plan of no dose the
    best one."""
    highest = max(goal_set.prescription, key=lambda entry: entry[1], default=("", 0.0))[0]
    if not any(g.comparator is Comparator.AT_LEAST and highest in g.structure.split("+") for g in goal_set.goals):
        raise RefusedGoals(f"no goal asks for a dose to {highest or 'any target'}")


def scaled(goal: ClinicalGoal, factor: float) -> ClinicalGoal:
    """A goal for a dose multiplied by `factor`: its limit in Gy, or the dose that its volume is of."""
    if goal.metric.kind in DOSE_KINDS:
        return replace(goal, metric=replace(goal.metric, argument=round(goal.metric.argument * factor, 2)))
    return _times(goal, factor) if goal.unit == "Gy" else goal


def _times(goal: ClinicalGoal, factor: float) -> ClinicalGoal:
    """The limit multiplied, and with it everything that is told in its unit."""
    limit = round(goal.limit * factor, 2)
    if goal.unit == "%":
        limit = min(max(limit, LEAST_PERCENT), MOST_PERCENT)
    share = limit / goal.limit if goal.limit else 1.0
    variation = None if goal.variation is None else goal.variation * share
    points = tuple((value * share, points) for value, points in goal.points)
    return replace(goal, limit=limit, variation=variation, points=points)


def _by_guideline(shipped: GoalSet, case: Case) -> GoalSet:
    """The same prescription judged by a QUANTEC set that fits the case; the shipped set where there is none."""
    for template in list_goal_sets():
        if template.name.startswith("quantec") and template.is_template:
            try:
                found = goals_for_case(template, prescribed(case, shipped))
            except RefusedGoals:
                continue
            if any(not _of(goal, frozenset(name for name, _ in shipped.prescription)) for goal in found.goals):
                return found
    return shipped


def _levels(start: GoalSet, variation: Variation, random: np.random.Generator) -> tuple[tuple[str, float], ...]:
    """The highest level always, each lower one with its chance."""
    highest = max(dose_gy for _, dose_gy in start.prescription)
    return tuple(
        entry for entry in start.prescription if entry[1] == highest or random.random() >= variation.level_dropped
    )


def _of(goal: ClinicalGoal, targets: frozenset[str]) -> bool:
    return bool(targets & set(goal.structure.split("+")))


def _without(goal: ClinicalGoal, dropped: frozenset[str]) -> ClinicalGoal | None:
    """A goal without the dropped dose levels; None for one that is about such a level, its first structure."""
    parts = goal.structure.split("+")
    if parts[0] in dropped:
        return None
    return replace(goal, structure="+".join(part for part in parts if part not in dropped))


def _moved(goal: ClinicalGoal, variation: Variation, random: np.random.Generator) -> ClinicalGoal:
    if random.random() < variation.priority_changed:
        goal = replace(goal, priority=int(random.integers(1, 4)))
    if random.random() < variation.limit_moved:
        low, high = np.log(variation.limit)
        goal = _times(goal, float(np.exp(random.uniform(low, high))))
    return goal


def _more(
    organs: list[ClinicalGoal], case: Case, variation: Variation, random: np.random.Generator
) -> list[ClinicalGoal]:
    """Some organ goals of other guidelines whose organ the case has, none that is told already."""
    present, told = present_structures(case), {(goal.structure, goal.metric) for goal in organs}
    pool = {
        (goal.structure, goal.metric): goal
        for goal_set in list_goal_sets()
        if goal_set.name.startswith(CONVENTIONAL)
        for goal in goal_set.goals
        if goal.structure in present and not goal.relative and (goal.structure, goal.metric) not in told
        and not any(target.tg263 == goal.structure for target in case.targets)
    }  # fmt: skip
    count = min(int(random.integers(0, variation.added + 1)), len(pool))
    chosen = random.choice(len(pool), count, replace=False).tolist() if count else list[int]()
    return [list(pool.values())[place] for place in sorted(chosen)]
