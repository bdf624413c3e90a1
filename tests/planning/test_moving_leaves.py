"""VMAT and sliding window on a small cylinder: goals, legality of every control point, gradients, what is exported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.config import PlanningConfig
from appliance.contracts import Plan
from appliance.execution import plan_case
from appliance.planning import PhotonTps, calculate_dose, check_plan, dose_options, load_machine, moving_leaves
from appliance.planning.build_moving import build_moving_plan
from appliance.planning.leaf_paths import legal
from appliance.planning.merit import FullGrid, goal_values
from appliance.planning.moving_vector import FieldPath, MovingVector

from .cases import SMALL_GOALS, cylinder_case

TECHNIQUES = ("vmat", "sliding_window")


def config(technique: str) -> PlanningConfig:
    return PlanningConfig(technique=technique, dose_grid_mm=6.0, beamlet_mm=5.0, algorithm="pencil_beam")


@pytest.fixture(scope="module", params=TECHNIQUES)
def started(request) -> PhotonTps:
    """Sequenced, not refined."""
    tps = PhotonTps(cylinder_case(), SMALL_GOALS, config(request.param))
    tps.optimise_fluence(tps.initial_objectives())
    tps._delivery.start(tps._fluence.beamlets, tps._fluence.values, lambda *_: None)
    tps._sequenced = True
    return tps


def test_the_first_paths_are_deliverable(started):
    assert check_plan(started._delivery.plan()).violations == ()


@pytest.mark.parametrize("seed", range(4))
def test_every_control_point_of_a_random_plan_is_legal(started, seed):
    """Leaves thrown anywhere and metersets drawn between their bounds, after the projection that every state goes
    through."""
    delivery, rng = started._delivery, np.random.default_rng(seed)
    paths = []
    for path, limits in zip(delivery.paths, delivery.limits, strict=True):
        left = rng.normal(0.0, 40.0, path.left_mm.shape)
        right = left + rng.exponential(15.0, left.shape)
        mu = rng.uniform(limits.least_mu, limits.most_mu, path.mu.shape) ** 1.0
        mu[rng.random(mu.size) < 0.3] = limits.least_mu
        mu[rng.random(mu.size) < 0.1] = limits.most_mu
        paths.append(FieldPath(*legal(left, right, limits.paths), mu))
    plan = build_moving_plan(delivery.fields, tuple(paths), load_machine("millennium120"), head=delivery._head)
    assert check_plan(plan).violations == ()


def test_gradient_in_every_kind_of_variable(started):
    """Between the one-sided differences of the fluence weighed by random numbers."""
    delivery = started._delivery
    vector = MovingVector(delivery.fields, delivery.limits, delivery.paths)
    x, lower, upper = vector.pack()
    x = np.clip(x, lower, upper)
    paths = vector.unpack(x)
    weight = np.random.default_rng(1).normal(size=delivery.fluence().shape).astype(np.float32)
    gradient = vector.gradient(paths, delivery._slopes(paths, weight))
    rng, intervals = np.random.default_rng(2), delivery.fields[0].intervals
    chosen = [*rng.integers(0, intervals, 4), *rng.integers(intervals, x.size, 25)]
    for i in chosen:
        step = 2e-4
        if not lower[i] + step < x[i] < upper[i] - step:
            continue
        before, here, after = (
            float((delivery._drawn(vector.unpack(x + np.eye(1, x.size, i)[0] * move)).astype(float) * weight).sum())
            for move in (-step, 0.0, step)
        )
        # Where an edge lies on a pixel's border or two leaves take turns at a jaw, the slopes of both sides differ.
        sides = ((here - before) / step, (after - here) / step)
        room = 0.6 + 0.02 * max(abs(side) for side in sides)
        assert min(sides) - room <= gradient[i] <= max(sides) + room


@pytest.fixture(scope="module", params=TECHNIQUES)
def planned(request):
    case = cylinder_case()
    patch = pytest.MonkeyPatch()
    patch.setattr(moving_leaves, "DEVELOP_BUDGETS", (30, 30, 30))
    try:
        tps = PhotonTps(case, SMALL_GOALS, config(request.param))
        return case, request.param, *plan_case(tps, SMALL_GOALS, sparing_rounds=1)
    finally:
        patch.undo()


def test_every_goal_is_met_by_a_deliverable_plan(planned):
    case, technique, plan, dose = planned
    values = goal_values(SMALL_GOALS.goals, FullGrid(case), dose.dose_gy.reshape(-1))
    for goal, value in zip(SMALL_GOALS.goals, values, strict=True):
        assert goal.met_by(value), f"{goal}: {value:.2f}"
    facts = check_plan(plan)
    assert facts.violations == ()
    assert facts.delivery_time_s > 0
    assert plan.technique == technique.upper()


def test_the_dose_is_that_of_the_plan_as_stated(planned):
    case, technique, plan, dose = planned
    options = dose_options(config(technique), case.structures)
    again = calculate_dose(Plan.from_json(plan.to_json()), case.image, case.external.voxels, **options)
    np.testing.assert_allclose(again.dose_gy, dose.dose_gy, atol=1e-5 * float(dose.dose_gy.max()))


def test_a_beam_beyond_the_largest_meterset_goes_to_and_fro(started):
    machine = load_machine("millennium120")
    small = machine.model_copy(update={"dose_rate": machine.dose_rate.model_copy(update={"maximum_beam_mu": 150.0})})
    delivery = started._delivery
    whole = build_moving_plan(delivery.fields, delivery.paths, machine, head=delivery._head)
    parts = build_moving_plan(delivery.fields, delivery.paths, small, head=delivery._head)
    assert parts.mu == pytest.approx(whole.mu, abs=0.01 * len(parts.beams))
    assert all(beam.mu <= 150.0 + 1e-6 for beam in parts.beams)
    if len(parts.beams) > len(whole.beams):
        first, second = parts.beams[0], parts.beams[1]
        if first.name[:-1][:3] == second.name[:-1][:3]:
            assert replace(second.control_points[0], cumulative_mu=0.0) == replace(
                first.control_points[-1], cumulative_mu=0.0
            )
