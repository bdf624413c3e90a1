"""A goal's score: a piecewise-linear curve of its value, so that of two plans that miss a limit the nearer one is
better.

The idea of adding up such curves over all metrics is the one of plan studies and of the open scorecards made since (the
"PlanIQ method" as ProKnow describes it, "Plan Study Scoring", support.proknowsystems.com, article 360022094014). The
curves here are our own: from a goal's `points` where the goal file gives them, else by the rule below.

Rule (all shares chosen). A goal is worth 10, 5, 2 or 1 points by its priority (1, 2, 3, lower). Limits that cap the
dose of an organ earn 80 % of them at the limit and all where the value is a quarter better, because less dose is better
still; all other goals earn everything at the limit. At the acceptable variation 40 % are left, and nothing as far
beyond it again as it lies from the limit; without a variation nothing at a tenth beyond the limit. Straight lines
between.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from appliance.contracts import ClinicalGoal, Comparator
from appliance.errors import RefusedGoals

PRIORITY_POINTS = {1: 10.0, 2: 5.0, 3: 2.0}
LOWEST_POINTS = 1.0
MET_SHARE, VARIATION_SHARE = 0.8, 0.4
IDEAL, NOTHING = 0.25, 0.10
"""How far better than its limit a cap earns everything, and how far beyond it a goal without variation earns nothing;
both as shares of the limit."""
NARROWEST = {"Gy": 5.0, "%": 10.0, "cc": 1.0}
"""Limits below this count as this large for those shares, because a tenth of a limit of 0 would be a step."""

Curve = tuple[tuple[float, float], ...]


def score_curve(goal: ClinicalGoal, targets: frozenset[str]) -> Curve:
    """(value, score) in ascending value, joined by straight lines and constant beyond its ends: never falling where the
    value gets better. targets: names of the prescribed structures. Raises RefusedGoals where the goal's own points rise
    and fall, or its acceptable variation is stricter than its limit."""
    if goal.variation is not None and _better(goal, goal.variation, goal.limit):
        raise RefusedGoals(f"the acceptable variation of {goal} is stricter than its limit; correct the goal file")
    return _checked(goal) if goal.points else _own(goal, targets)


def score(curve: Curve, value: float) -> float:
    return float(np.interp(value, [at for at, _ in curve], [points for _, points in curve]))


def max_score(curve: Curve) -> float:
    return max(points for _, points in curve)


def _better(goal: ClinicalGoal, value: float, than: float) -> bool:
    return value < than if goal.comparator is Comparator.AT_MOST else value > than


def _own(goal: ClinicalGoal, targets: frozenset[str]) -> Curve:
    full = PRIORITY_POINTS.get(goal.priority, LOWEST_POINTS)
    worse = 1.0 if goal.comparator is Comparator.AT_MOST else -1.0
    scale = max(abs(goal.limit), NARROWEST[goal.unit])
    points = [(goal.limit, full)]
    if goal.caps_dose and not targets & set(goal.structure.split("+")):
        ideal = max(goal.limit - worse * IDEAL * scale, 0.0)
        ideal = min(ideal, 100.0) if goal.unit == "%" else ideal
        if _better(goal, ideal, goal.limit):
            points = [(ideal, full), (goal.limit, MET_SHARE * full)]
    if goal.variation is not None and goal.variation != goal.limit:
        points.append((goal.variation, VARIATION_SHARE * full))
        points.append((2 * goal.variation - goal.limit, 0.0))
    else:
        points.append((goal.limit + worse * NOTHING * scale, 0.0))
    return tuple(sorted(points))


def _checked(goal: ClinicalGoal) -> Curve:
    values, points = zip(*goal.points, strict=True)
    better_up = goal.comparator is Comparator.AT_LEAST
    rising = all(later > earlier for earlier, later in itertools.pairwise(values))
    ordered = points if better_up else points[::-1]
    monotone = all(later >= earlier for earlier, later in itertools.pairwise(ordered))
    finite = all(map(math.isfinite, (*values, *points)))
    if not (finite and rising and monotone and min(points) >= 0 and max(points) > 0):
        raise RefusedGoals(
            f"the score points of {goal} must have rising values, scores of 0 or more, and never a better score for a "
            "worse value; correct the goal file"
        )
    return goal.points
