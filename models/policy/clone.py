"""Behaviour cloning: the network learns what the rules would have done in the states that it was shown.

The first episodes are the rules' own; later ones are more and more the learner's, labelled by the rules all the same
(DAgger: Ross, Gordon and Bagnell, AISTATS 2011), so that it knows a way back from its own mistakes. Every episode so
far is learned from again, up to a memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from appliance.execution.steering.changes import Change

from .choices import Choices, Known
from .experience import Trajectory, batch_of
from .pupil import Pupil


@dataclass(frozen=True)
class Cloning:
    """updates: of this phase. epochs: through the memory in each. minibatch: decisions. memory: episodes. value_weight,
    stop_weight: of these losses beside one of the changes (chosen: stopping is one choice among some twenty).
    moved_weight: of a lever that the rules change, beside one that they keep (chosen: they keep nine of ten, and a
    network that knew only that would keep them all; with it a change is likeliest from a fifth of its chance on). The
    share of the rules in the rollouts is 1 at first and is multiplied by `kept` with each update."""

    updates: int = 8
    epochs: int = 8
    minibatch: int = 128
    memory: int = 400
    stop_weight: float = 1.0
    value_weight: float = 0.5
    moved_weight: float = 4.0
    kept: float = 0.7


def returns_of(trajectory: Trajectory, reward_unit: float) -> NDArray[np.float32]:
    """(T,): what followed each decision until the end, in the learner's unit of reward."""
    return np.cumsum(trajectory.reward[::-1])[::-1].astype(np.float32) / np.float32(reward_unit)


def clone(pupil: Pupil, memory: Sequence[Trajectory], plan: Cloning) -> dict[str, float]:
    """One update. Figures: mean losses of its last epoch."""
    known = Known.of(batch_of(memory))
    returns = torch.from_numpy(np.concatenate([returns_of(one, pupil.reward_unit) for one in memory]))
    losses: list[Tensor] = []
    for _ in range(plan.epochs):
        losses.clear()
        for chosen in pupil.shuffled(len(known), plan.minibatch):
            some = known.rows(chosen)
            choices = pupil.choices(some)
            changes, stops = teacher_losses(choices, some, plan.moved_weight)
            worth = functional.mse_loss(choices.value, returns[chosen])
            losses.append(torch.stack([changes, stops, worth]).detach())
            pupil.follow(changes + plan.stop_weight * stops + plan.value_weight * worth)
    means = torch.stack(losses).mean(0)
    return {"clone/changes": float(means[0]), "clone/stop": float(means[1]), "clone/value": float(means[2])}


def teacher_losses(choices: Choices, known: Known, moved_weight: float = 1.0) -> tuple[Tensor, Tensor]:
    """Cross entropies with the teacher, where it is known: mean over the levers' changes, and of stopping."""
    asked = known.teacher_stop >= 0
    rows = choices.rows_in(known, known.teacher_stop != 0)
    if not choices.one_only:
        rows = rows * torch.where(known.teacher > Change.KEEP, moved_weight, 1.0)
    changes = -(choices.logprob(known.teacher) * rows).sum() / rows.sum().clamp(min=1)
    stops = -(choices.stop_logprob(known.teacher_stop == 1) * asked).sum() / asked.sum().clamp(min=1)
    return changes, stops
