"""What a reviewer may ask of a plan besides its evaluation: how robust it is, and why goals are missed. Planning,
execution and evaluation meet here."""

from __future__ import annotations

from functools import partial

from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, Plan
from appliance.contracts.explanation import Explanation, Extent, Reoptimiser
from appliance.contracts.progress import Progress, silent
from appliance.contracts.robustness import ErrorModel, Robustness
from appliance.errors import PlanningError
from appliance.evaluation import goals_for_case
from appliance.evaluation.explain import explain
from appliance.evaluation.explain.explain import plan_values
from appliance.evaluation.robustness import assess_robustness
from appliance.execution import plan_case
from appliance.execution.reach import FluenceReoptimiser
from appliance.planning import PhotonTps, device_errors
from appliance.planning.displaced import DisplacedPlan
from appliance.session_stages import Reviewed
from engines.errors import EngineError

COARSE_BEAMLET_MM, COARSE_GRID_MM, THIN = 5.0, 6.0, 4
"""The re-optimiser's beamlets, tissue lattice and share of samples (chosen: on the C-shape a goal's best value differs
by 0.1 Gy from that of 2.5 mm beamlets on four times the samples, at a quarter of the time)."""
FIELDS_FOR_ARC = 18
"""Static fields that stand for arcs in the re-optimiser, 20 degrees apart (chosen)."""


def robustness_of(
    reviewed: Reviewed, planning: PlanningConfig, errors: ErrorModel | None = None, progress: Progress = silent
) -> Robustness:
    """Every scenario calculated on today's anatomy. Raises PlanningError, EvaluationError, ModelError."""
    case, plan = reviewed.case, reviewed.plan
    try:
        return assess_robustness(
            case,
            reviewed.goal_set,
            plan,
            reviewed.dose,
            doses_at=lambda index: DisplacedPlan(plan, case, index, planning),
            errors=errors,
            progress=progress,
        )
    except EngineError as error:
        raise PlanningError(f"the scenarios cannot be computed ({error}); send the case to support") from error


def explanations_of(
    reviewed: Reviewed,
    planning: PlanningConfig,
    *,
    budget_s: float,
    structures: tuple[str, ...] = (),
    deliverable: bool = False,
    progress: Progress = silent,
) -> tuple[Explanation, ...]:
    """structures: only goals of these; (): of all. deliverable: makes a whole plan for each change that is claimed,
    outside the budget. Raises PlanningError, EvaluationError, ModelError."""
    goals = goals_for_case(reviewed.goal_set, reviewed.case)
    replan = partial(_replanned, reviewed, planning, progress) if deliverable else None
    try:
        with device_errors():
            return explain(
                reviewed.case,
                goals,
                reviewed.dose,
                reviewed.plan,
                lambda: reoptimiser(reviewed.case, goals, planning, reviewed.plan),
                budget_s,
                extent=Extent(structures, replan),
                progress=progress,
            )
    except EngineError as error:
        raise PlanningError(f"the explanation cannot be computed ({error}); send the case to support") from error


def reoptimiser(case: Case, goal_set: GoalSet, planning: PlanningConfig, plan: Plan | None = None) -> Reoptimiser:
    """Beamlet fluence of the case on a coarse grid, from as many static fields as the plan has, or FIELDS_FOR_ARC for
    arcs. goal_set: as `goals_for_case` leaves it. Raises PlanningError, ModelError."""
    is_arc = plan is not None and any(
        point.gantry_deg != beam.gantry_deg for beam in plan.beams for point in beam.control_points
    )
    update: dict[str, object] = {
        "technique": "step_and_shoot",
        "beamlet_mm": max(planning.beamlet_mm, COARSE_BEAMLET_MM),
        "dose_grid_mm": max(planning.dose_grid_mm, COARSE_GRID_MM),
    }
    if is_arc or planning.technique == "vmat":
        update["beams"] = FIELDS_FOR_ARC
    return FluenceReoptimiser(PhotonTps(case, goal_set, planning.model_copy(update=update), thin=THIN), goal_set)


def _replanned(
    reviewed: Reviewed, planning: PlanningConfig, progress: Progress, goal_set: GoalSet
) -> tuple[float, ...]:
    tps = PhotonTps(reviewed.case, goal_set, planning, progress)
    _, dose = plan_case(tps, goal_set, progress, sparing_rounds=planning.sparing_rounds)
    return plan_values(reviewed.case, goal_set, dose)
