"""The coarse planning system on a small cylinder: steered like the full one, the same every time, and cheap for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, ObjectiveKind, StructureKind
from appliance.errors import PlanningError
from appliance.planning import PhotonTps
from appliance.planning.coarse import Coarseness, CoarseTps

from .cases import SMALL_GOALS, cylinder_case, goal

CONFIG = PlanningConfig(segments_per_beam=4, dose_grid_mm=4.0)
VOLUMES = (1.0, 50.0, 99.0)


@pytest.fixture(scope="module")
def case() -> Case:
    return cylinder_case()


@pytest.fixture(scope="module")
def tps(case) -> CoarseTps:
    return CoarseTps(case, SMALL_GOALS, CONFIG)


def test_a_call_costs_what_it_may_and_the_next_begins_where_it_ended(tps):
    size, objectives = tps.coarseness, tps.initial_objectives()
    tps.forget()
    first, second = (tps.optimise_fluence(objectives) for _ in range(2))
    assert first.iterations <= size.first and second.iterations <= size.further
    assert second.merit <= first.merit
    assert first.stage == "fluence" and np.isnan(first.mu)


def test_after_forgetting_it_begins_anew(case, tps):
    objectives = tps.initial_objectives()
    tps.forget()
    first = tps.optimise_fluence(objectives)
    tps.optimise_fluence(tuple(one.scaled(4.0) for one in objectives[:3]))
    tps.forget()
    assert np.isnan(tps.modulation())
    assert (
        tps.optimise_fluence(objectives) == first == CoarseTps(case, SMALL_GOALS, CONFIG).optimise_fluence(objectives)
    )


def test_it_sees_what_the_full_one_sees(case, tps):
    """Of the same objectives after as many evaluations: goals within 3 % of the prescription, DVHs within 4.5 %."""
    full, near = PhotonTps(case, SMALL_GOALS, CONFIG), CoarseTps(case, SMALL_GOALS, CONFIG, Coarseness(first=80))
    objectives = full.initial_objectives()
    assert near.initial_objectives() == objectives
    assert near.offered_objectives() == full.offered_objectives()
    wanted, found = full.optimise_fluence(objectives), near.optimise_fluence(objectives)
    np.testing.assert_allclose(found.goal_values, wanted.goal_values, atol=0.6)
    for name in ("PTV", "Core"):
        np.testing.assert_allclose(near.doses_at(name, VOLUMES), full.doses_at(name, VOLUMES), atol=0.9)
    assert near.modulation() == pytest.approx(full.modulation(), rel=0.3)  # of wider beamlets


def test_doses_are_of_the_last_fluence_and_fall_with_volume(tps):
    tps.optimise_fluence(tps.initial_objectives())
    doses = tps.doses_at("PTV", VOLUMES)
    assert doses[0] >= doses[1] >= doses[2] > 15
    assert np.isnan(tps.doses_at("Nothing", VOLUMES)).all()


def test_a_ring_that_is_offered_takes_dose_off_where_it_lies(tps):
    (ring,) = (one for one in tps.offered_objectives() if "^" in one.structure)
    objectives = tps.initial_objectives()
    tps.forget()
    tps.optimise_fluence(objectives)
    before = tps.doses_at(ring.structure, (5.0,))[0]
    tps.optimise_fluence((*objectives, replace(ring, dose_gy=ring.dose_gy * 0.8, weight=ring.weight * 16)))
    assert tps.doses_at(ring.structure, (5.0,))[0] < before


def test_what_is_offered_by_hand(case):
    """An organ that no target touches has no part without overlap to offer; one that a target crosses has."""
    organ = next(s for s in case.structures if s.tg263 == "Core").voxels
    target = next(s for s in case.structures if s.tg263 == "PTV").voxels
    assert [one.structure for one in CoarseTps(case, SMALL_GOALS, CONFIG).offered_objectives()] == ["PTV^15!PTV^5"]
    grown = tuple(replace(s, voxels=target.union(organ)) if s.tg263 == "Core" else s for s in case.structures)
    offered = CoarseTps(replace(case, structures=grown), SMALL_GOALS, CONFIG).offered_objectives()
    assert [(one.structure, one.kind, one.dose_gy) for one in offered] == [
        ("PTV^15!PTV^5", ObjectiveKind.SQUARED_OVERDOSE, 17.0),
        ("Core!PTV", ObjectiveKind.SQUARED_OVERDOSE, 10.0),
    ]


@pytest.mark.parametrize("goals", [SMALL_GOALS, replace(SMALL_GOALS, goals=(goal("Core", "Mean", "<=", 9.0),))])
def test_a_case_without_a_target_is_refused(case, goals: GoalSet):
    bare = replace(case, structures=tuple(s for s in case.structures if s.kind is not StructureKind.TARGET))
    with pytest.raises(PlanningError, match="no target"):
        CoarseTps(bare, goals, CONFIG)
