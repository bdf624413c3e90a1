"""Judges one calculated dose against the goals of the case, always on the image grid.

Sampling: every voxel of the image grid with its partial-volume fraction (`Structure.voxels`); dose at the voxel
centre. DVH curves have bins of 0.1 Gy and are written to 0.0001 %; goals are judged on unrounded values from the
sorted voxels (`engines.dvh` states the convention), never on the binned curve.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import (
    CalculatedDose,
    Case,
    ClinicalGoal,
    Comparator,
    DvhCurve,
    Evaluation,
    GoalResult,
    GoalSet,
    MetricKind,
    Plan,
    PlanFacts,
    Structure,
    StructureKind,
    TargetIndices,
)
from appliance.errors import EvaluationError
from appliance.evaluation.dose_on_image import check_dose, dose_on_image
from appliance.evaluation.goal_choice import goals_for_case
from engines.dvh import DoseVolume, cumulative_dvh, dose_at_volume, dose_metric, mean_dose, volume_at_dose
from engines.grid import VoxelSet

DVH_BIN_GY = 0.1
"""Chosen, because it is finer than any difference a plan is judged by and keeps a curve below 1,000 points."""

HOT_VOLUME_CC = 0.1
"""The hottest 0.1 cc stands for the maximum: OpenKBP-Opt's near-maximum, a cube of under 5 mm."""

NOTE_CUT_BODY = (
    "The dose grid does not reach all of the External; its hottest 0.1 cc and the isodose volumes count only the part "
    "that it reaches"
)
NOTE_CUT_ORGAN = "{name} reaches out of the dose grid; its dose-volume histogram is left out"


@dataclass(frozen=True, eq=False)
class _Judged:
    """What all parts of the judgement share: dose_gy (z, y, x) on the image grid, NaN outside the dose grid."""

    case: Case
    goal_set: GoalSet
    dose_gy: NDArray[np.float32]

    def samples(self, voxels: VoxelSet) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(dose_gy, cc) of the voxels; dose NaN where there is none."""
        cc = voxels.fraction * np.float32(self.case.image.grid.voxel_volume_cc)
        return self.dose_gy.reshape(-1)[voxels.index], cc

    def covered(self, name: str, voxels: VoxelSet) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`samples`, or EvaluationError naming the structure that is empty or not wholly in the dose grid."""
        if voxels.empty:
            raise EvaluationError(f"{name} has no volume on today's image; correct its contours")
        dose_gy, cc = self.samples(voxels)
        outside = np.isnan(dose_gy)
        if outside.any():
            share = 100.0 * float(cc[outside].sum()) / float(cc.sum())
            raise EvaluationError(
                f"the dose grid does not cover {name} ({share:.1f} % of it lies outside); calculate the dose on a "
                "larger grid"
            )
        return dose_gy, cc

    def union(self, names: str) -> VoxelSet:
        """Voxels of a structure, or of several joined by '+'."""
        voxels: VoxelSet | None = None
        for name in names.split("+"):
            structure = self.case.structure(name)
            if structure is None:
                raise EvaluationError(f"the case has no structure {name}")
            voxels = structure.voxels if voxels is None else voxels.union(structure.voxels)
        if voxels is None:
            raise EvaluationError("a goal names no structure")
        return voxels


def evaluate(
    case: Case, goal_set: GoalSet, dose: CalculatedDose, facts: PlanFacts, *, plan: Plan | None = None
) -> Evaluation:
    """The judgement of `dose` on today's anatomy. `goal_set` is reduced to what applies (`goals_for_case`); hand in
    `plan` to have dose and facts checked against it.

    Raises EvaluationError for a predicted dose, a dose that is not finite, negative or of another plan, or one whose
    grid does not cover a target or a structure with a goal (named); RefusedGoals if the goals do not fit the case.
    """
    check_dose(dose, plan)
    if plan is not None:
        _check_facts(facts, plan)
    applicable = goals_for_case(goal_set, case)
    dose_gy, notes = dose_on_image(dose, case.image.grid)
    judged = _Judged(case, applicable, dose_gy)
    goals = _goal_results(judged)
    body_gy, body_cc = _body(judged)
    targets = tuple(
        _target_indices(judged, name, prescribed_gy, volume_at_dose(body_gy, body_cc, prescribed_gy))
        for name, prescribed_gy in applicable.prescription
    )
    curves, cut = _dvh_curves(judged)
    return Evaluation(
        goals=goals,
        dvh=curves,
        targets=targets,
        plan=replace(facts, mu_per_gy=_mu_per_gy(facts.mu, applicable)),
        hottest_01cc_gy=dose_at_volume(body_gy, body_cc, HOT_VOLUME_CC),
        plan_digest=dose.plan_digest,
        dose_digest=dose.digest,
        goal_set=applicable.name,
        goal_set_digest=applicable.digest,
        notes=(*applicable.notes, *dose.notes, *notes, *cut),
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


def _goal_results(judged: _Judged) -> tuple[GoalResult, ...]:
    sorted_once: dict[str, DoseVolume] = {}
    results = []
    for goal in judged.goal_set.goals:
        if goal.structure not in sorted_once:
            sorted_once[goal.structure] = DoseVolume.of(*judged.covered(goal.structure, judged.union(goal.structure)))
        value = _value(goal, sorted_once[goal.structure])
        results.append(
            GoalResult(
                structure=goal.structure,
                metric=str(goal.metric),
                comparator=goal.comparator.value,
                limit=goal.limit,
                unit=goal.unit,
                value=value,
                met=goal.met_by(value),
                priority=goal.priority,
                source=goal.source,
                approximate=goal.approximate,
                grade=goal.grade_of(value),
                variation=goal.variation,
                endpoint=goal.endpoint,
                doi=goal.doi,
                passage=goal.passage,
            )
        )
    return tuple(results)


def _value(goal: ClinicalGoal, volume: DoseVolume) -> float:
    """A structure smaller than x cc reports its maximum as D_xcc: safe for an upper limit; a lower one is refused."""
    metric = goal.metric
    too_small = metric.kind is MetricKind.DOSE_AT_CC and metric.argument > volume.total
    if too_small and goal.comparator is Comparator.AT_LEAST:
        raise EvaluationError(f"{goal.structure} has only {volume.total:.2f} cc, so {goal} cannot be judged")
    return dose_metric(metric.kind.value, metric.argument, volume, unit=goal.unit)


def _body(judged: _Judged) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(dose_gy, cc) of the part of the External that the dose grid reaches."""
    dose_gy, cc = judged.samples(judged.case.external.voxels)
    reached = ~np.isnan(dose_gy)
    if not reached.any():
        raise EvaluationError("the dose grid does not reach the patient; check the frame of reference of the dose")
    return dose_gy[reached], cc[reached]


def _target_indices(judged: _Judged, name: str, prescribed_gy: float, isodose_cc: float) -> TargetIndices:
    """Homogeneity (D2% - D98%) / D50% (ICRU Report 83, 2010) of the target, and Paddick's conformity index
    TV_PIV² / (TV · PIV) (Paddick, J Neurosurg 93 Suppl 3:219, 2000).

    PIV is `isodose_cc`, the volume of the External with at least the prescribed dose. TV is the target together with
    all targets prescribed more (chosen, because their volume has to be inside this isodose too).
    """
    volume = DoseVolume.of(*judged.covered(name, judged.union(name)))
    median_gy = volume.dose_at_percent(50)
    if median_gy <= 0:
        raise EvaluationError(f"half of {name} receives no dose at all; check that dose and image belong together")
    higher = [other for other, dose_gy in judged.goal_set.prescription if dose_gy > prescribed_gy]
    target_gy, target_cc = judged.covered(name, judged.union("+".join([name, *higher])))
    inside_cc = volume_at_dose(target_gy, target_cc, prescribed_gy)
    total_cc = float(target_cc.sum(dtype=np.float64))
    return TargetIndices(
        structure=name,
        prescribed_gy=prescribed_gy,
        paddick_conformity=inside_cc**2 / (total_cc * isodose_cc) if isodose_cc > 0 else 0.0,
        homogeneity=(volume.dose_at_percent(2) - volume.dose_at_percent(98)) / median_gy,
    )


def _dvh_curves(judged: _Judged) -> tuple[tuple[DvhCurve, ...], tuple[str, ...]]:
    """(curves in the order of the structure set, notes on what is left out). Couch and other supports have none."""
    curves, notes = [], []
    for structure in judged.case.structures:
        if structure.kind is StructureKind.SUPPORT or structure.voxels.empty:
            continue
        dose_gy, cc = judged.samples(structure.voxels)
        if not np.isnan(dose_gy).any():
            curves.append(_curve(structure, dose_gy, cc))
        elif structure.kind is StructureKind.EXTERNAL:
            notes.append(NOTE_CUT_BODY)
        else:
            notes.append(NOTE_CUT_ORGAN.format(name=structure.tg263))
    return tuple(curves), tuple(notes)


def _curve(structure: Structure, dose_gy: NDArray[np.float32], cc: NDArray[np.float32]) -> DvhCurve:
    edge_gy, percent = cumulative_dvh(dose_gy, cc, DVH_BIN_GY)
    return DvhCurve(
        structure=structure.tg263,
        volume_cc=float(cc.sum(dtype=np.float64)),
        mean_gy=mean_dose(dose_gy, cc),
        min_gy=float(dose_gy.min()),
        max_gy=float(dose_gy.max()),
        dose_gy=tuple(edge_gy.round(4).tolist()),
        volume_percent=tuple(percent.round(4).tolist()),
    )
