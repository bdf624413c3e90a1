"""Whoever plays, the same jobs give the same results; a hand that dies or hangs costs time and no episode."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import fields, replace

import numpy as np
import pytest

from appliance.execution.policies.rules import RulesPolicy
from appliance.execution.steering.episode import run_policy
from models.policy.experience import Trajectory
from models.policy.rollout import Job, Played, episode_of, play
from models.policy.workers import InProcess, Processes, Stopped

from .small import TERMS, cache_in, ignorant_network, jobs, orders, tasks

pytest.importorskip("onnx", reason="a network for the players is made with onnx, of the extra 'train'")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What every job of this file is played with."""
    return orders(cache_in(tmp_path_factory.mktemp("cache")), ignorant_network())


@pytest.fixture(scope="module")
def here(told):
    return InProcess().play(jobs(5), told)


@pytest.fixture(scope="module")
def processes():
    crew = Processes(2, timeout_s=60.0)
    yield crew
    crew.close()


def assert_equal(one: list[Played], other: list[Played]) -> None:
    assert [result.error for result in one] == [result.error for result in other] == [""] * len(one)
    for a, b in zip(one, other, strict=True):
        assert (a.number, a.first, a.best, a.hot, a.reward, a.calls) == (
            b.number, b.first, b.best, b.hot, b.reward, b.calls
        )  # fmt: skip
        for field in fields(Trajectory):
            np.testing.assert_array_equal(getattr(a.trajectory, field.name), getattr(b.trajectory, field.name))


def test_the_same_seed_plays_the_same_episode_and_another_one_another(told, here):
    assert_equal(here[:1], [play(jobs(5)[0], told)])
    other = play(replace(jobs(5)[0], seed=(8, 0)), told)
    assert not np.array_equal(other.trajectory.actions, here[0].trajectory.actions)


def test_an_episode_is_recorded_as_it_was_played(here):
    for result in here:
        assert 1 <= len(result.trajectory) <= TERMS.calls
        assert result.trajectory.total_reward == pytest.approx(result.reward, abs=1e-4)
        assert 0 <= result.first <= 100 and result.best <= 100


def test_processes_give_the_results_of_this_process_in_order(told, here, processes):
    assert_equal(processes.play(jobs(5), told), here)
    assert_equal(processes.play(jobs(5)[::-1], told)[::-1], here)


def test_the_rules_as_a_player_reach_what_they_reach_by_themselves(told):
    task = tasks(2)[0]
    best = run_policy(episode_of(task, told), RulesPolicy(TERMS))
    assert play(Job(0, task, (1,), "rules"), told).merit == pytest.approx(best.merit)


def test_a_killed_process_is_replaced_and_its_job_played_by_another(told, here, processes):
    is_first = True

    def kill_one() -> bool:
        nonlocal is_first
        if is_first and processes._held:
            os.kill(processes._held[0].hand.process.pid, signal.SIGKILL)
            is_first = False
        return False

    assert_equal(processes.play(jobs(5), told, kill_one), here)
    assert not is_first


def test_a_process_that_hangs_is_given_up_and_its_job_comes_back_with_the_reason(told):
    crew = Processes(1, timeout_s=0.0)
    try:
        (result,) = crew.play(jobs(1), told)
    finally:
        crew.close()
    assert result.trajectory is None
    assert "3 workers were lost on it (no answer within 0 s)" in result.error


def test_a_case_that_cannot_be_planned_is_told_and_the_others_are_played(told, here, processes):
    broken = replace(jobs(5)[1], task=replace(jobs(5)[1].task, case="openkbp-2"))
    results = processes.play([jobs(5)[0], broken, jobs(5)[2]], told)
    assert "training case openkbp-2.npz cannot be read" in results[1].error.replace("was refused: it ", "")
    assert_equal([results[0], results[2]], [here[0], here[2]])


def test_a_round_that_shall_stop_ends_soon_and_the_next_one_is_whole(told, here, processes):
    asked = iter([False, False, True])
    start = time.monotonic()
    with pytest.raises(Stopped):
        processes.play(jobs(5) * 20, told, lambda: next(asked))
    assert time.monotonic() - start < 30
    assert_equal(processes.play(jobs(5), told), here)


def test_hands_end_with_their_crew(told):
    crew = Processes(1, timeout_s=60.0)
    process = crew._free[0].process
    crew.close()
    assert process.returncode is not None
