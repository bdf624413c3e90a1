"""Does the model still fit what is decided, and for everybody? Drift over time, bias between sites and physicians."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import TypeAdapter

from appliance.contracts.preference import PreferenceExample
from appliance.evaluation.preference.evidence import VERDICTS, row_of
from appliance.evaluation.preference.held_out import Predicted
from appliance.evaluation.preference.model import PreferenceModel
from appliance.evaluation.preference.predict import predict
from engines.statistics import Cusum, Estimate, area_under_curve, calibration_in_the_large

COVERAGE = 0.95
"""Of all intervals of one table together (Bonferroni)."""
LARGEST_MISFIT = 0.10
"""Difference between the share approved and the mean prediction that is called bias once the interval excludes it being
chance. Chosen: one plan in ten judged wrongly for one group only."""
LARGEST_LAG = 0.10
"""How far a group's area under the curve may lie below that of all, interval included, without a flag. Chosen."""
FEWEST = 10
"""Decisions of a group that is judged at all. Chosen: with fewer, intervals span everything."""


@dataclass(frozen=True)
class GroupCheck:
    """kind: 'site' or 'physician'. misfit: share approved minus mean prediction. auc None where the group has too few
    of one kind. flagged: '' or what is wrong."""

    kind: str
    group: str
    decisions: int
    misfit: Estimate
    auc: Estimate | None
    flagged: str


@dataclass(frozen=True)
class DriftCheck:
    """whose: a physician, or 'everybody'. level, threshold: of the cumulative sum, nats. alarm_at: UTC of the decision
    that raised the alarm, '' if none did."""

    whose: str
    decisions: int
    level: float
    threshold: float
    alarm_at: str


@dataclass(frozen=True)
class WatchReport:
    """model_digest: whose predictions were held against `decisions` decisions made since it was fitted. Each cumulative
    sum, everybody's and every physician's, passes its threshold by chance with the rate that the model states."""

    model_digest: str
    decisions: int
    drift: tuple[DriftCheck, ...]
    groups: tuple[GroupCheck, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        drifted = tuple(
            f"decisions of {check.whose} have not followed this model since about {check.alarm_at[:10]}; fit it anew"
            for check in self.drift
            if check.alarm_at
        )
        return drifted + tuple(f"{check.kind} {check.group}: {check.flagged}" for check in self.groups if check.flagged)

    def to_json(self) -> bytes:
        return _REPORT.dump_json(self)

    @staticmethod
    def from_json(data: bytes) -> WatchReport:
        return _REPORT.validate_json(data)


EVERYBODY = "everybody"


def watch(model: PreferenceModel, examples: Sequence[PreferenceExample]) -> WatchReport:
    """examples: any; those that the model learned from are left out. A physician who is new to the model is predicted
    with the clinic's preference."""
    known = frozenset(model.learned_from)
    new = sorted(
        (example for example in examples if example.id not in known and example.decision in VERDICTS),
        key=lambda example: (example.decided_utc, example.id),
    )
    beliefs = {name: model.belief(name) for name in {example.physician for example in new}}
    predicted = [
        Predicted(example, predict(beliefs[example.physician], row_of(example.plan, model.typical)).logit)
        for example in new
    ]
    everyone = sorted({example.physician for example in new})
    groups = [(EVERYBODY, predicted)]
    groups += [(name, [one for one in predicted if one.example.physician == name]) for name in everyone]
    return WatchReport(
        model_digest=model.digest,
        decisions=len(new),
        drift=tuple(_drift(whose, own, model) for whose, own in groups),
        groups=bias_of(predicted, model.temperature),
    )


def _drift(whose: str, predicted: Sequence[Predicted], model: PreferenceModel) -> DriftCheck:
    probability = np.array([one.probability(model.temperature) for one in predicted])
    happened = np.array([one.approved for one in predicted], np.bool_)
    strange = any(model.person(one.example.physician) is None for one in predicted)
    found = Cusum.of(probability, happened, model.drift_threshold_new if strange else model.drift_threshold)
    at = "" if found.first_alarm is None else predicted[found.first_alarm].example.decided_utc
    return DriftCheck(whose, len(predicted), found.level[-1] if found.level else 0.0, found.threshold, at)


def bias_of(predicted: Sequence[Predicted], temperature: float) -> tuple[GroupCheck, ...]:
    """Every site and every physician with enough decisions, beside all of them."""
    by: tuple[tuple[str, Callable[[PreferenceExample], str]], ...] = (
        ("site", lambda example: example.plan.site),
        ("physician", lambda example: example.physician),
    )
    groups = [
        (kind, name, [one for one in predicted if key(one.example) == name])
        for kind, key in by
        for name in sorted({key(one.example) for one in predicted})
    ]
    judged = [(kind, name, own) for kind, name, own in groups if len(own) >= FEWEST]
    whole = _area(predicted, temperature, COVERAGE)
    coverage = 1.0 - (1.0 - COVERAGE) / max(1, len(judged))
    return tuple(_check(kind, name, own, temperature, coverage, whole) for kind, name, own in judged)


def _area(predicted: Sequence[Predicted], temperature: float, coverage: float) -> Estimate | None:
    score = np.array([one.probability(temperature) for one in predicted])
    return area_under_curve(score, np.array([one.approved for one in predicted], np.bool_), coverage=coverage)


def _check(
    kind: str, name: str, own: Sequence[Predicted], temperature: float, coverage: float, whole: Estimate | None
) -> GroupCheck:
    probability = np.array([one.probability(temperature) for one in own])
    happened = np.array([one.approved for one in own], np.bool_)
    misfit = calibration_in_the_large(probability, happened, coverage=coverage)
    auc = _area(own, temperature, coverage)
    flagged = []
    if abs(misfit.value) > LARGEST_MISFIT and (misfit.low > 0 or misfit.high < 0):
        more = "more" if misfit.value > 0 else "less"
        flagged.append(f"plans are approved {more} often than predicted, by {abs(misfit.value):.0%} of all")
    if auc is not None and whole is not None and auc.high < whole.value - LARGEST_LAG:
        flagged.append(
            f"good and bad plans are told apart worse than elsewhere ({auc.value:.2f} for {whole.value:.2f})"
        )
    return GroupCheck(kind, name, len(own), misfit, auc, "; ".join(flagged))


_REPORT = TypeAdapter(WatchReport)
