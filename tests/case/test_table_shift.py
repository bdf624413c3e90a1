"""Table shifts against figures worked out by hand (IEC 61217 table top coordinates)."""

from __future__ import annotations

import pytest

from appliance.case.today.table_shift import table_shift
from appliance.errors import InconsistentCase
from engines.registration import RigidTransform

ISOCENTRE_MM = (10.0, -20.0, 30.0)


def shift_of(moved_mm: tuple[float, float, float], position: str) -> tuple[float, float, float]:
    """Of a patient whose anatomy lies `moved_mm` (x, y, z of LPS) from where the plan has it."""
    to_reference = RigidTransform.of((-moved_mm[0], -moved_mm[1], -moved_mm[2]))
    found = table_shift(to_reference, ISOCENTRE_MM, position)
    return found.lateral_mm, found.longitudinal_mm, found.vertical_mm


@pytest.mark.parametrize(
    ("position", "moved_mm", "dialled"),
    [
        # Supine, head to the gantry: left is +X, head is +Y, front is +Z. Too far left: move to the right.
        ("HFS", (4.0, 0.0, 0.0), (-4.0, 0.0, 0.0)),
        ("HFS", (0.0, 4.0, 0.0), (0.0, 0.0, 4.0)),  # too far back, which is down: move up
        ("HFS", (0.0, 0.0, 4.0), (0.0, -4.0, 0.0)),
        ("FFS", (4.0, 0.0, 0.0), (4.0, 0.0, 0.0)),  # feet to the gantry: the patient's left is at -X
        ("FFS", (0.0, 0.0, 4.0), (0.0, 4.0, 0.0)),
        ("HFP", (0.0, 4.0, 0.0), (0.0, 0.0, -4.0)),  # prone: the back is up
        ("HFP", (4.0, 0.0, 0.0), (4.0, 0.0, 0.0)),
        ("FFP", (4.0, 0.0, 0.0), (-4.0, 0.0, 0.0)),
    ],
)
def test_a_displaced_patient_is_brought_back(position, moved_mm, dialled):
    assert shift_of(moved_mm, position) == pytest.approx(dialled)


def test_a_turn_about_the_isocentre_asks_for_no_shift():
    to_reference = RigidTransform.of(rotation_deg=(0.0, 0.0, 3.0), centre_mm=ISOCENTRE_MM)
    found = table_shift(to_reference, ISOCENTRE_MM, "HFS")
    assert (found.lateral_mm, found.longitudinal_mm, found.vertical_mm) == pytest.approx((0, 0, 0), abs=1e-9)
    # About +z of LPS, which is the table's +Y: a roll.
    assert (found.pitch_deg, found.roll_deg, found.yaw_deg) == pytest.approx((0, 3, 0), abs=1e-9)


def test_the_machine_isocentre_may_lie_elsewhere_on_the_image():
    found = table_shift(RigidTransform.of(), ISOCENTRE_MM, "HFS", today_isocentre_mm=(0.0, 0.0, 0.0))
    assert (found.lateral_mm, found.longitudinal_mm, found.vertical_mm) == pytest.approx((-10.0, -30.0, -20.0))


def test_an_unknown_position_is_refused():
    with pytest.raises(InconsistentCase, match="patient position"):
        table_shift(RigidTransform.of(), ISOCENTRE_MM, "LFS")
