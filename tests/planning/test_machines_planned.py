"""Plans made for each machine are legal on it and come back from DICOM with the same dose; what does not fit is refused
in words before anything is planned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.case import read_plan
from appliance.config import PlanningConfig
from appliance.contracts import CalculatedDose, Case, Plan
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.errors import PlanningError
from appliance.planning import PhotonTps, calculate_dose, check_plan, dose_options, load_machine, moving_leaves
from appliance.planning.merit import FullGrid, goal_values

from .cases import SMALL_GOALS, SOURCE, cylinder_case
from .machines import FAR, PAIRS, beam_for, standin, with_every_technique

COARSE = {
    "beams": 3, "dose_grid_mm": 6.0, "beamlet_mm": 5.0, "segments_per_beam": 6, "algorithm": "pencil_beam",
}  # fmt: skip


def config_of(machine: str, technique: str, folder: Path) -> PlanningConfig:
    beams = {"beams": 1} if technique == "vmat" else {}
    return PlanningConfig(machine=machine, technique=technique, beam_model=beam_for(machine, folder), **COARSE | beams)


def planned(case: Case, config: PlanningConfig) -> tuple[Plan, CalculatedDose]:
    tps = PhotonTps(case, SMALL_GOALS, config)
    objectives = tps.initial_objectives()
    tps.optimise_fluence(objectives)
    tps.sequence(objectives)
    return tps.finish()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two short rounds of moving leaves: enough for the goals of a ball in a cylinder."""
    monkeypatch.setattr(moving_leaves, "DEVELOP_BUDGETS", (30, 30))


@pytest.mark.parametrize(("machine", "technique"), [*PAIRS, (FAR, "sliding_window"), (FAR, "vmat")])
@pytest.mark.usefixtures("quick")
def test_a_plan_is_legal_on_its_machine_and_reads_back_to_the_same_dose(machine, technique, tmp_path):
    name = machine if (machine, technique) in PAIRS else with_every_technique(machine, tmp_path)
    case, config = cylinder_case(6.0), config_of(name, technique, tmp_path)
    plan, dose = planned(case, config)
    facts, own = check_plan(plan, name), load_machine(name)
    assert facts.violations == ()
    assert plan.technique == technique.upper()
    assert {beam.jaw_axes for beam in plan.beams} == {own.jaw_axes}
    assert {beam.leaf_axis for beam in plan.beams} == {own.mlc.leaf_axis}
    assert {len(beam.lower_boundaries_mm) for beam in plan.beams} == {own.mlc.lower_boundaries_mm.size}
    assert min(facts.beam_seconds) > 0 and 0 < facts.mcs <= 1
    values = goal_values(SMALL_GOALS.goals, FullGrid(case), dose.dose_gy.reshape(-1))
    # Coarse and short: what the goals ask for, within 5 % (a plan of a turned or shifted field misses by half).
    assert values[0] > 0.95 * SMALL_GOALS.goals[0].limit and values[1] < 1.05 * SMALL_GOALS.goals[1].limit, values

    item = plan_dataset(plan, identity=case.identity, structure_set=SOURCE, predecessor=None, prescription=())
    read = read_plan(save_durable(item, tmp_path / "RP.dcm").path)
    assert check_plan(read, name).violations == ()
    again = calculate_dose(read, case.image, case.external.voxels, **dose_options(config, case.structures))
    # Jaws, leaves and metersets are rounded to what DICOM states before the plan's dose is calculated.
    np.testing.assert_allclose(again.dose_gy, dose.dose_gy, atol=1e-5 * float(dose.dose_gy.max()))


def test_a_technique_that_the_machine_does_not_deliver_is_refused(tmp_path):
    config = config_of(FAR, "vmat", tmp_path)
    with pytest.raises(PlanningError, match="does not deliver VMAT; it delivers step and shoot"):
        PhotonTps(cylinder_case(6.0), SMALL_GOALS, config)


@pytest.mark.parametrize(
    ("machine", "beam_model", "words"),
    [
        (
            "dual_layer",
            "couchside_6mv",
            "6 MV FFF from 1000 mm.*'couchside_6mv' is 6 MV STAND.*to couchside_6mv_fff",
        ),
        ("mr_ring160", "couchside_6mv_fff", "7 MV FFF from 1435 mm.*none is shipped for it: commission"),
        ("millennium120", "couchside_6mv_fff", "6 MV STANDARD.*to couchside_6mv or generic_6mv"),
    ],
)
def test_a_beam_model_of_another_machine_is_refused_before_planning(machine, beam_model, words):
    config = PlanningConfig(machine=machine, beam_model=beam_model, **COARSE)
    with pytest.raises(PlanningError, match=words):
        PhotonTps(cylinder_case(6.0), SMALL_GOALS, config)


def test_the_made_up_beam_fits_its_machine_alone(tmp_path):
    config = PlanningConfig(machine="dual_layer", beam_model=str(standin(tmp_path)), **COARSE)
    with pytest.raises(PlanningError, match="is 7 MV FFF from 1435 mm"):
        PhotonTps(cylinder_case(6.0), SMALL_GOALS, config)


def test_a_density_by_name_reaches_the_planners_dose():
    """A target of bone's density before the organ: its dose is computed as such, in planning and afterwards."""
    case = cylinder_case(6.0)
    config = PlanningConfig(density_overrides={"ptv": 1.8}, **COARSE | {"algorithm": "collapsed_cone"})
    plan, dose = planned(case, config)
    assert dose.density_overridden
    by_other_name = config.model_copy(update={"density_overrides": {"PTV": 1.8}})
    again = calculate_dose(plan, case.image, case.external.voxels, **dose_options(by_other_name, case.structures))
    of_the_ct = config.model_copy(update={"density_overrides": {}})
    plain = calculate_dose(plan, case.image, case.external.voxels, **dose_options(of_the_ct, case.structures))
    assert abs(again.dose_gy - dose.dose_gy).max() < 1e-4 * dose.dose_gy.max()
    assert abs(plain.dose_gy - dose.dose_gy).max() > 0.02 * dose.dose_gy.max()
    assert not plain.density_overridden
    assert (plain.dose_to, "mass density" in plain.transport) == ("water", True)
