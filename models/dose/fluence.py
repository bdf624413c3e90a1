"""Three quick plans of a patient, from nothing but anatomy: fluence maps that trade target against organs differently.

Each minimises a weighted quadratic objective over fluence that is not negative, with the beams of beams.py, by a fixed
number of steps of Adam (Kingma and Ba, ICLR 2015) from open fields; the three differ in what they pay for dose outside
the targets. The doses are inputs of the network: they know where rays go, and the network knows what planners want.
Weights and steps are chosen: the raw doses are 3 to 4 Gy from the reference plans, each in another direction.

A hash of the place, symmetric between left and right, chooses the points: the same patient gives the same plans, and a
mirrored patient the mirrored ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .beams import BeamGeometry, dose, shadow, spread
from .data import ORGANS, PRESCRIBED_GY, ROIS, TARGETS


@dataclass(frozen=True)
class Wishes:
    """Weights of squared dose: everywhere outside targets, in organs that are judged by their mean, and above 30 Gy in
    those judged by their maximum."""

    tissue: float
    mean_organs: float
    maximum_organs: float


PLANS = (Wishes(0.005, 0.02, 1.0), Wishes(0.02, 0.05, 1.0), Wishes(0.008, 0.4, 2.0))
BY_MEAN = ("RightParotid", "LeftParotid", "Esophagus", "Larynx")
BY_MAXIMUM, MAXIMUM_GY = ("Brainstem", "SpinalCord"), 30.0
COLD_WEIGHT, ASKED_SHARE = 2.0, 1.02
STEPS, FIRST_RATE, LAST_RATE = 40, 1.0, 0.02
TARGET_SHARE, ORGAN_SHARE, TISSUE_SHARE = 0.5, 0.3, 0.1
"""Of the points that an optimisation looks at."""


def prescribed_gy(label: Tensor) -> Tensor:
    """The highest prescription of each point, 0 outside targets."""
    asked = torch.zeros(label.shape, device=label.device)
    for name, gy in zip(TARGETS, PRESCRIBED_GY, strict=True):
        asked = torch.where(_is(label, name), gy, asked)
    return asked


def quick_plans(label: Tensor, beams: BeamGeometry, shape: tuple[int, int, int]) -> Tensor:
    """Fluence (plans, 9, w, u) of the points whose bit fields `label` (n,) are given. Raises ValueError without a
    target."""
    asked = prescribed_gy(label)
    target = asked > 0
    if not bool(target.any()):
        raise ValueError("a patient without a target has no plan")
    organ = torch.stack([_is(label, name) for name in ORGANS]).any(0)
    share = torch.where(target, TARGET_SHARE, torch.where(organ, ORGAN_SHARE, TISSUE_SHARE))
    kept = _hashed(beams.indices, shape) < share
    seen = BeamGeometry(beams.place[:, kept], beams.weight[:, kept], beams.indices[kept])
    cost = _Cost(label[kept], asked[kept], 1 / share[kept])
    start = _open_fields(target, beams, asked)
    fluence = start.expand(len(PLANS), *start.shape).clone().requires_grad_()
    optimiser = torch.optim.Adam([fluence], lr=FIRST_RATE, betas=(0.9, 0.9))
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = FIRST_RATE * (1 - step / STEPS) + LAST_RATE
        optimiser.zero_grad()
        cost(plan_doses(fluence.clamp(min=0), seen)).backward()
        optimiser.step()
    return fluence.detach().clamp(min=0)


def plan_doses(fluence: Tensor, beams: BeamGeometry) -> Tensor:
    """(plans, n) of fluence (plans, 9, w, u): as beams.dose, the places read once for all plans."""
    maps = spread(fluence).transpose(0, 1)
    sampled = torch.nn.functional.grid_sample(maps, beams.place[:, :, None], align_corners=False)[..., 0]
    return (sampled * beams.weight[:, None]).sum(0)


class _Cost:
    """Mean over targets of all plans' objectives, added up."""

    def __init__(self, label: Tensor, asked: Tensor, stands_for: Tensor) -> None:
        self.asked, self.target = asked * ASKED_SHARE, asked > 0
        by_mean = torch.stack([_is(label, name) for name in BY_MEAN]).any(0) & ~self.target
        by_maximum = torch.stack([_is(label, name) for name in BY_MAXIMUM]).any(0).float()
        wishes = torch.tensor([[w.tissue, w.mean_organs, w.maximum_organs] for w in PLANS], device=label.device)
        self.outside = wishes[:, :1] * ~self.target + wishes[:, 1:2] * by_mean
        self.above = wishes[:, 2:] * by_maximum
        self.weight = stands_for / stands_for[self.target].sum()

    def __call__(self, dose: Tensor) -> Tensor:
        off = dose - self.asked
        wanted = torch.where(off > 0, 1.0, COLD_WEIGHT) * self.target * off**2
        spared = self.outside * dose**2 + self.above * (dose - MAXIMUM_GY).clamp(min=0) ** 2
        return ((wanted + spared) * self.weight).sum()


def _open_fields(target: Tensor, beams: BeamGeometry, asked: Tensor) -> Tensor:
    fields = shadow(target, beams)
    return fields * (asked[target].mean() / dose(fields, beams)[target].mean())


def _is(label: Tensor, name: str) -> Tensor:
    return (label >> ROIS.index(name) & 1) > 0


def _hashed(indices: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """A number in 0 ... 1 for each flat index, the same for both sides of the patient."""
    c = indices % shape[2]
    b, a = indices // shape[2] % shape[1], indices // (shape[1] * shape[2])
    folded = (2 * b - (shape[1] - 1)).abs()
    mixed = (a * 73856093) ^ (folded * 19349663) ^ (c * 83492791)
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    return ((mixed ^ (mixed >> 16)) & 0xFFFFFF).float() / 0x1000000
