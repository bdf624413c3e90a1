"""The network: a residual U-Net that corrects quick plans.

The finest level works at half resolution (a 2 x 2 x 2 stem), where wide channels keep the matrix units of a GPU busy; a
thin head at full resolution adds the detail. Residual blocks (He et al., CVPR 2016) without normalisation, the last
convolution of each starting at zero (Zhang et al., Fixup, ICLR 2019): statistics of a volume would change with the
empty space around a patient, and a dose has an absolute size. Skips are added, not stacked (fewer weights).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .features import FIRST_PLAN, POSSIBLE
from .fluence import PLANS

INPUTS = 32
"""Channels as the convolutions see them: CHANNELS and zeros, a multiple of 8 for the matrix units."""
MULTIPLE = 16
"""Sides of a volume must be multiples of it: four halvings."""


@dataclass(frozen=True)
class Shape:
    """Channels of the levels from half resolution down, residual blocks down and up, channels of the head."""

    channels: tuple[int, ...] = (96, 112, 128, 128)
    down: tuple[int, ...] = (2, 2, 1, 1)
    up: tuple[int, ...] = (3, 1, 1)
    head: int = 32


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, channels, 3, padding=1)
        self.second = nn.Conv3d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.silu(self.first(functional.silu(x))))


class PerVoxel(nn.Module):
    """A linear map of channels to one number."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.map = nn.Linear(channels, 1)
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(functional.silu(x).permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)


class DoseNetwork(nn.Module):
    """Features (n, CHANNELS, inferior, posterior, left) to dose in DOSE_UNIT_GY (n, 1, ...), zero where impossible."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        sizes, levels = self.shape.channels, range(len(self.shape.channels))
        self.stem = nn.Conv3d(INPUTS, sizes[0], 2, stride=2)
        self.down = nn.ModuleList(_blocks(sizes[n], self.shape.down[n]) for n in levels)
        self.shrink = nn.ModuleList(nn.Conv3d(sizes[n], sizes[n + 1], 2, stride=2) for n in levels[:-1])
        self.grow = nn.ModuleList(nn.ConvTranspose3d(sizes[n + 1], sizes[n], 2, stride=2) for n in levels[:-1])
        self.up = nn.ModuleList(_blocks(sizes[n], self.shape.up[n]) for n in levels[:-1])
        self.detail = nn.Conv3d(INPUTS, self.shape.head, 3, padding=1)
        self.to_full = nn.ConvTranspose3d(sizes[0], self.shape.head, 2, stride=2)
        self.fine = Block(self.shape.head)
        self.last = PerVoxel(self.shape.head)
        self.coarse = nn.ModuleList(PerVoxel(sizes[n]) for n in levels[:2])
        self.mix = nn.Parameter(torch.full((len(PLANS),), 1 / len(PLANS)))

    def forward(self, features: Tensor) -> Tensor:
        return self.with_coarse(features)[0]

    def with_coarse(self, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The dose, and what the two finest levels of the trunk say of its correction at half and quarter resolution:
        training teaches them too (deep supervision: Lee et al., AISTATS 2015)."""
        x = features
        if x.shape[1] < INPUTS:
            x = functional.pad(x, (0, 0, 0, 0, 0, 0, 0, INPUTS - x.shape[1]))
        kept, at = [], self.stem(x)
        for n, blocks in enumerate(self.down):
            at = blocks(at)
            if n < len(self.shrink):
                kept.append(at)
                at = self.shrink[n](at)
        told: list[Tensor] = []
        for n in reversed(range(len(self.grow))):
            at = self.up[n](self.grow[n](at) + kept[n])
            if n < len(self.coarse):
                told.append(self.coarse[n](at))
        fine = self.fine(self.to_full(at) + self.detail(x))
        correction = self.last(fine).float()
        return features[:, POSSIBLE : POSSIBLE + 1].float() * (self.base(features) + correction), told[::-1]

    def base(self, features: Tensor) -> Tensor:
        """The mixture of quick plans that is corrected, (n, 1, ...) float32."""
        plans = features[:, FIRST_PLAN : FIRST_PLAN + len(PLANS)].float()
        return (plans * self.mix.float().view(1, -1, 1, 1, 1)).sum(1, keepdim=True)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(channels) for _ in range(count)))


def padded(volume: Tensor) -> tuple[Tensor, tuple[slice, slice, slice]]:
    """A volume (channels, ...) with zeros behind it up to multiples of MULTIPLE, and where it lies in that."""
    sides = volume.shape[1:]
    more = [-side % MULTIPLE for side in sides]
    grown = functional.pad(volume, (0, more[2], 0, more[1], 0, more[0]))
    return grown, (slice(0, sides[0]), slice(0, sides[1]), slice(0, sides[2]))
