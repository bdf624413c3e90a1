"""Episodes as the policy learns from them: played on the toy problem, batched, written and read. No torch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from appliance.execution.policies.learned import ILLEGAL, answer_of, choices, stop_chance
from appliance.execution.steering.changes import Change
from appliance.execution.steering.policy import Observation
from models.policy.behaviour import Behaviour, record
from models.policy.experience import (
    FIELDS,
    UNKNOWN,
    Trajectory,
    batch_of,
    from_bytes,
    load_trajectories,
    save_trajectories,
)
from models.policy.toy import TERMS, Toy, ToyRules, drawn, optimum, toy_episode


def run(tokens, present, context, legal):
    """Prefers raising what is missed; stops one time in four."""
    logits = np.zeros((*present.shape, len(Change)), np.float32)
    logits[..., Change.RAISE] = tokens.sum(2) / 4
    logits[..., Change.LOWER] = 0.5
    return np.where(legal > 0.5, logits, np.float32(ILLEGAL)), np.full(len(tokens), -1.1, np.float32), context[:, 0]


def behaviour(guidance: float, seed: int = 0, *, one_only: bool = False) -> Behaviour:
    return Behaviour(run, ToyRules(), np.random.default_rng(seed), guidance, one_only)


def of_levers(levers: int, steps: int, seed: int) -> Trajectory:
    random = np.random.default_rng(seed)
    legal = random.random((steps, levers, len(Change))) < 0.5
    legal[..., 0] = True
    whole = np.int8
    return Trajectory(
        random.normal(size=(steps, levers, 4)).astype(np.float32), random.normal(size=(steps, 2)).astype(np.float32),
        legal, random.integers(0, 6, (steps, levers)).astype(whole), np.arange(steps) == steps - 1,
        random.normal(size=(steps, levers)).astype(np.float32), random.normal(size=steps).astype(np.float32),
        random.normal(size=steps).astype(np.float32), random.integers(0, 6, (steps, levers)).astype(whole),
        np.zeros(steps, whole),
    )  # fmt: skip


def test_demonstrations_are_the_teachers_actions():
    for seed in range(5):
        toy = drawn(np.random.default_rng(seed))
        episode = toy_episode(toy)
        told = record(episode, behaviour(1.0, seed))
        assert (told.stop == (told.teacher_stop == 1)).all()
        assert (told.actions == told.teacher)[~told.stop].all()
        assert not told.logprob.any() and not told.stop_logprob.any()
        assert (told.teacher[told.stop] == UNKNOWN).all()
        assert told.total_reward == pytest.approx(episode.total_reward, abs=1e-4)


def test_what_is_written_of_a_draw_is_the_mixtures_probability():
    toy, guidance = Toy(), 0.3
    told = [record(toy_episode(toy), behaviour(guidance, seed)) for seed in range(30)]
    for one in told:
        for step in range(len(one)):
            seen = Observation(one.tokens[step], one.context[step], one.legal[step])
            answer = answer_of(run, seen)
            stops = (1 - guidance) * stop_chance(answer) + guidance * (one.teacher_stop[step] == 1)
            assert np.exp(one.stop_logprob[step]) == pytest.approx(stops if one.stop[step] else 1 - stops, abs=1e-6)
            if one.stop[step]:
                continue
            chance = choices(answer, one_only=False)[np.arange(3), one.actions[step]]
            if one.teacher_stop[step] != 1:
                chance = (1 - guidance) * chance + guidance * (one.actions[step] == one.teacher[step])
            assert np.exp(one.logprob[step]) == pytest.approx(chance, abs=1e-6)


def test_one_change_a_call_is_kept_and_its_probability_is_in_the_first_column():
    terms = dataclasses.replace(TERMS, changes=1)
    told = [record(toy_episode(Toy(), terms), behaviour(0.0, seed, one_only=True)) for seed in range(10)]
    for one in told:
        assert ((one.actions != Change.KEEP).sum(1) <= 1).all()
        assert (one.logprob[~one.stop, 0] < 0).all() and not one.logprob[:, 1:].any()


def test_the_optimum_is_earned_by_its_path_and_no_play_earns_more():
    for toy in (Toy(), drawn(np.random.default_rng(1)), drawn(np.random.default_rng(2))):
        best, episode = optimum(toy), toy_episode(toy)
        episode.reset()
        for action in best.path:
            episode.step(action)
        assert episode.done
        assert episode.total_reward == pytest.approx(best.reward, abs=1e-9)
        played = [record(toy_episode(toy), behaviour(0.5, n)).total_reward for n in range(40)]
        assert max(played) <= best.reward + 1e-4


def test_a_batch_pads_levers_and_lets_padding_do_nothing():
    few, many = of_levers(2, 3, 1), of_levers(5, 4, 2)
    batch = batch_of([few, many])
    assert batch.tokens.shape == (7, 5, 4) and len(batch) == 7
    assert batch.present.tolist() == [[1, 1, 0, 0, 0]] * 3 + [[1] * 5] * 4
    assert batch.legal[:3, 2:].tolist() == [[[1, 0, 0, 0, 0, 0]] * 3] * 3
    assert (batch.legal[3:] > 0.5).tolist() == many.legal.tolist()
    assert (batch.teacher[:3, 2:] == UNKNOWN).all() and (batch.actions[:3, :2] == few.actions).all()
    assert np.array_equal(batch.context, np.concatenate([few.context, many.context]))
    with pytest.raises(ValueError, match="no episode"):
        batch_of([])


def test_episodes_are_read_as_they_were_written(tmp_path):
    told = [of_levers(2, 3, 1), of_levers(5, 4, 2), of_levers(1, 1, 3)]
    save_trajectories(told, tmp_path / "a.npz")
    back = load_trajectories(tmp_path / "a.npz")
    assert len(back) == 3
    for mine, known in zip(back, told, strict=True):
        for name in FIELDS:
            one, other = getattr(mine, name), getattr(known, name)
            assert one.dtype == other.dtype and np.array_equal(one, other)
    with pytest.raises(ValueError, match="no episodes"):
        from_bytes(b"PK\x05\x06" + bytes(10))
