"""Anatomies to be judged: a made-up head and neck like those of the training, and the built-in cases on a 4 mm grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from appliance.builtin.cases import CASES
from appliance.prediction.facts import AnatomyFacts, Treatment
from appliance.prediction.range_model import RangeModel, load_range_model

RANGE = Path(__file__).parents[2] / "models" / "dose" / "range.json"
SHAPE, SPACING = (64, 64, 96), (3.0, 4.0, 4.0)
PLANNED = Treatment(fractions=35, gantry_deg=tuple(40.0 * n for n in range(9)))
PRESCRIBED = {"c-shape": (50.0,), "prostate": (75.6,), "head-neck": (50.0,), "multi-target": (50.0, 25.0, 12.5)}
"""Highest prescriptions of the built-in cases' goal sets, by target."""


def known() -> RangeModel:
    return load_range_model(RANGE)


def ball(centre_mm: tuple[float, float, float], half_mm: tuple[float, float, float]) -> np.ndarray:
    """Ellipsoid about a point (z, y, x) from the middle of the grid."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    off = [((p - c) / h) ** 2 for p, c, h in zip((z, y, x), centre_mm, half_mm, strict=True)]
    return np.asarray(sum(off) < 1.0)


class Neck:
    """A neck whose numbers lie near the medians of the training; a test changes what it is about."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.possible = ball((0, 0, 0), (500, 110, 150)) & ball((0, 0, 0), (96, 500, 500))
        self.organs = {
            "Brainstem": ball((65, 5, 0), (25, 14, 14)), "SpinalCord": ball((-30, 15, 0), (75, 6.5, 6.5)),
            "Parotid_R": ball((30, -25, -59), (25, 17, 14)), "Parotid_L": ball((30, -25, 59), (25, 17, 14)),
            "Esophagus": ball((-85, -5, 2), (36, 9, 9)), "Larynx": ball((-40, -38, 0), (18, 18, 18)),
            "Bone_Mandible": ball((18, -72, 0), (35, 13, 34)),
        }  # fmt: skip
        high = ball((-10, -25, 0), (45, 45, 36))
        low = ball((-15, -25, 0), (72, 60, 75)) & ~high
        for organ in self.organs.values():
            low &= ~organ
        high &= ~self.organs["SpinalCord"] & ~self.organs["Larynx"]
        self.targets = [(70.0, high), (56.0, low)]
        self.ct = rng.normal(20.0, 60.0, SHAPE).astype(np.float32)
        draw = rng.random(SHAPE)
        self.ct[draw < 0.06] = -700.0
        self.ct[draw < 0.014] = -980.0
        self.ct[draw > 0.89] = 400.0
        self.ct[high | low] = np.where(draw < 0.02, -700.0, 30.0)[high | low]
        self.ct[~self.possible] = -1000.0
        self.spacing_mm = SPACING
        self.treatment = PLANNED

    def facts(self) -> AnatomyFacts:
        return AnatomyFacts.of(self.possible, self.organs, self.targets, self.ct, self.spacing_mm, self.treatment)


def builtin(name: str) -> AnatomyFacts:
    """A built-in case as the network would be told of it: water, its own names and prescriptions, 4 mm voxels."""
    solids = CASES[name].solids()
    lower, upper = solids["External"].lower_mm, solids["External"].upper_mm
    x, y, z = (np.arange(a - 8, b + 8, step, np.float32) for a, b, step in zip(lower, upper, (4, 4, 2.5), strict=True))
    masks = {
        key: np.asarray(solid.field(x[None, None, :], y[None, :, None], z[:, None, None]) < 0)
        for key, solid in solids.items()
    }
    body = masks.pop("External")
    aimed = [mask for key, mask in masks.items() if key.startswith("PTV")]
    organs = {key: mask for key, mask in masks.items() if not key.startswith("PTV")}
    ct = np.where(body, np.random.default_rng(1).normal(0.0, 5.0, body.shape), -1000.0).astype(np.float32)
    return AnatomyFacts.of(
        body, organs, list(zip(PRESCRIBED[name], aimed, strict=True)), ct, (2.5, 4.0, 4.0),
        Treatment(fractions=42 if name == "prostate" else 25),
    )  # fmt: skip
