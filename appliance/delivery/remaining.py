"""Goals for the fractions that are left, after what was given.

An organ's limit is of a dose that a part of its volume may reach: D(v) <= L, and V(x) <= v is the same with D(v) <= x.
Of the whole course of N fractions the organ had D(v) of the accumulated dose; what is left for n = N - k fractions is

    EQD2:      eqd2(L, N) - D(v) of the accumulated EQD2, turned back into physical dose in n fractions
    physical:  L - D(v) of the accumulated dose, where no alpha/beta of the organ has a source

A maximum of a sum is at most the sum of both maxima, so for Max this asks for enough; for physical means it is exact;
for other volumes, and for means as EQD2, it is an estimate, best where the hot parts of what was given and of what is
to come are the same. Targets keep the dose of a fraction: their prescription and limits are n of N fractions of it,
whatever the accumulated dose says of them, which the notes tell: to make up for a target that had too little is for a
physician to prescribe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from appliance.contracts import ClinicalGoal, Comparator, GoalSet, MetricKind
from appliance.contracts.accumulation import AlphaBeta, StructureDose
from appliance.contracts.goals import Metric, with_digest
from appliance.delivery.accumulate import figure
from appliance.errors import RefusedGoals
from engines.radiobiology import dose_of_eqd2, eqd2

DoseIn = Callable[[str], StructureDose | None]

LARGEST_FRACTION_GY = 10.0
"""No limit is raised above this dose a fraction: the linear-quadratic model is not trusted beyond it
(engines/radiobiology/linear_quadratic.py)."""

FIRST_PRIORITY = 1

KEPT = "{goal}: kept as {share} of it, {limit:g} {unit}; so far {given:.1f} {unit} of {due:.1f}"
KEPT_DOSE = "{goal}: kept, at {share} of its dose: {measure}"
UNKNOWN = "{goal}: kept as {share} of it, {limit:g} {unit}, because what {structure} had is not known"
CHANGED = "{goal}: {given:.1f} Gy ({low:.1f} to {high:.1f}){kind} had by {delivered} of {total} fractions, so {new}"
USED_UP = "{goal}: left out, because {given:.1f} Gy{kind} of {limit:.1f} have been had; keep it as low as possible"
CAPPED = "{goal}: not raised above {cap:g} Gy a fraction"


def remaining_goals(goal_set: GoalSet, dose_in: DoseIn, *, delivered: int, planned: int) -> GoalSet:
    """The goals of the `planned - delivered` fractions that are left, on the dose of these fractions alone. goal_set:
    of the whole course, resolved for the case (`prescription` and numbers); its notes are followed by a sentence for
    each change.

    Raises RefusedGoals: nothing is left of the course; the goal set waits for a prescription or is of another number of
    fractions; a limit of the first priority is used up, which no plan of the rest can meet."""
    left = planned - delivered
    if left < 1:
        raise RefusedGoals(f"{delivered} of {planned} fractions were delivered, so none is left to plan")
    if goal_set.is_template:
        raise RefusedGoals("they wait for a prescription; give the goals of this case")
    if goal_set.fractions not in (0, planned):
        raise RefusedGoals(f"they are for {goal_set.fractions} fractions and the course has {planned}")
    rest = _Rest(goal_set, dose_in, delivered, planned)
    goals = [goal for item in goal_set.goals if (goal := rest.of(item)) is not None]
    return with_digest(
        replace(
            goal_set,
            name=f"{goal_set.name}-rest-{left}",
            title=f"{goal_set.title}: the {left} fractions left of {planned}",
            fractions=left,
            prescription=tuple((name, dose_gy * left / planned) for name, dose_gy in goal_set.prescription),
            goals=tuple(goals),
            target_goals=(),
            fraction_counts=(),
            notes=(*goal_set.notes, *rest.notes),
            left_out=(*goal_set.left_out, *rest.used_up),
        )
    )


class _Rest:
    def __init__(self, goal_set: GoalSet, dose_in: DoseIn, delivered: int, planned: int) -> None:
        self.notes: list[str] = []
        self.used_up: list[ClinicalGoal] = []
        self._dose_in, self._delivered, self._planned = dose_in, delivered, planned
        self._left = planned - delivered
        self._targets = {name for name, _ in goal_set.prescription}

    def of(self, goal: ClinicalGoal) -> ClinicalGoal | None:
        """None for a limit that is used up."""
        dose = self._dose_in(goal.structure)
        is_target = bool(self._targets & set(goal.structure.split("+"))) or (dose is not None and dose.is_target)
        if dose is None or is_target or not goal.caps_dose:
            return self._share(goal, dose)
        return self._limited(goal, dose)

    def _share(self, goal: ClinicalGoal, dose: StructureDose | None) -> ClinicalGoal:
        part, share = self._left / self._planned, f"{self._left} of {self._planned} fractions"
        if _level_is_argument(goal):
            new = replace(goal, metric=Metric(goal.metric.kind, round(part * goal.metric.argument, 4)), points=())
            self.notes.append(KEPT_DOSE.format(goal=goal, share=share, measure=f"{new.metric} {goal.comparator}"))
            return new
        new = replace(
            goal,
            limit=part * goal.limit,
            variation=None if goal.variation is None else part * goal.variation,
            points=tuple((part * value, score) for value, score in goal.points),
        )
        words = {"goal": goal, "share": share, "limit": round(new.limit, 3), "unit": goal.unit}
        if dose is None:
            self.notes.append(UNKNOWN.format(structure=goal.structure, **words))
        else:
            given = figure(dose, goal.metric, goal.unit, "physical").value
            self.notes.append(KEPT.format(given=given, due=(1 - part) * goal.limit, **words))
        return new

    def _limited(self, goal: ClinicalGoal, dose: StructureDose) -> ClinicalGoal | None:
        metric, limit_gy = as_dose(goal, float(dose.weight_cc.sum(dtype="f8")))
        ratio = dose.alpha_beta if dose.alpha_beta.of_structure else None
        found = figure(dose, metric, "Gy", "physical" if ratio is None else "EQD2")
        kind = "" if ratio is None else f" EQD2 (alpha/beta {ratio.value_gy:g})"
        rest_gy = self._rest_gy(limit_gy, found.value, ratio)
        if rest_gy <= 0:
            whole_gy = limit_gy if ratio is None else float(eqd2(limit_gy, self._planned, ratio.value_gy))
            said = USED_UP.format(goal=goal, given=found.value, kind=kind, limit=whole_gy)
            if goal.priority == FIRST_PRIORITY:
                raise RefusedGoals(f"{said}; its priority is the first, so a physician must decide how to go on")
            self.notes.append(said)
            self.used_up.append(goal)
            return None
        cap_gy = LARGEST_FRACTION_GY * self._left
        if rest_gy > cap_gy:
            self.notes.append(CAPPED.format(goal=goal, cap=LARGEST_FRACTION_GY))
        new = self._with_limit(goal, min(rest_gy, cap_gy), found.value, ratio)
        self.notes.append(
            CHANGED.format(
                goal=goal,
                given=found.value,
                low=found.low,
                high=found.high,
                kind=kind,
                delivered=self._delivered,
                total=self._planned,
                new=f"for the rest {new.metric} {new.comparator} {new.limit:.4g} {new.unit}",
            )
        )
        return new

    def _rest_gy(self, limit_gy: float, given_gy: float, ratio: AlphaBeta | None) -> float:
        """Physical dose left, Gy; 0 or less where nothing is."""
        if ratio is None:
            return limit_gy - given_gy
        left_gy = float(eqd2(limit_gy, self._planned, ratio.value_gy)) - given_gy
        return float(dose_of_eqd2(left_gy, self._left, ratio.value_gy)) if left_gy > 0 else left_gy

    def _with_limit(self, goal: ClinicalGoal, rest_gy: float, given_gy: float, ratio: AlphaBeta | None) -> ClinicalGoal:
        """Scores of the source belong to the whole course's limit and are left to the scoring."""
        if _level_is_argument(goal):
            return replace(goal, metric=Metric(goal.metric.kind, round(rest_gy, 4)), points=())
        variation = None
        if goal.variation is not None:
            tolerable_gy = self._rest_gy(goal.variation, given_gy, ratio)
            variation = max(rest_gy, min(tolerable_gy, LARGEST_FRACTION_GY * self._left))
        return replace(goal, limit=round(rest_gy, 4), variation=variation, points=())


def _level_is_argument(goal: ClinicalGoal) -> bool:
    """V and CV: the dose stands in the metric, a volume in the limit."""
    return goal.metric.kind in (MetricKind.VOLUME_AT_DOSE, MetricKind.COLD_VOLUME)


def as_dose(goal: ClinicalGoal, volume_cc: float) -> tuple[Metric, float]:
    """(metric in Gy, its largest value in Gy) that says the same as an upper limit on dose or volume."""
    if not _level_is_argument(goal):
        return goal.metric, goal.limit
    hot = (
        goal.limit if goal.comparator is Comparator.AT_MOST else (100.0 if goal.unit == "%" else volume_cc) - goal.limit
    )
    kind = MetricKind.DOSE_AT_PERCENT if goal.unit == "%" else MetricKind.DOSE_AT_CC
    return Metric(kind, max(hot, 0.0)), goal.metric.argument
