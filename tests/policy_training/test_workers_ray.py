"""Ray plays what this process plays, and a hand that it loses is replaced."""

from __future__ import annotations

import os
import signal

import pytest

from models.policy.workers import InProcess

from .small import cache_in, ignorant_network, jobs, orders
from .test_workers import assert_equal

ray = pytest.importorskip("ray", reason="rollouts on Ray need the extra 'ray'")
pytest.importorskip("onnx", reason="a network for the players is made with onnx, of the extra 'train'")


@pytest.fixture
def crew():
    from models.policy.workers_ray import RayCrew

    hired = RayCrew(2, timeout_s=120.0)
    yield hired
    hired.close()


def test_ray_gives_the_results_of_this_process_also_where_it_loses_a_hand(tmp_path, crew):
    told = orders(cache_in(tmp_path), ignorant_network())
    here = InProcess().play(jobs(5), told)
    assert_equal(crew.play(jobs(5), told), here)
    is_first = True

    def kill_one() -> bool:
        nonlocal is_first
        if is_first and crew._held:
            victim = crew._held[0].hand
            os.kill(ray.get(victim.process), signal.SIGKILL)
            is_first = False
        return False

    assert_equal(crew.play(jobs(5), told, kill_one), here)
    assert not is_first
