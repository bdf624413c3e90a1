"""Predictions good and bad on a small cylinder, planned for real: none makes the plan worse than it is without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance import session_plan
from appliance.config import PlanningConfig
from appliance.contracts import Case, PlanningState, PredictedBand, PredictedDose
from appliance.errors import PlanningError
from appliance.execution import plan_case
from appliance.execution.score import score
from appliance.planning import PhotonTps
from appliance.planning.merit import FullGrid, goal_values
from appliance.session_guide import guide_for
from engines.dvh import DoseVolume

from ..planning.cases import cylinder_case, goal, goal_set

GOALS = goal_set(
    goal("PTV", "D95%", ">=", 19.5), goal("PTV", "D2%", "<=", 22.0), goal("Core", "Mean", "<=", 9.0, priority=3)
)
CONFIG = PlanningConfig(segments_per_beam=4, dose_grid_mm=4.0, algorithm="pencil_beam")
LOSS = 0.1
"""Points of the planner's score: a twentieth of what the lightest goal is worth."""


@pytest.fixture(scope="module")
def case() -> Case:
    return cylinder_case()


def predicted(case: Case, target_gy: float, organ_gy: float, elsewhere_gy: float = 5.0) -> PredictedDose:
    """A flat dose in each structure, with the organ's band."""
    grid = case.image.grid
    dose = np.zeros(grid.size, np.float32)
    for name, dose_gy in (("External", elsewhere_gy), ("Core", organ_gy), ("PTV", target_gy)):
        structure = case.structure(name)
        dose[structure.voxels.index] = dose_gy
    volume = np.array([100.0, 50.0, 0.0], np.float32)
    flat = np.full(3, organ_gy, np.float32)
    band = PredictedBand("Core", volume, np.maximum(flat - 1, 0), flat, flat + 1)
    half = np.ones(grid.shape, np.float32)
    return PredictedDose(grid, dose.reshape(grid.shape), half, 2 * half, "by hand", (), (band,))


def points(case: Case, guide) -> tuple[float, int]:
    """Score and goals met of the plan made, on every voxel."""
    plan, dose = plan_case(PhotonTps(case, GOALS, CONFIG), GOALS, sparing_rounds=2, guide=guide)
    full, flat = FullGrid(case), dose.dose_gy.reshape(-1)
    values = goal_values(GOALS.goals, full, flat)
    found = full.get("External")
    hottest = DoseVolume.of(flat[found[0]], found[1]).dose_at_volume(0.1)
    state = PlanningState(values, 0.0, hottest, 0, "full", sum(beam.mu for beam in plan.beams))
    return score(GOALS, state), sum(one.met_by(v) for one, v in zip(GOALS.goals, values, strict=True))


@pytest.fixture(scope="module")
def unguided(case) -> tuple[float, int]:
    return points(case, None)


@pytest.mark.parametrize("organ_gy", [0.0, 8.0, 18.0], ids=["nothing in the organ", "near", "organ like the target"])
def test_a_prediction_costs_no_goal_and_little_else(case, unguided, organ_gy):
    found = points(case, guide_for(case, GOALS, predicted(case, 20.4, organ_gy)))
    assert found[1] >= unguided[1]
    assert found[0] >= unguided[0] - LOSS


def test_what_is_of_another_prescription_or_place_is_refused(case):
    right = predicted(case, 20.4, 8.0)
    for wrong in (0 * right.dose_gy, 2 * right.dose_gy, np.roll(right.dose_gy, 8, axis=1)):
        with pytest.raises(PlanningError, match="cannot be of this case"):
            guide_for(case, GOALS, replace(right, dose_gy=wrong))


def test_a_session_plans_without_it_and_says_so(case):
    notes: list[str] = []
    wrong = replace(right := predicted(case, 20.4, 8.0), dose_gy=0 * right.dose_gy)
    assert session_plan._guide(PlanningConfig(), case, GOALS, wrong, notes) == (None, "goals")
    assert [note.startswith("Planned without the predicted dose: ") for note in notes] == [True]
    guide, start = session_plan._guide(PlanningConfig(), case, GOALS, right, notes)
    assert guide is not None
    assert start == "goals"
    assert len(notes) == 1


def test_the_interval_of_a_goal_is_that_of_its_structures_band(case):
    core = guide_for(case, GOALS, predicted(case, 20.4, 8.0)).foreseen[2]
    assert core.high - core.value == pytest.approx(1.0)
    assert core.value - core.low == pytest.approx(1.0)


def test_a_prediction_on_another_grid_says_the_same(case):
    whole = predicted(case, 20.4, 8.0)
    lower, upper = (2, 4, 4), tuple(n - 2 for n in whole.dose_gy.shape)
    place = tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))
    crop = replace(
        whole,
        grid=whole.grid.cropped(lower, upper),
        dose_gy=whole.dose_gy[place],
        uncertainty_gy=whole.uncertainty_gy[place],
        half_width_95_gy=whole.half_width_95_gy[place],
    )
    assert guide_for(case, GOALS, crop).foreseen == guide_for(case, GOALS, whole).foreseen
