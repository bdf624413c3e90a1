"""Answers from sets of plans made by hand, whose trade-offs are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.contracts.navigation import TradeOffSet
from appliance.errors import PlanningError, RefusedGoals
from appliance.execution.navigation import Navigator, parse_wish
from appliance.execution.navigation.combining import Bounds, best_combination
from appliance.execution.navigation.surface import Surface, in_order

from .sets import FAVOURED, GOALS, PARTS, by_hand, doses, set_of

KNOWN = by_hand()
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""What is tested is no speed, and machines that build are busy."""


def asked(said: str, known: TradeOffSet = KNOWN, allowed: tuple[str, ...] = ()):
    return Navigator(known).ask(parse_wish(said, known), allowed)


def value(answer, structure: str) -> float:
    return next(one.then for one in answer.goals if one.structure == structure)


weights = st.lists(st.floats(0.01, 1), min_size=4, max_size=4).map(lambda w: np.array(w) / sum(w))


@given(weights)
@UNHURRIED
def test_the_mean_of_a_combination_is_the_combination_of_the_means(parts):
    surface = Surface(KNOWN, parse_wish("Left Mean <= 8 Gy", KNOWN))
    single = np.array([surface.values(corner) for corner in np.eye(4)])
    means = [place for place, row in enumerate(surface.rows) if row.number in (-1, 2, 3)]
    np.testing.assert_allclose(surface.values(parts)[means], (parts @ single)[means], rtol=1e-5)


@given(weights)
@UNHURRIED
def test_the_hottest_of_a_combination_is_no_hotter_than_the_combination_of_the_hottest(parts):
    """Near-maxima are convex in the dose where they are a mean over the tail, and nearly so as a DVH point."""
    surface = Surface(KNOWN, parse_wish("Left Max <= 8 Gy", KNOWN))
    single = np.array([surface.values(corner)[0] for corner in np.eye(4)])
    assert surface.values(parts)[0] <= parts @ single + 1e-4


def test_the_ends_are_the_plans_themselves_moved_by_what_the_deliverable_plan_differs_by():
    off = 0.4
    plan = KNOWN.plan_dose_gy + np.float32(off)
    rows = zip([a.name for a in KNOWN.anchors], [a.goal for a in KNOWN.anchors], KNOWN.dose_gy, strict=True)
    known = in_order(set_of(plan, *rows))
    surface = Surface(known, parse_wish("Left Mean <= 8 Gy", known))
    for place, corner in enumerate(np.eye(4)):
        values = dict(zip((row.number for row in surface.rows), surface.values(corner), strict=True))
        for number, plain in enumerate(known.anchors[place].values):
            assert values[number] == pytest.approx(plain + off, abs=1e-4)


@given(st.floats(7.3, 8.9))
@settings(UNHURRIED, max_examples=10)
def test_a_wish_inside_is_met_and_nothing_is_lost_for_it(limit):
    answer = asked(f"Left Mean <= {limit:.3f} Gy")
    assert answer.reachable
    assert answer.reached <= limit * 1.001 + 5e-4
    assert not answer.lost
    assert "can be had" in answer.sentence


def test_of_answers_that_meet_it_the_one_that_costs_least_is_given():
    """No combination on a fine lattice of three plans meets the wish and costs the other side less."""
    answer = asked("Left Mean <= 7.5 Gy")
    surface = Surface(KNOWN, parse_wish("Left Mean <= 7.5 Gy", KNOWN))
    cost = max(value(answer, "Right") - 9.5, 0)
    lattice = np.linspace(0, 1, 41)
    for part, other in ((a, b) for a in lattice for b in lattice if a + b <= 1):
        weights = np.array([1 - part - other, part, other, 0])
        values = dict(zip((row.number for row in surface.rows), surface.values(weights), strict=True))
        assert values[2] > 7.5 or max(values[3] - 9.5, 0) >= cost - 1e-3


def test_the_answer_goes_no_further_from_the_plan_than_the_wish_asks():
    answer = asked("Left Mean <= 8.5 Gy")
    assert answer.reached == pytest.approx(8.5, abs=0.01)


def test_a_wish_outside_is_refused_with_how_far_it_goes_and_what_holds_it():
    answer = asked("Left Mean <= 5 Gy")
    assert not answer.reachable
    assert 5 < answer.reached < 9
    assert value(answer, "Right") == pytest.approx(10.0, abs=0.01)
    assert [name for name, _ in answer.held_by] == ["Right Mean <= 10 Gy"]
    assert answer.held_by[0][1] > 10
    assert answer.further == pytest.approx(6.0, abs=0.05)
    assert "cannot be had" in answer.sentence and "Right Mean <= 10 Gy (11.00) would be lost" in answer.sentence


def test_what_is_allowed_to_be_lost_is_lost_and_said():
    answer = asked("Left Mean <= 6.2 Gy", allowed=("Right",))
    assert answer.reachable
    assert [one.structure for one in answer.lost] == ["Right"]
    assert "no longer met: Right Mean 9.5 to" in answer.sentence


@given(
    st.sampled_from(["Left Mean <= {:.2f} Gy", "Right Mean <= {:.2f} Gy", "Cord D0.1cc <= {:.2f} Gy"]),
    st.floats(1, 12),
    st.integers(0, 50),
)
@settings(UNHURRIED, max_examples=25)
def test_no_goal_of_the_same_or_a_higher_priority_is_ever_lost_unasked(said, limit, seed):
    random = np.random.default_rng(seed)
    middle = doses(20, random.uniform(4, 10), random.uniform(5, 9), random.uniform(5, 9), seed=seed)
    rows = [
        (name, number, doses(*random.uniform([18, 3, 3, 3], [20.5, 12, 12, 12]), seed=seed + place))
        for place, (name, (number, _)) in enumerate(FAVOURED.items())
    ]
    known = set_of(middle, ("the plan", -1, middle), *rows)
    answer = asked(said.format(limit), known)
    priority = next(g.priority for g in GOALS.goals if g.structure == said.split()[0])
    assert all(one.priority > priority for one in answer.lost)
    assert answer.hottest_gy <= max(20 * 1.12, answer.hottest_now_gy) + 1e-6


def test_the_order_in_which_the_plans_were_made_changes_nothing():
    for order in ([0, 3, 1, 2], [0, 2, 3, 1], [2, 0, 1, 3]):
        shuffled = replace(
            KNOWN, anchors=tuple(KNOWN.anchors[i] for i in order), dose_gy=KNOWN.dose_gy[order],
            fluence=KNOWN.fluence[order],
        )  # fmt: skip
        for said in ("Left Mean <= 8 Gy", "Cord D0.1cc <= 8 Gy", "Left Mean <= 5 Gy"):
            assert replace(asked(said, shuffled), seconds=0) == replace(asked(said), seconds=0)


def test_a_wish_of_a_metric_that_no_goal_has_is_judged_on_the_combined_dose():
    answer = asked("Left D50% <= 8 Gy")
    assert answer.reachable and answer.now == pytest.approx(9, abs=1)
    assert not answer.lost


def test_the_fluence_of_an_answer_is_the_combination_and_never_negative():
    navigator = Navigator(KNOWN)
    answer = navigator.ask(parse_wish("Left Mean <= 8 Gy", KNOWN))
    fluence = navigator.fluence(answer)
    part = dict(answer.parts)
    by_hand = sum(part.get(n, 0) * KNOWN.fluence[i].astype(float) for i, n in enumerate(KNOWN.names))
    np.testing.assert_allclose(fluence, by_hand / sum(part.values()), rtol=1e-6)
    assert fluence.min() >= 0


def test_without_plans_around_it_nothing_can_be_traded_and_the_reason_is_given():
    alone = replace(
        KNOWN, anchors=KNOWN.anchors[:1], dose_gy=KNOWN.dose_gy[:1], why="every goal is met with room to spare"
    )
    with pytest.raises(PlanningError, match="met with room to spare"):
        Navigator(alone)


def test_the_last_step_is_taken_back_as_far_as_what_must_be_kept_demands():
    """A bound that the middle just keeps and every step breaks leaves the middle."""
    surface = Surface(KNOWN, parse_wish("Left Mean <= 5 Gy", KNOWN))
    held = np.array([row.number == 3 for row in surface.rows])
    bound = np.array([row.now for row in surface.rows])
    values = surface.values(best_combination(surface, Bounds(held, bound)))
    place = int(np.flatnonzero(held)[0])
    assert values[place] <= bound[place] * (1 + 1e-6)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("make it nicer", "not a wish"),
        ("Heart Mean <= 5 Gy", "know nothing of 'Heart'"),
        ("Left Mean <= 5 cc", "not given in cc"),
        ("Left V10Gy <= 5 Gy", "not given in Gy"),
        ("more Left", "no goal says what more"),
        ("less Right by 10 %", "not given in %"),
        ("Left Foo <= 5 Gy", "not a known metric"),
    ],
)
def test_what_is_no_wish_is_refused_in_words(said, why):
    with pytest.raises(RefusedGoals, match=why):
        parse_wish(said, KNOWN)


def test_wishes_in_words_become_goals():
    assert str(parse_wish("Left Mean <= 8 Gy", KNOWN)) == "Left Mean <= 8 Gy"
    assert str(parse_wish("less right by 2 Gy", KNOWN)) == f"Right Mean <= {KNOWN.plan_values[3] - 2:.1f} Gy"
    assert parse_wish("less Left", KNOWN).limit == pytest.approx(0.95 * KNOWN.plan_values[2], abs=0.005)
    more = parse_wish("more PTV", KNOWN)
    assert (str(more.metric), more.limit) == ("D95%", pytest.approx(1.01 * KNOWN.plan_values[0], abs=0.005))
    assert parse_wish("Left V8Gy <= 40", KNOWN).unit == "%"
    assert set(PARTS) < set(KNOWN.regions)
