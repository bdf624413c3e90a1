"""Does the machine deliver this plan? Every limit of the machine file, for every control point."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, ControlPoint, Plan, PlanFacts
from appliance.planning.machine import Machine, load_machine

POSITION_TOLERANCE_MM = 0.011
"""Leaf positions are written to 0.01 mm; a gap of two rounded leaves may miss its limit by this."""


def check_plan(plan: Plan, machine: str = "millennium120") -> PlanFacts:
    """Facts of a plan and every violated limit, in words. `deliverable` only if there is none."""
    limits = load_machine(machine)
    violations = [v for beam in plan.beams for v in _beam_violations(beam, limits)]
    if not plan.beams:
        violations.append("the plan has no beam")
    return PlanFacts(
        mu=plan.mu,
        beams=len(plan.beams),
        control_points=plan.control_point_count,
        segments=sum(len(beam.segments()) for beam in plan.beams),
        deliverable=not violations,
        violations=tuple(violations),
        delivery_time_s=delivery_time_s(plan, limits),
    )


def _beam_violations(beam: Beam, machine: Machine) -> list[str]:
    borders = machine.mlc.boundaries_mm
    if beam.leaf_boundaries_mm and not (
        len(beam.leaf_boundaries_mm) == borders.size and np.allclose(beam.leaf_boundaries_mm, borders, atol=0.01)
    ):
        return [f"beam {beam.number}: its leaves are not those of {machine.title}"]
    if not all(np.isfinite(_numbers(point)).all() for point in beam.control_points):
        return [f"beam {beam.number}: a position or meterset is not a number"]
    found = _beam_facts(beam, machine)
    for number, point in enumerate(beam.control_points):
        found += [f"beam {beam.number}, control point {number}: {v}" for v in _point_violations(point, machine)]
    return found


def _numbers(point: ControlPoint) -> NDArray[np.float64]:
    jaws = point.jaws
    edges = (jaws.x1_mm, jaws.x2_mm, jaws.y1_mm, jaws.y2_mm)
    angles = (point.gantry_deg, point.collimator_deg, point.couch_deg)
    return np.array([point.cumulative_mu, *angles, *edges, *point.leaf_a_mm, *point.leaf_b_mm])


def _beam_facts(beam: Beam, machine: Machine) -> list[str]:
    """What is wrong with a beam as a whole."""
    found = []
    if abs(beam.sad_mm - machine.sad_mm) > 0.1:
        found.append(f"beam {beam.number}: its source-axis distance of {beam.sad_mm:g} mm is not {machine.sad_mm:g} mm")
    if beam.dose_rate_mu_min > machine.dose_rate.maximum_mu_min + 1e-6:
        found.append(
            f"beam {beam.number}: {beam.dose_rate_mu_min:g} MU/min exceed {machine.dose_rate.maximum_mu_min:g} MU/min"
        )
    if any(after.cumulative_mu < before.cumulative_mu for before, after in pairwise(beam.control_points)):
        found.append(f"beam {beam.number}: its cumulative meterset falls")
    if not machine.jaws.tracking and len({point.jaws for point in beam.control_points}) > 1:
        found.append(f"beam {beam.number}: its jaws move between control points, which {machine.name} does not do")
    if abs(beam.energy_mv - machine.energy_mv) > 0.01 or beam.fluence_mode != machine.fluence_mode:
        found.append(
            f"beam {beam.number}: {beam.energy_mv:g} MV {beam.fluence_mode} is not what {machine.name} delivers"
        )
    if beam.mu > machine.dose_rate.maximum_beam_mu:
        found.append(f"beam {beam.number}: {beam.mu:.0f} MU exceed {machine.dose_rate.maximum_beam_mu:g} MU")
    for mu, _ in beam.segments():
        if mu < machine.dose_rate.minimum_segment_mu - 1e-6:
            found.append(
                f"beam {beam.number}: a segment of {mu:.2f} MU is below {machine.dose_rate.minimum_segment_mu:g} MU"
            )
    return found


def _point_violations(point: ControlPoint, machine: Machine) -> list[str]:
    found = []
    jaws = point.jaws
    for name, value in (("x1", jaws.x1_mm), ("x2", jaws.x2_mm), ("y1", jaws.y1_mm), ("y2", jaws.y2_mm)):
        low, high = getattr(machine.jaws, f"{name}_mm")
        if not low - 1e-6 <= value <= high + 1e-6:
            found.append(f"jaw {name} at {value:g} mm is outside {low:g}..{high:g} mm")
    if min(jaws.x2_mm - jaws.x1_mm, jaws.y2_mm - jaws.y1_mm) < machine.jaws.minimum_opening_mm - 1e-6:
        found.append(f"jaw opening is below {machine.jaws.minimum_opening_mm:g} mm")
    if not point.leaf_a_mm:
        return found
    mlc, a, b = machine.mlc, np.array(point.leaf_a_mm), np.array(point.leaf_b_mm)
    if min(a.min(), b.min()) < mlc.position_min_mm - 1e-6 or max(a.max(), b.max()) > mlc.position_max_mm + 1e-6:
        found.append(f"a leaf is outside {mlc.position_min_mm:g}..{mlc.position_max_mm:g} mm")
    if float((b - a).min()) < mlc.minimum_gap_mm - POSITION_TOLERANCE_MM:
        found.append(f"a leaf gap of {float((b - a).min()):.2f} mm is below {mlc.minimum_gap_mm:g} mm")
    for bank, leaves in (("A", a), ("B", b)):
        if float(np.ptp(leaves)) > mlc.bank_span_max_mm + POSITION_TOLERANCE_MM:
            found.append(f"bank {bank} spans {float(np.ptp(leaves)):.1f} mm, more than {mlc.bank_span_max_mm:g} mm")
    if not mlc.interdigitation and (np.any(a[1:] > b[:-1]) or np.any(a[:-1] > b[1:])):
        found.append("neighbouring leaves interdigitate, which this MLC does not allow")
    return found


def _gantry_travel_deg(start_deg: float, end_deg: float) -> float:
    """A C-arm turns through 0 and stops at 180 degrees, which it reaches from either side."""
    start, end = ((angle + 180) % 360 - 180 for angle in (start_deg, end_deg))
    if -180 in (start, end):
        return abs(abs(start) - abs(end))
    return abs(start - end)


def delivery_time_s(plan: Plan, machine: Machine) -> float:
    """Beam-on time at the highest dose rate, leaf and gantry travel in between: for each step the slowest axis. No
    time for the console's own overhead, of which nothing is known."""
    seconds, gantry = 0.0, None
    for beam in plan.beams:
        first = beam.control_points[0]
        if gantry is not None:
            seconds += _gantry_travel_deg(gantry, first.gantry_deg) / machine.gantry.speed_deg_s
        gantry = first.gantry_deg
        for before, after in pairwise(beam.control_points):
            dose_s = (after.cumulative_mu - before.cumulative_mu) / min(
                beam.dose_rate_mu_min or machine.dose_rate.maximum_mu_min, machine.dose_rate.maximum_mu_min
            ) * 60.0  # fmt: skip
            travel_mm = 0.0
            if before.leaf_a_mm:
                travel_mm = max(
                    float(np.abs(np.subtract(after.leaf_a_mm, before.leaf_a_mm)).max()),
                    float(np.abs(np.subtract(after.leaf_b_mm, before.leaf_b_mm)).max()),
                )
            seconds += max(dose_s, travel_mm / machine.mlc.leaf_speed_mm_s)
    return seconds
