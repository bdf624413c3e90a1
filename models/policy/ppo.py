"""Proximal policy optimisation for many levers at once (Schulman et al., arXiv 1707.06347, 2017), small and our own.

- What a call does is a product of choices: each lever's change, and whether to stop. Each choice has its own ratio of
  probabilities and is clipped by itself (dimension-wise clipping: Han and Sung, ICML 2019); the ratio of the product of
  some twenty would leave any clip range at once.
- Episodes were played by a mixture of network and rules (`behaviour.py`), perhaps with older weights. Ratios are taken
  to the network as it was before this update, and each choice is weighted by that network's probability over the one it
  was drawn with (decoupled objective: Hilton, Cobbe and Schulman, NeurIPS 2022), cut at `heaviest` as in V-trace
  (Espeholt et al., ICML 2018). So a change that only the rules would make counts little until the network makes it
  likely itself; cloning, and the falling weight of the rules' choices in the loss, is what makes it likely.
- Advantages are generalised (GAE: Schulman et al., ICLR 2016), of whole episodes, without discount: an episode has a
  price for each call and an end. They are of the episodes as played: while rules are mixed in, later calls are partly
  theirs, a bias that ends with the guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .choices import Choices, Known
from .clone import teacher_losses
from .experience import Trajectory, batch_of
from .pupil import Pupil


@dataclass(frozen=True)
class Improving:
    """clip: of a choice's ratio. smoothing: GAE's lambda. furthest: KL divergence to the network before, summed over a
    call's choices, at which an update ends. heaviest: weight of a choice. guidance: share of the rules in the first
    rollouts of this phase; teacher_weight: of the cross entropy with the rules in the loss; both are multiplied by
    `kept` with each update."""

    epochs: int = 6
    minibatch: int = 256
    clip: float = 0.2
    smoothing: float = 0.95
    entropy_weight: float = 0.003
    value_weight: float = 0.5
    furthest: float = 0.05
    heaviest: float = 1.5
    guidance: float = 0.3
    teacher_weight: float = 0.1
    kept: float = 0.9


@dataclass(frozen=True, eq=False)
class _Before:
    """As the network was before the update. rows (batch, rows), stop (batch,): logarithms of probabilities."""

    rows: Tensor
    stop: Tensor
    value: Tensor
    row_weight: Tensor
    stop_weight: Tensor
    advantage: Tensor
    returns: Tensor

    def chosen(self, rows: Tensor) -> _Before:
        return _Before(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def advantages(reward: NDArray[np.float32], value: NDArray[np.float32], smoothing: float) -> NDArray[np.float32]:
    """(T,) of one whole episode: A_t = d_t + smoothing A_(t+1), d_t = r_t + v_(t+1) - v_t, v = 0 after the end."""
    found, following = np.zeros(len(reward), np.float32), 0.0
    after = np.append(value[1:], 0.0)
    for t in range(len(reward) - 1, -1, -1):
        following = float(reward[t] + after[t] - value[t]) + smoothing * following
        found[t] = following
    return found


def improve(
    pupil: Pupil, trajectories: Sequence[Trajectory], plan: Improving, *, teacher_weight: float
) -> dict[str, float]:
    """One update. Figures: means over its minibatches; the steps made, and how much of the returns' variance the value
    explained before."""
    known = Known.of(batch_of(trajectories))
    before = _before(pupil, known, trajectories, plan)
    told: list[dict[str, float]] = []
    steps, ended = 0, False
    for _ in range(plan.epochs):
        for chosen in pupil.shuffled(len(known), plan.minibatch):
            some = known.rows(chosen)
            loss, figures = _loss(pupil.choices(some), some, before.chosen(chosen), plan, teacher_weight)
            told.append(figures)
            ended = figures["ppo/kl"] > plan.furthest
            if ended:
                break
            pupil.follow(loss)
            steps += 1
        if ended:
            break
    means = {name: float(np.mean([figures[name] for figures in told])) for name in told[0]}
    explained = 1 - float((before.returns - before.value).var() / before.returns.var().clamp(min=1e-8))
    return {**means, "ppo/steps": float(steps), "ppo/explained": explained}


@torch.no_grad()
def _before(pupil: Pupil, known: Known, trajectories: Sequence[Trajectory], plan: Improving) -> _Before:
    choices = pupil.choices(known)
    rows, stop, value = choices.logprob(known.actions), choices.stop_logprob(known.stop), choices.value
    drawn = known.logprob[:, : rows.shape[1]]
    values = np.split(value.numpy(), np.cumsum([len(one) for one in trajectories])[:-1])
    found = [
        advantages(one.reward / np.float32(pupil.reward_unit), of_one, plan.smoothing)
        for one, of_one in zip(trajectories, values, strict=True)
    ]
    advantage = torch.from_numpy(np.concatenate(found))
    scaled = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-6)
    row_weight, stop_weight = (rows - drawn).exp(), (stop - known.stop_logprob).exp()
    return _Before(
        rows, stop, value, row_weight.clamp(max=plan.heaviest), stop_weight.clamp(max=plan.heaviest),
        scaled, advantage + value,
    )  # fmt: skip


def _loss(
    choices: Choices, known: Known, was: _Before, plan: Improving, teacher_weight: float
) -> tuple[Tensor, dict[str, float]]:
    """Of a minibatch, and its figures."""
    rows_in = choices.rows_in(known, known.stop)
    by_row, stop = choices.logprob(known.actions) - was.rows, choices.stop_logprob(known.stop) - was.stop
    gain = (_clipped(by_row, was.advantage[:, None], plan.clip) * was.row_weight * rows_in).sum(1)
    gain = gain + _clipped(stop, was.advantage, plan.clip) * was.stop_weight
    moved = choices.value - was.value
    near = was.value + moved.clamp(-plan.clip, plan.clip)
    missed = torch.maximum((choices.value - was.returns) ** 2, (near - was.returns) ** 2)
    changing, stopping = choices.entropy()
    entropy = (changing * choices.rows_in(known, torch.zeros_like(known.stop))).sum(1) + stopping
    loss = -gain.mean() + plan.value_weight * missed.mean() - plan.entropy_weight * entropy.mean()
    if teacher_weight:
        changes, stops = teacher_losses(choices, known)
        loss = loss + teacher_weight * (changes + stops)
    with torch.no_grad():
        away = ((by_row.exp() - 1 - by_row) * rows_in).sum(1) + (stop.exp() - 1 - stop)
        clipped = (((by_row.exp() - 1).abs() > plan.clip) * rows_in).sum() / rows_in.sum().clamp(min=1)
    return loss, {
        "ppo/gain": float(gain.detach().mean()), "ppo/value": float(missed.detach().mean()),
        "ppo/entropy": float(entropy.detach().mean()), "ppo/kl": float(away.mean()), "ppo/clipped": float(clipped),
    }  # fmt: skip


def _clipped(log_ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    ratio = log_ratio.exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
