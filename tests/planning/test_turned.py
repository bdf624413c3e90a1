"""A machine with leaves along Y, planned as one with leaves along X of a turned collimator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import Beam, ControlPoint, Jaws, Plan
from appliance.planning import calculate_dose, load_machine
from appliance.planning.turned import as_delivered, as_planned

from .cases import PENCIL, plan, water_box
from .machines import FAR

MACHINE = load_machine(FAR)


def test_a_machine_with_leaves_along_x_is_planned_as_it_is():
    machine = load_machine("agility160")
    assert as_planned(machine) is machine
    made = plan()
    assert as_delivered(made, machine) is made


def test_its_axes_are_those_of_a_collimator_turned_by_90_degrees():
    """X' = Y and Y' = -X: 57.4 cm across the leaves, 22 cm along them, the collimator fixed at 90 degrees."""
    turned = as_planned(MACHINE)
    assert turned.mlc.leaf_axis == "X"
    np.testing.assert_allclose(turned.mlc.boundaries_mm, -MACHINE.mlc.boundaries_mm[::-1])
    assert turned.jaw_axes == "Y"
    assert (turned.jaws.x1_mm, turned.jaws.x2_mm) == ((-110.0, -110.0), (110.0, 110.0))
    assert (turned.jaws.y1_mm, turned.jaws.y2_mm) == ((-287.0, 215.0), (-215.0, 287.0))
    assert turned.collimator.range_deg == (90.0, 90.0) and turned.collimator.still_deg == 90.0
    assert (turned.sad_mm, turned.dose_rate) == (MACHINE.sad_mm, MACHINE.dose_rate)


def test_unequal_leaves_keep_their_places():
    blocks = load_machine("hd120").mlc.boundary_blocks[:2]
    mlc = MACHINE.mlc.model_copy(update={"boundary_blocks": blocks})
    turned = as_planned(MACHINE.model_copy(update={"mlc": mlc}))
    np.testing.assert_allclose(turned.mlc.boundaries_mm, -mlc.boundaries_mm[::-1])


def lopsided(seed: int) -> Plan:
    """A plan in the turned axes with no symmetry: three pairs, two shapes."""
    rng = np.random.default_rng(seed)
    points = []
    for mu in (0.0, 40.0, 40.0, 90.0):
        a = rng.uniform(-40.0, 5.0, 3) if mu in (0.0, 40.0) else np.array(points[-1].leaf_a_mm)
        b = a + rng.uniform(10.0, 40.0, 3)
        jaws = Jaws(-110.0, 110.0, -30.0, 18.0)
        points.append(ControlPoint(mu, 35.0, 90.0, 0.0, jaws, tuple(a.tolist()), tuple(b.tolist())))
    beam = Beam(1, "B", "M", 6.0, "STANDARD", (0.0, 100.0, 0.0), 1000.0, 600.0, (-41.0, -9.0, 4.0, 30.0), tuple(points))
    return plan(replace(beam, jaw_axes="Y"))


@pytest.mark.parametrize("seed", range(3))
def test_the_plan_turned_back_gives_the_same_dose(seed):
    before = lopsided(seed)
    after = as_delivered(before, as_planned(MACHINE))
    assert (after.beams[0].leaf_axis, after.beams[0].jaw_axes) == ("Y", "X")
    assert {point.collimator_deg for point in after.beams[0].control_points} == {0.0}
    assert after.beams[0].leaf_boundaries_mm == (-30.0, -4.0, 9.0, 41.0)
    doses = [calculate_dose(one, water_box(), None, **PENCIL).dose_gy for one in (before, after)]
    np.testing.assert_allclose(doses[0], doses[1], atol=1e-6)
