"""How far a patient may be from the reference on a day: motions drawn at random, sized by the patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.builtin.daily import Anatomy
from appliance.builtin.daily_motion import Bumps, Flexion, Motion, SetUp, Shrinkage, Step, WeightLoss, strength_leaving
from appliance.builtin.deformation import Bump, Deformation
from engines.registration import RigidTransform

SCENARIOS = ("bumps", "weight loss", "tumour shrinks", "neck bends", "all")

SET_UP_MM, SET_UP_DEG = 6.0, 2.0
"""Largest shift and rotation along and about each axis (chosen: what is left after laser set-up, twice over)."""

BUMP_MM, BUMP_SIGMA_MM = (4.0, 7.0), (25.0, 40.0)
"""Of each of BUMPS bumps; with the set-up up to some 15 mm."""
BUMPS = 4

LOST_AREA = 0.1
"""Of each section below the skull: 10 % of the weight."""

KEPT_TUMOUR = 0.7

BEND_DEG = (4.0, 7.0)
"""Of the neck: 10 to 18 mm at 150 mm above the pivot."""


def motion_of(reference: Anatomy, scenario: str, target: str, seed: int) -> Motion:
    """scenario: one of SCENARIOS. target: name of the mask that shrinks. The motion is one-to-one."""
    random = np.random.default_rng(seed)
    inside = _centres_mm(reference, "External")
    middle = inside.mean(axis=0)
    shift = random.uniform(-SET_UP_MM, SET_UP_MM, 3).tolist()
    turn = random.uniform(-SET_UP_DEG, SET_UP_DEG, 3).tolist()
    set_up = RigidTransform.of(tuple(shift), tuple(turn), tuple(middle.tolist()))
    steps: list[Step] = [SetUp(set_up)]
    if scenario in ("bumps", "all"):
        steps.append(Bumps(Deformation(bumps=tuple(_bump(inside, random) for _ in range(BUMPS)))))
    if scenario in ("weight loss", "all"):
        steps.append(_weight_loss(reference, middle))
    if scenario in ("tumour shrinks", "all"):
        steps.append(_tumour(_centres_mm(reference, target)))
    if scenario in ("neck bends", "all"):
        pivot = (float(middle[1]) + 20.0, float(middle[2]) - 20.0)  # chosen: the spine, at the lower neck
        steps.append(Flexion(pivot, float(random.uniform(*BEND_DEG))))
    return Motion(tuple(steps))


def _centres_mm(anatomy: Anatomy, name: str) -> NDArray[np.float64]:
    return anatomy.grid.centres_mm(np.flatnonzero(anatomy.masks[name])).astype(np.float64)


def _bump(inside: NDArray[np.float64], random: np.random.Generator) -> Bump:
    x, y, z = inside[int(random.integers(len(inside)))].tolist()
    way = random.standard_normal(3)
    way *= random.uniform(*BUMP_MM) / np.linalg.norm(way)
    dx, dy, dz = way.tolist()
    return Bump((x, y, z), (dx, dy, dz), float(random.uniform(*BUMP_SIGMA_MM)))


def _weight_loss(reference: Anatomy, middle: NDArray[np.float64]) -> WeightLoss:
    """strength: so that a section as large as the one a third up loses LOST_AREA, g = 1 - 1/e at its outline."""
    section = reference.masks["External"][reference.grid.shape[0] // 3]
    area_mm2 = float(section.sum()) * reference.grid.spacing_mm[0] * reference.grid.spacing_mm[1]
    strength = (1.0 / np.sqrt(1.0 - LOST_AREA) - 1.0) / (1.0 - np.exp(-1.0))
    x, y, z = middle.tolist()
    return WeightLoss((x, y), float(np.sqrt(area_mm2 / np.pi)), float(strength), z + 20.0)


def _tumour(inside: NDArray[np.float64]) -> Shrinkage:
    """An ellipsoid with the target's middle and spread: half axes of two standard deviations, a ball has 2.2."""
    x, y, z = inside.mean(axis=0).tolist()
    half_x, half_y, half_z = (2.0 * inside.std(axis=0)).tolist()
    return Shrinkage((x, y, z), (half_x, half_y, half_z), strength_leaving(KEPT_TUMOUR))
