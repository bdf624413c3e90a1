"""A teacher that leads straight to what a longer search ended at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import Objective, ObjectiveKind
from appliance.execution.policies.rules import RulesPolicy
from appliance.execution.steering.changes import Change, Lever, Position, is_legal, moved
from appliance.execution.steering.episode import PlanningEpisode, Terms, run_policy
from models.policy.experience import UNKNOWN
from models.policy.hindsight import HindsightPolicy, found_by_rules, path_of, remembered, toward
from models.policy.rollout import episode_of, play

from .small import cache_in, ignorant_network, jobs, orders, tasks

CALLS = 12


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    pytest.importorskip("onnx", reason="a network for the players is made with onnx, of the extra 'train'")
    given = orders(cache_in(tmp_path_factory.mktemp("cache")), ignorant_network())
    return replace(given, teacher_calls=CALLS)


def walked(lever: Lever, wanted: Position, most: int = 20) -> tuple[Position, list[Change]]:
    position, changes = Position(active=not lever.offered), []
    for _ in range(most):
        change = toward(lever, position, wanted)
        if change is Change.KEEP:
            break
        assert is_legal(lever, position, change)
        position = moved(lever, position, change)
        changes.append(change)
    return position, changes


def test_a_lever_comes_to_where_it_is_led_the_longer_way_first():
    """Three doublings and two steps of 4 % less: raise until both are two steps away, and then in turns."""
    organ = Lever(Objective("Core", ObjectiveKind.MEAN_DOSE, 10.0, 1.0, goal=0))
    position, changes = walked(organ, Position(weight=8.0, ask=0.92))
    assert position.weight == 8.0 and position.ask == pytest.approx(0.92)
    assert changes[0] is Change.RAISE
    assert (changes.count(Change.RAISE), changes.count(Change.TIGHTEN), len(changes)) == (3, 2, 5)


def test_a_floor_is_tightened_upwards_and_an_offer_is_added_first():
    floor = Lever(Objective("PTV", ObjectiveKind.DVH_MIN, 50.0, 1.0, volume_percent=95.0, goal=0), of_target=True)
    assert walked(floor, Position(ask=1.01))[1] == [Change.TIGHTEN, Change.TIGHTEN]
    ring = Lever(Objective("PTV^15!PTV^5", ObjectiveKind.SQUARED_OVERDOSE, 40.0, 20.0), offered=True)
    assert walked(ring, Position(weight=0.5))[1] == [Change.ADD, Change.LOWER]
    assert walked(ring, Position(active=False))[1] == []


def test_the_teacher_ends_where_it_led_and_stops_when_nothing_gains_any_more(told):
    task = tasks(3)[0]
    wanted = found_by_rules(lambda terms: episode_of(task, told, terms), told.terms, CALLS)
    episode = episode_of(task, told, Terms(calls=40))
    run_policy(episode, HindsightPolicy(wanted))
    assert len(episode.steps) < 40
    for lever, at, there in zip(episode.levers, episode.steps[-1].setting, wanted, strict=True):
        assert toward(lever, at, there) is Change.KEEP


def test_a_long_search_is_made_once_for_a_task(tmp_path):
    wanted, asked = (Position(2.0, 0.96), Position(active=False)), []

    def find():
        asked.append(1)
        return wanted

    path = path_of(tmp_path, tasks(1)[0], Terms(), 60)
    assert remembered(path, find) == remembered(path, find) == wanted and asked == [1]
    others = [path_of(tmp_path, tasks(2)[1], Terms(), 60), path_of(tmp_path, tasks(1)[0], Terms(), 61)]
    assert len({path, *others}) == 3


def test_states_of_an_episode_are_labelled_by_the_teacher_that_knows_the_end(told):
    job = jobs(2)[0]
    seen = play(job, told).trajectory
    wanted = found_by_rules(lambda terms: episode_of(job.task, told, terms), told.terms, CALLS)
    episode: PlanningEpisode = episode_of(job.task, told)
    first = HindsightPolicy(wanted).act(episode.reset())
    np.testing.assert_array_equal(seen.teacher[0], np.asarray(first.changes))
    by_rules = play(job, replace(told, teacher_calls=0)).trajectory
    rules = RulesPolicy(told.terms).act(episode_of(job.task, told).reset())
    np.testing.assert_array_equal(by_rules.teacher[0], np.asarray(rules.changes))
    assert UNKNOWN not in seen.teacher[seen.teacher_stop == 0]
