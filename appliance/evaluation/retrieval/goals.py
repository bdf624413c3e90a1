"""Which passages speak of a goal: of its structure and metric, the nearest limit first."""

from __future__ import annotations

import re
from collections.abc import Sequence

from appliance.contracts.goals import ClinicalGoal, Comparator, Metric, MetricKind
from appliance.contracts.passage import GoalAsked, Passage, PassageLimit
from appliance.errors import RefusedGoals

_GOAL = re.compile(
    r"^(?P<structure>[A-Za-z][\w^~+]*)(?: (?P<metric>\S+))?"
    r"(?: (?P<comparator><=|>=|<|>|≤|≥) ?(?P<limit>\d+(?:\.\d+)?) ?(?P<unit>Gy|%|cc))?(?: in (?P<fx>\d+))?$"
)
_SIDE = re.compile(r"_(?:L|R)$")

SMALLEST_VOLUME_CC = 0.5
"""A dose to this little or less is read as a maximum, as the reports do that give either. Chosen."""

NEAR_MAXIMUM_PERCENT = 2.0
"""ICRU 83: D2% is the near-maximum."""


def parse_goal(text: str) -> GoalAsked:
    """'Parotid_L Mean', 'Parotid_L Mean <= 26 Gy', 'SpinalCord D0.35cc <= 23 Gy in 5'. Raises RefusedGoals."""
    match = _GOAL.match(" ".join(text.split()))
    if match is None:
        raise RefusedGoals(f"'{text}' is not a goal; write for example 'Parotid_L Mean' or 'Rectum V70Gy <= 20 %'")
    sign = {"<": "<=", "≤": "<=", ">": ">=", "≥": ">="}.get(match["comparator"] or "", match["comparator"])
    return GoalAsked(
        match["structure"],
        Metric.parse(match["metric"]) if match["metric"] else None,
        Comparator(sign) if sign else None,
        float(match["limit"]) if match["limit"] else None,
        int(match["fx"] or 0),
    )


def asked_of(goal: ClinicalGoal, *, fractions: int = 0) -> GoalAsked:
    """A goal of a goal set as it is looked up."""
    return GoalAsked(goal.structure, goal.metric, goal.comparator, goal.limit, fractions, goal.passage)


def question_of(goal: GoalAsked) -> str:
    """The same in words, for the search by words and meaning."""
    structure = goal.structure.replace("+", " and ").replace("_", " ")
    words = [structure, *(_METRIC_WORDS.get(goal.metric.kind, str(goal.metric)).split() if goal.metric else ())]
    if goal.metric and goal.metric.argument:
        words.append(str(goal.metric))
    return " ".join(words) + " dose limit"


def order_for_goal(goal: GoalAsked, passages: Sequence[Passage]) -> list[str]:
    """Ids of the passages that speak of the goal: the one it names, then those with its structure and metric (same
    course and nearest limit first), then those with its structure."""
    scored: list[tuple[tuple[float, ...], str]] = []
    for place, passage in enumerate(passages):
        if passage.id == goal.passage:
            scored.append(((-1.0, 0.0, 0.0, 0.0), passage.id))
        elif _speaks_of(goal.structure, passage):
            scored.append(((*_distance(goal, passage), float(place)), passage.id))
    return [name for _, name in sorted(scored)]


def answers_goal(goal: GoalAsked, passage: Passage) -> bool:
    """Whether it has the goal's structure and, where one is asked for, its metric."""
    if passage.id == goal.passage:
        return True
    return _speaks_of(goal.structure, passage) and (goal.metric is None or _distance(goal, passage)[0] == 0.0)


def _speaks_of(structure: str, passage: Passage) -> bool:
    wanted = {_SIDE.sub("", part) for part in structure.split("+")} | {structure}
    return any(name == structure or _SIDE.sub("", name) in wanted for name in passage.structures)


def _distance(goal: GoalAsked, passage: Passage) -> tuple[float, float, float]:
    """(0 if the metric is there, 0 if the course is too, relative difference of the limit), of the nearest limit."""
    if goal.metric is None:
        return (0.0, 0.0, 0.0)
    kind = _family(goal.metric)
    found = [
        (
            0.0,
            0.0 if limit.fractions in (0, goal.fractions) or _is_long(goal) == _is_long(limit) else 1.0,
            _off(goal, limit),
        )
        for limit in passage.limits
        if _family(Metric.parse(limit.metric)) == kind
    ]
    return min(found, default=(1.0, 1.0, 0.0))


_LONGEST_STEREOTACTIC = 10
"""Fractions; above that a course counts as conventional for choosing passages. Chosen."""


def _is_long(entry: GoalAsked | PassageLimit) -> bool:
    return entry.fractions == 0 or entry.fractions > _LONGEST_STEREOTACTIC


def _off(goal: GoalAsked, limit: PassageLimit) -> float:
    course = 0.0 if limit.fractions == goal.fractions else 0.01
    return course + (
        abs(limit.limit - goal.limit) / max(goal.limit, limit.limit, 1e-9) if goal.limit is not None else 0.0
    )


def _family(metric: Metric) -> tuple[str, float]:
    """Metrics that passages and goals exchange for one another count as one: the several near-maximum doses."""
    small_cc = metric.kind is MetricKind.DOSE_AT_CC and metric.argument <= SMALLEST_VOLUME_CC
    small_percent = metric.kind is MetricKind.DOSE_AT_PERCENT and metric.argument <= NEAR_MAXIMUM_PERCENT
    if metric.kind is MetricKind.MAX or small_cc or small_percent:
        return ("maximum", 0.0)
    return (metric.kind.value, metric.argument)


_METRIC_WORDS = {
    MetricKind.MEAN: "mean",
    MetricKind.MAX: "maximum",
    MetricKind.MIN: "minimum",
    MetricKind.DOSE_AT_PERCENT: "dose to",
    MetricKind.DOSE_AT_CC: "maximum dose to",
    MetricKind.VOLUME_AT_DOSE: "volume",
}
