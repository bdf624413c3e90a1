"""A network that a CPU can train in minutes: what the features say of a voxel and, averaged, of its surroundings.

Features are averaged over cubes of 2, 4, 8 and 16 voxels and over the whole patient, brought back to full resolution,
and one small perceptron corrects the mixture of quick plans voxel by voxel. Training looks at drawn voxels only, so
that an epoch of all patients is seconds of one core; a patient that is turned or mirrored changes only the names of
the parotids. The quick plans already know the beams: what is left to learn is what planners want.

It is the stand-in for `network.DoseNetwork` where no GPU can be had, with the same input and output.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from .features import CHANNELS, FIRST_PLAN, POSSIBLE
from .fluence import PLANS

CUBES = (2, 4, 8, 16)
FACTS = len(CHANNELS) * (len(CUBES) + 2)
HIDDEN = (128, 96, 64)


class VoxelNetwork(nn.Module):
    """Features (1, CHANNELS, inferior, posterior, left) to dose in DOSE_UNIT_GY (1, 1, ...), zero where impossible.
    Sides are multiples of 16, as for DoseNetwork."""

    def __init__(self, hidden: tuple[int, ...] = HIDDEN) -> None:
        super().__init__()
        sizes = (FACTS, *hidden)
        self.hidden = nn.ModuleList(nn.Conv3d(a, b, 1) for a, b in pairwise(sizes))
        self.last = nn.Conv3d(sizes[-1], 1, 1)
        self.mix = nn.Parameter(torch.full((len(PLANS),), 1 / len(PLANS)))
        self.register_buffer("centre", torch.zeros(1, FACTS, 1, 1, 1))
        self.register_buffer("scale", torch.ones(1, FACTS, 1, 1, 1))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        return features[:, POSSIBLE : POSSIBLE + 1] * self.of_facts(surroundings(features))

    def of_facts(self, facts: Tensor) -> Tensor:
        """(n, 1, ...) of surroundings (n, FACTS, ...)."""
        x = (facts - self.centre) * self.scale
        for layer in self.hidden:
            x = functional.silu(layer(x))
        plans = facts[:, FIRST_PLAN : FIRST_PLAN + len(PLANS)] * self.mix.view(1, -1, 1, 1, 1)
        return plans.sum(1, keepdim=True) + self.last(x)

    def learn_scale(self, facts: Tensor) -> None:
        """From facts (n, FACTS): each of mean 0 and deviation 1; what never changes stays 0."""
        mean, deviation = facts.mean(0), facts.std(0)
        self.centre.copy_(mean.view(1, -1, 1, 1, 1))
        self.scale.copy_((1 / deviation.clamp(min=1e-3)).view(1, -1, 1, 1, 1))


def surroundings(features: Tensor) -> Tensor:
    """(1, FACTS, ...) of features (1, CHANNELS, ...): as they are, averaged over cubes, and over the patient."""
    sides = features.shape[2:]
    told = [features]
    pooled = features
    for _ in CUBES:
        pooled = functional.avg_pool3d(pooled, 2)
        told.append(functional.interpolate(pooled, size=sides, mode="trilinear", align_corners=False))
    possible = features[:, POSSIBLE : POSSIBLE + 1].sum((2, 3, 4), keepdim=True)
    whole = features.sum((2, 3, 4), keepdim=True) / possible.clamp(min=1)
    told.append(whole.expand(-1, -1, *sides))
    return torch.cat(told, 1)
