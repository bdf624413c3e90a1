"""How episodes are played while the policy learns: the network's draws, with the rules' choices mixed in.

With probability `guidance` a lever does what the rules would do, else what the network draws: knowledge-guided
exploration (Shen et al., Med Phys 48:1909, 2021), whose share the learner lets fall. There a whole action is replaced;
here each lever throws for itself (chosen: what is drawn then is a product over levers, so that each lever's share of it
is known exactly, and the weight that corrects for it is near one where network and rules agree)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.execution.policies.learned import Run, answer_of, changes_of, choices, draw, stop_chance
from appliance.execution.steering.changes import Change
from appliance.execution.steering.episode import PlanningEpisode
from appliance.execution.steering.policy import STOP, Action, Policy, View
from models.policy.experience import UNKNOWN, Trajectory


@dataclass(frozen=True)
class Behaviour:
    """run: the network. teacher: the rules, asked at every state. guidance: see above; 1: demonstrations. one_only:
    one call changes one lever."""

    run: Run
    teacher: Policy
    random: np.random.Generator
    guidance: float = 0.0
    one_only: bool = False


@dataclass(frozen=True, eq=False)
class _Choice:
    action: Action
    logprob: NDArray[np.float32]
    stop_logprob: float
    wanted: Action
    """By the teacher."""


def record(episode: PlanningEpisode, behaviour: Behaviour) -> Trajectory:
    """Plays one episode from its beginning. Raises what the episode raises; ValueError where it allows one call."""
    view, views, choices_made, rewards = episode.reset(), [], [], []
    while not episode.done:
        choice = _choose(view, behaviour)
        before = episode.total_reward
        views.append(view)
        choices_made.append(choice)
        view = episode.step(choice.action)
        rewards.append(episode.total_reward - before)
    seen, levers = [one.observation for one in views], len(episode.levers)
    return Trajectory(
        tokens=np.stack([one.tokens for one in seen]),
        context=np.stack([one.context for one in seen]),
        legal=np.stack([one.legal for one in seen]),
        actions=np.stack([_numbers(one.action, levers, Change.KEEP) for one in choices_made]),
        stop=np.asarray([one.action.stop for one in choices_made]),
        logprob=np.stack([one.logprob for one in choices_made]),
        stop_logprob=np.asarray([one.stop_logprob for one in choices_made], np.float32),
        reward=np.asarray(rewards, np.float32),
        teacher=np.stack([_numbers(one.wanted, levers, UNKNOWN) for one in choices_made]),
        teacher_stop=np.asarray([one.wanted.stop for one in choices_made], np.int8),
    )


def _choose(view: View, by: Behaviour) -> _Choice:
    answer, wanted = answer_of(by.run, view.observation), by.teacher.act(view)
    levers, share = len(answer.logits), by.guidance
    logprob = np.zeros(levers, np.float32)
    stops = (1 - share) * stop_chance(answer) + share * wanted.stop
    if by.random.random() < stops:
        return _Choice(STOP, logprob, math.log(stops), wanted)
    probabilities = choices(answer, one_only=by.one_only)
    if not wanted.stop:
        asked = _columns(wanted, one_only=by.one_only)
        probabilities *= 1 - share
        probabilities[np.arange(len(asked)), asked] += share
    drawn = draw(probabilities, by.random)
    chance = np.log(probabilities[np.arange(len(drawn)), drawn])
    logprob[: len(chance)] = chance
    action = Action(changes_of(drawn, levers, one_only=by.one_only))
    return _Choice(action, logprob, math.log(1 - stops), wanted)


def _columns(action: Action, *, one_only: bool) -> NDArray[np.int64]:
    """Where an action stands in each row of `choices`."""
    if not one_only:
        return np.asarray(action.changes, np.int64)
    moved = [i for i, change in enumerate(action.changes) if change is not Change.KEEP]
    if not moved:
        return np.asarray([len(action.changes) * len(Change)], np.int64)
    return np.asarray([moved[0] * len(Change) + action.changes[moved[0]]], np.int64)


def _numbers(action: Action, levers: int, otherwise: int) -> NDArray[np.int8]:
    return np.asarray([otherwise] * levers if action.stop else action.changes, np.int8)
