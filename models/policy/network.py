"""The network: attention among levers, none of which has a place in a list.

A token for each lever and one for the whole plan attend to one another (Vaswani et al., NeurIPS 2017, with the
normalisation before each part: Xiong et al., ICML 2020) without any code of position, as in Set Transformers (Lee et
al., ICML 2019): exchanging levers exchanges what is said of them and changes nothing else. A lever's token tells its
change; the plan's token tells whether to stop and what the rest of the episode is worth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from appliance.execution.policies.learned import ILLEGAL
from appliance.execution.steering.changes import Change
from appliance.execution.steering.observation import CONTEXT_FEATURES, TOKEN_FEATURES

RARELY = -2.0
"""First logit of stopping, so that an untrained network goes on: one in eight (chosen)."""


@dataclass(frozen=True)
class Shape:
    """Features of a lever and of the plan; width of a token, heads and blocks of attention, width between them."""

    tokens: int = len(TOKEN_FEATURES)
    context: int = len(CONTEXT_FEATURES)
    width: int = 64
    heads: int = 4
    blocks: int = 3
    hidden: int = 192


class Block(nn.Module):
    """Attention and a perceptron for each token, both added to what came in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.first, self.second = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.asked = nn.Linear(shape.width, 3 * shape.width)
        self.told = nn.Linear(shape.width, shape.width)
        self.up, self.down = nn.Linear(shape.width, shape.hidden), nn.Linear(shape.hidden, shape.width)

    def forward(self, x: Tensor, absent: Tensor) -> Tensor:
        """x (batch, tokens, width); absent (batch, 1, 1, tokens): added to what any token says to that one."""
        batch, tokens, width = x.shape
        parts = self.asked(self.first(x)).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        heed = query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5 + absent
        heard = (heed.softmax(-1) @ value).transpose(1, 2).reshape(batch, tokens, width)
        x = x + self.told(heard)
        return x + self.down(functional.silu(self.up(self.second(x))))


class PolicyNetwork(nn.Module):
    """tokens (batch, n, features), present (batch, n), context (batch, features), legal (batch, n, changes), all
    float32 with 1 for yes -> logits (batch, n, changes), ILLEGAL where not legal; stop (batch,), a logit; value
    (batch,), in the learner's unit of reward."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape = Shape() if shape is None else shape
        self.lever, self.plan = nn.Linear(shape.tokens, shape.width), nn.Linear(shape.context, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.last = nn.LayerNorm(shape.width)
        self.change = nn.Linear(shape.width, len(Change))
        self.ending = nn.Sequential(nn.Linear(shape.width, shape.width), nn.SiLU(), nn.Linear(shape.width, 1))
        self.worth = nn.Sequential(nn.Linear(shape.width, shape.width), nn.SiLU(), nn.Linear(shape.width, 1))
        for head in (self.change, self.ending[-1], self.worth[-1]):
            nn.init.zeros_(head.bias)
            nn.init.normal_(head.weight, std=0.01)
        nn.init.constant_(self.ending[-1].bias, RARELY)

    def forward(self, tokens: Tensor, present: Tensor, context: Tensor, legal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        plan = self.plan(context)[:, None]
        x = torch.cat([plan, self.lever(tokens) + plan], 1)
        absent = (1 - torch.cat([torch.ones_like(present[:, :1]), present], 1))[:, None, None] * ILLEGAL
        for block in self.blocks:
            x = block(x, absent)
        x = self.last(x)
        logits = torch.where(legal > 0.5, self.change(x[:, 1:]), torch.full_like(legal, ILLEGAL))
        return logits, self.ending(x[:, 0])[:, 0], self.worth(x[:, 0])[:, 0]


def weights_of(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())
