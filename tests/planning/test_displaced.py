"""The dose of a displaced patient is the dose of the plan with its isocentre moved the other way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.config import PlanningConfig
from appliance.contracts import Plan
from appliance.contracts.robustness import Displacement
from appliance.errors import UnsupportedPlan
from appliance.planning import calculate_dose
from appliance.planning.displaced import DisplacedPlan

from .cases import PENCIL, cylinder_case, legal_plan, plan

CONFIG = PlanningConfig(density="generic_ct", algorithm="pencil_beam")
CASE = cylinder_case(3.0)
INDEX = CASE.external.voxels.index.astype(np.int64)


def final(made: Plan) -> np.ndarray:
    return calculate_dose(made, CASE.image, CASE.external.voxels, **PENCIL).dose_gy.reshape(-1)[INDEX]


def moved(made: Plan, x: float, y: float, z: float) -> Plan:
    return replace(made, beams=tuple(replace(beam, isocentre_mm=(x, y, z)) for beam in made.beams))


def test_in_place_it_is_the_pencil_beam_of_the_final_dose():
    made = legal_plan()
    ours, theirs = DisplacedPlan(made, CASE, INDEX, CONFIG)(Displacement()), final(made)
    np.testing.assert_allclose(ours, theirs, atol=0.02 * theirs.max())


@pytest.mark.parametrize("shift", [(3.0, 0.0, 0.0), (0.0, -4.0, 0.0), (1.0, 2.0, -3.0)])
def test_a_shift_is_an_isocentre_shifted_the_other_way(shift):
    made, (x, y, z) = legal_plan(), shift
    doses = DisplacedPlan(made, CASE, INDEX, CONFIG)
    change, exact = doses(Displacement(shift)) - doses(Displacement()), final(moved(made, -x, -y, -z)) - final(made)
    assert np.abs(exact).max() > 0.1 * final(made).max()
    np.testing.assert_allclose(change, exact, atol=0.015 * final(made).max())


def test_turning_a_cylinder_about_its_axis_is_turning_the_gantry_back():
    """HFS, gantry 0 comes from -y: a patient turned by +10 degrees about z (x towards y) meets the beam where one who
    lies straight meets gantry -10."""
    made = plan(*(replace(b) for b in legal_plan().beams), fractions=5)

    def at(beam, degrees):
        turned = tuple(replace(p, gantry_deg=(p.gantry_deg + degrees) % 360) for p in beam.control_points)
        return replace(beam, control_points=turned)

    back = replace(made, beams=tuple(at(beam, -10.0) for beam in made.beams))
    ours = DisplacedPlan(made, CASE, INDEX, CONFIG)(Displacement(rotation_deg=(0.0, 0.0, 10.0)))
    np.testing.assert_allclose(ours, final(back), atol=0.02 * final(made).max())


def test_a_plan_without_a_beam_is_refused():
    with pytest.raises(UnsupportedPlan):
        DisplacedPlan(plan(), CASE, INDEX, CONFIG)
