"""The plan of an answer is taken only where it is what was promised; otherwise the plan in review stays, and it is
said."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from appliance.contracts import Objectives, PlanningState, Revision
from appliance.contracts.navigation import Wish
from appliance.contracts.progress import silent
from appliance.errors import PlanningError
from appliance.execution.edits import planning_set
from appliance.execution.navigation import Navigator, Trader, agreed_in
from appliance.execution.watch import Watch
from appliance.execution.watched import watched

from ..scripted import GOALS, percent
from ..test_reviser import AS_PLANNED, COLD, LOWER, ResumingTps, before
from .sets import GOALS as SET_GOALS
from .sets import by_hand

STRICTER = replace(GOALS, goals=(GOALS.goals[0], replace(GOALS.goals[1], limit=8.0)))
ASKED = Revision(1, STRICTER, asked=(1,), parent=1)
FLUENCE = np.ones(4)


@dataclass
class FluenceTps(ResumingTps):
    taken: int = 0

    def initial_objectives(self) -> Objectives:
        return super().initial_objectives()[:2]

    def _state(self) -> PlanningState:
        state = super()._state()
        return replace(state, goal_values=state.goal_values[:2])

    def take_fluence(self, values: np.ndarray) -> PlanningState:
        self.taken += len(values)
        return replace(self._state(), mu=float("nan"))


def taken(tps: ResumingTps, fluence: np.ndarray | None = FLUENCE):
    watch, first = Watch(), before(tps)
    trader = Trader(
        watched(tps, watch), ASKED, first, percent, lambda _: {}, silent, agreed=planning_set(ASKED), fluence=fluence
    )
    try:
        return first, trader.revise()
    finally:
        watch.close()


def test_a_plan_nearer_to_the_wish_is_taken_and_told():
    tps = FluenceTps((AS_PLANNED, LOWER))
    first, made = taken(tps)
    assert tps.taken == 4
    assert made.plan.digest != first.plan.digest
    assert made.facts.ended == "what was asked for is reached"
    assert [step.stage for step in made.story.steps][:2] == ["review", "fluence"]


def test_arcs_make_a_fluence_of_their_own():
    tps = FluenceTps((AS_PLANNED, LOWER))
    taken(tps, None)
    assert tps.taken == 0 and "fluence" in tps.calls


@pytest.mark.parametrize("result", [COLD, (20.5, 9.5, 21.5), (20.5, 7.0, 40.0)], ids=["cold", "no nearer", "hot"])
def test_what_loses_coverage_or_is_no_nearer_is_not_taken(result):
    first, made = taken(FluenceTps((AS_PLANNED, result)))
    assert made.plan.digest == first.plan.digest
    assert any(note.startswith("Revision 1 leaves the plan as it was") for note in made.notes)


def test_a_fluence_of_other_beams_leaves_the_plan():
    tps = FluenceTps((AS_PLANNED, LOWER))

    def fails(values: np.ndarray) -> PlanningState:
        raise PlanningError("a fluence of 4 values is not one of the 9 beamlets of this case")

    tps.take_fluence = fails  # type: ignore[method-assign]
    first, made = taken(tps)
    assert made.plan.digest == first.plan.digest
    assert any("Revision 1 ended early" in note and "9 beamlets" in note for note in made.notes)


def test_what_gives_way_has_a_weaker_limit_in_planning_alone():
    known = by_hand()
    left = SET_GOALS.goals[2]
    wish = Wish("Left", left.metric, left.comparator, 6.2, "Gy", "Left Mean <= 6.2 Gy")
    answer = Navigator(known).ask(wish, ("Right",))
    goals = (*SET_GOALS.goals[:2], replace(left, limit=6.2), SET_GOALS.goals[3])
    revision = Revision(1, replace(SET_GOALS, goals=goals), asked=(2,), relaxed=(3,))
    agreed = agreed_in(revision, known, (wish, answer))
    assert agreed.goals[2].limit == 6.2
    assert agreed.goals[3].limit > 10.0
    assert revision.goal_set.goals[3].limit == 10.0
