"""The whole planning system on a small cylinder: goals met, deliverable, and the dose is the dose of the plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.config import PlanningConfig
from appliance.contracts import CalculatedDose, Case, Plan, StructureKind
from appliance.errors import PlanningError, SessionStopped
from appliance.execution import plan_case
from appliance.planning import PhotonTps, calculate_dose, check_plan, dose_options, sampling
from appliance.planning.imitation import imitation
from appliance.planning.merit import FullGrid, Merit, goal_values

from .cases import SMALL_GOALS, cylinder_case, goal


def config_with(**changes: int) -> PlanningConfig:
    return CONFIG.model_copy(update=changes)


CONFIG = PlanningConfig(segments_per_beam=6, dose_grid_mm=4.0)


@pytest.fixture(scope="module")
def case() -> Case:
    return cylinder_case()


@pytest.fixture(scope="module")
def planned(case) -> tuple[Plan, CalculatedDose]:
    return plan_case(PhotonTps(case, SMALL_GOALS, CONFIG), SMALL_GOALS)


def test_every_goal_is_met(case, planned):
    values = goal_values(SMALL_GOALS.goals, FullGrid(case), planned[1].dose_gy.reshape(-1))
    for one, value in zip(SMALL_GOALS.goals, values, strict=True):
        assert one.met_by(value), f"{one}: {value:.2f}"


def test_the_plan_is_deliverable(planned):
    facts = check_plan(planned[0])
    assert facts.violations == ()
    assert facts.beams == 5
    assert facts.segments <= 5 * 6
    assert planned[0].fractions == SMALL_GOALS.fractions
    assert planned[0].patient_position == "HFS"


def test_the_dose_is_that_of_the_plan(case, planned):
    plan, dose = planned
    assert dose.plan_digest == plan.digest
    again = calculate_dose(plan, case.image, case.external.voxels, **dose_options(CONFIG, case.structures))
    np.testing.assert_allclose(again.dose_gy, dose.dose_gy, atol=1e-5 * float(dose.dose_gy.max()))


def test_the_plan_survives_its_own_json(planned):
    assert Plan.from_json(planned[0].to_json()) == planned[0]


def test_dose_is_high_in_the_target_and_falls_around_it(case, planned):
    dose = planned[1].dose_gy.reshape(-1)
    target = case.structure("PTV").voxels.index
    elsewhere = np.setdiff1d(case.external.voxels.index, target)
    assert dose[target].mean() == pytest.approx(20.0, rel=0.06)
    assert dose[elsewhere].mean() < 0.4 * dose[target].mean()
    assert not dose[np.setdiff1d(np.arange(dose.size), case.external.voxels.index)].any()


@pytest.fixture(scope="module")
def optimised(case) -> PhotonTps:
    tps = PhotonTps(case, SMALL_GOALS, CONFIG)
    tps.optimise_fluence(tps.initial_objectives())
    tps.sequence(tps.initial_objectives())
    return tps


def test_what_the_optimiser_sees_is_what_the_full_grid_shows(optimised):
    """The samples' own dose (2.5 mm raster, 100 mm reach) against the final dose: near enough to plan by."""
    sampled, full = optimised.normalise(1.0), optimised.judge()
    np.testing.assert_allclose(sampled.goal_values, full.goal_values, rtol=0.03)
    assert sampled.hottest_gy == pytest.approx(full.hottest_gy, rel=0.03)


def test_scaling_monitor_units_scales_the_plan_and_its_dose(optimised):
    before, dose = optimised.finish()
    scaled = optimised.normalise(1.02)
    after, more = optimised.finish()
    optimised.normalise(1 / 1.02)
    assert after.mu == pytest.approx(1.02 * before.mu, rel=1e-4)
    np.testing.assert_allclose(more.dose_gy, 1.02 * dose.dose_gy, atol=1e-3 * float(dose.dose_gy.max()))
    assert scaled.stage == "normalised"


def test_refining_again_never_raises_the_merit(optimised):
    objectives = optimised.initial_objectives()
    first = optimised.refine(objectives)
    second = optimised.refine(objectives)
    assert second.merit <= first.merit * (1 + 1e-6)


def test_what_is_remembered_can_be_gone_back_to(optimised):
    before, dose = optimised.finish()
    back = optimised.remember()
    optimised.normalise(1.01)
    optimised.refine(tuple(o.scaled(2.0) for o in optimised.initial_objectives()))
    assert optimised.finish()[0].digest != before.digest
    state = back()
    after, same = optimised.finish()
    assert after.digest == before.digest
    assert state.mu == pytest.approx(before.mu, rel=1e-4)
    np.testing.assert_array_equal(same.dose_gy, dose.dose_gy)


def test_its_own_figures_do_not_cost_the_dose_that_was_calculated(optimised):
    """A full dose costs more than a round of optimisation."""
    optimised.judge()
    dose = optimised.finish()[1]
    optimised.normalise(1.0)
    optimised.remember()()
    assert optimised.finish()[1] is dose


def test_an_imitated_dose_is_nearer_than_open_fields_and_shows_the_same_organ(case, planned):
    wanted = planned[1].dose_gy
    tps = PhotonTps(case, SMALL_GOALS, CONFIG)
    reference = wanted.reshape(-1)[tps.samples.index]
    objectives = imitation(case, SMALL_GOALS)
    open_fields = tps._fluence.start(SMALL_GOALS, tps._regions)
    before = tps._fluence.dose_model.forward(tps._fluence.beamlets.draw(open_fields))
    state = tps.imitate(wanted)
    merit = Merit(objectives, tps._regions, tps.samples, reference)
    assert merit(tps._dose)[0] < 0.2 * merit(before)[0]
    shown = goal_values(SMALL_GOALS.goals, FullGrid(case), wanted.reshape(-1))
    np.testing.assert_allclose(state.goal_values, shown, rtol=0.05)


def test_the_gradient_of_an_imitation_in_the_fluence_is_exact(case, planned):
    tps = PhotonTps(case, SMALL_GOALS, CONFIG)
    reference = planned[1].dose_gy.reshape(-1)[tps.samples.index]
    aim = tps._aim(imitation(case, SMALL_GOALS), fluence=True, reference_gy=reference)
    fluence = tps._fluence.beamlets.draw(tps._fluence.start(SMALL_GOALS, tps._regions))
    _, slope = aim(fluence)
    direction = np.random.default_rng(7).uniform(0, 1, fluence.shape).astype(np.float32) * (fluence > 0)
    step = 0.02 * float(fluence.max())
    measured = (aim(fluence + step * direction)[0] - aim(fluence - step * direction)[0]) / (2 * step)
    assert measured == pytest.approx(float(np.vdot(slope, direction)), rel=1e-3)


def test_a_fluence_taken_from_elsewhere_stands_and_is_where_optimising_goes_on(case):
    first, second = (PhotonTps(case, SMALL_GOALS, CONFIG) for _ in range(2))
    with pytest.raises(PlanningError, match="no fluence"):
        first.fluence_values()
    reached = first.optimise_fluence(first.initial_objectives())
    taken = second.take_fluence(first.fluence_values())
    np.testing.assert_allclose(taken.goal_values, reached.goal_values, rtol=1e-6)
    further = second.optimise_fluence(second.initial_objectives())
    assert further.merit <= reached.merit * 1.001


def test_a_fluence_of_other_beamlets_is_refused(case):
    tps = PhotonTps(case, SMALL_GOALS, CONFIG)
    tps.optimise_fluence(tps.initial_objectives())
    good = tps.fluence_values()
    for wrong in (good[:-1], -good, good * np.nan):
        with pytest.raises(PlanningError, match="beamlets of this case"):
            tps.take_fluence(wrong)
    np.testing.assert_array_equal(tps.fluence_values(), good)


def test_what_cannot_be_imitated_is_refused(case):
    tps = PhotonTps(case, SMALL_GOALS, CONFIG)
    with pytest.raises(PlanningError, match="shape"):
        tps.imitate(np.zeros((2, 3, 4), np.float32))
    with pytest.raises(PlanningError, match="none was given"):
        tps.optimise_fluence(imitation(case, SMALL_GOALS))


def test_cold_voxels_of_a_target_are_watched_once_they_were_seen(case, monkeypatch):
    """With a target sampled thinly, the voxels below its goal that nobody looked at are samples after a true dose."""
    monkeypatch.setattr(sampling, "TARGET_SAMPLES", 100)
    goals = replace(SMALL_GOALS, goals=(goal("PTV", "D99%", ">=", 24.0),))
    tps = PhotonTps(case, goals, config_with(beams=2))
    tps.optimise_fluence(tps.initial_objectives())
    tps.sequence(tps.initial_objectives())
    target = case.structure("PTV").voxels.index
    unseen = np.setdiff1d(target, tps.samples.index)
    tps.judge()
    cold = unseen[tps.finish()[1].dose_gy.reshape(-1)[unseen] < 24.0]
    assert cold.size
    assert np.isin(cold, tps.samples.index).all()


def test_steps_out_of_order_are_refused(case):
    tps = PhotonTps(case, SMALL_GOALS, CONFIG)
    objectives = tps.initial_objectives()
    for step in (lambda: tps.sequence(objectives), lambda: tps.refine(objectives), tps.finish, tps.judge):
        with pytest.raises(PlanningError):
            step()


def test_the_number_of_beams_is_the_configurations_then_the_old_plans_then_the_goal_sets(case, planned):
    def angles(of: Case, beams: int = 0) -> set[float]:
        config = PlanningConfig(beams=beams, dose_grid_mm=6.0)
        return set(PhotonTps(of, SMALL_GOALS, config).arrangement.gantry_deg)

    old = replace(planned[0], beams=planned[0].beams[:2])
    adapted = replace(case, reference_plan=old)
    assert angles(case) == {0, 72, 144, 216, 288}
    assert angles(adapted) == {b.gantry_deg for b in old.beams}
    assert angles(adapted, beams=3) == {0, 120, 240}


def test_a_case_without_a_target_is_refused(case):
    others = tuple(s for s in case.structures if s.kind is not StructureKind.TARGET)
    with pytest.raises(PlanningError, match="no target"):
        PhotonTps(replace(case, structures=others), SMALL_GOALS, CONFIG)


def test_a_dose_too_small_to_deliver_is_refused_in_words(case):
    """0.002 Gy a fraction: no segment reaches the machine's smallest monitor units."""
    tiny = replace(SMALL_GOALS, prescription=(("PTV", 0.01),), goals=())
    tps = PhotonTps(case, tiny, CONFIG)
    tps.optimise_fluence(tps.initial_objectives())
    with pytest.raises(PlanningError, match="too small"):
        tps.sequence(tps.initial_objectives())


def test_planning_can_be_stopped_at_any_step(case):
    steps: list[str] = []

    def stop(step: str, part: float) -> None:
        steps.append(step)
        if step == "fluence":
            raise SessionStopped("enough", actor="Physicist")

    with pytest.raises(SessionStopped):
        plan_case(PhotonTps(case, SMALL_GOALS, CONFIG, stop), SMALL_GOALS)
    assert steps[-1] == "fluence"


def test_a_correction_never_leaves_less_than_no_dose(case):
    """Far from the beams the full dose may be below the optimiser's; where leaves close afterwards, the difference
    alone would be left."""
    tps = PhotonTps(case, SMALL_GOALS, CONFIG)
    objectives = tps.initial_objectives()
    tps.optimise_fluence(objectives)
    tps.sequence(objectives)
    back = tps.remember()
    tps._correction = np.full_like(tps._correction, -1000.0)
    for state in (tps.refine(objectives), back()):
        assert state.hottest_gy == 0.0
        assert all(value == 0.0 for value in state.goal_values if not np.isnan(value))
