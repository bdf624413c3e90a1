"""Which goal gives way for which: what balances a missed goal in the plan that was reached, with how strong a pull."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.contracts.goals import ClinicalGoal


@dataclass(frozen=True)
class Opponent:
    """What a goal is held back by. goal: the opposing goal in words ("Parotid_L Mean <= 26 Gy"), '' where it is a
    helper of the planner (uniformity, dose fall-off, the limit on hot spots). words: the same for a clinician ("mean
    dose of Parotid_L").

    cosine: of the angle between both gradients in the plan's variables, -1: what helps the one harms the other by all
    of it. strength: this opponent's share, 0..1, of everything that pulls against the goal (length of its gradient
    times the cosine)."""

    goal: str
    words: str
    cosine: float
    strength: float


@dataclass(frozen=True)
class TradeOff:
    """A missed goal (structure, metric, comparator, limit, unit as in GoalResult) and what it gives way to, the
    strongest first. given_up: the planner stopped pushing it, in favour of goals of higher priority. sentence: all of
    it for a clinician."""

    structure: str
    metric: str
    comparator: str
    limit: float
    unit: str
    against: tuple[Opponent, ...]
    given_up: bool = False
    sentence: str = ""

    @staticmethod
    def of(goal: ClinicalGoal, against: tuple[Opponent, ...], sentence: str, *, given_up: bool = False) -> TradeOff:
        return TradeOff(
            goal.structure, str(goal.metric), goal.comparator.value, goal.limit, goal.unit, against, given_up, sentence
        )
