"""The planner in front of a scripted planning system: what it asks for, and which plan it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from appliance.contracts import (
    CalculatedDose,
    GoalConflict,
    Objective,
    ObjectiveKind,
    Objectives,
    Opponent,
    Plan,
    PlanningState,
    TradeOff,
)
from appliance.errors import SessionStopped
from appliance.execution import plan_case
from appliance.execution.sparing import SPARING_ROUNDS
from engines.grid import Grid

from ..planning.cases import goal, goal_set, legal_plan

GOALS = goal_set(goal("PTV", "D95%", ">=", 20.0), goal("Core", "Mean", "<=", 10.0, priority=2))
GRID = Grid((0, 0, 0), (1, 1, 1), (1, 1, 2))
COLD, GOOD, WORSE = (18.0, 9.9, 20.5), (20.5, 9.0, 21.5), (17.0, 9.0, 20.0)
"""D95 of the target, mean of the organ, hottest dose, all in Gy."""


@dataclass
class ScriptedTps:
    """Shows one scripted result after another: (D95, organ mean, hottest). Doses scale with the monitor units.
    opponents: goals that stand against a cold target."""

    results: tuple[tuple[float, float, float], ...]
    opponents: tuple[int, ...] = ()
    round: int = -1
    factor: float = 1.0
    calls: list[str] = field(default_factory=list)
    calls_with_objectives: list[str] = field(default_factory=list)
    asked: list[Objectives] = field(default_factory=list)

    def initial_objectives(self) -> Objectives:
        return (
            Objective("PTV", ObjectiveKind.DVH_MIN, 20.1, 100.0, volume_percent=96.0, goal=0),
            Objective("Core", ObjectiveKind.MEAN_DOSE, 9.9, 40.0, goal=1),
        )

    def _state(self) -> PlanningState:
        d95, mean, hottest = self.results[min(self.round, len(self.results) - 1)]
        return PlanningState((d95 * self.factor, mean * self.factor), 1.0, hottest * self.factor, 1, "scripted")

    def _next(self, name: str, objectives: Objectives) -> PlanningState:
        self.calls.append(name)
        self.calls_with_objectives.append(name)
        self.asked.append(objectives)
        self.round += name != "fluence"
        self.factor = 1.0
        return self._state()

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        self.round = 0
        return self._next("fluence", objectives)

    def sequence(self, objectives: Objectives) -> PlanningState:
        self.round = -1
        return self._next("sequence", objectives)

    def refine(self, objectives: Objectives) -> PlanningState:
        return self._next("refine", objectives)

    def conflicts(self, objectives: Objectives) -> tuple[GoalConflict, ...]:
        self.calls.append("conflicts")
        if self._state().goal_values[0] >= 20.0:
            return ()
        told = "PTV D95% >= 20 is missed: it stands against mean dose of Core"
        return (
            GoalConflict(0, self.opponents, told, (Opponent("Core Mean <= 10 Gy", "mean dose of Core", -0.9, 1.0),)),
        )

    def remember(self) -> Callable[[], PlanningState]:
        kept = self.round, self.factor

        def back() -> PlanningState:
            self.round, self.factor = kept
            return self._state()

        return back

    def normalise(self, factor: float) -> PlanningState:
        self.calls.append("normalise")
        self.factor *= factor
        return self._state()

    def judge(self) -> PlanningState:
        self.calls.append("judge")
        return self._state()

    def finish(self) -> tuple[Plan, CalculatedDose]:
        plan = legal_plan()
        dose = np.full(GRID.shape, self._state().goal_values[0], np.float32)
        return plan, CalculatedDose(GRID, dose, plan.digest, "scripted", "none")


def d95_of(result: tuple[Plan, CalculatedDose]) -> float:
    return float(result[1].dose_gy[0, 0, 0])


def test_it_stops_as_soon_as_every_goal_is_met():
    tps = ScriptedTps((GOOD,))
    assert d95_of(plan_case(tps, GOALS)) == pytest.approx(20.5)
    assert tps.calls.count("fluence") == 1
    assert tps.calls.count("refine") == SPARING_ROUNDS


def test_it_refines_until_the_goals_are_met():
    tps = ScriptedTps((COLD, COLD, GOOD, WORSE))
    assert d95_of(plan_case(tps, GOALS)) == pytest.approx(20.5)
    assert tps.calls.count("refine") == 2 + SPARING_ROUNDS


def test_a_later_round_never_makes_the_result_worse():
    best = (19.0, 9.9, 21.0)
    tps = ScriptedTps((COLD, best, WORSE, WORSE, COLD, WORSE, COLD, WORSE, WORSE, WORSE))
    result = d95_of(plan_case(tps, GOALS))
    assert result >= 19.0  # the best round, perhaps with its monitor units scaled a little
    assert tps.calls.count("refine") >= 2


def test_a_missed_goal_is_pushed_in_the_next_round():
    tps = ScriptedTps((COLD, COLD, GOOD))
    plan_case(tps, GOALS, sparing_rounds=0)
    weights = [asked[0].weight for asked in tps.asked]
    assert weights == sorted(weights)
    assert weights[-1] > weights[0]


def test_monitor_units_are_scaled_where_that_alone_meets_the_goals():
    tps = ScriptedTps((COLD, (19.8, 9.5, 21.0), WORSE))
    result = plan_case(tps, GOALS)
    assert "normalise" in tps.calls
    assert 20.0 <= d95_of(result) <= 20.4


def test_it_ends_when_the_goals_cannot_be_met():
    tps = ScriptedTps((COLD,))
    assert d95_of(plan_case(tps, GOALS)) > 0
    assert tps.calls.count("refine") <= 20


def test_a_stop_through_progress_reaches_the_caller():
    def stop(step: str, part: float) -> None:
        raise SessionStopped("enough", actor="Physicist")

    with pytest.raises(SessionStopped):
        plan_case(ScriptedTps((COLD,)), GOALS, stop)


def test_progress_runs_from_nothing_to_all():
    told: list[float] = []
    plan_case(ScriptedTps((COLD, COLD, GOOD)), GOALS, lambda step, part: told.append(part))
    assert told[0] == 0.0
    assert told[-1] == 1.0
    assert told == sorted(told)


def test_few_doses_are_calculated_in_full():
    """One of the first apertures, one when the goals are met, one of what is handed back; and of what repairs it."""
    tps = ScriptedTps((COLD, COLD, COLD, GOOD))
    plan_case(tps, GOALS)
    assert tps.calls.count("judge") <= 5


def test_a_goal_of_lower_priority_gives_way_to_the_target():
    tps, told = ScriptedTps(((18.0, 10.4, 20.5),), opponents=(1,)), []
    plan_case(tps, GOALS, note=told.append)
    first, last = tps.asked[0][1], tps.asked[-1][1]
    assert last.weight < first.weight
    assert any("given up" in sentence and "Core" in sentence for sentence in told)


def test_without_an_opponent_of_lower_priority_nothing_is_given_up():
    told: list[str] = []
    plan_case(ScriptedTps((COLD,), opponents=(0,)), GOALS, note=told.append)
    assert not any("given up" in sentence for sentence in told)


def test_organs_are_asked_for_less_than_they_have_once_goals_are_met():
    tps = ScriptedTps((GOOD,))
    plan_case(tps, GOALS)
    steps = zip(tps.calls_with_objectives, tps.asked, strict=True)
    spared = [asked[1].dose_gy for name, asked in steps if name == "refine"]
    assert spared
    assert all(dose < GOOD[1] for dose in spared)


def test_sparing_keeps_what_is_better():
    better = (20.3, 8.0, 21.5)
    tps = ScriptedTps((GOOD, better, WORSE))
    assert d95_of(plan_case(tps, GOALS)) == pytest.approx(20.3)


def test_sparing_never_loses_a_goal():
    cheap = (19.0, 5.0, 21.5)
    assert d95_of(plan_case(ScriptedTps((GOOD, cheap)), GOALS)) == pytest.approx(20.5)


def test_sparing_can_be_left_out():
    tps = ScriptedTps((GOOD,))
    plan_case(tps, GOALS, sparing_rounds=0)
    assert tps.calls.count("refine") == 0
    assert tps.calls.count("judge") == 1


def test_sparing_ends_after_its_rounds_however_much_it_gains():
    ever_better = tuple((20.5, 9.0 - 0.5 * i, 21.5) for i in range(12))
    tps = ScriptedTps(ever_better)
    plan_case(tps, GOALS)
    assert tps.calls.count("refine") == SPARING_ROUNDS


def test_without_a_goal_of_an_organ_there_is_nothing_to_spare():
    only = goal_set(GOALS.goals[0])
    tps = ScriptedTps(((20.5, 9.0, 21.5),))
    tps.initial_objectives = lambda: (
        Objective("PTV", ObjectiveKind.DVH_MIN, 20.1, 100.0, volume_percent=96.0, goal=0),
    )
    tps._state = lambda: PlanningState((20.5,), 1.0, 21.5, 1, "scripted")
    plan_case(tps, only)
    assert tps.calls.count("refine") == 0


def test_what_a_missed_goal_gives_way_to_is_handed_on():
    told: list[TradeOff] = []
    plan_case(ScriptedTps((COLD,)), GOALS, trade_off=told.append)
    (found,) = told
    assert (found.structure, found.metric, found.comparator, found.limit) == ("PTV", "D95%", ">=", 20.0)
    assert [(o.goal, o.strength) for o in found.against] == [("Core Mean <= 10 Gy", 1.0)]
    assert not found.given_up


def test_where_all_goals_are_met_nothing_is_traded():
    told: list[TradeOff] = []
    plan_case(ScriptedTps((GOOD,)), GOALS, trade_off=told.append)
    assert told == []


def test_a_goal_given_up_is_traded_too_and_asked_for_in_full():
    """What is asked of it once it is given up would pull at nothing."""
    told: list[TradeOff] = []
    tps = ScriptedTps(((18.0, 10.4, 20.5),), opponents=(1,))
    asked: list[Objectives] = []
    conflicts = tps.conflicts
    tps.conflicts = lambda objectives: (asked.append(objectives), conflicts(objectives))[1]
    plan_case(tps, GOALS, trade_off=told.append)
    assert [(item.structure, item.given_up, len(item.against)) for item in told] == [
        ("PTV", False, 1),
        ("Core", True, 0),
    ]
    assert "Core Mean <= 10 Gy was given up" in told[1].sentence
    assert asked[-1][1] == tps.initial_objectives()[1]
