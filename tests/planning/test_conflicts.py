"""Who stands against a missed goal: gradients drawn by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.config import PlanningConfig
from appliance.contracts import Objective, ObjectiveKind
from appliance.planning import PhotonTps
from appliance.planning.conflicts import Pull, conflicts, in_words

from .cases import cylinder_case, goal, goal_set


def objective(name: str, number: int, kind: ObjectiveKind = ObjectiveKind.MEAN_DOSE) -> Objective:
    return Objective(name, kind, 10.0, 1.0, goal=number)


COVER = objective("PTV", 0, ObjectiveKind.DVH_MIN)
CORE, LUNG, SKIN = (objective(name, i) for i, name in enumerate(("Core", "Lung", "Skin"), start=1))


def test_the_strongest_opponent_is_named_first():
    pulls = [
        Pull(COVER, np.array([2.0, 0.0])),
        Pull(CORE, np.array([-1.0, 0.0])),
        Pull(LUNG, np.array([-3.0, 3.0])),
        Pull(SKIN, np.array([0.0, 5.0])),
    ]
    (found,) = conflicts(pulls, frozenset({0}))
    assert found.goal == 0
    assert [o for o, _ in found.against] == [LUNG, CORE]
    np.testing.assert_allclose([c for _, c in found.against], [-np.sqrt(0.5), -1.0])
    np.testing.assert_allclose(found.shares, [3 / 4, 1 / 4])


def test_met_goals_allies_and_feeble_opponents_are_not_named():
    pulls = [Pull(COVER, np.array([2.0, 0.0])), Pull(CORE, np.array([1.0, 0.1])), Pull(LUNG, np.array([-0.01, 0.0]))]
    assert conflicts(pulls, frozenset({0})) == ()
    assert conflicts([Pull(COVER, np.array([1.0])), Pull(CORE, np.array([-1.0]))], frozenset()) == ()


def test_words_for_a_clinician():
    assert in_words(COVER) == "coverage of PTV"
    assert in_words(replace(CORE, structure="Core!PTV")) == "mean dose of Core"
    assert in_words(replace(CORE, hot_spot=True)) == "the limit on hot spots"


def test_two_goals_on_one_organ_and_its_neighbour_cannot_both_hold():
    """A target to be covered and a neighbour 6 mm away that may have no dose: the one is named against the other."""
    goals = goal_set(goal("PTV", "D95%", ">=", 19.8), goal("Core", "Mean", "<=", 0.2))
    tps = PhotonTps(cylinder_case(), goals, PlanningConfig(dose_grid_mm=6.0, beamlet_mm=5.0, segments_per_beam=3))
    objectives = tps.initial_objectives()
    assert tps.conflicts(objectives) == ()
    tps.optimise_fluence(objectives)
    assert 1 in {conflict.goal for conflict in tps.conflicts(objectives)}
    tps.sequence(objectives)
    found = tps.conflicts(objectives)
    assert any(f.sentence.startswith("Core Mean") and "coverage of PTV" in f.sentence for f in found), found
    assert all(0 in f.goals for f in found if f.goal == 1)
    (core,) = [f for f in found if f.goal == 1]
    assert "PTV D95% >= 19.8 Gy" in {opponent.goal for opponent in core.opponents}
    assert sum(opponent.strength for opponent in core.opponents) == pytest.approx(1)
