"""The stand-in with fewer directions: groups keep to their arc, its dose is right where it starts, its gradient is that
of its own merit."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.config import PlanningConfig
from appliance.planning import PhotonTps, load_machine
from appliance.planning.arcs import plan_arcs
from appliance.planning.coarse_arc import TOGETHER, groups

from .cases import SMALL_GOALS, cylinder_case


@pytest.fixture(scope="module")
def started() -> PhotonTps:
    config = PlanningConfig(technique="vmat", dose_grid_mm=6.0, beamlet_mm=5.0, algorithm="pencil_beam")
    tps = PhotonTps(cylinder_case(), SMALL_GOALS, config)
    tps.optimise_fluence(tps.initial_objectives())
    tps._delivery.start(tps._fluence.beamlets, tps._fluence.values, lambda *_: None)
    return tps


def test_no_group_holds_directions_of_two_arcs():
    case, machine = cylinder_case(), load_machine("millennium120")
    arcs = plan_arcs(case, machine, PlanningConfig(technique="vmat", beams=2))
    first, frames = groups(arcs)
    count = [len(arc.frames) for arc in arcs]
    assert count[0] in first
    assert len(first) == len(frames) == sum(-(-n // TOGETHER) for n in count)
    assert np.diff(first).max() == TOGETHER


def test_it_is_exact_where_it_starts(started):
    aim = started._aim(started.initial_objectives())
    fluence = started._delivery.fluence()
    value, _ = started._delivery._rough(aim, fluence)(fluence)
    assert value == pytest.approx(aim(fluence)[0], rel=1e-4)


def test_its_gradient_is_that_of_its_merit_and_near_that_of_the_aim(started):
    """A change of 1 % of all fluence, against the difference of the merit; 5 % between the two gradients."""
    aim = started._aim(started.initial_objectives())
    fluence = started._delivery.fluence()
    rough = started._delivery._rough(aim, fluence)
    _, gradient = rough(fluence)
    up, down = (rough(fluence * np.float32(1 + s * 0.005))[0] for s in (1, -1))
    along = float((gradient.astype(float) * fluence).sum())
    assert along == pytest.approx((up - down) / 0.01, rel=0.02)
    exact = float((aim(fluence)[1].astype(float) * fluence).sum())
    assert along == pytest.approx(exact, rel=0.05)
