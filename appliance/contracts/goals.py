"""Clinical goals in the words of AAPM TG-263: what is measured, on which structure, and what is wanted."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from pydantic import TypeAdapter

from appliance.errors import RefusedGoals

CGY_PER_GY = 100.0


class MetricKind(StrEnum):
    DOSE_AT_PERCENT = "D%"
    DOSE_AT_CC = "Dcc"
    VOLUME_AT_DOSE = "VGy"
    COLD_VOLUME = "CVGy"
    MEAN = "Mean"
    MAX = "Max"
    MIN = "Min"


_NUMBER = r"\d+(?:\.\d+)?"
_PATTERN = re.compile(
    rf"^(?:D(?P<percent>{_NUMBER})%|D(?P<cc>{_NUMBER})cc|V(?P<gy>{_NUMBER})Gy|CV(?P<cold>{_NUMBER})Gy)$"
)


@dataclass(frozen=True)
class Metric:
    """A dose-volume metric: D95% (dose to the hottest 95 % of the volume), D0.1cc, V20Gy (volume with at least 20 Gy),
    CV20Gy (volume with less than 20 Gy: the "critical volume" that a parallel organ must keep), Mean, Max, Min.

    `argument` is in %, cc or Gy as the kind says; 0 for Mean, Max, Min."""

    kind: MetricKind
    argument: float = 0.0

    @staticmethod
    def parse(text: str) -> Metric:
        """Raises RefusedGoals for anything but the forms above."""
        if text in ("Mean", "Max", "Min"):
            return Metric(MetricKind(text))
        match = _PATTERN.match(text)
        if match is None:
            raise RefusedGoals(f"'{text}' is not a known metric; use D95%, D0.1cc, V20Gy, CV20Gy, Mean, Max or Min")
        for group, kind in (
            ("percent", MetricKind.DOSE_AT_PERCENT),
            ("cc", MetricKind.DOSE_AT_CC),
            ("gy", MetricKind.VOLUME_AT_DOSE),
            ("cold", MetricKind.COLD_VOLUME),
        ):
            if match[group] is not None:
                return Metric(kind, float(match[group]))
        raise RefusedGoals(f"'{text}' is not a known metric")

    def __str__(self) -> str:
        number = f"{self.argument:g}"
        return {
            MetricKind.DOSE_AT_PERCENT: f"D{number}%",
            MetricKind.DOSE_AT_CC: f"D{number}cc",
            MetricKind.VOLUME_AT_DOSE: f"V{number}Gy",
            MetricKind.COLD_VOLUME: f"CV{number}Gy",
        }.get(self.kind, self.kind.value)


class Comparator(StrEnum):
    AT_MOST = "<="
    AT_LEAST = ">="

    def holds(self, value: float, limit: float) -> bool:
        return value <= limit if self is Comparator.AT_MOST else value >= limit


class Grade(StrEnum):
    """How a plan stands on one goal: met; not met, but within the acceptable variation; neither."""

    PASS = "pass"
    VARIATION = "acceptable variation"
    FAIL = "fail"


@dataclass(frozen=True)
class ClinicalGoal:
    """`structure` is a TG-263 name, or several joined by '+' for their union. unit: 'Gy', '%' or 'cc' of value and
    limit. priority: 1 is most important. `approximate` marks a goal whose source could not be confirmed.

    variation: the acceptable variation, a limit weaker than `limit` in the same unit; None where the source gives none.
    points: (value, score) in ascending value, joined by straight lines and constant beyond its ends; empty: the scoring
    makes its own from limit, variation and priority. endpoint: what the limit protects from. doi, passage: where the
    source can be looked up (the passage's id in models/guidelines/passages).

    relative: what of the goal is in percent of a prescribed dose until a case gives that dose: the 'limit' (unit
    '%Rx') or the dose of a VxGy 'metric'; '' for a goal in absolute numbers, as every goal that is judged is."""

    structure: str
    metric: Metric
    comparator: Comparator
    limit: float
    unit: str
    priority: int
    source: str
    approximate: bool = False
    variation: float | None = None
    points: tuple[tuple[float, float], ...] = ()
    endpoint: str = ""
    doi: str = ""
    passage: str = ""
    relative: Literal["", "limit", "metric"] = ""

    @property
    def caps_dose(self) -> bool:
        """Less dose can only help it: an upper limit, or a volume that must stay below a dose."""
        return (self.comparator is Comparator.AT_MOST) != (self.metric.kind is MetricKind.COLD_VOLUME)

    def met_by(self, value: float) -> bool:
        return self.comparator.holds(value, self.limit)

    def grade_of(self, value: float) -> Grade:
        if self.met_by(value):
            return Grade.PASS
        tolerable = self.variation is not None and self.comparator.holds(value, self.variation)
        return Grade.VARIATION if tolerable else Grade.FAIL

    @property
    def measure(self) -> str:
        """The metric as a goal file has it: V100%Rx where its dose is in percent of the prescription."""
        return f"V{self.metric.argument:g}%Rx" if self.relative == "metric" else str(self.metric)

    @property
    def key(self) -> str:
        """What makes it the same goal whatever its limit: structure, metric and direction."""
        return f"{self.structure} {self.measure} {self.comparator}"

    def __str__(self) -> str:
        return f"{self.structure or 'each target'} {self.measure} {self.comparator} {self.limit:g} {self.unit}"


@dataclass(frozen=True)
class GuidelineSource:
    """The signed guideline package that goals were taken from. digest: SHA-256 of its list of files; signer: whose
    key signed it."""

    name: str
    version: str
    digest: str
    signer: str


@dataclass(frozen=True)
class GoalSet:
    """Goals of one site, with the prescription they belong to. prescription: (structure, dose_gy) of the course.

    A guideline that limits organs whatever is prescribed has no prescription and 0 fractions of its own, but
    target_goals, one template for each prescribed target: the case gives doses and fractions (`goals_for_case`).
    fraction_gy (lowest, highest dose of a fraction) and fraction_counts (empty: any number) say what fractionation it
    was made for; it is never applied to another. guideline: the package that it came from, where it came from one.

    also_for: further sites it may be asked for by; where several sets answer to a site, the case's structures decide.
    optional_targets: prescribed structures that a patient may lack (lower dose levels). automatic: may be chosen by
    the structures of a case, without being named. notes: what a reader must know. left_out: goals that do not apply to
    the case at hand because it lacks their structure. digest: SHA-256 of everything but itself, notes,
    left_out and the package.
    """

    name: str
    title: str
    site: str
    fractions: int
    prescription: tuple[tuple[str, float], ...]
    goals: tuple[ClinicalGoal, ...]
    digest: str
    beams: int = 9
    first_gantry_deg: float = 0.0
    hot_spot_percent: float = 110.0
    optional_targets: tuple[str, ...] = ()
    automatic: bool = True
    also_for: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[ClinicalGoal, ...] = ()
    target_goals: tuple[ClinicalGoal, ...] = ()
    fraction_gy: tuple[float, float] | None = None
    fraction_counts: tuple[int, ...] = ()
    guideline: GuidelineSource | None = None

    @property
    def is_template(self) -> bool:
        """It waits for a case's prescription."""
        return not self.prescription

    def mu_per_cgy(self, mu: float) -> float:
        """Monitor units of a fraction for each cGy of its highest prescribed dose."""
        highest_gy = max(dose for _, dose in self.prescription)
        return mu / (highest_gy / self.fractions * CGY_PER_GY)


_GOAL_SET = TypeAdapter(GoalSet)


def with_digest(goal_set: GoalSet) -> GoalSet:
    """The same goals with the SHA-256 of their canonical JSON; digest, notes, goals left out and package do not
    count."""
    canonical = _GOAL_SET.dump_json(replace(goal_set, digest="", notes=(), left_out=(), guideline=None))
    return replace(goal_set, digest=hashlib.sha256(canonical).hexdigest())
