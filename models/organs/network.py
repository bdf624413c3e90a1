"""The network: a U-Net whose trunk works at half resolution, with a thin head at full resolution.

Wide channels at full resolution cost most of a U-Net and see least; on one core a stem of stride 2 and a head of a few
channels take about half the time of 16 channels at full resolution (CARD.md has the timing). Convolution, instance
normalisation and leaky ReLU as in nnU-Net (Isensee et al., Nat Methods 18:203, 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .data import ORGANS

SLOPE = 0.01
"""Of the leaky ReLU, as nnU-Net's."""


@dataclass(frozen=True)
class Shape:
    """channels: of the levels at a half, a quarter, an eighth of the resolution. head: channels at full resolution."""

    channels: tuple[int, ...] = (32, 64, 96)
    head: int = 16


class OrganNetwork(nn.Module):
    """(n, 1, z, y, x) normalised CT, sides multiples of 2 to the power of the levels, to (n, ORGANS, z, y, x) logits:
    each organ for itself, since drawings overlap and none is complete."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        sizes, levels = self.shape.channels, range(len(self.shape.channels))
        self.stem = nn.Conv3d(1, sizes[0], 4, stride=2, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(_block(sizes[max(0, n - 1)], sizes[n], 2 if n else 1), _block(sizes[n], sizes[n]))
            for n in levels
        )
        self.grow = nn.ModuleList(nn.ConvTranspose3d(sizes[n + 1], sizes[n], 2, stride=2) for n in levels[:-1])
        self.up = nn.ModuleList(
            nn.Sequential(_block(2 * sizes[n], sizes[n]), _block(sizes[n], sizes[n])) for n in levels[:-1]
        )
        self.to_full = nn.ConvTranspose3d(sizes[0], self.shape.head, 2, stride=2)
        self.detail = nn.Conv3d(1, self.shape.head, 3, padding=1)
        self.fine = nn.Sequential(nn.LeakyReLU(SLOPE), _block(self.shape.head, self.shape.head))
        self.last = nn.Conv3d(self.shape.head, len(ORGANS), 1)

    def forward(self, image: Tensor) -> Tensor:
        kept: list[Tensor] = []
        at = self.stem(image)
        for level in self.down:
            at = level(at)
            kept.append(at)
        for n in reversed(range(len(self.grow))):
            at = self.up[n](torch.cat([self.grow[n](at), kept[n]], 1))
        return self.last(self.fine(self.to_full(at) + self.detail(image)))  # type: ignore[no-any-return]


def _block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.InstanceNorm3d(channels_out, affine=True),
        nn.LeakyReLU(SLOPE),
    )
