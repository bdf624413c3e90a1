"""Episodes on a small cylinder, planned for real: what is earned, what is refused, what stays the same."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.contracts import PlanningState
from appliance.errors import EvaluationError, PlanningError
from appliance.evaluation import plan_scorer
from appliance.execution.rules import hot_shortfall
from appliance.execution.steering.changes import Change, Position
from appliance.execution.steering.episode import PlanningEpisode, Terms, run_policy
from appliance.execution.steering.observation import CONTEXT_FEATURES, TOKEN_FEATURES
from appliance.execution.steering.policy import STOP, Action

from ...planning.cases import goal_set
from .phantom import GOALS, Reordered, action_of, coarse_tps, episode_of


@pytest.fixture(scope="module")
def tps():
    return coarse_tps()


@pytest.fixture
def episode(tps) -> PlanningEpisode:
    episode = episode_of(tps)
    episode.reset()
    return episode


def drawn(episode: PlanningEpisode, rng: np.random.Generator) -> Action:
    legal = episode.view().observation.legal
    return Action(tuple(Change(int(rng.choice(np.flatnonzero(row)))) for row in legal))


def random_episode(episode: PlanningEpisode, seed: int) -> PlanningEpisode:
    rng = np.random.default_rng(seed)
    episode.reset()
    while not episode.done:
        episode.step(drawn(episode, rng))
    return episode


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_earned_is_the_scorecards_difference(tps, seed):
    episode, score = random_episode(episode_of(tps), seed), plan_scorer(GOALS)
    found = [score(step.state.goal_values) for step in episode.steps]
    assert [step.score for step in episode.steps] == found
    assert episode.steps[0].reward.gain == 0
    for before, now, step in zip(found, found[1:], episode.steps[1:], strict=False):
        assert step.reward.gain == now - before
        assert step.reward.price == episode.terms.call_price
    hot = [max(hot_shortfall(GOALS, step.state.hottest_gy), 0) * 200 for step in episode.steps]
    assert sum(step.reward.hot for step in episode.steps) == pytest.approx(hot[0] - hot[-1])
    assert [step.reward.bonus > 0 for step in episode.steps] == [False, False, False, True]


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10_000))
def test_nothing_seen_is_no_number(tps, seed):
    episode = random_episode(episode_of(tps), seed)
    seen = episode.view().observation
    assert seen.tokens.shape == (len(episode.levers), len(TOKEN_FEATURES))
    assert seen.context.shape == (len(CONTEXT_FEATURES),)
    assert np.isfinite(seen.tokens).all() and np.isfinite(seen.context).all()
    assert all(0 <= step.score <= 100 for step in episode.steps)


def test_the_same_actions_give_the_same_states(tps):
    one = random_episode(episode_of(tps), 3)
    other = random_episode(episode_of(coarse_tps()), 3)
    assert [step.state for step in one.steps] == [step.state for step in other.steps]


def test_the_order_of_objectives_changes_nothing_but_the_order(tps):
    plain = episode_of(tps)
    first = len(tps.initial_objectives())
    order = tuple(np.random.default_rng(5).permutation(first).tolist())
    turned = episode_of(Reordered(coarse_tps(), order))
    offered = range(len(plain.levers) - 1, first - 1, -1)
    place = [*order, *offered]
    assert [plain.levers[i] for i in place] == list(turned.levers)
    rng = np.random.default_rng(6)
    plain.reset(), turned.reset()
    while not plain.done:
        one, other = plain.view().observation, turned.view().observation
        np.testing.assert_array_equal(one.tokens[place], other.tokens)
        np.testing.assert_array_equal(one.legal[place], other.legal)
        np.testing.assert_array_equal(one.context, other.context)
        action = drawn(plain, rng)
        plain.step(action)
        turned.step(Action(tuple(action.changes[i] for i in place)))
    assert [step.reward for step in plain.steps] == [step.reward for step in turned.steps]


def test_the_best_is_kept_not_the_last(episode):
    """Targets as light as they may be, their organ as heavy: the score falls, and the first look stays the best."""
    for _ in range(3):
        legal = episode.view().observation.legal
        wanted = [Change.LOWER if lever.of_target else Change.RAISE for lever in episode.levers]
        keep = zip(wanted, legal, strict=True)
        episode.step(Action(tuple(change if row[change] else Change.KEEP for change, row in keep)))
    assert episode.done
    assert episode.steps[-1].points < episode.best.points == max(step.points for step in episode.steps)
    assert episode.view().points == episode.steps[-1].points


def test_a_step_is_worth_its_goals_too(episode):
    first, goals = episode.steps[0], episode.goal_set.goals
    met = [goal.met_by(value) for goal, value in zip(goals, first.state.goal_values, strict=True)]
    met.append(hot_shortfall(episode.goal_set, first.state.hottest_gy) <= 0)
    assert first.points == pytest.approx(first.merit + episode.terms.bonus * np.mean(met))


def test_illegal_actions_are_refused_and_leave_no_trace(episode):
    offered = next(i for i, lever in enumerate(episode.levers) if lever.offered)
    hot = next(i for i, lever in enumerate(episode.levers) if lever.first.hot_spot)
    for number, change in ((offered, Change.RAISE), (0, Change.ADD), (hot, Change.LOWER), (hot, Change.TIGHTEN)):
        with pytest.raises(PlanningError, match=f"'{change.name.lower()}' is not possible"):
            episode.step(action_of(episode, {number: change}))
    with pytest.raises(PlanningError, match="1 changes were given for"):
        episode.step(Action((Change.KEEP,)))
    assert len(episode.steps) == 1 and not episode.done


def test_one_change_a_call_where_that_is_the_rule(tps):
    episode = episode_of(tps, Terms(calls=3, changes=1))
    episode.reset()
    with pytest.raises(PlanningError, match="2 objectives were changed at once where 1 may be"):
        episode.step(action_of(episode, {0: Change.RAISE, 1: Change.RAISE}))
    episode.step(action_of(episode, {0: Change.RAISE}))
    assert episode.steps[-1].setting[0].weight == 2.0


def test_an_episode_ends_once(episode):
    calls = len(episode.steps)
    episode.step(STOP)
    assert episode.done and len(episode.steps) == calls and episode.view().calls_left == 0
    assert episode.earned.total == episode.steps[-1].reward.bonus > 0
    for act in (lambda: episode.step(STOP), lambda: episode.ask(episode.steps[0].setting)):
        with pytest.raises(PlanningError, match="has ended or not begun"):
            act()


def test_a_search_stays_within_the_same_ranges(episode):
    first = episode.steps[0].setting
    episode.ask(tuple(replace(position, weight=1.3) for position in first))
    for wrong, why in (
        (first[1:], "positions were given"),
        ((replace(first[0], weight=1000.0), *first[1:]), "was set to 1000"),
        ((replace(first[0], weight=math.nan), *first[1:]), "was set to nan"),
        ((Position(active=False), *first[1:]), "cannot be taken out"),
    ):
        with pytest.raises(PlanningError, match=why):
            episode.ask(wrong)
    assert len(episode.steps) == 2


def test_a_deliverable_plan_counts_in_the_place_of_the_last_look(episode):
    """All goals met with the organ at half its limit: 100 points, the whole bonus."""
    episode.step(STOP)
    last = episode.steps[-1]
    ideal = PlanningState((20.0, 20.5, 4.0, 0.0), 0.0, 21.0, 0, "full")
    added = episode.conclude(ideal)
    assert added.gain == 100.0 - last.score
    assert last.reward.bonus + added.bonus == episode.terms.bonus
    assert episode.earned.total == pytest.approx(last.reward.bonus + added.total)


def test_before_the_end_there_is_no_deliverable_plan(episode):
    with pytest.raises(PlanningError, match="goes on"):
        episode.conclude(episode.steps[0].state)


class Broken(Reordered):
    """Answers with a number replaced."""

    values: dict[str, object]

    def optimise_fluence(self, objectives):
        return replace(super().optimise_fluence(objectives), **self.values)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"hottest_gy": math.nan}, "a hot spot that is no number"),
        ({"goal_values": (20.0, math.nan, 5.0, 5.0)}, "gave 'PTV D2% <= 21 Gy' a value that is no number"),
        ({"goal_values": (20.0, math.inf, 5.0, 5.0)}, "gave 'PTV D2% <= 21 Gy' a value that is no number"),
    ],
)
def test_a_planning_system_that_gives_no_numbers_is_refused(tps, values, why):
    broken = Broken(tps, tuple(range(len(tps.initial_objectives()))))
    broken.values = {}
    episode = episode_of(broken)
    episode.reset()
    broken.values = values
    with pytest.raises(PlanningError, match=why):
        episode.step(action_of(episode, {}))
    assert len(episode.steps) == 1 and not episode.done
    assert math.isfinite(episode.best.score)


def test_goals_without_a_prescription_or_of_nothing_are_refused(tps):
    for goals in (replace(GOALS, prescription=()), goal_set()):
        with pytest.raises(PlanningError, match="prescribes no dose to a target or has no goals"):
            PlanningEpisode(tps, goals, plan_scorer(GOALS))
    absent = goal_set(*(replace(g, structure="Nothing") for g in GOALS.goals))
    episode = PlanningEpisode(coarse_tps(goals=absent), absent, plan_scorer(absent))
    with pytest.raises(EvaluationError, match="none of the goals"):
        episode.reset()


class Pusher:
    """Raises the first objective until the episode ends."""

    name = "pusher"

    def act(self, view):
        return Action((Change.RAISE, *(Change.KEEP for _ in view.levers[1:])))


def test_a_policy_runs_to_the_end_and_the_best_step_comes_back(tps):
    episode = episode_of(tps)
    assert run_policy(episode, Pusher()) is episode.best
    assert [step.setting[0].weight for step in episode.steps] == [1, 2, 4, 8]
