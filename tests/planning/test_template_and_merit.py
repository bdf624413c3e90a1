"""Goals become objectives of the right kind, and the merit adds them up with the right gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import Objective, ObjectiveKind
from appliance.errors import PlanningError
from appliance.planning.merit import FullGrid, Merit, Regions, goal_values
from appliance.planning.sampling import sample_case
from appliance.planning.template import initial_objectives

from .cases import cylinder_case, goal, goal_set

K = ObjectiveKind


@pytest.fixture(scope="module")
def case():
    return cylinder_case()


@pytest.fixture(scope="module")
def samples(case):
    return sample_case(case, 4.0)


def of_goal(case, one) -> Objective:
    """The objective that serves a goal; exactly one does."""
    served = [o for o in initial_objectives(case, goal_set(one)) if o.goal == 0]
    assert len(served) == 1
    return served[0]


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (goal("PTV", "D95%", ">=", 20.0), K.DVH_MIN),
        (goal("PTV", "V19Gy", ">=", 95.0, unit="%"), K.DVH_MIN),
        (goal("PTV", "Min", ">=", 18.0), K.SQUARED_UNDERDOSE),
        (goal("PTV", "Mean", ">=", 20.0), K.SQUARED_UNDERDOSE),
        (goal("PTV", "D10%", "<=", 22.0), K.DVH_MAX),
        (goal("Core", "V10Gy", "<=", 30.0, unit="%"), K.DVH_MAX),
        (goal("Core", "V10Gy", "<=", 2.0, unit="cc"), K.DVH_MAX),
        (goal("Core", "CV10Gy", ">=", 70.0, unit="%"), K.DVH_MAX),
        (goal("Core", "CV10Gy", ">=", 2.0, unit="cc"), K.DVH_MAX),
        (goal("Core", "Mean", "<=", 8.0), K.MEAN_DOSE),
        (goal("Core", "D0.1cc", "<=", 15.0), K.SQUARED_OVERDOSE),
        (goal("Core", "Max", "<=", 15.0), K.SQUARED_OVERDOSE),
    ],
    ids=str,
)
def test_each_kind_of_goal_becomes_its_objective_on_its_structure(case, one, kind):
    made = of_goal(case, one)
    assert made.kind is kind
    assert made.structure == one.structure
    assert made.weight > 0
    # A goal's objective asks for a little more than the goal, never for less.
    level = one.limit if one.unit == "Gy" else one.metric.argument
    if one.caps_dose:
        assert 0.8 * level < made.dose_gy <= level
    else:
        assert level <= made.dose_gy < 1.2 * level


def test_dvh_points_state_the_goals_volume_with_room(case):
    assert 95 <= of_goal(case, goal("PTV", "D95%", ">=", 20.0)).volume_percent < 100
    assert 95 <= of_goal(case, goal("PTV", "V19Gy", ">=", 95.0, unit="%")).volume_percent < 100
    assert 9 < of_goal(case, goal("PTV", "D10%", "<=", 22.0)).volume_percent <= 10
    assert 27 < of_goal(case, goal("Core", "V10Gy", "<=", 30.0, unit="%")).volume_percent <= 30


def test_a_volume_in_cc_becomes_its_share_of_the_structure(case):
    volume_cc = case.structure("Core").voxels.volume_cc(case.image.grid.voxel_volume_cc)
    made = of_goal(case, goal("Core", "V10Gy", "<=", volume_cc / 4, unit="cc"))
    assert 22 < made.volume_percent <= 25


def test_a_goal_for_an_absent_structure_does_no_harm(case, samples):
    objectives = initial_objectives(case, goal_set(goal("Bladder", "Mean", "<=", 5.0), goal("PTV", "D95%", ">=", 20.0)))
    value, _ = Merit(objectives, Regions(case, samples), samples)(np.full(samples.index.size, 10.0, np.float32))
    assert np.isfinite(value)


def test_a_case_without_a_prescribed_target_is_refused(case):
    other = replace(goal_set(goal("Core", "Mean", "<=", 5.0)), prescription=(("PTV_7000", 70.0),))
    with pytest.raises(PlanningError, match="prescribed target"):
        initial_objectives(case, other)


def test_helpers_hold_up_coverage_and_down_what_lies_outside(case):
    helpers = [o for o in initial_objectives(case, goal_set(goal("PTV", "D95%", ">=", 20.0))) if o.goal == -1]
    kinds = {(o.structure.split("!")[0], o.kind) for o in helpers}
    assert ("PTV", K.SQUARED_UNDERDOSE) in kinds
    assert ("PTV", K.SQUARED_OVERDOSE) in kinds
    assert ("External", K.FALLOFF) in kinds
    assert ("External", K.SQUARED_OVERDOSE) in kinds
    falloff = next(o for o in helpers if o.kind is K.FALLOFF)
    assert "PTV" in falloff.structure.split("!")[1:]  # the fall-off never acts inside a target


# --- merit ----------------------------------------------------------------------------------------------------------


def test_merit_of_a_flat_dose_by_hand(case, samples):
    objectives = (
        Objective("PTV", K.SQUARED_UNDERDOSE, 20.0, 3.0),
        Objective("Core", K.MEAN_DOSE, 10.0, 2.0),
        Objective("PTV", K.SQUARED_OVERDOSE, 18.0, 7.0),
        Objective("Absent", K.MEAN_DOSE, 0.0, 100.0),
        Objective("Core", K.MEAN_DOSE, 0.0, 0.0),
    )
    flat = np.full(samples.index.size, 15.0, np.float32)
    value, slope = Merit(objectives, Regions(case, samples), samples)(flat)
    assert value == pytest.approx(3 * 25 + 2 * 25, rel=1e-4)
    # One more gray everywhere: -2 * 3 * 5 for the target and 2 * 2 * 5 for the organ.
    assert float(slope.sum(dtype=float)) == pytest.approx(-30 + 20, rel=1e-4)


def test_merit_gradient_along_random_directions(case, samples):
    objectives = initial_objectives(case, goal_set(goal("PTV", "Mean", ">=", 20.0), goal("Core", "Mean", "<=", 8.0)))
    merit = Merit(objectives, Regions(case, samples), samples)
    rng = np.random.default_rng(0)
    dose = rng.uniform(5, 25, samples.index.size).astype(np.float32)
    _, slope = merit(dose)
    for _ in range(5):
        direction = rng.normal(size=dose.size).astype(np.float32)
        step = np.float32(1e-2)
        measured = (merit(dose + step * direction)[0] - merit(dose - step * direction)[0]) / (2 * float(step))
        expected = float(np.vdot(slope.astype(float), direction))
        assert measured == pytest.approx(expected, rel=0.02, abs=0.01 * float(np.linalg.norm(slope)))


def test_objectives_on_nothing_are_refused(case, samples):
    with pytest.raises(PlanningError, match="no objective has any voxel"):
        Merit((Objective("Absent", K.MEAN_DOSE, 0.0, 1.0),), Regions(case, samples), samples)


def test_a_sampled_dose_just_below_zero_counts_as_zero(case):
    """What is kept of the difference to the full dose takes single voxels of almost no dose below zero."""
    goals = (goal("PTV", "Min", ">=", 1.0),)
    dose = np.full(case.image.grid.size, -0.1, np.float32)
    assert goal_values(goals, FullGrid(case), dose) == (0.0,)


def test_goal_values_are_in_the_goals_units_and_nan_where_absent(case):
    grid = case.image.grid
    goals = (
        goal("PTV", "D95%", ">=", 1.0),
        goal("PTV", "Mean", ">=", 1.0),
        goal("Core", "V10Gy", "<=", 1.0, unit="%"),
        goal("Core", "V10Gy", "<=", 1.0, unit="cc"),
        goal("Bladder", "Mean", "<=", 1.0),
    )
    dose = np.full(grid.size, 12.5, np.float32)
    values = goal_values(goals, FullGrid(case), dose)
    volume_cc = case.structure("Core").voxels.volume_cc(grid.voxel_volume_cc)
    assert values[:4] == pytest.approx((12.5, 12.5, 100.0, volume_cc))
    assert np.isnan(values[4])


def test_a_volume_that_must_stay_cold_asks_for_the_same_as_its_hot_rest(case):
    """At least 70 % below 10 Gy is at most 30 % with 10 Gy; in cc the same of today's volume."""
    hot = of_goal(case, goal("Core", "V10Gy", "<=", 30.0, unit="%"))
    assert of_goal(case, goal("Core", "CV10Gy", ">=", 70.0, unit="%")) == hot
    volume_cc = case.structure("Core").voxels.volume_cc(case.image.grid.voxel_volume_cc)
    in_cc = of_goal(case, goal("Core", "CV10Gy", ">=", 0.7 * volume_cc, unit="cc"))
    assert in_cc.volume_percent == pytest.approx(hot.volume_percent)
    too_much = of_goal(case, goal("Core", "CV10Gy", ">=", 2 * volume_cc, unit="cc"))
    assert too_much.volume_percent == 0


def test_hot_and_cold_volume_of_the_samples_add_up(case, samples):
    regions = Regions(case, samples)
    goals = (goal("Core", "V10Gy", "<=", 30.0, unit="%"), goal("Core", "CV10Gy", ">=", 70.0, unit="%"))
    dose_gy = np.linspace(0, 20, samples.index.size, dtype=np.float32)
    assert sum(goal_values(goals, regions, dose_gy)) == pytest.approx(100)
