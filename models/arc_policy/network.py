"""A small convolution network over control points and leaf pairs. PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .features import CHANNELS, mirror

WIDTH = 32
DILATIONS = (1, 2, 4, 8)
"""Along the control points (chosen: together 15 points to either side, more than a sector of the sequenced start)."""


class Block(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=(dilation, 1), dilation=(dilation, 1))
        self.second = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(torch.relu(self.first(torch.relu(x))))
        return out


class ArcNetwork(nn.Module):
    """forward: maps (batch, channels, points, pairs) to leaves (batch, 2, points, pairs) and log_mu (batch,
    intervals). Exchanging left and right exchanges the answer exactly: it is the mean of both ways of looking. A new
    network changes nothing."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        order, signs = mirror()
        self.order = order
        self.register_buffer("signs", torch.from_numpy(signs)[None, :, None, None])
        self.first = nn.Conv2d(len(CHANNELS), width, 1)
        self.blocks = nn.Sequential(*[Block(width, dilation) for dilation in DILATIONS])
        self.leaves = nn.Conv2d(width, 2, 1)
        self.metersets = nn.Linear(width, 1)
        for head in (self.leaves, self.metersets):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        leaves, log_mu = self._seen(maps)
        signs: Any = self.signs
        other, other_mu = self._seen(maps[:, self.order] * signs)
        swapped = -torch.stack([other[:, 1], other[:, 0]], dim=1)
        return 0.5 * (leaves + swapped), 0.5 * (log_mu + other_mu)

    def _seen(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.relu(self.blocks(self.first(maps)))
        along = self.metersets(hidden.mean(dim=3).transpose(1, 2)).squeeze(2)
        return self.leaves(hidden), 0.5 * (along[:, 1:] + along[:, :-1])


def weights_of(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())
