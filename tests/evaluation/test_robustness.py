"""Goals under uncertainty, on doses whose answer can be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from appliance.contracts import (
    Beam,
    CalculatedDose,
    Case,
    ClinicalGoal,
    Comparator,
    ControlPoint,
    GoalSet,
    Identity,
    Image,
    Jaws,
    Metric,
    Plan,
    SourceObject,
    Structure,
    StructureKind,
)
from appliance.contracts.robustness import Displacement, ErrorModel, Motion, Robustness
from appliance.errors import EvaluationError
from appliance.evaluation.robustness import assess_robustness
from appliance.evaluation.robustness.scenarios import set_up
from engines.grid import Grid, VoxelSet

GRID = Grid((-58.0, -58.0, -58.0), (4.0, 4.0, 4.0), (30, 30, 30))
X, Y, Z = (axis.astype(np.float32) for axis in GRID.axes_mm())
SHIFTS_ONLY = ErrorModel(rotation_deg=(0, 0, 0), random_mm=(0, 0, 0), dose_percent=0.0, contour_mm=0.0, checks=4)


def ball(number: int, name: str, kind: StructureKind, centre: tuple[float, float, float], radius_mm: float):
    x, y, z = centre
    r = np.sqrt((X - x)[None, None, :] ** 2 + (Y - y)[None, :, None] ** 2 + (Z - z)[:, None, None] ** 2)
    share = np.clip(0.5 + (radius_mm - r) / 4.0, 0, 1).astype(np.float32)
    return Structure(number, name, name, kind, (), VoxelSet.from_dense(share))


def case_of(*structures: Structure) -> Case:
    body = VoxelSet.from_dense(np.ones(GRID.shape, np.float32))
    external = Structure(0, "External", "External", StructureKind.EXTERNAL, (), body)
    return Case(
        digest="c" * 64,
        identity=Identity("id", "name", "", "", "1.2.6"),
        frame_of_reference_uid="1.2.5",
        patient_position="HFS",
        image=Image(GRID, np.zeros(GRID.shape, np.int16)),
        structures=(external, *structures),
        prescription=(),
        fractions=1,
        images=(),
        structure_set=SourceObject("1.2", "1.2.3", "1.2.4", "RTSTRUCT", Path("rs"), "0" * 64),
    )


def plan_of(fractions: int = 1) -> Plan:
    jaws = Jaws(-50.0, 50.0, -50.0, 50.0)
    points = (ControlPoint(0.0, 0.0, 0.0, 0.0, jaws, (), ()), ControlPoint(100.0, 0.0, 0.0, 0.0, jaws, (), ()))
    beam = Beam(1, "B", "M", 6.0, "STANDARD", (0.0, 0.0, 0.0), 1000.0, 600.0, (), points)
    return Plan("T", (beam,), fractions, "HFS")


def goals_of(*goals: tuple[str, str, str, float]) -> GoalSet:
    made = tuple(
        ClinicalGoal(name, Metric.parse(metric), Comparator(way), limit, "Gy", 1, "test")
        for name, metric, way, limit in goals
    )
    return GoalSet("small", "Small", "small", 1, (("PTV", 50.0),), made, "g" * 64)


TARGET = ball(1, "PTV", StructureKind.TARGET, (0.0, 0.0, 0.0), 20.0)
ORGAN = ball(2, "Core", StructureKind.ORGAN, (8.0, -12.0, 4.0), 12.0)
CASE = case_of(TARGET, ORGAN)
SLOPE = 0.4  # Gy per mm along x


def linear(plan: Plan) -> CalculatedDose:
    values = np.broadcast_to(50.0 + SLOPE * X, GRID.shape).astype(np.float32)
    return CalculatedDose(GRID, values, plan.digest, "made", "made")


def assess(goals: GoalSet, errors: ErrorModel, fractions: int = 1, **more: object) -> Robustness:
    plan = plan_of(fractions)
    dose = more.pop("dose", None) or linear(plan)
    return assess_robustness(CASE, goals, plan, dose, errors=errors, **more)


MEAN = goals_of(("Core", "Mean", "<=", 53.0), ("PTV", "D95%", ">=", 40.0))


def test_a_shift_in_a_linear_dose_changes_it_by_the_slope_times_the_shift():
    found = assess(MEAN, SHIFTS_ONLY)
    for scenario, value in zip(found.scenarios, found.goals[0].values, strict=True):
        if scenario.kind in ("shift", "nominal"):
            assert value - found.goals[0].nominal == pytest.approx(SLOPE * scenario.displacement.shift_mm[0], abs=1e-3)


def test_the_chance_in_a_linear_dose_is_that_of_a_gaussian():
    """Sigma 1 mm on x: the mean has a standard deviation of 0.4 Gy and is Gaussian."""
    found = assess(MEAN, SHIFTS_ONLY).goals[0]
    assert found.deviation == pytest.approx(SLOPE, rel=1e-3)
    assert found.expected == pytest.approx(found.nominal, abs=1e-3)
    exact = 0.5 * (1 + math.erf((53.0 - found.nominal) / SLOPE / math.sqrt(2)))
    assert found.chance_low <= exact <= found.chance_high
    assert found.chance_met == pytest.approx(exact, abs=0.01)
    assert found.surface_error == pytest.approx(0.0, abs=2e-3)


def test_dose_errors_scale_every_metric_in_gy():
    errors = replace(SHIFTS_ONLY, systematic_mm=(0, 0, 0), dose_percent=2.0)
    found = assess(MEAN, errors).goals[0]
    assert found.deviation == pytest.approx(0.02 * found.nominal, rel=1e-3)
    assert dict(found.parts)["dose calculation"] == pytest.approx(100.0)


def test_independent_errors_add_in_quadrature():
    errors = replace(SHIFTS_ONLY, dose_percent=1.0)
    found = assess(MEAN, errors).goals[0]
    assert found.deviation == pytest.approx(math.hypot(SLOPE, 0.01 * found.nominal), rel=1e-3)


def test_a_ball_at_the_isocentre_in_a_symmetric_dose_does_not_feel_a_turn():
    r = np.sqrt(X[None, None, :] ** 2 + Y[None, :, None] ** 2 + Z[:, None, None] ** 2)
    plan = plan_of()
    dose = CalculatedDose(GRID, (60.0 * np.exp(-(r**2) / 3200)).astype(np.float32), plan.digest, "made", "made")
    errors = replace(SHIFTS_ONLY, systematic_mm=(0, 0, 0), rotation_deg=(4.0, 4.0, 4.0), checks=0)
    found = assess(MEAN, errors, dose=dose)
    ptv = found.goals[1]
    turned = [v for s, v in zip(found.scenarios, ptv.values, strict=True) if s.kind == "rotation"]
    assert len(turned) == 6
    np.testing.assert_allclose(turned, ptv.nominal, atol=0.15)
    assert ptv.deviation < 0.05


def test_thirteen_scenarios_whose_weights_give_the_covariance_of_the_errors():
    setting = set_up(ErrorModel(systematic_mm=(1.0, 2.0, 0.5), random_mm=(0, 0, 0)), 30)
    assert len(setting.scenarios) == 13
    weights = np.array([s.weight for s in setting.scenarios])
    moves = np.array([(*s.displacement.shift_mm, *s.displacement.rotation_deg) for s in setting.scenarios])
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights @ moves, 0.0, atol=1e-12)
    np.testing.assert_allclose((moves.T * weights) @ moves, np.diag([1, 4, 0.25, 0.25, 0.25, 0.25]), atol=1e-12)


def test_random_errors_of_one_fraction_are_systematic_and_of_many_are_blur():
    one = set_up(ErrorModel(systematic_mm=(0, 0, 0), random_mm=(2, 2, 2)), 1)
    many = set_up(ErrorModel(systematic_mm=(0, 0, 0), random_mm=(2, 2, 2)), 400)
    np.testing.assert_allclose(one.sigma[:3], 2.0)
    np.testing.assert_allclose(one.blur, 0.0)
    np.testing.assert_allclose(many.sigma[:3], 0.1)
    np.testing.assert_allclose(many.blur, 4.0 * (1 - 1 / 400))


def test_random_errors_lower_a_dose_with_a_maximum_by_its_curvature():
    """Blur of a parabola 60 - c x^2 lowers it by c sigma^2 everywhere."""
    plan, c = plan_of(25), 0.01
    values = np.broadcast_to(100.0 - c * X**2, GRID.shape).astype(np.float32)
    dose = CalculatedDose(GRID, values, plan.digest, "made", "made")
    errors = replace(SHIFTS_ONLY, random_mm=(2, 2, 2), shift_mm=8.0, checks=0)
    found = assess(MEAN, errors, fractions=25, dose=dose).goals[0]
    assert found.values[0] - found.nominal == pytest.approx(-c * 4 * (1 - 1 / 25), rel=0.02)


def test_bands_hold_the_nominal_curve_and_the_expected_between_their_edges():
    for band in assess(MEAN, SHIFTS_ONLY).bands:
        low, high = np.array(band.lowest_percent), np.array(band.highest_percent)
        expected, nominal = np.array(band.expected_percent), np.array(band.nominal_percent)
        assert (low <= expected + 1e-3).all()
        assert (expected <= high + 1e-3).all()
        assert (low <= nominal + 1e-3).all()
        assert (nominal <= high + 1e-3).all()
        assert high[0] == pytest.approx(100.0)
        assert high[-1] == 0


def test_a_moving_target_is_judged_at_both_ends_of_its_range():
    errors = replace(SHIFTS_ONLY, motions=(Motion("PTV", (10.0, 0.0, 0.0)),), checks=0)
    found = assess(MEAN, errors)
    organ, target = found.goals
    np.testing.assert_allclose(np.array(target.values[-2:]) - target.nominal, [-4.0, 4.0], atol=1e-3)
    assert organ.values[-2:] == (organ.nominal, organ.nominal)
    assert target.worst == pytest.approx(target.nominal - 4.0, abs=1e-3)
    assert [s.kind for s in found.scenarios[-2:]] == ["motion", "motion"]


def test_the_goal_of_a_ptv_is_asked_of_its_ctv_too():
    ctv = ball(3, "CTV", StructureKind.TARGET, (0.0, 0.0, 0.0), 14.0)
    plan = plan_of()
    found = assess_robustness(case_of(TARGET, ORGAN, ctv), MEAN, plan, linear(plan), errors=SHIFTS_ONLY)
    assert [(g.structure, g.added, g.on_planning_volume) for g in found.goals] == [
        ("Core", False, False),
        ("PTV", False, True),
        ("CTV", True, False),
    ]
    assert any("margin" in note for note in found.notes)


def test_it_says_that_nothing_was_calculated_anew_and_is_plain_json():
    found = assess(MEAN, ErrorModel())
    assert "held still" in found.method
    adapter = TypeAdapter(Robustness)
    assert adapter.validate_json(adapter.dump_json(found)) == found


def test_a_dose_given_by_a_calculation_is_corrected_to_the_plans_own_in_place():
    """A calculation that is 3 Gy too low everywhere gives the same answer as one that is right."""
    plan = plan_of()

    class Low:
        def __init__(self, index):
            self.x = GRID.centres_mm(index)[:, 0]

        def __call__(self, displacement: Displacement):
            return (47.0 + SLOPE * (self.x + displacement.shift_mm[0])).astype(np.float32)

    found = assess(MEAN, replace(SHIFTS_ONLY, checks=0), doses_at=Low)
    still = assess(MEAN, replace(SHIFTS_ONLY, checks=0))
    np.testing.assert_allclose(found.goals[0].values[:7], still.goals[0].values[:7], atol=1e-3)
    assert found.goals[0].values[0] == pytest.approx(found.goals[0].nominal, abs=1e-4)
    assert plan.digest == plan_of().digest


@pytest.mark.parametrize(
    "errors",
    [ErrorModel(systematic_mm=(-1, 0, 0)), ErrorModel(draws=3), ErrorModel(motions=(Motion("Liver", (1, 0, 0)),))],
)
def test_an_error_model_that_cannot_be_is_refused(errors):
    with pytest.raises(EvaluationError):
        assess(MEAN, errors)


def test_a_dose_of_another_plan_is_refused():
    with pytest.raises(EvaluationError):
        assess(MEAN, ErrorModel(), dose=linear(plan_of(7)))
