"""The search for the smallest change, on a re-optimiser whose trade-off is known in closed form, and the reasons that
need no optimising, on structures whose overlap can be counted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from appliance.contracts import CalculatedDose, ClinicalGoal, Comparator, GoalConflict, GoalSet, Metric, Plan
from appliance.contracts.explanation import Explanation, Extent, Reached
from appliance.errors import EvaluationError
from appliance.evaluation.explain import explain
from appliance.evaluation.explain.words import summary

PLAN = Plan("T", (), 25, "HFS")


def goals_of(*goals: tuple[str, str, str, float]) -> GoalSet:
    made = tuple(
        ClinicalGoal(name, Metric.parse(metric), Comparator(way), limit, "Gy", 1, "test")
        for name, metric, way, limit in goals
    )
    return GoalSet("small", "Small", "small", 25, (("PTV", 50.0),), made, "g" * 64)


GOALS = goals_of(("PTV", "D95%", ">=", 48.0), ("Core", "Mean", "<=", 20.0), ("Bladder", "Mean", "<=", 40.0))
CORE = 1


@dataclass
class LinearTps:
    """A TPS for which the core's mean is `floor` + gain * (PTV's limit), and nothing else matters: the core is asked
    for no more than its limit. `calls` keeps the goal sets asked for, and whether from scratch."""

    floor: float
    gain: float
    bladder: float = 30.0
    calls: list[tuple[GoalSet, bool]] = field(default_factory=list)

    def __call__(self, goal_set, *, ignored=frozenset(), steady=frozenset(), pressed=frozenset(), from_scratch=False):
        self.calls.append((goal_set, from_scratch))
        coverage, core = goal_set.goals[0].limit, goal_set.goals[1].limit
        value = max(self.floor + self.gain * coverage, core)
        conflicts = (GoalConflict(CORE, (0,), "Core Mean <= 20 Gy is missed: it stands against coverage of PTV"),)
        return Reached((coverage, value, self.bladder), 52.0, 10, conflicts)


@pytest.fixture
def case(make_case):
    return make_case("PTV", "Core", "Bladder")


def dose_of(make_dose, ptv: float = 50.0, organs: float = 26.0) -> CalculatedDose:
    values = np.full((10, 10, 10), organs, np.float32)
    values[4:6, 4:6, 4:6] = ptv
    return replace(make_dose(values), plan_digest=PLAN.digest)


def ask(case, dose, tps, goals: GoalSet = GOALS, **more) -> tuple[Explanation, ...]:
    return explain(case, goals, dose, PLAN, None if tps is None else lambda: tps, **more)


def test_the_smallest_change_is_found_to_the_resolution_of_the_search(case, make_dose):
    """The core has 22.4 Gy at a limit of 48 Gy and half a Gy less for each Gy: 20 Gy needs 43.2 Gy."""
    tps = LinearTps(floor=-1.6, gain=0.5)
    (found,) = ask(case, dose_of(make_dose), tps)
    change = found.change
    assert change is not None
    assert (change.giver, change.structure, change.metric) == (0, "PTV", "D95%")
    resolution = 48.0 * 0.2 / 16
    assert 43.2 - resolution - 0.1 <= change.limit_to <= 43.2
    assert 0.0 <= change.room <= 0.5 * (resolution + 0.1)
    assert found.together == pytest.approx(22.4)


def test_what_is_claimed_was_optimised_from_scratch(case, make_dose):
    tps = LinearTps(floor=-0.5, gain=0.45)  # 21.1 at 48; 20 at 45.6
    (found,) = ask(case, dose_of(make_dose), tps)
    assert found.change is not None
    scratch = [asked.goals[0].limit for asked, from_scratch in tps.calls if from_scratch]
    assert found.change.limit_to in scratch
    assert found.change.limit_to == pytest.approx(45.55, abs=0.65)
    assert "from scratch" in found.change.sentence
    assert f"{found.change.limit_to:g} Gy" in found.change.sentence
    assert f"{100 * found.change.limit_to / 50:.1f} % of 50 Gy" in found.change.sentence


def test_where_no_single_change_suffices_it_says_what_would_be_reachable(case, make_dose):
    (found,) = ask(case, dose_of(make_dose), LinearTps(floor=20.0, gain=0.1))
    assert found.change is None
    assert "no single change" in found.no_change
    assert "23.8 Gy" in found.no_change, "20 + 0.1 * 38.4"
    slopes = {slope.goal: slope.slope for slope in found.trade_offs}
    assert slopes["PTV D95%"] == pytest.approx(0.1)
    assert slopes["Bladder Mean"] == pytest.approx(0.0)


def test_a_goal_that_the_fluence_meets_has_no_physics_reason(case, make_dose):
    (found,) = ask(case, dose_of(make_dose), LinearTps(floor=0.0, gain=0.1))
    assert [reason.kind for reason in found.reasons] == ["delivery"]
    assert found.change is None
    assert "more weight" in found.no_change


def test_a_change_that_spoils_another_goal_does_not_count(case, make_dose):
    class Spoiled(LinearTps):
        def __call__(self, goal_set, **more):
            reached = super().__call__(goal_set, **more)
            bladder = 45.0 if goal_set.goals[0].limit < 48.0 else 30.0
            return replace(reached, values=(*reached.values[:2], bladder))

    (found,) = ask(case, dose_of(make_dose), Spoiled(floor=-1.6, gain=0.5))
    assert found.change is None


def test_the_budget_is_kept_and_said(case, make_dose):
    tps = LinearTps(floor=-1.6, gain=0.5)
    (found,) = ask(case, dose_of(make_dose), tps, budget_s=0.0)
    assert len(tps.calls) <= 1
    assert not found.finished
    assert "time ended" in found.no_change


def replanned(core: float) -> Extent:
    return Extent(replan=lambda goals: (goals.goals[0].limit, core, 30.0))


def test_a_deliverable_plan_of_the_change_is_told_as_such(case, make_dose):
    tps = LinearTps(floor=-0.5, gain=0.45)
    (good,) = ask(case, dose_of(make_dose), tps, extent=replanned(19.5))
    assert good.change is not None
    assert (good.change.level, good.change.value, good.change.room) == ("deliverable", 19.5, 0.5)
    assert "whole plan" in good.change.sentence
    (bad,) = ask(case, dose_of(make_dose), tps, extent=replanned(20.7))
    assert bad.change is not None
    assert (bad.change.level, bad.change.deliverable_value) == ("fluence", 20.7)
    assert "20.7 Gy" in bad.change.sentence


def test_one_may_ask_about_one_structure_only(case, make_dose):
    found = ask(case, dose_of(make_dose, ptv=40.0), LinearTps(floor=20.0, gain=0.1), extent=Extent(("Core",)))
    assert [one.structure for one in found] == ["Core"]


def test_borderline_goals_are_told_without_optimising(case, make_dose):
    tps = LinearTps(floor=0.0, gain=0.0)
    found = ask(case, dose_of(make_dose, ptv=48.2, organs=15.0), tps)
    assert [(one.structure, one.state) for one in found] == [("PTV", "borderline")]
    assert tps.calls == []
    assert ask(case, dose_of(make_dose, ptv=50.0, organs=15.0), tps) == ()


def test_the_overlap_of_an_organ_inside_the_target_forces_its_dose(make_case, make_dose):
    """The organ is half of the target's eight 1 cc voxels: of 95 % coverage 0.4 cc may be spared, so 3.6 of 4 cc get
    48 Gy: a mean of 43.2 Gy, whatever the plan."""
    case = make_case("PTV", "Core")
    inside = np.zeros((10, 10, 10), np.float32)
    inside[4, 4:6, 4:6] = 1
    voxels = type(case.structures[2].voxels).from_dense(inside)
    case = replace(case, structures=(*case.structures[:2], replace(case.structures[2], voxels=voxels)))
    goals = replace(GOALS, goals=GOALS.goals[:2])
    (found,) = ask(case, dose_of(make_dose), None, goals)
    assert found.floor == pytest.approx(43.2)
    reason = next(reason for reason in found.reasons if reason.kind == "overlap")
    assert "4.0 cc (100 %) of Core lie inside PTV" in reason.sentence
    assert "43.2 Gy or more, above the limit of 20 Gy" in reason.sentence


def test_an_organ_beside_the_target_is_told_its_distance(case, make_dose):
    found = ask(case, dose_of(make_dose), None, replace(GOALS, goals=GOALS.goals[:2]))
    (distance,) = [reason for reason in found[0].reasons if reason.kind == "distance"]
    assert {name: value for name, value, _ in distance.numbers}["nearest distance"] == 10.0
    assert found[0].floor is None


def test_explanations_are_plain_json_and_one_paragraph(case, make_dose):
    found = ask(case, dose_of(make_dose), LinearTps(floor=-0.5, gain=0.45))
    adapter = TypeAdapter(tuple[Explanation, ...])
    assert adapter.validate_json(adapter.dump_json(found)) == found
    assert summary(found[0]).startswith("Core Mean is 26.0 Gy; wanted is at most 20 Gy: missed by 6.0 Gy.")


def test_a_dose_of_another_plan_is_refused(case, make_dose):
    with pytest.raises(EvaluationError):
        ask(case, make_dose(), None)
