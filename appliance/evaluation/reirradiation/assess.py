"""What an earlier course and today's dose add up to, against the goals' limits and the published ones on the sum."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, ClinicalGoal, Comparator, GoalSet, MetricKind, StructureKind
from appliance.contracts.goals import Metric
from appliance.contracts.prior import CumulativeResult, PriorCourse, PriorMaterial
from appliance.errors import PriorNotSummed
from appliance.evaluation.reirradiation.placing import Placed, place
from appliance.evaluation.reirradiation.summing import Course, Summed, course_in, largest_prior_eqd2_gy, summed
from appliance.evaluation.reirradiation.tolerances import (
    NO_RECOVERY,
    Limit,
    Sourced,
    Tolerances,
    alpha_beta_of,
    recovery_of,
    shipped_tolerances,
)
from engines.grid import VoxelSet
from engines.radiobiology import eqd2

LEAST_PRIOR_GY = 0.5
"""An organ takes part where the earlier course's EQD2 reaches this (chosen: a hundredth of any limit)."""

PHYSICAL = "The goals on today's plan are judged on today's dose alone; the figures here are of both courses, as EQD2"
NOT_SUMMED = (StructureKind.TARGET, StructureKind.EXTERNAL, StructureKind.SUPPORT)
NOT_ASKED = Sourced(0.0, NO_RECOVERY)
UNCOVERED = "Today's dose grid does not reach {share:.1f} % of {structure}; there today's dose counts as 0 in the sum"
NO_LIMIT = "The limit of {source} on {structure} was not applied: {reason}"


@dataclass(frozen=True, eq=False)
class _Both:
    """What every result needs. counts: fractions of today's and of the earlier course."""

    case: Case
    goal_set: GoalSet
    dose_gy: NDArray[np.floating]
    counts: tuple[int, int]
    prior: PriorMaterial
    placed: Placed
    tolerances: Tolerances
    count_recovery: bool
    made: dict[str, Course | None] = field(default_factory=dict)

    def course(self, name: str) -> Course | None:
        """None for a structure, or a union joined by '+', that the case lacks or that is empty."""
        if name not in self.made:
            parts = [self.case.structure(part) for part in name.split("+")]
            found = [item.voxels for item in parts if item is not None and not item.voxels.empty]
            self.made[name] = self._course(found) if found and len(found) == len(parts) else None
        return self.made[name]

    def _course(self, parts: list[VoxelSet]) -> Course:
        voxels = reduce(VoxelSet.union, parts)
        uncertainty_mm = self.placed.quality.uncertainty_mm
        return course_in(self.case, voxels, self.dose_gy, self.prior, self.placed.to_prior, uncertainty_mm)

    @property
    def uncovered(self) -> tuple[str, ...]:
        """A note for each structure that today's dose grid does not reach wholly."""
        return tuple(
            UNCOVERED.format(share=100 * course.uncovered, structure=name)
            for name, course in self.made.items()
            if course is not None and course.uncovered > 0
        )

    def prior_eqd2_gy(self, course: Course, ratio: Sourced) -> float:
        """Hottest voxel of the earlier course, as registered."""
        return float(eqd2(float(course.prior_gy.max()), self.counts[1], ratio.value))


@dataclass(frozen=True)
class _Wanted:
    """One upper limit on the sum, in EQD2."""

    structure: str
    metric: str
    limit: float
    unit: str
    limit_from: str
    source: str
    priority: int


def assess_prior(
    case: Case,
    dose_gy: NDArray[np.floating],
    fractions: int,
    prior: PriorMaterial,
    *,
    goal_set: GoalSet,
    count_recovery: bool = False,
    tolerances: Tolerances | None = None,
) -> PriorCourse:
    """The earlier course on today's anatomy and the cumulative EQD2 of every organ with a goal or a published limit.

    dose_gy: (z, y, x) today's total dose in Gy on `case.image.grid`, NaN where none was calculated; fractions: of
    today's course. goal_set: upper limits on organs, each turned into EQD2 with its own fractions. count_recovery: take
    off what the table says is recovered; published limits on the sum are always judged without. Raises PriorNotSummed
    for another patient, an earlier image that does not fit (placing), a missing dose or number of fractions.
    """
    if fractions < 1 or prior.fractions < 1:
        whose = "today's" if fractions < 1 else "the earlier"
        raise PriorNotSummed(
            f"the number of fractions of {whose} course is not known; add its RTPLAN, or state it "
            "with --prior-fractions (of today's course: sum both with `couchside reirradiate --fractions`)"
        )
    if dose_gy.shape != case.image.grid.shape:
        raise PriorNotSummed(f"the dose {dose_gy.shape} is not on the image grid {case.image.grid.shape}")
    placed = place(case, prior)
    counts = (fractions, prior.fractions)
    rows = tolerances or shipped_tolerances()
    both = _Both(case, goal_set, dose_gy, counts, prior, placed, rows, count_recovery)
    results, notes = _goal_results(both)
    limits, more = _limit_results(both)
    return PriorCourse(
        prior_digest=prior.case.digest,
        fractions=prior.fractions,
        days_since=prior.days_since,
        registration=placed.quality,
        results=(*results, *limits),
        to_prior=tuple(tuple(float(v) for v in row) for row in placed.to_prior.matrix),
        notes=(PHYSICAL, *notes, *more, *both.uncovered, *prior.case.notes),
    )


def _goal_results(both: _Both) -> tuple[list[CumulativeResult], list[str]]:
    results, notes = [], []
    others = {item.tg263 for item in both.case.structures if item.kind in NOT_SUMMED}
    for goal in both.goal_set.goals:
        if goal.comparator is not Comparator.AT_MOST or others & set(goal.structure.split("+")):
            continue
        course = both.course(goal.structure)
        if course is None or goal.metric.kind is MetricKind.COLD_VOLUME:
            why = "the case has no such structure" if course is None else "a volume kept cold has no sum"
            notes.append(f"Left out of the sum, because {why}: {goal}")
            continue
        ratio = alpha_beta_of(both.tolerances, goal.structure)
        largest_gy = largest_prior_eqd2_gy(course, both.counts[1], ratio.value)
        if largest_gy < LEAST_PRIOR_GY:
            notes.append(
                f"The earlier course gave {goal.structure} less than {LEAST_PRIOR_GY:g} Gy: {goal} stands alone"
            )
            continue
        recovery = (
            recovery_of(both.tolerances, goal.structure, both.prior.days_since) if both.count_recovery else NOT_ASKED
        )
        results.append(_goal_result(both, goal, course, ratio, recovery))
    return results, notes


def _goal_result(
    both: _Both, goal: ClinicalGoal, course: Course, ratio: Sourced, recovery: Sourced
) -> CumulativeResult:
    count = both.goal_set.fractions or both.counts[0]
    argument, limit = goal.metric.argument, goal.limit
    if goal.metric.kind is MetricKind.VOLUME_AT_DOSE:
        argument = float(eqd2(argument, count, ratio.value))
        made_of = f"V{goal.metric.argument:g}Gy in {count} fractions is V{argument:.1f}Gy of EQD2"
    else:
        limit = float(eqd2(limit, count, ratio.value))
        made_of = f"{goal.limit:g} Gy in {count} fractions, as EQD2"
    metric = (goal.metric.kind.value, argument, goal.unit)
    made = summed(course, metric, fractions=both.counts, alpha_beta_gy=ratio.value, recovery=recovery.value)
    name = str(Metric(goal.metric.kind, round(argument, 2)))
    wanted = _Wanted(goal.structure, name, limit, goal.unit, made_of, goal.source, goal.priority)
    return _result(wanted, made, both.prior_eqd2_gy(course, ratio), ratio, recovery)


def _limit_results(both: _Both) -> tuple[list[CumulativeResult], list[str]]:
    results, notes = [], []
    for limit in both.tolerances.limit:
        course = both.course(limit.structure)
        if course is None:
            continue
        ratio = alpha_beta_of(both.tolerances, limit.structure)
        if largest_prior_eqd2_gy(course, both.counts[1], ratio.value) < LEAST_PRIOR_GY:
            continue
        if reason := _does_not_apply(limit, both, course, ratio.value):
            notes.append(NO_LIMIT.format(source=limit.citation, structure=limit.structure, reason=reason))
            continue
        metric = Metric.parse(limit.metric)
        key = (metric.kind.value, metric.argument, "Gy")
        made = summed(course, key, fractions=both.counts, alpha_beta_gy=ratio.value)
        source = f"{limit.citation}: {limit.statement}"
        name = limit.structure
        wanted = _Wanted(name, limit.metric, limit.limit_eqd2_gy, "Gy", limit.limit_from, source, 1)
        results.append(_result(wanted, made, both.prior_eqd2_gy(course, ratio), ratio, NOT_ASKED))
    return results, notes


def _does_not_apply(limit: Limit, both: _Both, course: Course, ratio_gy: float) -> str:
    """'' where every condition of the source holds."""
    days = both.prior.days_since
    if days is None:
        return "the time since the earlier course is not known"
    if days < limit.interval_days:
        return f"it is for {limit.interval_days:g} days between the courses at least, and {days:g} have passed"
    today_gy = float(eqd2(float(course.today_gy.max()), both.counts[0], ratio_gy))
    prior_gy = largest_prior_eqd2_gy(course, both.counts[1], ratio_gy)
    worse_gy = max(today_gy, prior_gy)
    if limit.course_eqd2_gy is not None and worse_gy > limit.course_eqd2_gy:
        return f"it is for courses of {limit.course_eqd2_gy:g} Gy EQD2 at most, and one reaches {worse_gy:.1f}"
    if limit.fractions_at_most is not None and both.counts[0] > limit.fractions_at_most:
        return f"it is for at most {limit.fractions_at_most} fractions today"
    if limit.today_eqd2_gy is not None and today_gy > limit.today_eqd2_gy:
        return f"it is for at most {limit.today_eqd2_gy:g} Gy EQD2 today, and today gives {today_gy:.1f}"
    if limit.today_share is not None and today_gy > limit.today_share * (today_gy + prior_gy):
        return f"today gives more than {100 * limit.today_share:g} % of the sum"
    return ""


def _result(
    wanted: _Wanted, made: Summed, prior_largest_gy: float, ratio: Sourced, recovery: Sourced
) -> CumulativeResult:
    return CumulativeResult(
        structure=wanted.structure,
        metric=wanted.metric,
        comparator=Comparator.AT_MOST.value,
        limit=wanted.limit,
        unit=wanted.unit,
        value=made.value,
        low=made.low,
        high=made.high,
        met=made.value <= wanted.limit,
        certain=(made.low <= wanted.limit) == (made.high <= wanted.limit),
        priority=wanted.priority,
        alpha_beta_gy=ratio.value,
        alpha_beta_source=ratio.source,
        prior_largest_gy=(1.0 - recovery.value) * prior_largest_gy,
        recovery=recovery.value,
        recovery_source=recovery.source,
        limit_from=wanted.limit_from,
        source=wanted.source,
    )
