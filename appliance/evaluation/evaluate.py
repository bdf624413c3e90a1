"""Judges one calculated dose against the goals of the case, always on the image grid.

Sampling: every voxel of the image grid with its partial-volume fraction (`Structure.voxels`); dose at the voxel
centre. DVH curves have bins of 0.1 Gy and are written to 0.0001 %; goals are judged on unrounded values from the
voxels themselves (`engines.dvh` states the convention), never on the binned curve.
"""

from __future__ import annotations

from dataclasses import replace

from appliance.contracts import (
    CalculatedDose,
    Case,
    DvhCurve,
    Evaluation,
    GoalSet,
    Plan,
    PlanFacts,
    StructureKind,
    TargetIndices,
)
from appliance.errors import EvaluationError
from appliance.evaluation.dose_on_image import check_dose, dose_on_image
from appliance.evaluation.goal_evaluator import GoalEvaluator
from appliance.evaluation.goal_reduction import goals_for_case
from appliance.evaluation.judged import Judged, Outside

HOT_VOLUME_CC = 0.1
"""The hottest 0.1 cc stands for the maximum: OpenKBP-Opt's near-maximum, a cube of under 5 mm."""

NOTE_CUT_BODY = (
    "The dose grid does not reach all of the External; its hottest 0.1 cc and the isodose volumes count only the part "
    "that it reaches"
)
NOTE_CUT_ORGAN = "{name} reaches out of the dose grid; its dose-volume histogram is left out"


def evaluate(
    case: Case, goal_set: GoalSet, dose: CalculatedDose, facts: PlanFacts, *, plan: Plan | None = None
) -> Evaluation:
    """The judgement of `dose` on today's anatomy. `goal_set` is reduced to what applies (`goals_for_case`); hand in
    `plan` to have dose and facts checked against it. A goal on an organ that cannot be judged becomes a finding.

    Raises EvaluationError for a predicted dose, a dose that is not finite, negative or of another plan, or one whose
    grid does not cover a target (named); RefusedGoals if the goals do not fit the case.
    """
    check_dose(dose, plan)
    if plan is not None:
        _check_facts(facts, plan)
    applicable = goals_for_case(goal_set, case)
    evaluator = GoalEvaluator(case, applicable)
    dose_gy, notes = dose_on_image(dose, case.image.grid)
    judged = Judged(evaluator.regions, dose_gy)
    goals = evaluator.judge_sampled(judged)
    body = judged.reached(case.external.tg263)
    curves, cut = _dvh_curves(judged)
    return Evaluation(
        goals=goals.results,
        dvh=curves,
        targets=tuple(
            _target_indices(judged, applicable, name, body.volume_at_dose(prescribed_gy))
            for name, prescribed_gy in applicable.prescription
        ),
        plan=replace(facts, mu_per_gy=_mu_per_gy(facts.mu, applicable), fractions=applicable.fractions),
        hottest_01cc_gy=body.dose_at_volume(HOT_VOLUME_CC),
        plan_digest=dose.plan_digest,
        dose_digest=dose.digest,
        goal_set=applicable.name,
        goal_set_digest=applicable.digest,
        guideline=applicable.guideline,
        notes=(*applicable.notes, *dose.notes, *notes, *cut),
        findings=goals.findings,
    )


def _mu_per_gy(mu: float, goal_set: GoalSet) -> float:
    """MU of one fraction for each Gy that it gives to the target with the highest prescription; 0 without one."""
    highest_gy = max((dose_gy for _, dose_gy in goal_set.prescription), default=0.0)
    return mu * goal_set.fractions / highest_gy if highest_gy > 0 else 0.0


def _check_facts(facts: PlanFacts, plan: Plan) -> None:
    told = (round(facts.mu, 3), facts.beams, facts.control_points)
    real = (round(plan.mu, 3), len(plan.beams), plan.control_point_count)
    if told != real:
        raise EvaluationError(
            f"the machine check is of another plan (MU, beams, control points {told}, the plan has {real}); check the "
            "plan again"
        )


def _target_indices(judged: Judged, goal_set: GoalSet, name: str, isodose_cc: float) -> TargetIndices:
    """Homogeneity (D2% - D98%) / D50% (ICRU Report 83, 2010) of the target, and Paddick's conformity index
    TV_PIV² / (TV · PIV) (Paddick, J Neurosurg 93 Suppl 3:219, 2000).

    PIV is `isodose_cc`, the volume of the External with at least the prescribed dose. TV is the target together with
    all targets prescribed more (chosen, because their volume has to be inside this isodose too).
    """
    prescribed_gy = dict(goal_set.prescription)[name]
    volume = judged.volume(name)
    median_gy = volume.dose_at_percent(50)
    if median_gy <= 0:
        raise EvaluationError(f"half of {name} receives no dose at all; check that dose and image belong together")
    higher = [other for other, dose_gy in goal_set.prescription if dose_gy > prescribed_gy]
    all_higher = judged.volume("+".join([name, *higher]))
    inside_cc = all_higher.volume_at_dose(prescribed_gy)
    return TargetIndices(
        structure=name,
        prescribed_gy=prescribed_gy,
        paddick_conformity=inside_cc**2 / (all_higher.total * isodose_cc) if isodose_cc > 0 else 0.0,
        homogeneity=(volume.dose_at_percent(2) - volume.dose_at_percent(98)) / median_gy,
    )


def _dvh_curves(judged: Judged) -> tuple[tuple[DvhCurve, ...], tuple[str, ...]]:
    """(curves in the order of the structure set, notes on what is left out). Couch and other supports have none."""
    curves, notes = [], []
    for structure in judged.regions.case.structures:
        if structure.kind is StructureKind.SUPPORT or structure.voxels.empty:
            continue
        volume = judged.sampled(structure.tg263)
        if not isinstance(volume, Outside):
            curves.append(DvhCurve.of(structure.tg263, volume))
        elif structure.kind is StructureKind.EXTERNAL:
            notes.append(NOTE_CUT_BODY)
        else:
            notes.append(NOTE_CUT_ORGAN.format(name=structure.tg263))
    return tuple(curves), tuple(notes)
