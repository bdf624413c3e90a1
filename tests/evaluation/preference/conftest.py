"""A clinic of simulated physicians and the model fitted to it, made once for all tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from appliance.contracts.preference import PreferenceExample
from appliance.evaluation.preference import PreferenceModel, fit_model

from .simulated import SITES, Physician, clinic, draw_plan


@dataclass(frozen=True)
class Clinic:
    physicians: list[Physician]
    newcomers: list[Physician]
    examples: Sequence[PreferenceExample]
    model: PreferenceModel


@pytest.fixture(scope="session")
def made() -> Clinic:
    random, sites = np.random.default_rng(3), list(SITES)
    people = clinic(random, 8)
    members, newcomers = people[:6], people[6:]
    examples = [
        member.decide(draw_plan(random, sites[index % 3]), case=f"case {index % 60}")
        for member in members
        for index in range(90)
    ]
    return Clinic(members, newcomers, examples, fit_model(examples, made_by="test"))
