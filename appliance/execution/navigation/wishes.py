"""Wishes in a few fixed forms of words; what a conversation makes of speech comes here as a Command's fields."""

from __future__ import annotations

import re

from appliance.contracts import ClinicalGoal, Comparator, Metric
from appliance.contracts.navigation import TradeOffSet, Wish
from appliance.errors import RefusedGoals

A_LITTLE, A_LITTLE_COVERAGE = 0.05, 0.01
"""What 'less' and 'more' ask for where no number is said, as shares of the present value (chosen: about what a
physician means by a little; of coverage, what a prescription can move by)."""

_NAME = r"(?P<structure>[\w+!]+)"
_LIMIT = re.compile(
    rf"^{_NAME}\s+(?P<metric>[\w.%]+)\s*(?P<sign><=|>=|<|>|≤|≥)\s*(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>Gy|%|cc)?$"
)
_CHANGE = re.compile(
    rf"^(?P<word>less|more)\s+{_NAME}(?:\s+(?P<metric>[A-Z][\w.%]*))?"
    r"(?:\s+by\s+(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>Gy|%|cc)?)?$"
)
FORMS = "'Parotid_L Mean <= 22 Gy', 'less Larynx by 2 Gy', 'less Parotid_L Mean' or 'more PTV_70'"


def parse_wish(said: str, known: TradeOffSet) -> Wish:
    """Raises RefusedGoals for other words, and for structures and metrics that the set cannot speak of."""
    words = " ".join(said.split())
    if match := _LIMIT.match(words):
        metric = Metric.parse(match["metric"])
        comparator = Comparator.AT_MOST if match["sign"] in ("<=", "<", "≤") else Comparator.AT_LEAST
        structure = _structure(match["structure"], known)
        unit = match["unit"] or _unit(known, structure, metric)
        return _checked(Wish(structure, metric, comparator, float(match["value"]), unit, words))
    if match := _CHANGE.match(words):
        is_less = match["word"] == "less"
        goal, now = _goal(known, _structure(match["structure"], known), match["metric"], is_less=is_less)
        share = A_LITTLE if goal.caps_dose else A_LITTLE_COVERAGE
        if match["unit"] and match["unit"] != goal.unit:
            raise RefusedGoals(f"{goal.structure} {goal.metric} is not given in {match['unit']}")
        by = float(match["value"]) if match["value"] else share * now
        limit = round(max(now - by, 0.0) if is_less else now + by, 2)
        comparator = Comparator.AT_MOST if is_less else Comparator.AT_LEAST
        return Wish(goal.structure, goal.metric, comparator, limit, goal.unit, words)
    raise RefusedGoals(f"'{said}' is not a wish that is understood; say for example {FORMS}")


def _structure(name: str, known: TradeOffSet) -> str:
    for there in known.regions:
        if there.casefold() == name.casefold():
            return there
    there = ", ".join(sorted(name for name in known.regions if name != known.external))
    raise RefusedGoals(f"the trade-offs know nothing of '{name}'; they know {there}")


def _goal(known: TradeOffSet, structure: str, metric: str | None, *, is_less: bool) -> tuple[ClinicalGoal, float]:
    """The structure's most important goal in that direction, of one metric if it is named, and its value now."""
    goals = zip(known.goal_set.goals, known.plan_values, strict=True)
    found = [
        (goal, value)
        for goal, value in goals
        if goal.structure == structure
        and (metric is None or str(goal.metric).casefold() == metric.casefold())
        and (goal.comparator is Comparator.AT_MOST) == is_less
    ]
    if not found:
        raise RefusedGoals(
            f"no goal says what {'less' if is_less else 'more'} of {structure} {metric or ''} means; give a limit"
        )
    return min(found, key=lambda pair: pair[0].priority)


def _unit(known: TradeOffSet, structure: str, metric: Metric) -> str:
    same = (g.unit for g in known.goal_set.goals if (g.structure, g.metric) == (structure, metric))
    return next(same, "%" if str(metric).startswith(("V", "CV")) else "Gy")


def _checked(wish: Wish) -> Wish:
    is_volume = str(wish.metric).startswith(("V", "CV"))
    if is_volume == (wish.unit == "Gy"):
        raise RefusedGoals(f"{wish.metric} is not given in {wish.unit}")
    return wish
