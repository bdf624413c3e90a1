"""The training configuration: what ships is complete, and an unknown key refuses to start."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from appliance.errors import ConfigError
from models.policy.config import CurriculumConfig, TrainConfig
from models.policy.curriculum import drawn, in_turn, share_open

from .small import tasks

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "policy" / "policy.toml"


def loaded(folder: Path, text: str) -> TrainConfig:
    path = folder / "train.toml"
    path.write_text(text, "utf-8")
    return TrainConfig.load(path)


def test_the_shipped_run_names_every_key():
    told, config = tomllib.loads(SHIPPED.read_text("utf-8")), TrainConfig.load(SHIPPED)
    everything = config.model_dump(mode="json", exclude={"lessons"})
    assert told.keys() - {"lessons"} == everything.keys()
    for section in ("cases", "terms", "curriculum", "rollouts", "evaluation", "checkpoints"):
        assert told[section].keys() == everything[section].keys(), section
    assert told["tasks"]["variation"].keys() == asdict(config.tasks.variation).keys()
    assert max(config.evaluation.patients) <= 200 and config.cases.last <= 200


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("episodes = 3", "key 'episodes': there is no such key"),
        ("[rollouts]\nthreads = 3", "key 'rollouts.threads': there is no such key"),
        ("[terms]\nturns = 3", "there is no key 'turns'"),
        ("[tasks.variation]\nbeam = [5]", "there is no key 'beam'"),
        ("[rollouts]\nworkers = 0", "key 'rollouts.workers'"),
        ("[cases]\nlast = 190", "patient 181 would be trained on and judged on"),
        ("out =", "is not valid TOML"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, text, named):
    with pytest.raises(ConfigError, match=named.replace("[", r"\[")):
        loaded(tmp_path, f'out = "x"\n{text}\n' if text != "out =" else text)


def test_the_curriculum_opens_evenly_and_wholly():
    plan = CurriculumConfig(start=0.4, full_after=10)
    assert [share_open(plan, update) for update in (0, 5, 10, 99)] == pytest.approx([0.4, 0.7, 1.0, 1.0])
    assert share_open(CurriculumConfig(full_after=0), 0) == 1.0


def test_the_easiest_tasks_are_those_whose_first_look_scores_most():
    every, looks = tasks(10), {number: 10.0 * number for number in range(10)}
    for seed in range(5):
        assert {task.number for task in drawn(every, looks, 0.3, 3, seed=(seed,))} == {7, 8, 9}
    assert drawn(every, looks, 1.0, 4, seed=(1,)) == drawn(every, looks, 1.0, 4, seed=(1,))
    assert len(drawn(every, {}, 0.5, 10, seed=(1,))) == 10
    assert [task.number for task in in_turn(every, 8, 4)] == [8, 9, 0, 1]
