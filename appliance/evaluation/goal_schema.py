"""The form of a goal-set file (TOML): which keys there are, and what each may say.

Unknown, missing or impossible keys are refused with the key named, so that a misspelt goal can never be silently absent
from a plan's judgement. docs/evaluation/guidelines.md describes the form.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from pydantic import Field, field_validator, model_validator

from appliance.contracts import ClinicalGoal, Comparator, GoalSet, GuidelineSource, Metric, MetricKind
from appliance.errors import RefusedGoals
from appliance.evaluation.goal_conflicts import sure_contradictions
from appliance.evaluation.tables import Table

LARGEST_DOSE_GY = 200.0
"""Chosen, because no photon course prescribes or allows more; a larger number is cGy written for Gy."""

LARGEST_PERCENT_OF_PRESCRIPTION = 200.0
"""Chosen, because no protocol allows twice the prescribed dose anywhere outside the target."""

_RELATIVE_METRIC = re.compile(r"^V(?P<percent>\d+(?:\.\d+)?)%Rx$")
_VOLUMES = (MetricKind.VOLUME_AT_DOSE, MetricKind.COLD_VOLUME)


class _Prescription(Table):
    structure: str = Field(pattern=r"^[A-Za-z][\w^~]*$")
    dose_gy: float = Field(gt=0, le=LARGEST_DOSE_GY)
    optional: bool = False


def parse_metric(text: str) -> tuple[Metric, bool]:
    """(metric, whether its dose is in percent of the prescription). Raises RefusedGoals."""
    match = _RELATIVE_METRIC.match(text)
    if match is not None:
        return Metric(MetricKind.VOLUME_AT_DOSE, float(match["percent"])), True
    return Metric.parse(text), False


class _TargetGoal(Table):
    """What is wanted of each prescribed target; the limit may be in percent of its prescription (unit '%Rx')."""

    metric: str
    comparator: Literal["<=", ">="]
    limit: float = Field(ge=0, allow_inf_nan=False)
    unit: Literal["Gy", "%", "cc", "%Rx"]
    priority: int = Field(ge=1, le=9)
    source: str = Field(min_length=3)
    approximate: bool = False
    variation: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    points: tuple[tuple[float, float], ...] = ()
    endpoint: str = ""
    doi: str = Field(default="", pattern=r"^$|^10\.\d{4,9}/\S+$")
    passage: str = Field(default="", pattern=r"^$|^[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$")

    @field_validator("metric")
    @classmethod
    def _is_a_metric(cls, text: str) -> str:
        try:
            metric, _ = parse_metric(text)
        except RefusedGoals as error:
            raise ValueError(
                f"{error.fields['reason']}, or V100%Rx for a dose in percent of the prescription"
            ) from error
        if metric.kind is MetricKind.DOSE_AT_PERCENT and metric.argument > 100:
            raise ValueError(f"'{text}' asks for more than 100 % of the volume")
        return text

    @model_validator(mode="after")
    def _unit_fits(self) -> _TargetGoal:
        metric, _ = parse_metric(self.metric)
        is_volume = metric.kind in _VOLUMES
        if is_volume == (self.unit in ("Gy", "%Rx")):
            wanted = "% or cc" if is_volume else "Gy or %Rx"
            raise ValueError(f"{self.metric} cannot be given in {self.unit}; use {wanted}")
        for value in (self.limit, self.variation):
            if value is not None:
                self._demand_possible(value)
        if self.variation is not None and Comparator(self.comparator).holds(self.variation, self.limit):
            raise ValueError(
                f"the acceptable variation {self.variation:g} {self.unit} is not weaker than the limit {self.limit:g}"
            )
        values = [value for value, _ in self.points]
        if values != sorted(set(values)) or any(score < 0 for _, score in self.points):
            raise ValueError("points must ascend in value, and no score may be negative")
        return self

    def _demand_possible(self, value: float) -> None:
        if self.unit == "Gy" and value > LARGEST_DOSE_GY:
            raise ValueError(f"{value:g} Gy is above {LARGEST_DOSE_GY:g} Gy; limits are in Gy, not cGy")
        if self.unit == "%" and value > 100:
            raise ValueError(f"{value:g} % is more than the whole volume")
        if self.unit == "%Rx" and value > LARGEST_PERCENT_OF_PRESCRIPTION:
            raise ValueError(f"{value:g} % of the prescription is above {LARGEST_PERCENT_OF_PRESCRIPTION:g} %")

    def for_structure(self, structure: str) -> ClinicalGoal:
        metric, relative_metric = parse_metric(self.metric)
        return ClinicalGoal(
            structure=structure,
            metric=metric,
            comparator=Comparator(self.comparator),
            limit=self.limit,
            unit=self.unit,
            priority=self.priority,
            source=self.source,
            approximate=self.approximate,
            variation=self.variation,
            points=self.points,
            endpoint=self.endpoint,
            doi=self.doi,
            passage=self.passage,
            relative="limit" if self.unit == "%Rx" else "metric" if relative_metric else "",
        )


class _Goal(_TargetGoal):
    structure: str = Field(pattern=r"^[A-Za-z][\w^~]*(\+[A-Za-z][\w^~]*)*$")

    def goal(self) -> ClinicalGoal:
        return self.for_structure(self.structure)


class Covers(Table):
    """The fractionation that a guideline was made for: dose of one fraction from, to (Gy); numbers of fractions."""

    fraction_gy: tuple[float, float]
    fractions: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _is_a_range(self) -> Covers:
        low, high = self.fraction_gy
        if not 0 < low <= high <= LARGEST_DOSE_GY:
            raise ValueError("fraction_gy must be the lowest and the highest dose of one fraction, in Gy")
        if any(not 1 <= count <= 60 for count in self.fractions) or len(set(self.fractions)) != len(self.fractions):
            raise ValueError("fractions must be different whole numbers from 1 to 60")
        return self

    def within(self, other: Covers) -> bool:
        (low, high), (lowest, highest) = self.fraction_gy, other.fraction_gy
        counts = not other.fractions or (bool(self.fractions) and set(self.fractions) <= set(other.fractions))
        return lowest <= low and high <= highest and counts


class _Source(Table):
    """Written by Couchside into a session's copy of a goal file: which package it was taken from."""

    name: str
    version: str
    digest: str
    signer: str


class GoalFile(Table):
    """One goal file. With [[prescription]] and fractions it is complete; without, it limits organs whatever is
    prescribed, says what fractionation it [covers], and has [[target_goal]] templates."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = Field(min_length=3)
    site: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    fractions: int = Field(default=0, ge=0, le=60)
    beams: int = Field(default=9, ge=1, le=36)
    first_gantry_deg: float = Field(default=0.0, ge=0, lt=360)
    hot_spot_percent: float = Field(default=110.0, gt=100, le=150)
    automatic: bool = True
    also_for: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    covers: Covers | None = None
    prescription: tuple[_Prescription, ...] = ()
    target_goal: tuple[_TargetGoal, ...] = ()
    goal: tuple[_Goal, ...] = Field(min_length=1)
    from_package: _Source | None = None

    @model_validator(mode="after")
    def _hangs_together(self) -> GoalFile:
        names = [entry.structure for entry in self.prescription]
        if len(set(names)) != len(names):
            raise ValueError("a structure is prescribed twice")
        if names and all(entry.optional for entry in self.prescription):
            raise ValueError("every prescribed target is optional; at least one must be required")
        self._demand_one_kind()
        goals = [(goal.structure, goal.metric, goal.comparator) for goal in self.goal]
        templates = [("", goal.metric, goal.comparator) for goal in self.target_goal]
        if len({*goals, *templates}) != len(goals) + len(templates):
            raise ValueError("a goal is given twice")
        for goal in self.goal:
            for part in goal.structure.split("+"):
                if part.upper().startswith("PTV") and part not in names:
                    raise ValueError(f"the goal on {part} needs a prescription for {part}")
        if found := sure_contradictions([goal.goal() for goal in self.goal]):
            raise ValueError(found[0])
        if found := sure_contradictions([goal.for_structure("each target") for goal in self.target_goal]):
            raise ValueError(found[0])
        return self

    def _demand_one_kind(self) -> None:
        if self.prescription:
            if self.target_goal:
                raise ValueError("a file with a prescription names its targets in [[goal]], not in [[target_goal]]")
            if self.fractions < 1:
                raise ValueError("a file with a prescription needs fractions, from 1 to 60")
            if any(goal.for_structure("x").relative for goal in self.goal):
                raise ValueError(
                    "a file with a prescription gives its limits in Gy, not in percent of the prescription"
                )
        elif self.covers is None or not self.target_goal or self.fractions:
            raise ValueError(
                "a file without [[prescription]] limits organs of any course: it needs [covers] and [[target_goal]], "
                "and no fractions of its own"
            )

    def goal_set(self) -> GoalSet:
        """Without its digest (`contracts.goals.with_digest`)."""
        source = self.from_package
        return GoalSet(
            name=self.name,
            title=self.title,
            site=self.site,
            fractions=self.fractions,
            prescription=tuple((entry.structure, entry.dose_gy) for entry in self.prescription),
            goals=tuple(entry.goal() for entry in self.goal),
            digest="",
            beams=self.beams,
            first_gantry_deg=self.first_gantry_deg,
            hot_spot_percent=self.hot_spot_percent,
            optional_targets=tuple(entry.structure for entry in self.prescription if entry.optional),
            automatic=self.automatic,
            also_for=self.also_for,
            notes=self.notes,
            target_goals=tuple(entry.for_structure("") for entry in self.target_goal),
            fraction_gy=None if self.covers is None else self.covers.fraction_gy,
            fraction_counts=() if self.covers is None else self.covers.fractions,
            guideline=None if source is None else GuidelineSource(**source.model_dump()),
        )


def relative_resolved(goal: ClinicalGoal, prescribed_gy: float) -> ClinicalGoal:
    """The goal in Gy for a prescription of `prescribed_gy`; unchanged if it is in absolute numbers."""
    if goal.relative == "limit":
        scale = prescribed_gy / 100.0
        weaker = None if goal.variation is None else goal.variation * scale
        points = tuple((value * scale, score) for value, score in goal.points)
        return replace(goal, limit=goal.limit * scale, unit="Gy", variation=weaker, points=points, relative="")
    if goal.relative == "metric":
        dose_gy = goal.metric.argument * prescribed_gy / 100.0
        return replace(goal, metric=Metric(MetricKind.VOLUME_AT_DOSE, round(dose_gy, 4)), relative="")
    return goal
