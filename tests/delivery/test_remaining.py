"""Goals of the fractions that are left, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import ClinicalGoal, Comparator, GoalSet
from appliance.contracts.accumulation import AlphaBeta, StructureDose
from appliance.contracts.goals import Metric, with_digest
from appliance.delivery import remaining_goals
from appliance.errors import RefusedGoals
from engines.accumulation import Banded
from engines.radiobiology import eqd2

CORD = AlphaBeta(2.0, "a source", True)
NONE = AlphaBeta(3.0, "the usual value", False)


def goal(structure: str, metric: str, comparator: str, limit: float, unit: str = "Gy", **more) -> ClinicalGoal:
    return ClinicalGoal(
        structure, Metric.parse(metric), Comparator(comparator), limit, unit, more.pop("priority", 2), "test", **more
    )


def goals(*items: ClinicalGoal) -> GoalSet:
    return with_digest(GoalSet("set", "Set", "site", 25, (("PTV", 50.0),), items, "", beams=9))


def given(name: str, fraction_gy: np.ndarray, count: int, ratio: AlphaBeta, *, is_target: bool = False):
    """Voxels of 1 cc that had the same in each of `count` fractions."""
    one = np.asarray(fraction_gy, np.float32)
    physical = np.asarray(count * one, np.float32)
    effective = np.asarray(count * eqd2(one, 1, ratio.value_gy), np.float32)
    bands = (Banded(*(values,) * 5) for values in (physical, effective))
    return StructureDose(name, is_target, np.ones(one.size, np.float32), *bands, ratio, 0.0)


def rest(goal_set: GoalSet, *doses: StructureDose, delivered: int = 10, planned: int = 25) -> GoalSet:
    by_name = {dose.structure: dose for dose in doses}
    return remaining_goals(goal_set, by_name.get, delivered=delivered, planned=planned)


def test_a_limit_in_eqd2_leaves_what_was_not_had():
    # 45 Gy in 25 fractions of 1.8 Gy, alpha/beta 2: 45 (1.8 + 2) / 4 = 42.75 Gy EQD2.
    # 10 fractions of 2 Gy are 20 Gy EQD2, which leaves 22.75. In 15 fractions: d (d + 2) / 4 * 15 = 22.75, so
    # d^2 + 2 d - 6.0667 = 0, d = -1 + sqrt(7.0667) = 1.6583 and 15 d = 24.875 Gy.
    cord = given("SpinalCord", np.full(10, 2.0), 10, CORD)
    found = rest(goals(goal("SpinalCord", "Max", "<=", 45.0)), cord)
    assert found.goals[0].limit == pytest.approx(24.875, abs=1e-3)
    assert "20.0 Gy (20.0 to 20.0) EQD2 (alpha/beta 2) had by 10 of 25 fractions" in found.notes[-1]
    assert "Max <= 24.87" in found.notes[-1] or "Max <= 24.88" in found.notes[-1]


def test_an_organ_spared_so_far_may_have_more_and_one_without_alpha_beta_is_counted_in_gray():
    organ = given("Bowel", np.full(4, 0.4), 10, NONE)
    # 45 - 4 Gy.
    assert rest(goals(goal("Bowel", "Mean", "<=", 45.0)), organ).goals[0].limit == pytest.approx(41.0)


def test_what_was_planned_leaves_the_planned_share():
    cord = given("SpinalCord", np.full(3, 1.8), 10, CORD)
    found = rest(goals(goal("SpinalCord", "D0.1cc", "<=", 45.0, variation=50.0)), cord)
    assert found.goals[0].limit == pytest.approx(45.0 * 15 / 25, abs=1e-3)
    # 50 Gy in 25 fractions are 50 EQD2; less 10 * 1.8 * 3.8 / 4 = 17.1 leaves 32.9 in 15: d^2 + 2 d - 8.7733 = 0.
    assert found.goals[0].variation == pytest.approx(15 * (np.sqrt(1 + 8.77333) - 1), abs=1e-3)


def test_a_volume_goal_is_changed_at_its_dose():
    # V20Gy <= 30 % says D30 % <= 20 Gy. Of ten voxels, the hottest three have had 10 Gy, the others 1.
    lung = given("Lungs", np.array([1.0] * 3 + [0.1] * 7), 10, NONE)
    found = rest(goals(goal("Lungs", "V20Gy", "<=", 30.0, "%")), lung)
    level = found.goals[0].metric.argument
    assert found.goals[0].limit == 30.0 and found.goals[0].metric.kind == "VGy"
    # D30 % lies between the third voxel (10 Gy, to 25 %) and the fourth (1 Gy, at 35 %): 5.5 Gy.
    assert level == pytest.approx(14.5, abs=1e-3)
    # A volume that must stay cold is the same from the other side: of 10 cc, 7 cc have less than 20 Gy.
    cold = rest(goals(goal("Lungs", "CV20Gy", ">=", 7.0, "cc")), lung).goals[0]
    assert cold.metric.argument == pytest.approx(level) and cold.limit == 7.0


def test_targets_keep_the_dose_of_a_fraction_and_their_shortfall_is_told():
    target = given("PTV", np.full(5, 1.9), 10, replace(NONE, value_gy=10.0), is_target=True)
    wanted = (goal("PTV", "D95%", ">=", 47.5), goal("PTV", "Max", "<=", 55.0), goal("PTV", "V47.5Gy", ">=", 98.0, "%"))
    found = rest(goals(*wanted), target)
    assert found.prescription == (("PTV", pytest.approx(30.0)),) and found.fractions == 15
    assert [item.limit for item in found.goals[:2]] == pytest.approx([28.5, 33.0])
    assert found.goals[2].metric.argument == pytest.approx(28.5) and found.goals[2].limit == 98.0
    assert "so far 19.0 Gy of 19.0" in found.notes[0] and "so far 19.0 Gy of 22.0" in found.notes[1]


def test_a_structure_whose_dose_is_not_known_keeps_its_share():
    found = rest(goals(goal("Brainstem", "Max", "<=", 50.0)))
    assert found.goals[0].limit == pytest.approx(30.0) and "is not known" in found.notes[0]


def test_a_limit_is_never_raised_beyond_what_the_model_is_trusted_for():
    cord = given("SpinalCord", np.full(3, 0.1), 24, CORD)
    found = rest(goals(goal("SpinalCord", "Max", "<=", 45.0)), cord, delivered=24)
    # 42.75 less 24 * 0.1 * 2.1 / 4 = 1.26 leaves 41.49 EQD2 in one fraction, which would be 11.9 Gy.
    assert found.goals[0].limit == pytest.approx(10.0)
    assert any("not raised above 10 Gy a fraction" in note for note in found.notes)


def test_a_limit_used_up_is_left_out_and_said_or_stops_where_it_is_of_the_first_priority():
    cord = given("SpinalCord", np.full(3, 5.0), 10, CORD)
    found = rest(goals(goal("SpinalCord", "Max", "<=", 45.0), goal("Other", "Max", "<=", 50.0)), cord)
    assert [item.structure for item in found.goals] == ["Other"]
    assert [item.structure for item in found.left_out] == ["SpinalCord"]
    # 10 * 5 (5 + 2) / 4 = 87.5 of 42.75.
    assert "87.5 Gy EQD2 (alpha/beta 2) of 42.8 have been had" in found.notes[0]
    with pytest.raises(RefusedGoals, match="physician must decide"):
        rest(goals(goal("SpinalCord", "Max", "<=", 45.0, priority=1)), cord)


def test_where_nothing_is_left_or_the_goals_are_of_another_course_they_are_refused():
    cord = given("SpinalCord", np.full(3, 1.0), 10, CORD)
    some = goals(goal("SpinalCord", "Max", "<=", 45.0))
    for delivered in (25, 26):
        with pytest.raises(RefusedGoals, match="none is left"):
            rest(some, cord, delivered=delivered)
    with pytest.raises(RefusedGoals, match="25 fractions and the course has 20"):
        rest(some, cord, planned=20)
    with pytest.raises(RefusedGoals, match="wait for a prescription"):
        rest(replace(some, prescription=()), cord)


def test_the_new_goals_are_other_goals():
    some = goals(goal("SpinalCord", "Max", "<=", 45.0))
    found = rest(some, given("SpinalCord", np.full(3, 1.0), 10, CORD))
    assert found.digest != some.digest and found.name == "set-rest-15"
    assert found.title == "Set: the 15 fractions left of 25"
