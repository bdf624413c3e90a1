"""What training minimises: the challenge's dose score, the same at coarser levels, late in a run its DVH metrics."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .data import ROIS
from .features import CHANNELS, DOSE_UNIT_GY
from .score import metrics

COARSE_WEIGHTS = (0.3, 0.15)
"""Of what half and quarter resolution say (chosen)."""
SMALLEST_REGION = 8
"""Voxels: a region cut to less has no DVH worth learning."""


def dose_loss(predicted: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """Gy: mean over samples of the mean absolute error where the weight is 1. All (n, 1, ...)."""
    off = ((predicted - true.float()).abs() * weight.float()).sum((1, 2, 3, 4))
    return DOSE_UNIT_GY * (off / weight.float().sum((1, 2, 3, 4)).clamp(min=1)).mean()


def coarse_loss(told: list[Tensor], base: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """Gy: `told` corrects the base, averaged over voxels that the weight knows, at half, quarter, ... resolution."""
    total = torch.zeros((), device=true.device)
    known, off = weight.float(), (true.float() - base) * weight.float()
    for share, correction in zip(COARSE_WEIGHTS, told, strict=True):
        known, off = functional.avg_pool3d(known, 2), functional.avg_pool3d(off, 2)
        total = total + share * dose_loss(correction.float() * known, off, (known > 0).float())
    return total


def spread_loss(predicted: Tensor, spread: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """Mean negative log likelihood of the error under a Laplace distribution of scale `spread`, without its log 2; all
    (n, 1, ...). It teaches the spread alone: the dose is taken as it is."""
    off, known = (predicted.detach() - true.float()).abs(), weight.float()
    return ((off / spread + spread.log()) * known).sum() / known.sum().clamp(min=1)


def dvh_loss(predicted: Tensor, true: Tensor, regions: list[Tensor], voxel_mm3: list[float]) -> Tensor:
    """Gy: mean error of the challenge's DVH metrics, over samples and regions (bit fields, see region_bits). Samples
    must not be turned: interpolated regions have no voxels to count."""
    errors = []
    for mine, known, bits, volume in zip(predicted, true, regions, voxel_mm3, strict=True):
        got = metrics(mine[0].float() * DOSE_UNIT_GY, bits, volume)
        with torch.no_grad():
            asked = metrics(known[0].float() * DOSE_UNIT_GY, bits, volume)
        errors += [(got[key] - asked[key]).abs() for key in asked]
    return torch.stack(errors).mean() if errors else predicted.sum() * 0


def region_bits(facts: Tensor) -> Tensor:
    """The bit field of features (channels, ...), without regions that the canvas has cut to nearly nothing."""
    bits = torch.zeros(facts.shape[1:], dtype=torch.int32, device=facts.device)
    for bit, name in enumerate(ROIS[1:], 1):
        region = facts[CHANNELS.index(name)] > 0.5
        enough = region.sum() >= SMALLEST_REGION
        bits |= (region & enough).int() << bit
    return bits
