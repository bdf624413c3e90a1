"""Plans made for each machine that plans are made for are legal on it; for the others planning refuses in words."""

from __future__ import annotations

import pytest

from appliance.config import PlanningConfig
from appliance.contracts import Case, Plan
from appliance.errors import PlanningError
from appliance.planning import PhotonTps, calculate_dose, check_plan, dose_options, load_machine

from .cases import SMALL_GOALS, cylinder_case

COARSE = {"beams": 3, "dose_grid_mm": 6.0, "beamlet_mm": 5.0, "segments_per_beam": 6}


def planned(case: Case, machine: str, **changes: object) -> Plan:
    tps = PhotonTps(case, SMALL_GOALS, PlanningConfig(machine=machine, **COARSE | changes))
    objectives = tps.initial_objectives()
    tps.optimise_fluence(objectives)
    tps.sequence(objectives)
    return tps.finish()[0]


@pytest.mark.parametrize("machine", ["millennium120", "hd120", "agility160"])
def test_a_plan_is_legal_on_the_machine_it_was_made_for(machine):
    plan = planned(cylinder_case(6.0), machine)
    facts = check_plan(plan, machine)
    assert facts.violations == ()
    assert {beam.jaw_axes for beam in plan.beams} == {load_machine(machine).jaw_axes}
    assert min(facts.beam_seconds) > 0 and 0 < facts.mcs <= 1


@pytest.mark.parametrize("machine", ["dual_layer", "mr_ring160"])
def test_a_collimator_that_is_not_planned_for_is_refused_at_once(machine):
    with pytest.raises(PlanningError, match="one layer of leaves along X"):
        PhotonTps(cylinder_case(6.0), SMALL_GOALS, PlanningConfig(machine=machine, **COARSE))


def test_a_density_by_name_reaches_the_planners_dose():
    """A target of bone's density before the organ: its dose is computed as such, in planning and afterwards."""
    case = cylinder_case(6.0)
    config = PlanningConfig(density_overrides={"ptv": 1.8}, **COARSE)
    tps = PhotonTps(case, SMALL_GOALS, config)
    objectives = tps.initial_objectives()
    tps.optimise_fluence(objectives)
    tps.sequence(objectives)
    plan, dose = tps.finish()
    assert dose.density_overridden
    by_other_name = config.model_copy(update={"density_overrides": {"PTV": 1.8}})
    again = calculate_dose(plan, case.image, case.external.voxels, **dose_options(by_other_name, case.structures))
    of_the_ct = config.model_copy(update={"density_overrides": {}})
    plain = calculate_dose(plan, case.image, case.external.voxels, **dose_options(of_the_ct, case.structures))
    assert abs(again.dose_gy - dose.dose_gy).max() < 1e-4 * dose.dose_gy.max()
    assert abs(plain.dose_gy - dose.dose_gy).max() > 0.02 * dose.dose_gy.max()
    assert not plain.density_overridden
    assert (plain.dose_to, "mass density" in plain.transport) == ("water", True)
