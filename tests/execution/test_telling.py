"""What is told of a hand-made episode and of the stages after it: sentences, gains, and what is set against what."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from appliance.contracts import Objective, ObjectiveKind, Objectives, PlanningState, PlanningStory
from appliance.contracts.progress import step_name
from appliance.execution.steering.changes import Change, Position
from appliance.execution.steering.episode import PlanningEpisode
from appliance.execution.steering.policy import Action
from appliance.execution.telling import KINDS, Teller
from appliance.execution.telling_words import Pair, changes_of, paired, summary

from ..planning.cases import goal, goal_set

GOALS = goal_set(
    goal("PTV", "D95%", ">=", 20.0),
    goal("Core", "Mean", "<=", 10.0, priority=2),
    goal("Lung", "V5Gy", "<=", 20.0, unit="%", priority=3),
)
NAN = math.nan
TEMPLATE = (
    Objective("PTV", ObjectiveKind.DVH_MIN, 20.0, 100.0, volume_percent=96.0, goal=0),
    Objective("Core", ObjectiveKind.MEAN_DOSE, 10.0, 40.0, goal=1),
    Objective("Lung", ObjectiveKind.DVH_MAX, 5.0, 40.0, volume_percent=20.0, goal=2),
    Objective("PTV!Core", ObjectiveKind.SQUARED_UNDERDOSE, 20.06, 10.0),
    Objective("BODY!PTV", ObjectiveKind.FALLOFF, 20.0, 4.0),
    Objective("BODY", ObjectiveKind.SQUARED_OVERDOSE, 21.4, 1000.0, hot_spot=True),
)
RING = Objective("PTV^15!PTV^5", ObjectiveKind.SQUARED_OVERDOSE, 17.0, 20.0)
OUTSIDE = Objective("Core!PTV", ObjectiveKind.SQUARED_OVERDOSE, 10.0, 20.0)
RESULTS = ((18.0, 12.0, NAN, 21.0), (19.0, 10.5, NAN, 21.0), (20.5, 9.0, NAN, 21.5), (20.6, 9.1, NAN, 23.5))
"""Of each call: D95 of the target, mean of the organ, the lung, which this patient lacks, and the hottest dose."""


@dataclass
class ScriptedTps:
    calls: int = 0
    asked: list[Objectives] = field(default_factory=list)

    def initial_objectives(self) -> Objectives:
        return TEMPLATE

    def offered_objectives(self) -> Objectives:
        return RING, OUTSIDE

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        self.asked.append(objectives)
        self.calls += 1
        d95, mean, lung, hottest = RESULTS[self.calls - 1]
        return PlanningState((d95, mean, lung), 1.0, hottest, 1, "fluence")

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(NAN if structure == "Lung" else 20.0 - v / 10 for v in volumes_percent)

    def modulation(self) -> float:
        return NAN

    def forget(self) -> None:
        self.calls = 0


def score_of(values: tuple[float, ...]) -> float:
    """Five points for each Gy of the target's dose, less two for each of the organ's."""
    return 5 * values[0] - 2 * values[1]


def act(*changes: Change) -> Action:
    return Action((*changes, *(Change.KEEP,) * (len(TEMPLATE) + 2 - len(changes))))


@pytest.fixture
def told():
    """A three-step episode: the template, one round of two changes, one that adds a ring."""
    structlog.reset_defaults()  # a command run in this process may have turned lines of this level off
    seconds = iter((100.0, 101.0, 102.5, 104.0, 110.0, 120.0, 130.0))
    teller = Teller(GOALS, score_of, clock=lambda: next(seconds))
    episode = PlanningEpisode(ScriptedTps(), GOALS, score_of)
    episode.reset()
    teller.explored(episode, "rules")
    episode.step(act(Change.RAISE, Change.TIGHTEN))
    teller.explored(episode, "rules")
    keep = Change.KEEP
    episode.step(act(Change.TIGHTEN, keep, keep, keep, keep, keep, Change.ADD))
    teller.explored(episode, "rules")
    return teller, episode


def test_three_steps_are_told_in_the_words_of_a_planner(told):
    first, second, third = told[0].steps
    assert first.told == "the template's objectives, from open fields"
    assert [change.sentence for change in second.changed] == [
        "asked 4 % less dose of Core Mean (9.6 instead of 10 Gy)",
        "PTV D95%: weight doubled",
    ]  # the organ's goal moved by 15 % of its limit, the target's by 5 %
    assert [change.sentence for change in third.changed] == [
        "asked 0.5 % more dose of PTV D95% (20.1 instead of 20 Gy)",
        "ring added around PTV (at most 17 Gy)",
    ]
    assert [change.what for change in (*second.changed, *third.changed)] == ["tighten", "raise", "tighten", "add"]
    assert third.told == "; ".join(change.sentence for change in third.changed)


def test_gains_are_those_of_the_scorecard_and_add_up(told):
    teller, episode = told
    steps = teller.steps
    assert [step.score for step in steps] == [66.0, 74.0, 84.5]
    assert [step.gained for step in steps] == [0.0, 8.0, 10.5]
    assert [step.gained for step in steps] == [step.reward.gain for step in episode.steps]
    assert sum(step.gained for step in steps) == steps[-1].score - steps[0].score


def test_a_step_saw_what_the_one_before_reached_and_an_absent_structure_is_not_counted(told):
    first, second, third = told[0].steps
    assert first.saw == () and first.since == -1
    assert second.saw is first.reached and (second.since, third.since) == (0, 1)
    assert (first.goals_met, first.goals_total) == (0, 2)
    assert (third.goals_met, third.goals_total) == (2, 2)
    lung = third.reached[2]
    assert math.isnan(lung.value) and not lung.met and lung.text == "Lung V5Gy <= 20 %"


def test_seconds_run_from_the_making_of_the_teller(told):
    assert [step.seconds for step in told[0].steps] == [1.0, 2.5, 4.0]


def test_curves_are_of_goals_and_targets_that_are_there_and_of_no_ring(told):
    curves = told[0].steps[0].curves
    assert [(curve.structure, curve.is_target) for curve in curves] == [("PTV", True), ("Core", False)]


def test_a_higher_score_bought_with_a_hot_spot_is_not_kept(told):
    teller, episode = told
    assert [step.kept for step in teller.steps] == [True, True, True]
    episode.step(act(Change.RAISE))
    teller.explored(episode, "rules")
    last = teller.steps[-1]
    assert last.score > teller.steps[-2].score and not last.kept


def test_scores_of_other_doses_are_not_set_against_each_other(told):
    teller, _ = told
    values = (20.2, 9.4, NAN)
    teller.stage("preliminary", "template", PlanningState((20.1, 9.9, NAN), 1.0, 21.0, 1, "true"))
    teller.stage("fluence", "rules", PlanningState(values, 1.0, 21.0, 1, "fluence"), TEMPLATE)
    teller.stage("final", "rules", PlanningState(values, 1.0, 21.0, 1, "true"))
    preliminary, fluence, final = teller.steps[3:]
    assert (fluence.since, fluence.gained, fluence.saw) == (-1, 0.0, ())
    assert final.since == preliminary.number
    assert final.gained == pytest.approx(5 * 0.1 + 2 * 0.5)


def test_a_preliminary_plan_that_nothing_beats_is_said_to_be_handed_on():
    teller = Teller(GOALS, score_of)
    state = PlanningState((20.2, 9.4, NAN), 1.0, 21.0, 1, "")
    teller.stage("preliminary", "template", state)
    teller.stage("final", "rules", state)
    final = teller.steps[-1]
    assert (final.told, final.gained, final.kept) == (
        "nothing better was made: the earlier plan is handed on",
        0.0,
        True,
    )


def test_stages_tell_what_differs_from_the_last_list_of_their_kind():
    teller = Teller(GOALS, score_of)
    state = PlanningState((20.2, 9.4, NAN), 1.0, 21.0, 1, "")
    heavier = tuple(o.scaled(1.6) if o.goal == 1 else o for o in TEMPLATE)
    teller.stage("fluence", "rules", state, TEMPLATE)
    teller.stage("fluence", "rules", state, heavier)
    teller.stage("fluence", "rules", state)
    teller.stage("fluence", "rules", state, heavier[:-1])
    assert [step.told for step in teller.steps] == [
        "fluence of the full planning system",
        "Core Mean: weight raised 1.6-fold",
        "fluence of the full planning system",
        "hot-spot limit taken out",
    ]


def test_many_changes_are_grouped_and_counted():
    heavier = tuple(o.scaled(2.0) for o in TEMPLATE)
    changes = [c for pair in paired(TEMPLATE, heavier) for c in changes_of(GOALS, pair)]
    assert summary(changes, changed=6, objectives=6) == (
        "6 of 6 objectives changed: more weight on PTV D95%, Core Mean, Lung V5Gy and 3 more"
    )
    assert summary([], changed=0, objectives=6) == ""


def test_helpers_have_names_that_tell_them_apart():
    names = [c.objective for o in (*TEMPLATE[3:], RING, OUTSIDE) for c in changes_of(GOALS, Pair(o, o.scaled(0.5)))]
    assert names == [
        "coverage of PTV at 20.06 Gy",
        "dose fall-off around the targets",
        "hot-spot limit",
        "ring around PTV",
        "Core outside the targets",
    ]


def test_every_kind_of_objective_has_a_name_and_a_weight_of_nothing_divides_nothing():
    for kind in ObjectiveKind:
        before = Objective("Cord", kind, 10.0, 0.0, volume_percent=5.0)
        (change,) = changes_of(GOALS, Pair(before, replace(before, weight=2.0)))
        assert change.sentence.endswith(": weight put to 2") and len(change.objective) > 3


def test_a_volume_goal_is_asked_for_less_volume_and_a_free_search_for_both():
    teller = Teller(GOALS, score_of)
    episode = PlanningEpisode(ScriptedTps(), GOALS, score_of)
    episode.reset()
    setting = list(episode.steps[-1].setting)
    setting[2] = Position(weight=0.25, ask=0.9)
    episode.ask(tuple(setting))
    teller.explored(episode, "bayes")
    assert [change.sentence for change in teller.steps[-1].changed] == [
        "Lung V5Gy: weight quartered",
        "asked 10 % less volume of Lung V5Gy (18 instead of 20 %)",
    ]


def test_a_story_comes_back_from_json_as_it_was_and_says_null_of_what_is_absent(told):
    story = told[0].story("learned", ended="all goals met", fallback="the policy's file was altered")
    data = story.to_json()
    document = json.loads(data)
    assert document["schema"] == "couchside.story/1"
    assert document["steps"][0]["reached"][2]["value"] is None
    again = PlanningStory.from_json(data)
    assert again.to_json() == data
    assert math.isnan(again.steps[0].reached[2].value)
    assert again.steps[1].changed == story.steps[1].changed


def test_each_step_is_one_log_line_without_names_of_structures(told):
    teller, episode = told
    with capture_logs() as lines:
        episode.step(act(Change.RAISE))
        teller.explored(episode, "rules")
        teller.explored(episode, "rules")
    assert lines == [
        {
            "event": "planning step", "log_level": "info", "number": 3, "stage": "exploring", "policy": "rules",
            "score": 84.8, "goals_met": 2, "goals_total": 2, "seconds": 10.0,
        }
    ]  # fmt: skip


def test_the_line_for_whoever_waits_is_booked_under_one_name(told):
    line = told[0].line(15)
    assert line == "planner: exploring · 3/15: score 84.5, 2 of 2 goals"
    assert step_name(line) == "planner: exploring"


@given(
    told=st.lists(
        st.tuples(st.sampled_from(sorted(KINDS)), st.floats(10.0, 25.0), st.floats(0.0, 20.0), st.floats(15.0, 30.0)),
        max_size=12,
    )
)
def test_in_whatever_order_gains_of_one_kind_of_dose_add_up_to_the_difference_of_its_scores(told):
    teller = Teller(GOALS, score_of)
    for stage, d95, mean, hottest in told:
        teller.stage(stage, "rules", PlanningState((d95, mean, NAN), 1.0, hottest, 1, ""))
    for kind in set(KINDS.values()):
        chain = [step for step in teller.steps if KINDS[step.stage] == kind]
        if chain:
            assert sum(step.gained for step in chain) == pytest.approx(chain[-1].score - chain[0].score, abs=1e-9)
            assert [step.since for step in chain] == [-1, *(step.number for step in chain[:-1])]
            assert chain[0].kept
