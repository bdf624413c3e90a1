"""The goals under uncertainty: scenarios, bands, and the chance of each goal to be kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import CalculatedDose, Case, ClinicalGoal, Comparator, GoalSet, MetricKind, Plan
from appliance.contracts.progress import Progress, silent
from appliance.contracts.robustness import (
    Displacement,
    DosesAt,
    DvhBand,
    ErrorModel,
    GoalRobustness,
    Robustness,
    Scenario,
)
from appliance.errors import EvaluationError
from appliance.evaluation.dose_on_image import check_dose, dose_on_image
from appliance.evaluation.goal_choice import goals_for_case
from appliance.evaluation.robustness.chance import Axes, judged
from appliance.evaluation.robustness.doses import StaticCloud, scenario_doses
from appliance.evaluation.robustness.metrics import Measuring
from appliance.evaluation.robustness.regions import Regions, regions_of
from appliance.evaluation.robustness.scenarios import check_scenarios, set_up
from engines.robustness import dvh_family

RECALCULATED = (
    "Every scenario was calculated by the pencil beam with the patient displaced, and what the plan's own dose differs "
    "by in place was added"
)
CLOUD = "The dose was held still in the room and the patient moved in it; no scenario was calculated anew"
BAND_POINTS = 101
"""Points of a DVH band (chosen: 1 % of its highest dose apart)."""
PLANNING, CLINICAL = "PTV", "CTV"

Array = NDArray[np.float32]


def assess_robustness(
    case: Case,
    goal_set: GoalSet,
    plan: Plan,
    dose: CalculatedDose,
    *,
    doses_at: DosesAt | None = None,
    errors: ErrorModel | None = None,
    progress: Progress = silent,
) -> Robustness:
    """doses_at: calculates the plan on displaced patients; None: the dose is held still in the room, which is said.

    Raises EvaluationError for a dose that is not the plan's or does not cover the goals' structures, and for an error
    model that cannot be; RefusedGoals."""
    errors = errors or ErrorModel()
    check_errors(errors, case)
    check_dose(dose, plan)
    goals = goals_for_case(goal_set, case)
    asked = (*((goal, False) for goal in goals.goals), *((goal, True) for goal in clinical_goals(goals, case)))
    regions = regions_of(case, list(dict.fromkeys(goal.structure for goal, _ in asked)))
    dose_gy, notes = dose_on_image(dose, case.image.grid)
    nominal_gy = dose_gy.reshape(-1)[regions.index]
    _check_covered(dose_gy, regions)
    setting = set_up(errors, plan.fractions)
    checks = check_scenarios(setting, errors.checks, errors.seed)
    every = (*setting.scenarios, *(scenario for scenario, _ in checks))
    if doses_at is None:
        doses = StaticCloud(dose_gy, case.image.grid, regions.index, plan.beams[0].isocentre_mm)
    made = scenario_doses(doses_at(regions.index) if doses_at else doses, every, nominal_gy, setting, progress)
    measuring = Measuring(case, dose_gy, nominal_gy, made, errors)
    axes = Axes(setting, tuple(x for _, x in checks), errors)
    rows, found_notes = [], [*setting.notes, *goals.notes, *notes]
    for goal, added in asked:
        region = regions.by_name[goal.structure]
        measured = measuring.goal(goal, region)
        moved = [
            measuring.motion(goal, region, motion) if motion.structure in goal.structure.split("+") else None
            for motion in errors.motions
        ]
        found_notes += measured.notes
        rows.append(replace(judged(goal, measured, every, axes, moved), added=added))
    return Robustness(
        scenarios=(*every, *_motion_scenarios(errors)),
        goals=tuple(rows),
        bands=_bands(regions, made[: len(setting.scenarios)], nominal_gy, setting.scenarios),
        errors=errors,
        fractions=plan.fractions,
        method=RECALCULATED if doses_at else CLOUD,
        voxels=int(regions.index.size),
        notes=tuple(dict.fromkeys((*found_notes, *_planning_note(rows)))),
    )


def check_errors(errors: ErrorModel, case: Case) -> None:
    """Raises EvaluationError, naming what cannot be."""
    sizes = (*errors.systematic_mm, *errors.random_mm, *errors.rotation_deg, errors.dose_percent, errors.contour_mm)
    if not all(np.isfinite(size) and size >= 0 for size in (*sizes, errors.shift_mm, errors.turn_deg)):
        raise EvaluationError("the sizes of errors must be zero or more; correct the error model")
    if errors.checks < 0 or errors.draws < 100:
        raise EvaluationError("the error model needs at least 100 draws and no fewer than 0 checks; correct it")
    for motion in errors.motions:
        if case.structure(motion.structure) is None:
            raise EvaluationError(f"the case has no structure {motion.structure} that could move; correct the motion")


def clinical_goals(goal_set: GoalSet, case: Case) -> tuple[ClinicalGoal, ...]:
    """Goals of coverage on PTVs, asked of the CTV of the same name where the case has one: under set-up errors that is
    the question, a PTV is the margin against them."""
    found = []
    known = {(goal.structure, str(goal.metric)) for goal in goal_set.goals}
    for goal in goal_set.goals:
        if not goal.structure.startswith(PLANNING) or goal.comparator is not Comparator.AT_LEAST:
            continue
        name = CLINICAL + goal.structure.removeprefix(PLANNING)
        structure = case.structure(name)
        if structure is not None and not structure.voxels.empty and (name, str(goal.metric)) not in known:
            if goal.metric.kind is MetricKind.VOLUME_AT_DOSE and goal.unit == "cc":
                continue  # cc of a PTV say nothing of a smaller CTV
            found.append(replace(goal, structure=name))
    return tuple(found)


def _check_covered(dose_gy: Array, regions: Regions) -> None:
    flat = dose_gy.reshape(-1)
    for name, region in regions.by_name.items():
        if np.isnan(flat[region.voxels.index]).any():
            raise EvaluationError(f"the dose grid does not cover {name}; calculate the dose on a larger grid")


def _motion_scenarios(errors: ErrorModel) -> tuple[Scenario, ...]:
    made = []
    for motion in errors.motions:
        for sign, end in ((-1.0, "one"), (1.0, "the other")):
            x, y, z = (sign * extent for extent in motion.extent_mm)
            name = f"{motion.structure} at {end} end of its range"
            made.append(Scenario(name, "motion", Displacement(shift_mm=(x, y, z)), 0.0))
    return tuple(made)


def _bands(regions: Regions, doses: Array, nominal_gy: Array, scenarios: tuple[Scenario, ...]) -> tuple[DvhBand, ...]:
    weights = np.array([scenario.weight for scenario in scenarios])
    bands = []
    for name, region in regions.by_name.items():
        own = doses[:, region.position]
        edges = np.linspace(0.0, max(float(own.max()), 1e-3) * 1.01, BAND_POINTS)
        family = dvh_family(own, region.cc, edges)
        nominal = dvh_family(nominal_gy[None, region.position], region.cc, edges)[0]
        rows = (nominal, family.min(axis=0), family.max(axis=0), weights @ family / weights.sum())
        bands.append(DvhBand(name, _rounded(edges, 3), *(_rounded(row, 3) for row in rows)))
    return tuple(bands)


def _rounded(values: NDArray[np.float64], decimals: int) -> tuple[float, ...]:
    return tuple(values.round(decimals).tolist())


def _planning_note(rows: list[GoalRobustness]) -> list[str]:
    names = sorted({row.structure for row in rows if row.on_planning_volume})
    if not names:
        return []
    return [
        f"{', '.join(names)}: a PTV is itself the margin for set-up errors and is expected to lose coverage at its "
        "border under them; the question they answer is that of the CTV"
    ]
