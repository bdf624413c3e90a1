"""Each edit on a planned phantom: what was asked for improves, what comes before it is kept, and every plan can be
delivered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from appliance.config import PlanningConfig
from appliance.contracts import (
    CalculatedDose,
    Case,
    ChangeGoal,
    ChangePriority,
    Comparator,
    Edit,
    GoalSet,
    Isodose,
    Metric,
    Objective,
    ObjectiveKind,
    Plan,
    Planned,
    ProtectMore,
    PushCoverage,
    RemoveHotSpot,
    Revision,
    Sphere,
    Undo,
    Working,
)
from appliance.errors import RefusedEdit
from appliance.evaluation import plan_scorer
from appliance.execution import plan_case
from appliance.execution.edits import Present, apply_edits, planning_case, planning_set
from appliance.execution.hot_regions import HOT_METRIC
from appliance.execution.reviser import revise_plan
from appliance.execution.revising import ASKED_WEIGHT, carried
from appliance.execution.watch import Watch
from appliance.execution.watched import watched
from appliance.planning import PhotonTps, check_plan
from appliance.planning.merit import FullGrid, goal_values

from ..planning.cases import cylinder_case, goal, goal_set

CONFIG = PlanningConfig(segments_per_beam=5, dose_grid_mm=4.0, algorithm="pencil_beam")
GOALS = goal_set(
    goal("PTV", "D95%", ">=", 19.0), goal("PTV", "D2%", "<=", 22.0), goal("Core", "Mean", "<=", 14.0, priority=2)
)
MEAN = Metric.parse("Mean")


@dataclass(frozen=True, eq=False)
class Stood:
    """A plan with what a revision needs of it."""

    case: Case
    goal_set: GoalSet
    plan: Plan
    dose: CalculatedDose
    working: Working

    @property
    def present(self) -> Present:
        flat = self.dose.dose_gy.reshape(-1)
        return Present(self.case, lambda one: goal_values((one,), FullGrid(self.case), flat)[0], self.dose.dose_gy)

    def asked(self, *edits: Edit) -> Revision:
        return apply_edits(self.present, Revision(0, self.goal_set), edits, "Dr Test")

    def revised(self, revision: Revision) -> tuple[Stood, list[str]]:
        tps, watch = PhotonTps(planning_case(self.case, revision), planning_set(revision), CONFIG), Watch()
        before = Planned(self.plan, self.dose, working=self.working)
        made = revise_plan(watched(tps, watch), revision, before=before, scorer=plan_scorer(revision.goal_set))
        watch.close()
        return Stood(self.case, revision.goal_set, made.plan, made.dose, tps.working()), list(made.notes)

    def value(self, structure: str, metric: str) -> float:
        return self.present.value_of(goal(structure, metric, "<=", 1.0))


@pytest.fixture(scope="module")
def stood() -> Stood:
    case = cylinder_case()
    tps = PhotonTps(case, GOALS, CONFIG)
    plan, dose = plan_case(tps, GOALS, sparing_rounds=0)
    return Stood(case, GOALS, plan, dose, tps.working())


def hottest_outside(stood: Stood) -> Sphere:
    """About the hottest voxel further than 12 mm from the target, which the sphere so does not touch."""
    target = stood.case.structure("PTV")
    assert target is not None
    grid = stood.case.image.grid
    far = distance_transform_edt(~target.voxels.mask(grid.shape, 0.01), sampling=grid.spacing_mm[::-1]) > 12.0
    hottest = np.where(far, stood.dose.dose_gy, 0.0).reshape(-1).argmax()
    x, y, z = (float(v) for v in grid.centres_mm(np.asarray([hottest]))[0])
    return Sphere((x, y, z), 8.0)


def kept(stood: Stood) -> bool:
    """Coverage and hot spots of the target as before, and a plan that can be delivered with the dose that is its."""
    own = [one for one in stood.goal_set.goals if one.structure == "PTV"]
    met = all(one.met_by(stood.present.value_of(one)) for one in own)
    return met and check_plan(stood.plan).deliverable and stood.dose.plan_digest == stood.plan.digest


def test_a_stricter_goal_is_met(stood):
    limit = round(stood.value("Core", "Mean") * 0.95, 2)
    revision = stood.asked(ChangeGoal("Core", MEAN, Comparator.AT_MOST, limit, "Gy"))
    after, told = stood.revised(revision)
    assert after.value("Core", "Mean") <= limit
    assert kept(after)
    assert told[0].startswith(f"Asked for Core Mean <= {limit:g} Gy")
    assert told[0].endswith("now, reached")
    assert revision.goal_set.digest != GOALS.digest
    assert any("Dr Test changed 'Core Mean <= 14 Gy'" in note for note in revision.goal_set.notes)


def test_an_organ_protected_more_gets_less_and_no_goal_is_lost(stood):
    after, told = stood.revised(stood.asked(ProtectMore("Core")))
    assert after.value("Core", "Mean") < 0.97 * stood.value("Core", "Mean")
    assert kept(after)
    assert after.goal_set.goals == GOALS.goals
    assert not [sentence for sentence in told if sentence.startswith("Lost")]


def test_pushed_coverage_rises(stood):
    after, _ = stood.revised(stood.asked(PushCoverage("PTV")))
    assert after.value("PTV", "D95%") > stood.value("PTV", "D95%") + 0.05
    assert kept(after)


def test_a_hot_spot_about_a_point_gets_cooler(stood):
    revision = stood.asked(RemoveHotSpot(hottest_outside(stood)))
    (region,), (wish,) = revision.regions, revision.wishes
    before = HOT_METRIC.of(stood.case, stood.dose.dose_gy, region.index)
    after, told = stood.revised(revision)
    assert HOT_METRIC.of(stood.case, after.dose.dose_gy, region.index) < before - 0.2 * (before - wish.limit)
    assert kept(after)
    assert f"Asked for {region.words} D0.1cc" in told[0]


def test_what_cannot_be_had_is_told_and_costs_nothing(stood):
    """Less than scatter and leakage leave."""
    after, told = stood.revised(stood.asked(ChangeGoal("Core", MEAN, Comparator.AT_MOST, 0.2, "Gy")))
    assert kept(after)
    assert any("not reached" in sentence for sentence in told)
    assert after.value("Core", "Mean") > 0.2


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.builds(ProtectMore, st.just("Core"), st.floats(2, 60)),
            st.builds(PushCoverage, st.just("PTV"), st.floats(0.5, 5)),
            st.floats(2, 16).map(lambda gy: ChangeGoal("Core", MEAN, Comparator.AT_MOST, gy, "Gy")),
            st.builds(ChangePriority, st.just("Core"), st.integers(1, 5)),
            st.builds(RemoveHotSpot, st.just("Core"), st.floats(8, 20)),
        ),
        min_size=1,
        max_size=2,
    )
)
def test_no_edit_leads_to_a_plan_that_cannot_be_delivered(stood, edits):
    try:
        revision = stood.asked(*edits)
    except RefusedEdit:
        return
    assert kept(stood.revised(revision)[0])


def test_wishes_come_after_every_goal_and_replace_their_like(stood):
    once = stood.asked(ProtectMore("Core"), ProtectMore("Core", 20.0))
    assert [(wish.key, wish.priority) for wish in once.wishes] == [("Core Mean <=", 3)]
    assert once.wishes[0].limit == pytest.approx(0.8 * stood.value("Core", "Mean"), abs=0.01)
    assert once.asked == (3,)
    assert once.goal_set.digest == planning_set(Revision(0, GOALS)).digest


def test_what_gives_way_is_not_what_is_asked(stood):
    looser = stood.asked(ChangeGoal("Core", MEAN, Comparator.AT_MOST, 16.0, "Gy"))
    lower = stood.asked(ChangePriority("Core", 3))
    higher = stood.asked(ChangePriority("Core", 1))
    assert [(r.asked, r.relaxed) for r in (looser, lower, higher)] == [((), (2,)), ((), (2,)), ((2,), ())]


def test_a_revision_survives_its_own_json(stood):
    revision = stood.asked(RemoveHotSpot(hottest_outside(stood)), ProtectMore("Core"))
    assert Revision.from_json(revision.to_json()) == revision


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (ChangePriority("PTV", 3), "coverage is never given up"),
        (ChangePriority("External", 1), "no goal of External"),
        (ProtectMore("Core", float("nan")), "cannot be asked for nan % less"),
        (ProtectMore("Core", 120.0), "cannot be asked for 120 % less"),
        (ProtectMore("Core", 50.0, "Gy"), "less cannot be asked"),
        (PushCoverage("Core"), "no prescribed target"),
        (PushCoverage("PTV", 20.0), "up to 10 %"),
        (RemoveHotSpot("PTV", 10.0), "cannot be asked below 20.4 Gy"),
        (RemoveHotSpot(Sphere((500.0, 0.0, 0.0))), "nothing of the patient"),
        (RemoveHotSpot(Isodose(99.0)), "nothing of the patient"),
        (Undo(), "stands alone"),
    ],
)
def test_edits_that_make_no_sense_are_refused(stood, edit, why):
    with pytest.raises(RefusedEdit, match=why):
        stood.asked(edit)


def test_weights_are_carried_over_by_goal_not_by_number():
    """A goal that comes in between shifts the numbers of the wishes behind it."""
    wish = goal("Core", "D0.1cc", "<=", 9.0, priority=3)
    new = goal_set(*GOALS.goals, goal("Core", "D2%", "<=", 12.0, priority=2), wish)
    before = (
        Objective("PTV", ObjectiveKind.DVH_MIN, 19.1, 500.0, goal=0),
        Objective("Core", ObjectiveKind.MEAN_DOSE, 13.0, 70.0, goal=2),
        Objective("Core", ObjectiveKind.SQUARED_OVERDOSE, 9.0, 33.0, goal=3),
        Objective("PTV^15!PTV^5", ObjectiveKind.SQUARED_OVERDOSE, 17.0, 20.0),
    )
    working = Working("STEP_AND_SHOOT", (*(g.key for g in GOALS.goals), wish.key), before, {})
    template = (
        Objective("PTV", ObjectiveKind.DVH_MIN, 19.1, 100.0, goal=0),
        Objective("Core", ObjectiveKind.MEAN_DOSE, 13.9, 40.0, goal=2),
        Objective("Core", ObjectiveKind.DVH_MAX, 12.0, 40.0, goal=3),
        Objective("Core", ObjectiveKind.SQUARED_OVERDOSE, 9.0, 240.0, goal=4),
    )
    rules, begun = carried(new, template, working, Revision(1, new, asked=(3,)))
    assert [o.weight for o in begun] == [500.0, 70.0, 40.0 * ASKED_WEIGHT, 33.0, 20.0]
    assert [o.weight for o in rules.first] == [100.0, 40.0, 40.0 * ASKED_WEIGHT, 240.0, 20.0]
