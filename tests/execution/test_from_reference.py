"""Planning that begins at the plan that is adapted: quick, stays with it while it can, and never ends worse for it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from appliance.contracts import Followed, Objectives, Planned, PlanningState, ReferenceStart
from appliance.errors import PlanningError, PlanningSystemHung
from appliance.execution.anytime import Way
from appliance.execution.deadline import Deadline
from appliance.execution.exploring import Exploring
from appliance.execution.from_reference import plan_from_reference
from appliance.execution.watch import Watch
from appliance.execution.watched import watched

from ..planning.cases import legal_plan
from .scripted import GOALS, Clock, SmallTps, TimedTps, percent
from .test_anytime import COLD, GOOD, HOT, SPARED, Tightening, d95, stages

Result = tuple[float, float, float]
REFERENCE = ReferenceStart(legal_plan(), (1.0, 2.0, 2.0))


@dataclass
class FollowingTps(TimedTps):
    """Follows a plan by `way`, or refuses with `refusal`. could: what its fluence would reach."""

    way: str = "apertures"
    could: Result | None = None
    refusal: PlanningError | None = None

    def follow(self, start: ReferenceStart) -> Followed:
        self._called("follow", 0.5)
        if self.refusal is not None:
            raise self.refusal
        assert start is REFERENCE
        self.round += 1
        return Followed(self._state(), self.way, f"its {self.way}")  # type: ignore[arg-type]

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        state = super().optimise_fluence(objectives)
        if self.could is None:
            return state
        d95_gy, mean_gy, hottest_gy = self.could
        return PlanningState((d95_gy, mean_gy), 1.0, hottest_gy, 1, "fluence")


def plan(tps: TimedTps, *, budget_s: float = 0.0, hang_s: float = 30.0, policy: bool = False) -> Planned:
    watch = Watch(lambda step, part: None, Deadline(budget_s, tps.clock), hang_s=hang_s)
    tps.tell = watch.progress
    way = Way(
        scorer=percent,
        exploring=Exploring(Tightening(), SmallTps, percent) if policy else None,
        policy_sha256="a" * 64 if policy else "",
    )
    try:
        return plan_from_reference(
            watched(tps, watch), GOALS, way=way, reference=REFERENCE, progress=lambda step, part: None
        )
    finally:
        watch.close()


def test_there_is_a_plan_after_one_full_dose_and_it_is_said_what_of():
    tps = FollowingTps((GOOD,))
    made = plan(tps)
    assert tps.calls[:2] == ["follow", "judge"]
    first = made.story.steps[0]
    assert (first.stage, first.by, first.told) == ("preliminary", "reference", "a deliverable plan: its apertures")
    assert made.notes[0] == "Planned on from its apertures"
    assert made.facts.start == "apertures"


def test_where_goals_are_met_nothing_is_planned_anew():
    tps = FollowingTps((GOOD, SPARED))
    made = plan(tps, policy=True)
    assert not {"fluence", "sequence", "quick"} & set(tps.calls)
    assert "exploring" not in stages(made)
    assert d95(made) == pytest.approx(20.3)


def test_who_did_not_explore_did_not_steer():
    made = plan(FollowingTps((GOOD,)), policy=True)
    assert (made.facts.policy, made.facts.policy_sha256, made.facts.calls) == ("rules", "", 0)


def test_a_goal_that_the_fluence_misses_too_is_no_reason_to_leave_the_reference():
    tps = FollowingTps((COLD,), could=COLD)
    made = plan(tps, policy=True)
    assert tps.calls.count("fluence") == 1
    assert "sequence" not in tps.calls
    assert made.facts.start == "apertures"


def test_a_goal_that_the_fluence_meets_at_the_price_of_another_is_none_either():
    tps = FollowingTps((COLD,), could=(20.5, 10.5, 21.5))
    assert plan(tps).facts.start == "apertures"
    assert "sequence" not in tps.calls


def test_where_the_fluence_meets_what_is_missed_it_is_planned_anew_and_said():
    rounds = (COLD,) * 6
    tps = FollowingTps((*rounds, GOOD), could=GOOD)
    made = plan(tps, policy=True)
    assert "sequence" in tps.calls
    assert (made.facts.start, made.facts.policy) == ("apertures, then goals", "learned")
    assert d95(made) == pytest.approx(20.5)
    said = next(note for note in made.notes if "Planned anew" in note)
    assert "PTV D95%" in said
    assert said.endswith("and that plan is handed on")


def test_a_hot_spot_that_the_fluence_does_not_need_is_a_reason_too():
    made = plan(FollowingTps((HOT, HOT, HOT, GOOD), could=GOOD))
    assert made.facts.start == "apertures, then goals"
    assert any("miss the limit on hot spots" in note for note in made.notes)


def test_what_was_planned_anew_in_vain_is_not_handed_on():
    tps = FollowingTps((COLD,) * 40, could=GOOD)
    made = plan(tps)
    assert "sequence" in tps.calls
    assert made.facts.start == "apertures"
    assert any("gave nothing better" in note for note in made.notes)


def test_a_fluence_alone_is_sequenced_and_planned_on_by_the_policy():
    tps = FollowingTps((GOOD, SPARED), way="fluence")
    made = plan(tps, policy=True)
    assert tps.calls[:3] == ["follow", "quick", "judge"]
    assert "exploring" in stages(made)
    assert (made.facts.start, made.facts.policy) == ("fluence", "learned")


def test_what_cannot_be_followed_is_planned_from_the_goals_and_it_is_said():
    tps = FollowingTps((GOOD,), refusal=PlanningError("it delivers from other directions"))
    made = plan(tps)
    assert tps.calls[:4] == ["follow", "fluence", "quick", "judge"]
    assert made.facts.start == "goals"
    assert made.notes[0].endswith("cannot be followed: it delivers from other directions")


def test_a_fluence_that_cannot_be_sequenced_is_planned_from_the_goals_too():
    def fails(count: int, name: str) -> None:
        if name == "quick" and count == 2:
            raise PlanningError("no aperture would deliver 2 MU")

    tps = FollowingTps((GOOD,), way="fluence", trouble=fails)
    made = plan(tps)
    assert tps.calls[:5] == ["follow", "quick", "fluence", "quick", "judge"]
    assert made.facts.start == "goals"


def test_a_planning_system_that_cannot_follow_at_all_plans_from_the_goals():
    made = plan(TimedTps((GOOD,)))
    assert made.facts.start == "goals"
    assert "cannot begin at a plan" in made.notes[0]


def test_one_that_hangs_there_is_not_asked_again():
    def hangs(count: int, name: str) -> None:
        if name == "follow":
            raise PlanningSystemHung("no answer")

    tps = FollowingTps((GOOD,), trouble=hangs)
    with pytest.raises(PlanningSystemHung):
        plan(tps)
    assert tps.calls == ["follow"]


@pytest.mark.parametrize("budget_s", [0.001, 5.0, 8.0, 12.0, 20.0, 40.0, 1000.0])
@pytest.mark.parametrize("could", [COLD, GOOD])
def test_whatever_the_budget_there_is_a_plan_with_its_dose(budget_s, could):
    clock = Clock()
    made = plan(FollowingTps((COLD, COLD, COLD, GOOD, SPARED), clock, could=could), budget_s=budget_s)
    assert made.dose.plan_digest == made.plan.digest
    # At the earliest after the first full dose (4.5 s); past its budget by no more than one call and one dose.
    assert clock.now_s - 100.0 <= max(budget_s, 4.5) + 5.0
