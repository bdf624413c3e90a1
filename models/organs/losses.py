"""What a prediction of partly drawn organs costs: only voxels that say something about an organ count for it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

SMOOTH = 1.0
"""Voxels added above and below in the Dice (as nnU-Net does, against a division by nothing)."""


def organ_loss(logits: Tensor, inside: Tensor, counts: Tensor) -> Tensor:
    """Soft Dice and cross entropy, each organ with one vote (their sum as in nnU-Net: Isensee et al., 2021).

    All (n, organs, z, y, x); inside and counts 0 or 1. Cross entropy: mean over an organ's counting voxels, then over
    the organs that have any. Dice: over the batch together, of the organs that the batch holds a voxel of: of an organ
    out of sight it would only count what little is wrongly found."""
    voxels = (0, 2, 3, 4)
    many = counts.sum(voxels)
    entropy = functional.binary_cross_entropy_with_logits(logits, inside, reduction="none")
    each = (entropy * counts).sum(voxels) / many.clamp(min=1)
    told = (many > 0).to(each.dtype)
    loss = (each * told).sum() / told.sum().clamp(min=1)
    found, true = logits.sigmoid() * counts, inside * counts
    size = true.sum(voxels)
    dice = (2 * (found * true).sum(voxels) + SMOOTH) / (found.sum(voxels) + size + SMOOTH)
    seen = (size > 0).to(dice.dtype)
    return loss + ((1 - dice) * seen).sum() / seen.sum().clamp(min=1)
