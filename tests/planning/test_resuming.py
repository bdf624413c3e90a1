"""A planning system put away and taken up again stands where it stood, to the bit, with every technique."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.config import PlanningConfig
from appliance.contracts import Working
from appliance.errors import PlanningError
from appliance.planning import PhotonTps, moving_leaves, step_and_shoot

from .cases import SMALL_GOALS, cylinder_case

TECHNIQUES = ("step_and_shoot", "sliding_window", "vmat")


def planned(technique: str, monkeypatch: pytest.MonkeyPatch) -> tuple[PhotonTps, PlanningConfig]:
    """A plan after few evaluations, judged, so that samples were added and the dose is corrected."""
    monkeypatch.setattr(moving_leaves, "DEVELOP_BUDGETS", (2,))
    monkeypatch.setattr(moving_leaves, "MOVING_BUDGET", 2)
    monkeypatch.setattr(step_and_shoot, "GROW_BUDGET", 4)
    monkeypatch.setattr(step_and_shoot, "REFINE_BUDGET", 4)
    config = PlanningConfig(segments_per_beam=4, dose_grid_mm=6.0, technique=technique, algorithm="pencil_beam")  # type: ignore[arg-type]
    tps = PhotonTps(cylinder_case(8.0), SMALL_GOALS, config, thin=2)
    tps.optimise_fluence(tps.initial_objectives())
    tps.sequence(tps.initial_objectives())
    tps.judge()
    tps.normalise(1.02)
    return tps, config


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_what_was_put_away_goes_on_as_if_it_had_not_been(technique, monkeypatch):
    live, config = planned(technique, monkeypatch)
    kept = Working.from_bytes(live.working().to_bytes())
    again = PhotonTps(cylinder_case(8.0), SMALL_GOALS, config, thin=2)
    state = again.resume(kept)
    np.testing.assert_allclose(state.goal_values, live.normalise(1.0).goal_values, rtol=1e-6)
    np.testing.assert_array_equal(again.samples.index, live.samples.index)
    assert again.finish()[0].digest == live.finish()[0].digest
    assert kept.objectives == live.initial_objectives()
    one, other = live.refine(kept.objectives), again.refine(kept.objectives)
    np.testing.assert_allclose(one.goal_values, other.goal_values, rtol=1e-6)
    assert one.merit == pytest.approx(other.merit, rel=1e-6)
    np.testing.assert_allclose(one.mu, other.mu, rtol=1e-6)


def test_the_dose_that_is_known_is_not_calculated_again(monkeypatch):
    live, config = planned("step_and_shoot", monkeypatch)
    final = live.finish()
    again = PhotonTps(cylinder_case(8.0), SMALL_GOALS, config, thin=2)
    again.resume(live.working(), final)
    assert again.finish() is final


def test_what_does_not_fit_is_refused(monkeypatch):
    live, config = planned("step_and_shoot", monkeypatch)
    kept = live.working()
    sliding = config.model_copy(update={"technique": "sliding_window"})
    other = PhotonTps(cylinder_case(8.0), SMALL_GOALS, sliding, thin=2)
    with pytest.raises(PlanningError, match="does not fit"):
        other.resume(kept)
    with pytest.raises(PlanningError, match="does not fit"):
        PhotonTps(cylinder_case(6.0), SMALL_GOALS, config, thin=2).resume(kept)
    with pytest.raises(PlanningError, match="another plan"):
        plan, dose = live.finish()
        PhotonTps(cylinder_case(8.0), SMALL_GOALS, config, thin=2).resume(kept, (replace(plan, label="other"), dose))
    with pytest.raises(PlanningError, match="no plan to go on from"):
        PhotonTps(cylinder_case(8.0), SMALL_GOALS, config, thin=2).working()


@pytest.mark.parametrize("damage", [b"", b"not a zip", b"PK\x03\x04 and nothing more"])
def test_a_damaged_state_is_refused_in_words(damage):
    with pytest.raises(PlanningError, match="kept state of planning cannot be read"):
        Working.from_bytes(damage)
