"""The plan that was written, as a reader sees it, against the plan that was approved."""

from __future__ import annotations

from appliance.contracts import Beam, ControlPoint, Plan
from appliance.dicomio.values import LONG_STRING, SHORT_STRING, clipped
from appliance.export.differences import MU_TOLERANCE, POSITION_TOLERANCE_MM, near, near_all, near_angle, same

ENERGY_TOLERANCE_MV = 1e-6
SAD_TOLERANCE_MM = 1e-3
DOSE_RATE_TOLERANCE_MU_MIN = 1e-3


def compare_plan(read: Plan, approved: Plan) -> None:
    """Raises ReadBackMismatch at the first difference: fractions, position, machine, apertures, angles, MU."""
    same("fractions", read.fractions, approved.fractions)
    same("patient position", read.patient_position, approved.patient_position)
    same("beam numbers", [beam.number for beam in read.beams], [beam.number for beam in approved.beams])
    for one, other in zip(read.beams, approved.beams, strict=True):
        _compare_beam(one, other)


def _compare_beam(read: Beam, approved: Beam) -> None:
    where = f"beam {approved.number}"
    same(f"{where}, name", read.name, clipped(approved.name, LONG_STRING))
    same(f"{where}, machine", read.machine, clipped(approved.machine, SHORT_STRING))
    same(f"{where}, fluence mode FFF", read.fluence_mode.upper() == "FFF", approved.fluence_mode.upper() == "FFF")
    near(f"{where}, energy (MV)", read.energy_mv, approved.energy_mv, ENERGY_TOLERANCE_MV)
    near(f"{where}, SAD (mm)", read.sad_mm, approved.sad_mm, SAD_TOLERANCE_MM)
    near(f"{where}, dose rate (MU/min)", read.dose_rate_mu_min, approved.dose_rate_mu_min, DOSE_RATE_TOLERANCE_MU_MIN)
    near_all(f"{where}, isocentre (mm)", read.isocentre_mm, approved.isocentre_mm, POSITION_TOLERANCE_MM)
    same(f"{where}, axis of its leaves", read.leaf_axis, approved.leaf_axis)
    same(f"{where}, axes of its jaws", read.jaw_axes, approved.jaw_axes)
    for layer, one, other in (
        ("leaf boundary", read.leaf_boundaries_mm, approved.leaf_boundaries_mm),
        ("leaf boundary of the lower layer", read.lower_boundaries_mm, approved.lower_boundaries_mm),
    ):
        near_all(f"{where}, {layer} (mm)", one, other, POSITION_TOLERANCE_MM)
    same(f"{where}, number of control points", len(read.control_points), len(approved.control_points))
    for index, (point, wanted) in enumerate(zip(read.control_points, approved.control_points, strict=True)):
        _compare_point(f"{where}, control point {index}", point, wanted, MU_TOLERANCE * approved.mu)


def _compare_point(where: str, read: ControlPoint, approved: ControlPoint, mu_tolerance: float) -> None:
    near(f"{where}, monitor units", read.cumulative_mu, approved.cumulative_mu, mu_tolerance)
    near_angle(f"{where}, gantry", read.gantry_deg, approved.gantry_deg)
    near_angle(f"{where}, collimator", read.collimator_deg, approved.collimator_deg)
    near_angle(f"{where}, couch", read.couch_deg, approved.couch_deg)
    near_all(f"{where}, jaw (mm)", _jaws(read), _jaws(approved), POSITION_TOLERANCE_MM)
    near_all(f"{where}, leaf of bank A (mm)", read.leaf_a_mm, approved.leaf_a_mm, POSITION_TOLERANCE_MM)
    near_all(f"{where}, leaf of bank B (mm)", read.leaf_b_mm, approved.leaf_b_mm, POSITION_TOLERANCE_MM)
    near_all(f"{where}, lower leaf of bank A (mm)", read.lower_a_mm, approved.lower_a_mm, POSITION_TOLERANCE_MM)
    near_all(f"{where}, lower leaf of bank B (mm)", read.lower_b_mm, approved.lower_b_mm, POSITION_TOLERANCE_MM)


def _jaws(point: ControlPoint) -> tuple[float, float, float, float]:
    return point.jaws.x1_mm, point.jaws.x2_mm, point.jaws.y1_mm, point.jaws.y2_mm
