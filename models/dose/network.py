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
SMALLEST_SPREAD, SPREAD_UNIT = 0.002, 0.05
"""In DOSE_UNIT_GY, 0.14 and 3.5 Gy: no dose is known better than the first (the archive's steps are 0.05 Gy), and the
second is what an untrained network says, near the usual error (chosen)."""


@dataclass(frozen=True)
class Shape:
    """Channels of the levels from half resolution down, residual blocks down and up, channels of the head; ranks of
    the convolutions of each level and of the head (0: not factored); whether the spread is told too."""

    channels: tuple[int, ...] = (96, 112, 128, 128)
    down: tuple[int, ...] = (2, 2, 1, 1)
    up: tuple[int, ...] = (3, 1, 1)
    head: int = 32
    ranks: tuple[int, ...] = (0, 0, 0, 0)
    head_rank: int = 0
    spread: bool = False


class Factored(nn.Module):
    """A 3 x 3 x 3 convolution through `rank` channels: into them, the convolution among them, out of them (Tucker-2:
    Kim et al., ICLR 2016). It costs rank (in + out) + 27 rank^2 products a voxel instead of 27 in out."""

    def __init__(self, channels_in: int, channels_out: int, rank: int) -> None:
        super().__init__()
        self.into = nn.Conv3d(channels_in, rank, 1, bias=False)
        self.core = nn.Conv3d(rank, rank, 3, padding=1, bias=False)
        self.out = nn.Conv3d(rank, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.core(self.into(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    def __init__(self, channels: int, rank: int = 0) -> None:
        super().__init__()
        self.first, self.second = convolution(channels, channels, rank), convolution(channels, channels, rank)
        last = self.second.out if isinstance(self.second, Factored) else self.second
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.silu(self.first(functional.silu(x))))


def convolution(channels_in: int, channels_out: int, rank: int) -> nn.Conv3d | Factored:
    """3 x 3 x 3, factored where a rank is given."""
    if rank:
        return Factored(channels_in, channels_out, rank)
    return nn.Conv3d(channels_in, channels_out, 3, padding=1)


class PerVoxel(nn.Module):
    """A linear map of channels to one number, or a few."""

    def __init__(self, channels: int, numbers: int = 1) -> None:
        super().__init__()
        self.map = nn.Linear(channels, numbers)
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.silu(x)
        if torch.onnx.is_in_onnx_export():  # type: ignore[no-untyped-call]
            # The same as a convolution: a file's reader would really move the numbers about.
            weight = self.map.weight[:, :, None, None, None]
            return functional.conv3d(x, weight, self.map.bias)
        return self.map(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)  # type: ignore[no-any-return]


class DoseNetwork(nn.Module):
    """Features (n, CHANNELS, inferior, posterior, left) to dose in DOSE_UNIT_GY (n, 1, ...), zero where impossible, and
    where the shape says so its spread."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        sizes, levels, ranks = self.shape.channels, range(len(self.shape.channels)), self.shape.ranks
        self.inputs = INPUTS
        self.stem = nn.Conv3d(INPUTS, sizes[0], 2, stride=2)
        self.down = nn.ModuleList(_blocks(sizes[n], self.shape.down[n], ranks[n]) for n in levels)
        self.shrink = nn.ModuleList(nn.Conv3d(sizes[n], sizes[n + 1], 2, stride=2) for n in levels[:-1])
        self.grow = nn.ModuleList(nn.ConvTranspose3d(sizes[n + 1], sizes[n], 2, stride=2) for n in levels[:-1])
        self.up = nn.ModuleList(_blocks(sizes[n], self.shape.up[n], ranks[n]) for n in levels[:-1])
        self.detail = convolution(INPUTS, self.shape.head, self.shape.head_rank)
        self.to_full = nn.ConvTranspose3d(sizes[0], self.shape.head, 2, stride=2)
        self.fine = Block(self.shape.head, self.shape.head_rank)
        self.last = PerVoxel(self.shape.head, 2 if self.shape.spread else 1)
        self.coarse = nn.ModuleList(PerVoxel(sizes[n]) for n in levels[:2])
        self.mix = nn.Parameter(torch.full((len(PLANS),), 1 / len(PLANS)))
        self.dropout = 0.0

    def forward(self, features: Tensor) -> Tensor:
        return self.with_coarse(features)[0]

    def with_spread(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The dose and the scale of the Laplace distribution of its error, both (n, 1, ...) in DOSE_UNIT_GY; the
        scale is at least SMALLEST_SPREAD, and that where dose is impossible. Raises ValueError where the shape has
        none."""
        dose, spread, _ = self.everything(features)
        if spread is None:
            raise ValueError("this network tells no spread")
        return dose, spread

    def with_coarse(self, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The dose, and what the two finest levels of the trunk say of its correction at half and quarter resolution:
        training teaches them too (deep supervision: Lee et al., AISTATS 2015)."""
        dose, _, told = self.everything(features)
        return dose, told

    def everything(self, features: Tensor) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Dose, spread or None, and the corrections at half and quarter resolution."""
        x = features
        if x.shape[1] < self.inputs:
            x = functional.pad(x, (0, 0, 0, 0, 0, 0, 0, self.inputs - x.shape[1]))
        trunk, told = self._trunk(x)
        said = self.last(self.fine(self.to_full(trunk) + self.detail(x))).float()
        possible = features[:, POSSIBLE : POSSIBLE + 1].float()
        spread = None
        if self.shape.spread:
            spread = SMALLEST_SPREAD + possible * (SPREAD_UNIT * functional.softplus(said[:, 1:]))
        return possible * (self.base(features) + said[:, :1]), spread, told

    def _trunk(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        kept, at = [], self.stem(x)
        for n, blocks in enumerate(self.down):
            at = blocks(self._dropped(at))
            if n < len(self.shrink):
                kept.append(at)
                at = self.shrink[n](at)
        told: list[Tensor] = []
        for n in reversed(range(len(self.grow))):
            at = self.up[n](self._dropped(self.grow[n](at) + kept[n]))
            if n < len(self.coarse):
                told.append(self.coarse[n](at))
        return at, told[::-1]

    def _dropped(self, x: Tensor) -> Tensor:
        """Whole channels left out in training (Tompson et al., CVPR 2015): neighbouring voxels say the same."""
        return functional.dropout3d(x, self.dropout, self.training) if self.dropout else x

    def base(self, features: Tensor) -> Tensor:
        """The mixture of quick plans that is corrected, (n, 1, ...) float32."""
        plans = features[:, FIRST_PLAN : FIRST_PLAN + len(PLANS)].float()
        return (plans * self.mix.float().view(1, -1, 1, 1, 1)).sum(1, keepdim=True)


def _blocks(channels: int, count: int, rank: int) -> nn.Sequential:
    return nn.Sequential(*(Block(channels, rank) for _ in range(count)))


def padded(volume: Tensor) -> tuple[Tensor, tuple[slice, slice, slice]]:
    """A volume (channels, ...) with zeros behind it up to multiples of MULTIPLE, and where it lies in that."""
    sides = volume.shape[1:]
    more = [-side % MULTIPLE for side in sides]
    grown = functional.pad(volume, (0, more[2], 0, more[1], 0, more[0]))
    return grown, (slice(0, sides[0]), slice(0, sides[1]), slice(0, sides[2]))
