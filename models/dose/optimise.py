"""How weights move: two optimisers, a schedule by the spent share of a budget, a running mean of weights."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

WARM_SHARE = 0.03
"""Of the budget in which the rate rises (chosen)."""
MUON_STEPS, MUON_COEFFICIENTS = 5, (3.4445, -4.775, 2.0315)
"""Of the Newton-Schulz iteration (Jordan et al., Muon, 2024)."""


def rate_factor(spent: float) -> float:
    """Share of the peak rate when `spent` (0 ... 1) of the budget is: a straight rise, then half a cosine to zero."""
    if spent < WARM_SHARE:
        return (spent + 0.002) / (WARM_SHARE + 0.002)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (spent - WARM_SHARE) / (1 - WARM_SHARE))))


class Muon(torch.optim.Optimizer):
    """Momentum whose update of each convolution is made orthogonal, (out, in * taps) as a matrix (Jordan et al., 2024):
    every direction of a weight learns at one pace, which a network without normalisation needs. Decay is decoupled; an
    update has the root mean square of 0.2 that AdamW's has (Liu et al., 2025), so both take one rate."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["mean"] = torch.zeros_like(weight)
                state["mean"].lerp_(weight.grad, 1 - group["momentum"])
                aim = weight.grad.lerp(state["mean"], group["momentum"])
                matrix = orthogonal(aim.reshape(len(aim), -1))
                size = 0.2 * max(matrix.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(matrix.reshape(weight.shape).to(weight.dtype), alpha=-group["lr"] * size)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values near one, in bfloat16 where there is a GPU."""
    a, b, c = MUON_COEFFICIENTS
    x = matrix.bfloat16() if matrix.is_cuda else matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(MUON_STEPS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class RunningMean:
    """Exponential mean of weights: what is validated and shipped. Early on its reach is short, so that it forgets where
    training began."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.weights = [weight.detach().clone() for weight in network.parameters()]

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.weights, [w.detach() for w in network.parameters()], 1 - decay)

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        """Puts the mean into the network and the network's weights here; a second call puts both back."""
        for mine, weight in zip(self.weights, network.parameters(), strict=True):
            kept = weight.detach().clone()
            weight.copy_(mine)
            mine.copy_(kept)

    def state(self) -> dict[str, Any]:
        return {"steps": self.steps, "weights": self.weights}

    def load(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        for mine, known in zip(self.weights, state["weights"], strict=True):
            mine.copy_(known)


def optimisers(network: nn.Module, *, rate: float, decay: float, muon: bool) -> list[torch.optim.Optimizer]:
    """Convolutions by Muon or AdamW, everything else by AdamW without decay. A group's peak rate is its `peak`."""
    conv = [w for w in network.parameters() if w.ndim == 5 and min(w.shape[:2]) > 1]
    rest = [w for w in network.parameters() if not (w.ndim == 5 and min(w.shape[:2]) > 1)]
    fused = conv[0].is_cuda
    made: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, lr=rate, weight_decay=0.0, fused=fused)]
    if muon:
        made.append(Muon(conv, lr=rate, weight_decay=decay))
    else:
        made.append(torch.optim.AdamW(conv, lr=rate, weight_decay=decay, betas=(0.9, 0.98), fused=fused))
    for optimiser in made:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return made
