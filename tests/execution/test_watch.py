"""A call that is watched: its result, its errors, its silence, and whose error is whose."""

from __future__ import annotations

import threading
import time

import pytest

from appliance.errors import DeviceUnavailable, PlanningSystemFailed, PlanningSystemHung, SessionStopped
from appliance.execution.deadline import Deadline, TimeUp
from appliance.execution.watch import Watch
from appliance.execution.watched import watched

from .scripted import Clock, TimedTps


def test_calls_are_made_in_one_other_thread_and_answer():
    watch = Watch()
    names = {watch("a look", lambda: threading.current_thread().name) for _ in range(3)}
    watch.close()
    assert names == {"planning"}


def test_what_a_person_raises_through_progress_is_not_an_error_of_the_system():
    def stop(step: str, part: float) -> None:
        raise KeyError("asked to stop")

    watch = Watch(stop)
    with pytest.raises(KeyError, match="asked to stop"):
        watch("working", lambda: watch.progress("step", 0.5))


def test_foreign_errors_are_explained_and_ours_pass():
    watch = Watch(explain=lambda error: DeviceUnavailable(f"told: {error}"))

    def stopped() -> None:
        raise SessionStopped("enough", actor="Physicist")

    with pytest.raises(DeviceUnavailable, match="told: division by zero"):
        watch("dividing", lambda: 1 / 0)
    with pytest.raises(SessionStopped):
        watch("working", stopped)


def test_a_foreign_text_is_cut():
    def fails() -> None:
        raise RuntimeError("x" * 5000)

    with pytest.raises(PlanningSystemFailed) as caught:
        Watch()("working", fails)
    assert len(caught.value.sentence) < 500


def test_silence_is_a_hang_and_signs_of_life_are_not():
    watch = Watch(hang_s=0.4)

    def alive() -> str:
        for _ in range(8):
            time.sleep(0.1)
            watch.progress("step", 0.5)
        return "done"

    assert watch("long work", alive) == "done"
    release = threading.Event()
    with pytest.raises(PlanningSystemHung, match="long work gave no sign of life"):
        watch("long work", lambda: release.wait(20))
    with pytest.raises(PlanningSystemHung):  # nothing more is asked of it
        watch("a look", lambda: 1)
    release.set()


def test_an_abandoned_call_ends_at_its_next_sign_of_life():
    watch, release, ended = Watch(hang_s=0.2), threading.Event(), threading.Event()

    def slow() -> None:
        release.wait(20)
        try:
            watch.progress("step", 0.5)
        finally:
            ended.set()

    with pytest.raises(PlanningSystemHung):
        watch("slow work", slow)
    release.set()
    assert ended.wait(20)
    watch.close()


def test_time_is_up_only_where_it_may_stop():
    clock = Clock()
    watch = Watch(deadline=Deadline(5.0, clock))
    clock.now_s += 6.0
    watch.progress("step", 0.5)
    watch.may_stop = True
    with pytest.raises(TimeUp):
        watch("working", lambda: watch.progress("step", 0.5))


def test_what_takes_long_is_not_begun_when_time_is_up_but_looks_are_free():
    clock = Clock()
    tps = TimedTps(((20.5, 9.0, 21.5),), clock)
    guarded = watched(tps, Watch(deadline=Deadline(5.0, clock)))
    guarded.optimise_fluence(())
    clock.now_s += 6.0
    guarded.watch.may_stop = True
    with pytest.raises(TimeUp):
        guarded.refine(())
    assert guarded.initial_objectives()
    assert tps.calls == ["fluence"]
    guarded.watch.close()


def test_a_full_dose_is_kept_back_of_the_budget():
    clock = Clock()
    guarded = watched(TimedTps(((20.5, 9.0, 21.5),), clock, dose_s=4.0), Watch(deadline=Deadline(30.0, clock)))
    guarded.judge()
    guarded.watch.close()
    assert guarded.watch.deadline.reserve_s == pytest.approx(4.0)
    assert guarded.watch.deadline.left_s == pytest.approx(30.0 - 4.0 - 4.0)


def test_without_a_budget_there_is_no_end():
    deadline = Deadline(0.0, Clock())
    deadline.check()
    assert deadline.left_s == float("inf")
