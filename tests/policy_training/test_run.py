"""A training run on a cylinder: goes on from a checkpoint to the bit, writes what it says, refuses what it must."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.builtin.cases import CASES
from appliance.errors import ConfigError
from models.policy import checkpoint
from models.policy.cases import BUILTIN
from models.policy.checkpoint import Progress
from models.policy.config import TrainConfig
from models.policy.run import History, TooManyFailed, TrainingRun
from models.policy.stored import file_of, save_case
from models.policy.workers import InProcess, Stopped

from ..planning.cases import cylinder_case
from .small import cache_in, tasks

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

TOML = """
out = "{out}"
updates = 4
[cases]
cache = "{cache}"
[terms]
calls = 3
[rollouts]
backend = "in_process"
episodes = 3
[evaluation]
every = 2
patients = [181]
[curriculum]
full_after = 2
[lessons.cloning]
updates = 2
epochs = 1
[lessons.improving]
epochs = 1
[lessons.shape]
width = 16
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return cache_in(tmp_path_factory.mktemp("cache"))


def config_in(out: Path, cache: Path, **changed: object) -> TrainConfig:
    path = out.parent / f"{out.name}.toml"
    path.write_text(TOML.format(out=out, cache=cache), "utf-8")
    return TrainConfig.load(path).model_copy(update=changed)


def run_of(config: TrainConfig, told: list[tuple[int, dict[str, float]]]) -> TrainingRun:
    from models.policy.train import learner_of

    return TrainingRun(
        config, learner_of(config), InProcess(), tasks(5), tasks(1), lambda *line: told.append(line), lambda line: None
    )


def without_time(told: list[tuple[int, dict[str, float]]]) -> list[tuple[int, dict[str, float]]]:
    return [(update, {k: v for k, v in figures.items() if k != "cpu_s"}) for update, figures in told]


def test_a_run_that_was_stopped_and_goes_on_gives_the_numbers_of_one_that_was_not(tmp_path, cache):
    whole: list[tuple[int, dict[str, float]]] = []
    run = run_of(config_in(tmp_path / "whole", cache), whole)
    run.run()
    parts: list[tuple[int, dict[str, float]]] = []
    asked = iter([False] * 8 + [True] * 99)  # in the middle of the third round
    config = config_in(tmp_path / "parts", cache)
    with pytest.raises(Stopped):
        run_of(config, parts).run(lambda: next(asked))
    assert [update for update, _ in parts] == [1, 2, 2]
    again = run_of(config, parts)
    assert again.resume()
    again.run()
    assert without_time(parts) == without_time(whole)
    assert [update for update, _ in whole] == [1, 2, 2, 3, 4, 4]
    assert again.learner.state() == run.learner.state()
    one, other = ((tmp_path / name / "policy.onnx").read_bytes() for name in ("whole", "parts"))
    assert one == other


def test_the_tasks_are_looked_at_in_turn_and_then_drawn_from_the_easiest(tmp_path, cache):
    run = run_of(config_in(tmp_path / "run", cache, updates=2), [])
    run.run()
    looks = run.progress.looks
    assert sorted(looks) == [0, 1, 2, 3, 4]
    assert looks[4] >= looks[0]  # the organ may have more there
    easiest = max(looks, key=lambda number: (looks[number], -number))
    plan = run.config.curriculum.model_copy(update={"start": 0.01})
    run.config = run.config.model_copy(update={"curriculum": plan})
    assert {task.number for task in run._chosen("improve", (1, 2))} == {easiest}


def test_episodes_that_all_fail_end_the_run_with_the_reason_and_keep_what_was_learned(tmp_path, cache):
    config = config_in(tmp_path / "run", cache)
    run = run_of(config, [])
    run.tasks = [replace(task, case="openkbp-9") for task in tasks(3)]
    with pytest.raises(TooManyFailed, match=r"3 of 3 episodes failed, such as openkbp-9, task 0"):
        run.run()
    assert [path.name for path in checkpoint.known(config.out)] == ["checkpoint-000000.npz"]


def test_a_checkpoint_of_other_settings_is_refused_with_the_key(tmp_path, cache):
    config = config_in(tmp_path / "run", cache)
    run_of(config, []).save()
    other = run_of(config.model_copy(update={"seed": 2}), [])
    with pytest.raises(ConfigError, match="another 'seed'"):
        other.resume()
    longer = run_of(config.model_copy(update={"updates": 9}), [])
    assert longer.resume()


def test_a_damaged_checkpoint_is_named(tmp_path, cache):
    config = config_in(tmp_path / "run", cache)
    run_of(config, []).save()
    (path,) = checkpoint.known(config.out)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ConfigError, match=r"checkpoint-000000\.npz cannot be read"):
        run_of(config, []).resume()


def test_only_the_latest_checkpoints_are_kept(tmp_path):
    for update in range(5):
        checkpoint.save(tmp_path, Progress(update, looks={3: 80.5}), b"state", {"seed": 1}, keep=2)
    assert [path.name for path in checkpoint.known(tmp_path)] == ["checkpoint-000003.npz", "checkpoint-000004.npz"]
    progress, state = checkpoint.load(checkpoint.known(tmp_path)[-1], {"seed": 1})
    assert (progress, state) == (Progress(4, looks={3: 80.5}), b"state")
    assert not list(tmp_path.glob("*.part"))


def test_a_history_forgets_what_came_after_the_checkpoint(tmp_path):
    history = History(tmp_path / "history.jsonl", 0)
    for update in (1, 2, 3):
        history(update, {"reward": float(update)})
    History(tmp_path / "history.jsonl", 2)(3, {"reward": 9.0})
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text("utf-8").splitlines()]
    assert [(line["update"], line["reward"]) for line in lines] == [(1, 1.0), (2, 2.0), (3, 9.0)]


@pytest.mark.slow
def test_the_command_trains_and_a_sigterm_ends_it_saved(tmp_path):
    """The whole program: started, ended by a signal, started again to its end. Cylinders lie in the cache in the place
    of the built-in cases, which take longer to draw."""
    out, config, cache = tmp_path / "out", tmp_path / "train.toml", tmp_path / "cache"
    cache.mkdir()
    for name in CASES:
        save_case(cylinder_case(spacing_mm=8.0), file_of(cache, BUILTIN.format(name)))
    text = TOML.format(out=out, cache=cache).replace('"in_process"', '"processes"\nworkers = 1')
    config.write_text(text.replace("updates = 4", "updates = 3", 1), "utf-8")
    command = [sys.executable, "-m", "models.policy.train", "--config", str(config)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("clone"):
                process.send_signal(signal.SIGTERM)
                break
        told = process.stdout.read()
    assert (process.returncode, "the same command goes on" in " ".join(told.split())) == (130, True)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Going on after update" in done.stdout
    updates = [json.loads(line)["update"] for line in (out / "history.jsonl").read_text("utf-8").splitlines()]
    assert updates == [1, 2, 3]
    assert list((out / "tensorboard").glob("events.out.tfevents.*"))
    assert (out / "policy.onnx").stat().st_size > 1000
