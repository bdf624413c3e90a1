"""The judgement of one calculated dose: what the physician is shown, and what an approval is bound to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pydantic import TypeAdapter

from appliance.contracts.band import BandJudgement
from appliance.contracts.comparison import Comparison, PlanScore, PredictedJudgement
from appliance.contracts.deliverability import Deliverability
from appliance.contracts.explanation import Explanation
from appliance.contracts.finding import Finding
from appliance.contracts.goal_result import GoalResult, worst_first
from appliance.contracts.goals import GuidelineSource
from appliance.contracts.image_context import ImageContext
from appliance.contracts.notes import ClinicalNotes
from appliance.contracts.outcomes import OutcomeEstimate
from appliance.contracts.preference import PreferenceVerdict
from appliance.contracts.prior import PriorCourse
from appliance.contracts.robustness import Robustness
from appliance.contracts.second_check import SecondCheck
from appliance.contracts.trade_off import TradeOff
from engines.dvh import DoseVolume, cumulative_dvh

DVH_BIN_GY = 0.1
"""Chosen, because it is finer than any difference a plan is judged by and keeps a curve below 1,000 points."""


@dataclass(frozen=True)
class DvhCurve:
    """Cumulative DVH: volume_percent[i] receives at least dose_gy[i]; dose_gy ascending from 0."""

    structure: str
    volume_cc: float
    mean_gy: float
    min_gy: float
    max_gy: float
    dose_gy: tuple[float, ...]
    volume_percent: tuple[float, ...]

    @staticmethod
    def of(structure: str, volume: DoseVolume) -> DvhCurve:
        """volume: with weights in cc. Rounded to four decimals."""
        edge_gy, percent = cumulative_dvh(volume.dose_gy, volume.weight, DVH_BIN_GY)
        return DvhCurve(
            structure=structure,
            volume_cc=volume.total,
            mean_gy=volume.mean_gy,
            min_gy=volume.min_gy,
            max_gy=volume.max_gy,
            dose_gy=tuple(edge_gy.round(4).tolist()),
            volume_percent=tuple(percent.round(4).tolist()),
        )


@dataclass(frozen=True)
class TargetIndices:
    """Paddick conformity index (Paddick 2000) and ICRU 83 homogeneity (D2% - D98%) / D50%."""

    structure: str
    prescribed_gy: float
    paddick_conformity: float
    homogeneity: float


@dataclass(frozen=True)
class PlanFacts:
    """Machine-side facts. `deliverable` is true only if every machine limit holds; `violations` says which do not.
    delivery_time_s: of one fraction, travel between beams included; beam_seconds: of each beam, of which the beam is on
    for beam_on_seconds. mcs, leaf_travel_mm, edge_per_mm, modulation: complexity as in engines.delivery.complexity,
    beams weighed by MU. mu_per_gy: MU of one fraction for each Gy of the highest prescription in it; 0 if unknown.
    fractions: of the course that is judged; 0 if unknown."""

    mu: float
    beams: int
    control_points: int
    segments: int
    deliverable: bool
    violations: tuple[str, ...] = ()
    delivery_time_s: float = 0.0
    beam_seconds: tuple[float, ...] = ()
    beam_on_seconds: tuple[float, ...] = ()
    mcs: float = 0.0
    leaf_travel_mm: float = 0.0
    edge_per_mm: float = 0.0
    modulation: float = 0.0
    mu_per_gy: float = 0.0
    fractions: int = 0


@dataclass(frozen=True)
class Evaluation:
    """`notes` says in sentences what limits the judgement: goals left out, a dose resampled, a body cut by the grid.
    second_check: the plan's dose against an independent calculation; None where none was asked for (the scheduled plan,
    which is shown beside and never approved). findings: what a person must look at, such as goals that could not be
    judged. trade_offs: which goal gave way for which, as the planner saw it. predicted: the same goals on a predicted
    dose, where there is one; comparison: this plan beside the scheduled one and the prediction. The further parts: None
    or empty where nobody asked for them; outcomes rank plans and are no prognosis; bands: each structure's histogram
    beside what the prediction says is achievable. guideline: the package that the goals came from."""

    goals: tuple[GoalResult, ...]
    dvh: tuple[DvhCurve, ...]
    targets: tuple[TargetIndices, ...]
    plan: PlanFacts
    hottest_01cc_gy: float
    plan_digest: str
    dose_digest: str
    goal_set: str
    goal_set_digest: str
    notes: tuple[str, ...] = ()
    second_check: SecondCheck | None = None
    findings: tuple[Finding, ...] = ()
    trade_offs: tuple[TradeOff, ...] = ()
    predicted: PredictedJudgement | None = None
    comparison: Comparison | None = None
    deliverability: Deliverability | None = None
    image_context: ImageContext | None = None
    robustness: Robustness | None = None
    explanations: tuple[Explanation, ...] = ()
    guideline: GuidelineSource | None = None
    clinical_notes: ClinicalNotes | None = None
    outcomes: tuple[OutcomeEstimate, ...] = ()
    prior_course: PriorCourse | None = None
    preference: PreferenceVerdict | None = None
    bands: tuple[BandJudgement, ...] = ()

    @property
    def needs_acknowledgement(self) -> bool:
        """No second calculation agrees, or something was found that stops: whoever approves has to say why all the
        same."""
        return self.second_check is None or not self.second_check.agrees or bool(self.stops)

    @property
    def to_acknowledge(self) -> str:
        """What was found first of all that needs a reason."""
        if self.stops:
            return f"{self.stops[0].title}: {self.stops[0].evidence}"
        return (
            self.second_check.sentences[0] if self.second_check else "the dose was not checked by a second calculation"
        )

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Its own and those of its parts."""
        parts = (self.deliverability, self.image_context, self.clinical_notes)
        return (*self.findings, *(finding for part in parts if part is not None for finding in part.findings))

    @property
    def stops(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.all_findings if finding.stops)

    @property
    def goals_met(self) -> int:
        return sum(goal.met for goal in self.goals)

    @property
    def plan_score(self) -> PlanScore:
        return PlanScore.of(self.goals)

    @property
    def worst_first(self) -> tuple[int, ...]:
        """Numbers of the goals in the order a person should look at them."""
        return worst_first(self.goals)

    def to_json(self) -> bytes:
        return _EVALUATION.dump_json(self)

    @staticmethod
    def from_json(data: bytes) -> Evaluation:
        return _EVALUATION.validate_json(data)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.to_json()).hexdigest()


_EVALUATION = TypeAdapter(Evaluation)
