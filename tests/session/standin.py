"""An honest stand-in for the planner, in tests alone: one open field round the target and a dose made by hand.

It lets the tests of sessions and nodes run in a second; the real planner runs in tests/flow and tests/cli.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from appliance.approval import IdentityStore
from appliance.config import Config
from appliance.contracts import (
    Beam,
    CalculatedDose,
    Case,
    ControlPoint,
    GoalSet,
    Jaws,
    Plan,
    Planned,
    PredictedDose,
    SecondCheck,
)
from appliance.contracts.progress import Progress
from appliance.planning import load_machine
from appliance.session_stages import Stages
from appliance.session_wiring import real_stages

DOSE_GY = 20.5
"""Everywhere in the body, so that the small case's first goal is met and its second is not."""


def open_field(case: Case, goal_set: GoalSet, predicted: PredictedDose | None, progress: Progress) -> Planned:
    machine = load_machine("millennium120")
    pairs = len(machine.mlc.boundaries_mm) - 1
    jaws = Jaws(-30.0, 30.0, -20.0, 20.0)
    start, end = (ControlPoint(mu, 0.0, 0.0, 0.0, jaws, (-30.0,) * pairs, (30.0,) * pairs) for mu in (0.0, 100.0))
    beam = Beam(
        number=1,
        name="Open field",
        machine=machine.treatment_machine,
        energy_mv=machine.energy_mv,
        fluence_mode=machine.fluence_mode,
        isocentre_mm=(0.0, -10.0, 0.0),
        sad_mm=machine.sad_mm,
        dose_rate_mu_min=machine.dose_rate.maximum_mu_min,
        leaf_boundaries_mm=tuple(machine.mlc.boundaries_mm),
        control_points=(start, end),
    )
    plan = Plan("Open", (beam,), goal_set.fractions, case.patient_position)
    progress("open field", 0.5)
    dose_gy = np.float32(DOSE_GY) * case.external.voxels.mask(case.image.grid.shape).astype(np.float32)
    dose = CalculatedDose(case.image.grid, dose_gy, plan.digest, "made by hand", "none")
    progress("open field", 1.0)
    return Planned(plan, dose)


def slow_field(seconds: float) -> Callable[[Case, GoalSet, PredictedDose | None, Progress], Planned]:
    """The same, after working for a while, as a planner does."""

    def plan(case: Case, goal_set: GoalSet, predicted: PredictedDose | None, progress: Progress) -> Planned:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            progress("thinking", 0.1)
            time.sleep(0.02)
        return open_field(case, goal_set, predicted, progress)

    return plan


def agreed(
    case: Case, plan: Plan, dose: CalculatedDose, progress: Progress
) -> tuple[SecondCheck, CalculatedDose | None]:
    """A dose made by hand agrees with no physics: what sessions do with a check that agrees is tried with this one."""
    return SecondCheck(dose.algorithm, "stand-in", True, ("The stand-in agrees",), plan.digest, dose.digest), None


def stages_with(**changed: object) -> Callable[[Config, IdentityStore], Stages]:
    """The real stages, but for the planner, the second check, what takes long of the evaluation (its own tests have
    it), and what is named."""

    def make(config: Config, identities: IdentityStore) -> Stages:
        quick = config.model_copy(
            update={"evaluation": config.evaluation.model_copy(update={"robustness": False, "explain_budget_s": 0.0})}
        )
        return replace(real_stages(quick, identities), **({"plan": open_field, "second_check": agreed} | changed))  # type: ignore[arg-type]

    return make
