"""What the sparing stage asks for, round by round."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.contracts import Objective, ObjectiveKind, PlanningState
from appliance.contracts.progress import silent
from appliance.execution.meeting import Met
from appliance.execution.operator import Candidate, Operator
from appliance.execution.rules import Rules
from appliance.execution.sparing import near_misses, reclaiming, spare, wishes

from ..planning.cases import goal, goal_set
from .scripted import FIRST as SCRIPTED_FIRST
from .scripted import GOALS as SCRIPTED_GOALS
from .scripted import TimedTps

K = ObjectiveKind
GOALS = goal_set(
    goal("PTV", "D95%", ">=", 20.0),
    goal("Core", "Mean", "<=", 10.0, priority=2),
    goal("Lung", "V10Gy", "<=", 30.0, unit="%", priority=3),
    goal("PTV", "D2%", "<=", 22.0),
)
FIRST = (
    Objective("PTV", K.DVH_MIN, 20.1, 100.0, volume_percent=96.0, goal=0),
    Objective("Core", K.MEAN_DOSE, 9.9, 40.0, goal=1),
    Objective("Lung", K.DVH_MAX, 9.85, 30.0, volume_percent=29.5, goal=2),
    Objective("PTV", K.DVH_MAX, 21.7, 50.0, volume_percent=2.0, goal=3),
    Objective("External!PTV", K.FALLOFF, 20.0, 4.0),
)
RULES = Rules(GOALS, FIRST)


def state(*values: float) -> PlanningState:
    return PlanningState(values, 1.0, 21.0, 1, "full", 500.0)


def test_organs_are_asked_for_less_than_they_have_and_targets_for_their_goals():
    target, core, lung, above, _ = wishes(RULES, FIRST, state(20.2, 8.0, 20.0, 21.5), 0.1)
    assert core.dose_gy == pytest.approx(7.2)
    assert (lung.dose_gy, lung.volume_percent) == (9.85, pytest.approx(18.0))
    assert (target.dose_gy, above.dose_gy) == (20.1, 21.7)


def test_a_target_that_sparing_made_cold_is_pushed():
    assert wishes(RULES, FIRST, state(19.9, 8.0, 20.0, 21.5), 0.1)[0].weight > FIRST[0].weight


def test_an_organ_is_never_asked_for_more_than_its_goal_leaves_in_a_dose_volume_point():
    assert wishes(RULES, FIRST, state(20.2, 8.0, 50.0, 21.5), 0.1)[2].volume_percent == 29.5


def test_near_misses_are_organs_missed_by_little():
    assert near_misses(RULES, state(19.9, 10.3, 40.0, 22.1)) == {1}
    assert near_misses(RULES, state(20.1, 9.9, 29.0, 21.9)) == frozenset()


def test_winning_back_asks_for_the_missed_goal_and_of_others_for_their_goals_alone():
    rules = RULES.giving_up(1, 10.5)
    now = state(20.1, 10.3, 12.0, 21.0)
    spared = wishes(rules, FIRST, now, 0.1)
    asked = reclaiming(rules, spared, now, near_misses(rules, now))
    assert asked[1] == FIRST[1]
    assert asked[2] == FIRST[2]


class LessThanThoughtTps(TimedTps):
    """Every full dose has less coverage than the estimate before it."""

    def judge(self) -> PlanningState:
        judged = super().judge()
        return replace(judged, goal_values=(judged.goal_values[0] - 0.5, *judged.goal_values[1:]))


SCRIPTED, HOT = Rules(SCRIPTED_GOALS, SCRIPTED_FIRST), 22.399
"""As hot as the goals allow: more monitor units are no way out."""


def spared(tps: TimedTps, *, judged: bool) -> tuple[Candidate, list[str]]:
    """What comes of apertures just made, with the calls after the first full dose of those that have one."""
    operator = Operator(tps, SCRIPTED_GOALS)
    state = tps.sequence(SCRIPTED_FIRST)
    first = operator.judge() if judged else operator.kept(state)
    begun = len(tps.calls)
    return spare(operator, Met(first, SCRIPTED_FIRST, SCRIPTED, ""), 4 if judged else 0, silent), tps.calls[begun:]


def test_the_same_plan_is_not_judged_twice():
    _, calls = spared(LessThanThoughtTps(((20.1, 9.0, HOT),)), judged=False)
    assert calls.count("judge") == 2  # of itself, and of the round that was to mend it


def test_an_organ_nearly_met_is_won_back_where_nothing_else_is_missed():
    best, calls = spared(TimedTps(((20.2, 10.3, HOT), (20.2, 9.9, HOT))), judged=True)
    assert best.judged and best.state.goal_values == (20.2, 9.9)
    assert calls.count("refine") == 1
    _, calls = spared(TimedTps(((19.0, 10.3, HOT), (20.2, 9.9, HOT))), judged=True)
    assert "refine" not in calls
