"""Plans around a real one on a small phantom: what they trade, what an answer predicts, and the plan made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from appliance import session_navigation, session_traded
from appliance.config import PlanningConfig
from appliance.contracts import Case, Plan, PlanningState
from appliance.contracts.navigation import TradeOffSet
from appliance.errors import PlanningError
from appliance.execution import plan_case
from appliance.execution.navigation import Navigator, parse_wish
from appliance.execution.navigation.favouring import HOT, Favouring, worth_favouring
from appliance.execution.rules import shortfall
from appliance.planning import PhotonTps
from appliance.session_questions import COARSE_GRID_MM, THIN
from appliance.session_stages import Reviewed

from ...planning.cases import goal, goal_set
from .sets import phantom

GOALS = goal_set(
    goal("PTV", "D95%", ">=", 19.0),
    goal("Core", "Mean", "<=", 8.5, priority=3),
    goal("Side", "Mean", "<=", 8.5, priority=3),
)
CONFIG = PlanningConfig(segments_per_beam=4, dose_grid_mm=4.0, algorithm="pencil_beam")


@dataclass
class Planned:
    case: Case
    plan: Plan
    reviewed: Reviewed
    known: TradeOffSet


@pytest.fixture(scope="module")
def planned() -> Planned:
    case = phantom()
    plan, dose = plan_case(PhotonTps(case, GOALS, CONFIG), GOALS, sparing_rounds=1)
    reviewed = Reviewed(case, GOALS, plan, dose)
    return Planned(case, plan, reviewed, session_navigation.trade_offs_around(reviewed, CONFIG))


def test_each_plan_betters_what_it_favours_and_keeps_coverage(planned):
    known = planned.known
    middle = known.anchors[0].values
    assert known.plan_digest == planned.plan.digest
    assert {anchor.goal for anchor in known.anchors[1:]} >= {1, 2}
    for anchor in known.anchors[1:]:
        favoured = GOALS.goals[anchor.goal]
        assert shortfall(favoured, anchor.values[anchor.goal]) < shortfall(favoured, middle[anchor.goal])
        assert anchor.values[0] > middle[0] - 0.15
        assert str(favoured.metric) in anchor.sentence and "costs" in anchor.sentence


def test_a_combination_of_fluences_has_the_combination_of_their_doses(planned):
    """Up to what leaks through closed leaves, which is less for the combination: its estimate is convex."""
    config = CONFIG.model_copy(update={"dose_grid_mm": COARSE_GRID_MM})
    tps = PhotonTps(planned.case, GOALS, config, thin=THIN)
    doses, fluences = [], planned.known.fluence[:2].astype(np.float64)
    for fluence in (*fluences, fluences.mean(axis=0)):
        tps.take_fluence(fluence)
        doses.append(tps.sampled().dose_gy)
    between = (doses[0] + doses[1]) / 2
    assert np.abs(doses[2] - between).max() < 0.01 * between.max()
    assert (doses[2] - between).max() < 1e-3 * between.max()


def test_the_deliverable_plan_of_an_answer_is_near_its_prediction(planned):
    """Worse by 0.8 Gy at most. It may be better by more, because organs are spared further once the wish is had: the
    core by 0.90 Gy here, by less than 0.8 before apertures of all beams were drawn together, which rounds otherwise."""
    known = planned.known
    wish = parse_wish("less Core by 0.5 Gy", known)
    answer = Navigator(known).ask(wish)
    assert answer.reachable
    made = session_navigation.realised(planned.reviewed, CONFIG, known, (wish, answer), lambda *_: None)
    assert made.dose.plan_digest == made.plan.digest != planned.plan.digest
    for forecast, value in session_navigation.compared(known, answer, made):
        worse = (value - forecast.then) * (1 if forecast.comparator == "<=" else -1)
        assert -1.0 < worse < 0.8
    assert made.values[1] < known.plan_values[1]
    assert GOALS.goals[0].met_by(made.values[0])


def test_what_is_kept_reads_back_the_same(planned):
    known = planned.known
    back = session_traded.navigation_from_bytes(session_traded.navigation_bytes(known))
    assert (back.goal_set, back.anchors, back.plan_values) == (known.goal_set, known.anchors, known.plan_values)
    np.testing.assert_array_equal(back.dose_gy, known.dose_gy)
    wish = parse_wish("Core Mean <= 7 Gy", known)
    assert Navigator(back).ask(wish).parts == Navigator(known).ask(wish).parts


def test_the_document_has_a_row_for_each_plan_and_a_range_for_each_goal(planned):
    document = session_traded.navigation_document(planned.known)
    assert document["schema"] == "couchside.navigation/1"
    assert [row["favours"] for row in document["favoured"]] == list(planned.known.names[1:])
    for column in document["goals"]:
        assert column["least"] <= column["now"] <= column["most"]
    own = document["favoured"][0]
    assert own["changes"][own["goal"]] < 0


def test_making_them_ends_when_it_is_told_enough(planned):
    known = session_navigation.trade_offs_around(planned.reviewed, CONFIG, enough=lambda: True)
    assert len(known.anchors) == 1
    with pytest.raises(PlanningError, match="no time"):
        Navigator(known)


def test_who_interrupts_the_making_is_obeyed(planned):
    class Wanted(Exception):
        pass

    def step(*_: object) -> None:
        raise Wanted

    with pytest.raises(Wanted):
        session_navigation.trade_offs_around(planned.reviewed, CONFIG, progress=step)


def test_with_nothing_to_trade_a_clear_sentence_says_so(planned):
    alone = replace(planned.reviewed, goal_set=replace(GOALS, goals=(goal("PTV", "D95%", ">=", 10.0),)))
    known = session_navigation.trade_offs_around(alone, CONFIG)
    with pytest.raises(PlanningError, match="there is nothing to trade"):
        Navigator(known)


def test_goals_worth_a_plan_are_the_missed_first_and_no_more_than_eight():
    many = goal_set(*(goal(f"O{i}", "Mean", "<=", 10.0, priority=1 + i % 3) for i in range(12)))
    values = [9.0 - 0.1 * i for i in range(12)]
    values[11] = 12.0
    chosen = worth_favouring(many, values)
    assert len(chosen) == 8 and 11 in chosen and 0 in chosen and 10 not in chosen
    assert worth_favouring(GOALS, (25.0, 0.0, float("nan"))) == ()


def test_others_give_the_room_they_have_and_what_is_missed_or_less_important_a_tenth_more(planned):
    first = PhotonTps(planned.case, GOALS, CONFIG).initial_objectives()
    middle = PlanningState((19.5, 8.0, 6.0), 0.0, 21.0, 1, "fluence")
    around = Favouring(first, GOALS, middle, (19.5, 8.2, 6.0))
    asked = {(o.structure, o.goal): o.dose_gy for o in around.of(2)}
    assert asked["Side", 2] == pytest.approx(6.0 * 0.8)
    assert asked["Core", 1] == pytest.approx(8.0 + (8.5 - 8.2))
    missed = Favouring(first, GOALS, middle, (19.5, 8.7, 6.0))
    assert {(o.structure, o.goal): o.dose_gy for o in missed.of(2)}["Core", 1] == pytest.approx(8.0 * 1.1)


def test_coverage_lost_weighs_more_and_less_is_asked(planned):
    first = PhotonTps(planned.case, GOALS, CONFIG).initial_objectives()
    middle = PlanningState((19.5, 8.0, 6.0), 0.0, 21.0, 1, "fluence")
    around = Favouring(first, GOALS, middle, (19.5, 8.2, 6.0))
    assert around.lost(replace(middle, goal_values=(18.95, 8, 6))) == frozenset()
    assert around.lost(replace(middle, goal_values=(18.5, 8, 6))) == {0}
    assert around.lost(replace(middle, hottest_gy=23.0)) == {HOT}
    before, after = around.of(2), around.firmer(around.of(2), 2, frozenset({0, HOT}))
    for old, new in zip(before, after, strict=True):
        factor = 4.0 if old.goal == 0 or old.hot_spot else 0.5 if old.goal == 2 else 1.0
        assert new.weight == old.weight * factor
        assert new.dose_gy == pytest.approx((old.dose_gy + 6.0) / 2 if old.goal == 2 else old.dose_gy)
