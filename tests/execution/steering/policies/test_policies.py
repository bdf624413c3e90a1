"""The policies on a planning system whose answers are known: what they reach, and when they stop."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.contracts import GoalSet
from appliance.evaluation import plan_scorer
from appliance.execution.policies.random import RandomPolicy
from appliance.execution.policies.rules import RulesPolicy
from appliance.execution.policies.template import TemplatePolicy
from appliance.execution.rules import hot_shortfall
from appliance.execution.steering.changes import Change, first_setting
from appliance.execution.steering.episode import PlanningEpisode, Step, Terms, run_policy
from appliance.execution.steering.policy import Policy

from ..toy import PRESCRIBED_GY, ToyTps, toy_goals

EASY, TIGHT, IMPOSSIBLE = (6.0, 6.0), (5.2, 4.0), (4.0, 3.0)
"""Means in Gy: 2 L + 5/2 R is 27, 20.4 and 15.5 for the 20 Gy that the target needs."""


def episode(limits: tuple[float, float], terms: Terms | None = None) -> PlanningEpisode:
    goals = toy_goals(*limits)
    return PlanningEpisode(ToyTps(goals), goals, plan_scorer(goals), terms=terms)


def met(goals: GoalSet, step: Step) -> list[bool]:
    return [goal.met_by(value) for goal, value in zip(goals.goals, step.state.goal_values, strict=True)]


def planned(limits: tuple[float, float], policy: Policy, terms: Terms | None = None) -> PlanningEpisode:
    found = episode(limits, terms)
    run_policy(found, policy)
    return found


@pytest.mark.parametrize("changes", [0, 1], ids=["many at once", "one at a time"])
@pytest.mark.parametrize("limits", [EASY, TIGHT], ids=["easy", "tight"])
def test_rules_meet_goals_that_can_be_met(limits, changes):
    terms = Terms(calls=30, changes=changes)
    found = planned(limits, RulesPolicy(terms), terms)
    assert any(all(met(found.goal_set, step)) for step in found.steps)
    assert hot_shortfall(found.goal_set, found.best.state.hottest_gy) <= 0


def test_the_template_alone_misses_the_tight_goal_that_rules_meet():
    found = planned(TIGHT, TemplatePolicy(), Terms(calls=30))
    assert not any(all(met(found.goal_set, step)) for step in found.steps)
    assert found.best.merit < planned(TIGHT, RulesPolicy(), Terms(calls=30)).best.merit


def test_rules_go_on_below_the_limits_once_they_are_met():
    found = planned(EASY, RulesPolicy(), Terms(calls=30))
    first, best = found.steps[0].state.goal_values, found.best.state.goal_values
    assert best[1] < first[1] - 0.3
    assert best[0] >= PRESCRIBED_GY


def test_rules_stop_when_nothing_gains_any_more():
    policy = RulesPolicy()
    found = planned(EASY, policy, Terms(calls=100))
    assert found.steps[-1].number + 1 < 60
    assert policy.why == "all goals are met and nothing that was tried gains any more"


def test_rules_name_what_cannot_be_had():
    policy = RulesPolicy()
    found = planned(IMPOSSIBLE, policy, Terms(calls=100))
    assert len(found.steps) < 60
    assert met(found.goal_set, found.best)[0], "coverage comes before means of lower priority"
    assert policy.why == "Right Mean <= 3 Gy is missed: pushing it costs Left Mean <= 4 Gy"


def test_rules_plan_the_second_case_as_if_there_had_been_no_first():
    used, fresh = RulesPolicy(), RulesPolicy()
    planned(IMPOSSIBLE, used)
    again, once = planned(TIGHT, used), planned(TIGHT, fresh)
    assert [step.action for step in again.steps] == [step.action for step in once.steps]


@settings(max_examples=15, deadline=None)
@given(st.floats(2.0, 9.0), st.floats(2.0, 9.0), st.sampled_from([0, 1, 2]), st.integers(2, 20))
def test_rules_never_ask_for_what_is_not_legal_and_never_end_below_the_template(left, right, changes, calls):
    """`step` raises for what is not legal."""
    terms = Terms(calls=calls, changes=changes)
    found = planned((left, right), RulesPolicy(terms), terms)
    assert len(found.steps) <= calls
    assert found.best.merit >= found.steps[0].merit


def test_template_changes_nothing_and_uses_its_calls():
    found = planned(TIGHT, TemplatePolicy(), Terms(calls=6))
    assert len(found.steps) == 6
    assert {step.setting for step in found.steps} == {first_setting(found.levers)}
    assert all(change is Change.KEEP for step in found.steps[1:] for change in step.action.changes)


def test_random_changes_are_those_of_its_seed():
    one, same, other = (planned(TIGHT, RandomPolicy(seed)) for seed in (7, 7, 8))
    actions = [[step.action for step in found.steps] for found in (one, same, other)]
    assert actions[0] == actions[1] != actions[2]


def test_random_changes_as_many_levers_as_it_may():
    found = planned(EASY, RandomPolicy(3, changes=1), Terms(calls=12, changes=1))
    assert [sum(c is not Change.KEEP for c in step.action.changes) for step in found.steps[1:]] == [1] * 11
