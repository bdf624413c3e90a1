"""How long goals are fought for on the apertures."""

from __future__ import annotations

import pytest

from appliance.contracts import GoalConflict, Objectives
from appliance.contracts.progress import silent
from appliance.execution.meeting import IDLE_ROUNDS, NEAR, NEAR_ROUNDS, Met, meet
from appliance.execution.operator import Operator
from appliance.execution.rules import Rules

from .scripted import FIRST, GOALS, TimedTps

HOT = 22.399
"""As hot as the goals allow: more monitor units are no way out."""
MET = (20.02, 9.0, HOT)
RULES = Rules(GOALS, FIRST)


class AloneTps(TimedTps):
    """Nothing stands against what is missed."""

    def conflicts(self, objectives: Objectives) -> tuple[GoalConflict, ...]:
        return ()


def fought(*d95_gy: float, rules: Rules = RULES, hottest_gy: float = HOT) -> tuple[Met, int]:
    tps = AloneTps((*((value, 9.0, hottest_gy) for value in d95_gy), MET))
    tps.sequence(FIRST)
    met = meet(Operator(tps, GOALS), rules, FIRST, silent)
    return met, tps.calls.count("refine")


def test_far_from_its_goal_it_ends_after_idle_rounds():
    met, rounds = fought(19.0, 19.0, 19.0)
    assert rounds == IDLE_ROUNDS
    assert (met.why, met.best.state.goal_values[0]) == ("no gain in 2 rounds", pytest.approx(19.0))


def test_near_it_more_idle_rounds_are_tried():
    met, rounds = fought(19.8, 19.8, 19.8, 19.8)
    assert rounds == 4
    assert met.best.state.goal_values[0] >= 20.0
    met, rounds = fought(19.8, 19.8, 19.8, 19.8, 19.8)
    assert rounds == IDLE_ROUNDS + NEAR_ROUNDS
    assert met.why == f"no gain in {IDLE_ROUNDS + NEAR_ROUNDS} rounds"


def test_near_it_slow_gains_count():
    """Each round gains 0.1 % of the goal, 0.05 points: far from it that is idle."""
    slow = [19.8 + 0.02 * number for number in range(9)]
    met, rounds = fought(*slow)
    assert rounds == len(slow)
    assert met.best.state.goal_values[0] >= 20.0
    assert 1 - slow[0] / 20.0 < NEAR
    far = [19.0 + 0.02 * number for number in range(9)]
    met, rounds = fought(*far)
    assert rounds == IDLE_ROUNDS


def test_with_every_goal_given_up_the_hot_spot_is_still_fought_for():
    met, rounds = fought(20.1, 20.1, rules=RULES.giving_up(0, 19.0).giving_up(1, 11.0), hottest_gy=22.6)
    assert rounds == 2
    assert met.best.state.hottest_gy == pytest.approx(HOT)
