"""A small made-up patient: a head-sized ellipsoid with three targets, parotids and a cord. No data folder is needed."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from models.dose.data import ROIS, Patient
from models.dose.features import DOSE_UNIT_GY, FIRST_PLAN, POSSIBLE, features

SHAPE, SPACING = (30, 34, 26), (5.0, 5.0, 4.0)


def patient(name: str = "pt_1", *, seed: int = 0, with_ct: bool = True, shift: int = 0) -> Patient:
    """Axes posterior, left, inferior. Its dose is that of a quick plan, a tenth lower on one side of the midline."""
    rng = np.random.default_rng(seed)
    a, b, c = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij")
    body = (a / 14) ** 2 + (b / 16) ** 2 + (c / 20) ** 2 < 1
    label = body.astype(np.uint16)

    def add(region: str, inside: np.ndarray) -> None:
        label[inside & body] |= np.uint16(1 << ROIS.index(region))

    add("PTV70", a**2 + (b - 3 - shift) ** 2 + c**2 < 16)
    add("PTV63", (a**2 + (b + 6) ** 2 + c**2 < 12))
    add("PTV56", (abs(a) < 4) & (abs(b) < 10) & (abs(c) < 8))
    add("RightParotid", (a**2 + (b + 12) ** 2 + c**2 < 9))
    add("LeftParotid", (a**2 + (b - 12) ** 2 + c**2 < 9))
    add("SpinalCord", (a - 8) ** 2 + b**2 < 4)
    ct = (40 + 20 * rng.standard_normal(SHAPE)).astype(np.float32) if with_ct else None
    bare = Patient(name, label, ct, None, SPACING, (0, 0, 0))
    facts = features(bare, torch.device("cpu"))
    dose = (facts[FIRST_PLAN] * facts[POSSIBLE] * DOSE_UNIT_GY).permute(1, 2, 0).numpy()
    dose = np.where(b < 0, 0.9 * dose, dose)
    return dataclasses.replace(bare, dose_gy=(np.round(dose / 0.05) * 0.05).astype(np.float32))
