"""Outcome models and the earlier course of an evaluation: doses come from planning, files from inbound; here they meet.

An earlier course that cannot be read or placed never stops a session, and never vanishes: it becomes a finding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.case import read_prior
from appliance.contracts import Attachments, CalculatedDose, Case, Finding, GoalSet, Outcome, Severity
from appliance.contracts.outcomes import OutcomeEstimate
from appliance.contracts.prior import CumulativeResult, PriorCourse
from appliance.errors import EvaluationError, PriorNotSummed, RefusedInput
from appliance.evaluation.dose_on_image import dose_on_image
from appliance.evaluation.outcomes import assess_outcomes
from appliance.evaluation.reirradiation import assess_prior

Dose = NDArray[np.float32]
"""(z, y, x) Gy on the image grid, NaN where it does not reach."""
NOT_SUMMED, ABOVE, UNCERTAIN = "prior.not_summed", "prior.above_limit", "prior.not_certain"
ASKED_BY = "docs/evaluation/reirradiation.md"


def outcomes_of(
    case: Case, goal_set: GoalSet, dose_gy: Dose, fractions: int, scheduled: CalculatedDose | None = None
) -> tuple[OutcomeEstimate, ...]:
    """Outcome models of a plan's dose, compared with the scheduled plan's where it is given; for ranking only. dose_gy:
    on today's image. Raises EvaluationError."""
    before = None if scheduled is None else dose_on_image(scheduled, case.image.grid)[0]
    return assess_outcomes(case, goal_set, dose_gy, fractions, scheduled_gy=before)


def prior_of(
    case: Case,
    goal_set: GoalSet,
    dose_gy: Dose,
    fractions: int,
    attached: Attachments,
    *,
    count_recovery: bool = False,
) -> tuple[PriorCourse | None, tuple[Finding, ...]]:
    """The earlier course that lies beside the case, summed with this dose, and what a person must look at; (None, ())
    where there is none. count_recovery: take off what a source says is recovered since."""
    if not attached.prior:
        return None, ()
    try:
        prior = read_prior(attached.prior, case, fractions=attached.stated.fractions, days_since=attached.stated.days)
        course = assess_prior(case, dose_gy, fractions, prior, goal_set=goal_set, count_recovery=count_recovery)
    except (RefusedInput, EvaluationError) as error:
        return None, (_finding(NOT_SUMMED, "The earlier course was not summed", _why(error)),)
    return course, tuple(finding for item in course.results for finding in judged(item))


def _why(error: RefusedInput | EvaluationError) -> str:
    """Without the words of the title again."""
    return str(error.fields["reason"]) if isinstance(error, PriorNotSummed) else error.sentence


def judged(item: CumulativeResult) -> tuple[Finding, ...]:
    """A limit of the first priority that is passed whatever the registration's error asks for a reason."""
    what = f"{item.structure} {item.metric} of both courses"
    eqd2 = "Gy EQD2" if item.unit == "Gy" else item.unit
    evidence = (
        f"{item.value:.1f} {eqd2} ({item.low:.1f} to {item.high:.1f}), limit {item.limit:.1f} {eqd2} "
        f"({item.limit_from})"
    )
    if not item.met:
        sure = item.certain and item.priority == 1
        return (_finding(ABOVE, f"{what} is above its limit", evidence, Severity.STOP if sure else Severity.WARN),)
    if not item.certain:
        return (_finding(UNCERTAIN, f"{what} is within its limit, but not for certain", evidence),)
    return ()


def _finding(identifier: str, title: str, evidence: str, severity: Severity = Severity.WARN) -> Finding:
    return Finding(identifier, title, severity, Outcome.FOUND, evidence, ASKED_BY)
