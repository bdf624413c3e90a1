"""A network in training, as both phases take it: cloning and improving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from .choices import Choices, Known
from .network import PolicyNetwork


@dataclass(frozen=True, eq=False)
class Pupil:
    """random: shuffles decisions. one_only: one call changes one lever. reward_unit: points that the value counts as
    one. longest: norm that a gradient is cut to."""

    network: PolicyNetwork
    optimiser: torch.optim.Optimizer
    random: torch.Generator
    one_only: bool
    reward_unit: float
    longest: float

    def choices(self, known: Known) -> Choices:
        return Choices.of(self.network, known, one_only=self.one_only)

    def shuffled(self, decisions: int, minibatch: int) -> Iterator[Tensor]:
        """Numbers of decisions: each of them once."""
        yield from torch.randperm(decisions, generator=self.random).split(minibatch)

    def follow(self, loss: Tensor) -> None:
        """One step down."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(self.network.parameters(), self.longest)
        self.optimiser.step()
