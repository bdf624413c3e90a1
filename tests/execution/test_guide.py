"""What the planner makes of a predicted dose: by hand, and in front of a scripted planning system."""

from __future__ import annotations

import math

import numpy as np
import pytest

from appliance.contracts import Objective, ObjectiveKind, PlanningState, PredictedBand
from appliance.errors import PlanningError
from appliance.execution import plan_case
from appliance.execution.guide import PRESS, Foreseen, Guide, guide_of
from appliance.execution.operator import Operator
from appliance.execution.planner import rules_of
from appliance.execution.rules import Rules
from appliance.execution.sparing import wishes

from ..planning.cases import goal, goal_set
from .test_planner import COLD, GOALS, GOOD, ScriptedTps, d95_of

TARGET, CORD, PAROTID = (
    goal("PTV", "D95%", ">=", 20.0),
    goal("SpinalCord", "D0.1cc", "<=", 15.0),
    goal("Parotid", "Mean", "<=", 8.0, priority=3),
)
SET = goal_set(TARGET, CORD, PAROTID)
FINE = Foreseen(20.5, 20.0, 21.0)


def guide(cord: Foreseen, parotid: Foreseen, target: Foreseen = FINE, **more) -> Guide:
    return guide_of(SET, (target, cord, parotid), **more)


def band(name: str, *doses: float) -> PredictedBand:
    volume, dose = np.linspace(0, 100, len(doses)), np.array(doses)
    return PredictedBand(name, volume, dose - 1, dose, dose + 1)


def test_only_what_its_best_end_misses_clearly_is_out_of_reach():
    assert guide(Foreseen(14, 13, 15), Foreseen(9.5, 8.5, 10.5)).out_of_reach == {2}
    assert guide(Foreseen(17, 15.5, 19), Foreseen(9.0, 8.1, 10.5)).out_of_reach == {1}
    assert guide(Foreseen(15.2, 14.9, 16), Foreseen(8.5, 7.9, 10.5)).out_of_reach == frozenset()


def test_coverage_of_a_target_is_never_out_of_reach():
    assert guide(Foreseen(14, 13, 15), Foreseen(7, 6, 8), Foreseen(18, 17.5, 18.5)).out_of_reach == frozenset()


def test_an_absent_structure_is_foreseen_as_nothing():
    nothing = Foreseen(math.nan, math.nan, math.nan)
    begun = guide(Foreseen(10, 9, 11), nothing)
    assert begun.out_of_reach == frozenset()
    first = Objective("Parotid", ObjectiveKind.MEAN_DOSE, 7.9, 60.0, goal=2)
    assert begun.begin((first,)) == (first,)


@pytest.mark.parametrize("times", [0.0, 0.5, 2.0])
def test_a_dose_that_is_not_of_this_prescription_is_refused(times):
    wrong = Foreseen(20.5 * times, 20 * times, 21 * times)
    with pytest.raises(PlanningError, match="cannot be of this case"):
        guide(Foreseen(10, 9, 11), Foreseen(7, 6, 8), wrong)


def test_without_a_target_to_judge_it_by_a_prediction_is_not_used():
    with pytest.raises(PlanningError, match="judged"):
        guide_of(goal_set(CORD), (Foreseen(10, 9, 11),))


def test_a_guess_outside_its_own_interval_is_refused():
    with pytest.raises(PlanningError, match="outside its interval"):
        Foreseen(5, 6, 7)


def test_tight_goals_begin_heavier_and_no_other():
    first = (
        Objective("PTV", ObjectiveKind.DVH_MIN, 20.1, 100.0, volume_percent=96.0, goal=0),
        Objective("SpinalCord", ObjectiveKind.SQUARED_OVERDOSE, 14.8, 480.0, goal=1),
        Objective("Parotid", ObjectiveKind.MEAN_DOSE, 7.9, 60.0, goal=2),
        Objective("PTV", ObjectiveKind.SQUARED_OVERDOSE, 21.0, 8.0),
    )
    begun = guide(Foreseen(11, 10, 12), Foreseen(8.1, 7, 9)).begin(first)
    weights = [o.weight / was.weight for o, was in zip(begun, first, strict=False)]
    assert weights == [PRESS, 1.0, PRESS, 1.0]


def test_an_organ_with_room_is_asked_for_what_is_foreseen_and_others_for_nothing_more():
    bands = (band("Parotid", 10.0, 4.0, 2.0), band("SpinalCord", 15.0, 8.0, 3.0))
    begun = guide(Foreseen(14.8, 14, 15.5), Foreseen(5, 4, 6), bands=bands).begin(())
    assert {o.structure for o in begun} == {"Parotid"}
    for one in begun:
        assert one.goal == -1
        assert one.dose_gy > np.interp(one.volume_percent, bands[0].volume_percent, bands[0].dose_gy)


def foreseen_guide(d95: float, mean: float, *, off: float = 0.2) -> Guide:
    return guide_of(GOALS, tuple(Foreseen(v, v - off, v + off) for v in (d95, mean)))


STUCK = (18.0, 10.4, 20.5)


def test_a_goal_foreseen_as_out_of_reach_is_given_up_after_its_first_miss():
    told, sooner = [], ScriptedTps((STUCK,), opponents=(1,))
    plan_case(sooner, GOALS, guide=foreseen_guide(20.0, 11.0), note=told.append)
    later = ScriptedTps((STUCK,), opponents=(1,))
    plan_case(later, GOALS)
    assert sooner.asked[1][1].weight < sooner.asked[0][1].weight
    assert later.asked[1][1].weight >= later.asked[0][1].weight
    assert any("given up" in sentence and "Core" in sentence for sentence in told)


def test_a_small_miss_is_pushed_first_whatever_was_foreseen():
    tps = ScriptedTps(((19.8, 10.1, 20.5),), opponents=(1,))
    plan_case(tps, GOALS, guide=foreseen_guide(20.0, 14.0))
    assert tps.asked[1][1].weight >= tps.asked[0][1].weight


def test_a_goal_that_planning_meets_is_not_given_up_whatever_was_foreseen():
    told: list[str] = []
    tps = ScriptedTps((COLD, COLD, GOOD), opponents=(1,))
    result = plan_case(tps, GOALS, guide=foreseen_guide(20.0, 14.0), note=told.append)
    assert d95_of(result) == pytest.approx(20.5)
    assert told == []


def test_a_foreseen_goal_that_stands_against_nothing_is_not_given_up():
    tps = ScriptedTps((STUCK,), opponents=())
    told: list[str] = []
    plan_case(tps, GOALS, guide=foreseen_guide(20.0, 14.0), note=told.append)
    assert not any("given up" in sentence for sentence in told)


def test_a_goal_given_up_early_is_asked_for_again_where_the_fluence_comes_near_it():
    first = ScriptedTps((GOOD,)).initial_objectives()
    early = Rules(GOALS, first, foreseen=frozenset({1})).giving_up(1, 10.4)
    assert early.taking_back((20.1, 10.2), 0.005).given_up == {1}
    again = early.taking_back((20.1, 10.04), 0.005)
    assert again.given_up == frozenset()
    assert again.afresh() == first


def test_a_goal_given_up_after_rounds_of_pushing_stays_so():
    late = Rules(GOALS, ScriptedTps((GOOD,)).initial_objectives()).giving_up(1, 10.4)
    assert late.taking_back((20.1, 9.9), 0.005) == late


def test_an_organ_as_low_as_was_thought_easy_is_asked_for_little_less_and_one_far_below_as_usual():
    rules = Rules(GOALS, ScriptedTps((GOOD,)).initial_objectives(), easy={1: 9.0})
    asked = {
        mean: wishes(rules, rules.first, PlanningState((20.5, mean), 1.0, 21.5, 1, "scripted"), 0.08)[1].dose_gy / mean
        for mean in (9.5, 8.9, 5.0)
    }
    assert asked == {9.5: pytest.approx(0.92), 8.9: pytest.approx(0.98), 5.0: pytest.approx(0.92)}


class Imitating(ScriptedTps):
    def imitate(self, dose_gy) -> PlanningState:
        self.calls.append(f"imitate {dose_gy.shape}")
        return self._state()


def test_a_planning_system_that_can_begins_from_the_predicted_dose():
    shown = np.zeros((1, 2, 3), np.float32)
    wanted = (Foreseen(20.3, 20, 21), Foreseen(9, 8, 10))
    tps = Imitating((GOOD,))
    plan_case(tps, GOALS, guide=guide_of(GOALS, wanted, dose_gy=shown))
    assert tps.calls[:2] == ["imitate (1, 2, 3)", "fluence"]
    plan_case(tps := Imitating((GOOD,)), GOALS, guide=guide_of(GOALS, wanted))
    assert tps.calls[0] == "fluence"


def test_what_was_found_by_exploring_is_not_pressed_and_gets_what_organs_with_room_may_be_asked_for():
    known = guide(Foreseen(15.2, 14.5, 16), Foreseen(4, 3, 5), bands=(band("Parotid", 8.0, 4.0, 2.0, 1.0, 0.5),))
    found = (Objective("SpinalCord", ObjectiveKind.DVH_MAX, 14.0, 80.0, volume_percent=1.0, goal=1),)
    rules = rules_of(Operator(ScriptedTps((GOOD,)), SET), known, found)
    assert rules.first[0] == found[0]
    assert {one.structure for one in rules.first[1:]} == {"Parotid"}
    assert rules_of(Operator(ScriptedTps((GOOD,)), SET), None, found).first == found
