"""The Gymnasium environment on a small cylinder: its own checker, masks, rewards, and the plan that counts."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from appliance.config import PlanningConfig
from appliance.contracts import PlanningState
from appliance.errors import PlanningError
from appliance.execution.steering.changes import Change
from appliance.execution.steering.episode import Terms
from appliance.planning import PhotonTps

from ..planning.cases import cylinder_case
from .steering.phantom import GOALS, coarse_tps, episode_of

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium (extra 'train') is not installed")
from gymnasium.utils.env_checker import check_env  # noqa: E402

from appliance.execution.environment import ENVIRONMENT_ID, PlanningEnvironment  # noqa: E402

ROWS, CHANGES = 16, len(Change)


@pytest.fixture(scope="module")
def tps():
    return coarse_tps()


def environment(tps, changes: int = 0, **options) -> PlanningEnvironment:
    def draw(rng):
        return episode_of(tps, Terms(calls=3, changes=changes))

    return PlanningEnvironment(draw, changes=changes, most_levers=ROWS, **options)


@pytest.mark.parametrize("changes", [0, 1])
def test_gymnasiums_checker_finds_nothing(tps, changes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not have a.*spec.*|.*render.*|.*different.*instances.*")
        check_env(environment(tps, changes), skip_render_check=True)


@pytest.mark.parametrize("changes", [0, 1])
def test_legal_actions_are_taken_whole_and_their_rewards_are_the_episodes(tps, changes):
    made = environment(tps, changes, strict=True)
    seen, told = made.reset(seed=1)
    made.action_space.seed(2)
    total, ended = 0.0, False
    while not ended:
        mask = told["action_mask"]
        np.testing.assert_array_equal(mask, made.action_masks())
        assert made.observation_space.contains(seen)
        count = int(seen["present"].sum())
        assert not seen["tokens"][count:].any() and not seen["legal"][count:].any()
        if changes:
            action = np.random.default_rng(len(made.episode.steps)).choice(np.flatnonzero(mask[:-1]))
        else:
            parts = np.split(mask[:-2].astype(np.int8), ROWS)
            action = made.action_space.sample(mask=(*parts, np.array([1, 0], np.int8)))
        seen, reward, ended, cut, told = made.step(action)
        assert told["refused"] == 0 and not cut
        total += reward
    assert total == pytest.approx(made.episode.total_reward)
    assert told["result"]["score"] == made.episode.best.score


def test_what_is_not_legal_is_not_done(tps):
    made = environment(tps)
    made.reset(seed=1)
    action = np.zeros(ROWS + 1, np.int64)
    action[0], action[ROWS - 1] = Change.ADD, Change.RAISE  # there already; no such lever
    setting = made.episode.steps[-1].setting
    told = made.step(action)[4]
    assert told["refused"] == 2 and made.episode.steps[-1].setting == setting
    strict = environment(tps, strict=True)
    strict.reset(seed=1)
    with pytest.raises(PlanningError, match="2 of the changes"):
        strict.step(action)
    assert len(strict.episode.steps) == 1


@pytest.mark.parametrize("changes", [0, 1])
def test_stopping_ends_with_the_bonus(tps, changes):
    made = environment(tps, changes)
    made.reset(seed=1)
    stop = ROWS * CHANGES if changes else np.append(np.zeros(ROWS, np.int64), 1)
    _, reward, ended, cut, told = made.step(stop)
    assert ended and not cut
    assert reward == told["reward"].bonus == made.episode.steps[0].reward.bonus > 0


def test_the_seed_decides_what_is_drawn(tps):
    drawn = []

    def draw(rng):
        drawn.append(int(rng.integers(1 << 30)))
        return episode_of(tps, Terms(calls=2))

    made = PlanningEnvironment(draw, most_levers=ROWS)
    for seed in (1, 1, 2):
        made.reset(seed=seed)
    made.reset()
    assert drawn[0] == drawn[1] != drawn[2] != drawn[3]


def test_several_at_once(tps):
    options = {"draw": lambda rng: episode_of(coarse_tps(), Terms(calls=2)), "most_levers": ROWS}
    many = gymnasium.make_vec(ENVIRONMENT_ID, num_envs=2, vectorization_mode="sync", **options)
    seen, _ = many.reset(seed=3)
    assert seen["tokens"].shape[:2] == (2, ROWS)
    _, rewards, ended, _, told = many.step(np.zeros((2, ROWS + 1), np.int64))
    assert ended.tolist() == [True, True] and rewards[0] == rewards[1]
    assert told["score"].shape == (2,)
    many.close()


def test_the_deliverable_plan_is_the_result_that_counts(tps):
    """The full planning system makes it from the best objectives: fluence, apertures, dose on every voxel."""
    full = PhotonTps(cylinder_case(), GOALS, PlanningConfig(segments_per_beam=4, algorithm="pencil_beam"))

    def deliver(episode, objectives) -> PlanningState:
        full.optimise_fluence(objectives)
        full.sequence(objectives)
        return full.judge()

    made = environment(tps, final="deliverable", deliver=deliver)
    _, told = made.reset(seed=1)
    first = told["score"]
    _, reward, _, _, told = made.step(np.append(np.zeros(ROWS, np.int64), 1))
    result, parts = told["result"], told["reward"]
    assert result["stage"] == "deliverable" and result["state"].stage == "full"
    assert parts.gain == result["score"] - first
    assert reward == parts.total


def test_what_cannot_be_shown_is_refused(tps):
    with pytest.raises(PlanningError, match="more than the 3 that the environment shows"):
        PlanningEnvironment(lambda rng: episode_of(tps), most_levers=3).reset()
    with pytest.raises(PlanningError, match="one change a call or any number"):
        environment(tps, changes=2)
    with pytest.raises(PlanningError, match="the episode allows 0 changes, the environment 1"):
        PlanningEnvironment(lambda rng: episode_of(tps), changes=1, most_levers=ROWS).reset()
    with pytest.raises(PlanningError, match="'deliver' is needed"):
        environment(tps, final="deliverable")
    with pytest.raises(PlanningError, match="no episode yet"):
        environment(tps).step(0)
