"""What the network is told of a patient: one volume a fact, from masks, CT, distances and what nine beams can do.

Volumes lie as (channel, inferior, posterior, left): the axial plane last, so that a turn about the patient's long
axis is one two-dimensional resampling. All are zero where dose is impossible. Units are chosen so that values are of
order one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .beams import BeamGeometry, beam_doses, geometry, points_mm, shadow
from .data import ORGANS, ROIS, TARGETS, Patient
from .distance import distance_mm
from .fluence import PLANS, plan_doses, prescribed_gy, quick_plans

DOSE_UNIT_GY = 70.0
"""The network's dose of 1."""
CT_UNIT_HU, CT_HIGHEST = 1000.0, 1.5
DISTANCE_LIMIT_MM, DISTANCE_UNIT_MM = 60.0, 30.0
INSIDE_LIMIT_MM = 30.0
SPACING_UNIT_MM = 4.0

CHANNELS = (
    "possible", *ORGANS, *TARGETS, "ct", "has_ct", "prescribed",
    "distance_70", "distance_63", "distance_56", "inside_56",
    "open_70", "open_63", "open_56", "beams_seen",
    *(f"plan_{n}" for n in range(len(PLANS))), "largest_beam", "spacing", "other",
)  # fmt: skip
"""In this order. `other`: organs without a channel of their own; OpenKBP has none, training makes some (augment.py)."""
POSSIBLE, CT, HAS_CT = CHANNELS.index("possible"), CHANNELS.index("ct"), CHANNELS.index("has_ct")
FIRST_PLAN = CHANNELS.index("plan_0")
RIGHT_LEFT = (CHANNELS.index("RightParotid"), CHANNELS.index("LeftParotid"))
"""Organs that change places in a mirrored patient."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A patient's points where dose is possible: bit fields (n,), beams through them, the patient's shape."""

    label: Tensor
    beams: BeamGeometry
    shape: tuple[int, int, int]

    @staticmethod
    def of(patient: Patient, device: torch.device) -> Anatomy:
        """Raises ValueError without a target: nine beams then have nowhere to look."""
        label = torch.from_numpy(patient.label.astype("int32")).to(device)
        body = (label & 1).float()
        indices = torch.nonzero(body.reshape(-1) > 0)[:, 0]
        points = label.reshape(-1)[indices]
        target = prescribed_gy(points) > 0
        if not bool(target.any()):
            raise ValueError(f"{patient.name} has no target")
        shape = (label.shape[0], label.shape[1], label.shape[2])
        # In double precision: the open fields' edges must not depend on a device's order of summation.
        isocentre = points_mm(shape, patient.spacing_mm, indices)[target].double().mean(0).float()
        return Anatomy(points, geometry(body, patient.spacing_mm, isocentre, indices), shape)


def features(patient: Patient, device: torch.device, fluence: Tensor | None = None) -> Tensor:
    """(channels, inferior, posterior, left) float32. fluence: the patient's quick plans where they are known."""
    anatomy = Anatomy.of(patient, device)
    beams, label = anatomy.beams, torch.from_numpy(patient.label.astype("int32")).to(device)
    if fluence is None:
        fluence = quick_plans(anatomy.label, beams, anatomy.shape)
    made = torch.zeros(len(CHANNELS), *anatomy.shape, device=device)
    flat = made.view(len(CHANNELS), -1)
    at = CHANNELS.index
    for bit, name in enumerate(ROIS):
        made[at(name) if bit else POSSIBLE] = (label >> bit & 1).float()
    if patient.ct_hu is not None:
        made[CT] = (torch.from_numpy(patient.ct_hu).to(device) / CT_UNIT_HU).clamp(-1.0, CT_HIGHEST)
        made[HAS_CT] = 1.0
    asked = prescribed_gy(label)
    made[at("prescribed")] = asked / DOSE_UNIT_GY
    levels = torch.stack([asked >= gy for gy in (70.0, 63.0, 56.0)])
    made[at("distance_70") : at("inside_56")] = (
        distance_mm(levels, patient.spacing_mm, DISTANCE_LIMIT_MM) / DISTANCE_UNIT_MM
    )
    made[at("inside_56")] = distance_mm(~levels[2], patient.spacing_mm, INSIDE_LIMIT_MM) / DISTANCE_UNIT_MM
    made[at("spacing")] = patient.spacing_mm[0] / SPACING_UNIT_MM
    for name, level in zip(("open_70", "open_63", "open_56"), levels.view(3, -1)[:, beams.indices], strict=True):
        flat[at(name), beams.indices] = _open(level, beams)
    every = beam_doses(shadow(levels[2].view(-1)[beams.indices], beams), beams)
    flat[at("beams_seen"), beams.indices] = (every > 0.5 * beams.weight).float().mean(0)
    plans = plan_doses(fluence.to(device), beams)
    flat[FIRST_PLAN : FIRST_PLAN + len(PLANS), beams.indices] = plans / DOSE_UNIT_GY
    flat[at("largest_beam"), beams.indices] = 3 * beam_doses(fluence[1].to(device), beams).amax(0) / DOSE_UNIT_GY
    made *= made[POSSIBLE].clone()
    return made.permute(0, 3, 1, 2).contiguous()


def dose_volume(patient: Patient, device: torch.device) -> Tensor:
    """(1, inferior, posterior, left) in the network's unit. Raises ValueError for a patient whose dose is unknown."""
    if patient.dose_gy is None:
        raise ValueError(f"{patient.name} has no dose")
    volume = torch.from_numpy(patient.dose_gy).to(device) / DOSE_UNIT_GY
    return volume.permute(2, 0, 1)[None].contiguous()


def _open(level: Tensor, beams: BeamGeometry) -> Tensor:
    """Dose of open fields around a level, 1 in its mean; 0 for a level that is not there."""
    if not bool(level.any()):
        return torch.zeros(len(level), device=level.device)
    doses = beam_doses(shadow(level, beams), beams).sum(0)
    return doses / doses[level].mean()
