"""Does the machine deliver this plan? Every limit of the machine file, for every control point."""

from __future__ import annotations

import numpy as np

from appliance.contracts import Beam, ControlPoint, Plan, PlanFacts
from appliance.planning.delivery import complexity_of, time_of, travel_s
from appliance.planning.limits_beam import beam_violations
from appliance.planning.limits_motion import motion_violations
from appliance.planning.limits_point import point_violations
from appliance.planning.machine import Machine, load_machine

__all__ = ["check_plan"]


def check_plan(plan: Plan, machine: str = "millennium120") -> PlanFacts:
    """Facts of a plan and every violated limit, in words that name beam and control point. `deliverable` only if there
    is none. A plan that is not whole (numbers missing, leaves that do not fit) has no times and no complexity."""
    limits = load_machine(machine)
    violations = [v for beam in plan.beams for v in _beam_violations(beam, limits)]
    if not plan.beams:
        violations.append("the plan has no beam")
    whole = bool(plan.beams) and not any(_broken(beam, limits) for beam in plan.beams)
    times = [time_of(beam, limits) for beam in plan.beams] if whole else []
    intricate = complexity_of(plan) if whole else None
    return PlanFacts(
        mu=plan.mu if plan.beams and all(beam.control_points for beam in plan.beams) else 0.0,
        beams=len(plan.beams),
        control_points=plan.control_point_count,
        segments=sum(len(beam.segments()) for beam in plan.beams),
        deliverable=not violations,
        violations=tuple(violations),
        delivery_time_s=_finite(sum(time.total_s for time in times) + travel_s(plan, limits)) if whole else 0.0,
        beam_seconds=tuple(_finite(time.total_s) for time in times),
        beam_on_seconds=tuple(_finite(time.beam_on_s) for time in times),
        mcs=intricate.mcs if intricate else 0.0,
        leaf_travel_mm=intricate.leaf_travel_mm if intricate else 0.0,
        edge_per_mm=intricate.edge_per_mm if intricate else 0.0,
        modulation=intricate.modulation if intricate else 0.0,
    )


def is_whole(beam: Beam, machine: Machine) -> bool:
    """Whether a beam is a path that times can be given for: all numbers there, leaves that fit."""
    return not _broken(beam, machine)


def _finite(seconds: float) -> float:
    """A time that no machine reaches is stated as 0; why stands in the violations."""
    return seconds if np.isfinite(seconds) else 0.0


def _beam_violations(beam: Beam, machine: Machine) -> list[str]:
    broken = _broken(beam, machine)
    if broken:
        return broken
    found = beam_violations(beam, machine)
    for number, point in enumerate(beam.control_points):
        found += [f"{_where(beam, number)}: {v}" for v in point_violations(beam, point, machine)]
    found += [f"{_where(beam, number)}: {v}" for number, v in motion_violations(beam, machine)]
    return found


def _where(beam: Beam, number: int) -> str:
    return f"beam {beam.number}, control point {number}"


def _broken(beam: Beam, machine: Machine) -> list[str]:
    """What makes a beam no path at all, so that nothing else of it can be checked."""
    if len(beam.control_points) < 2:
        return [f"beam {beam.number}: it has fewer than two control points"]
    mlc = machine.mlc
    if beam.leaf_boundaries_mm:
        if beam.leaf_axis != mlc.leaf_axis:
            return [f"beam {beam.number}: its leaves travel along {beam.leaf_axis}, those of {machine.title} do not"]
        for own, borders in (
            (beam.leaf_boundaries_mm, mlc.boundaries_mm),
            (beam.lower_boundaries_mm, mlc.lower_boundaries_mm),
        ):
            if len(own) != borders.size or not np.allclose(own, borders, atol=0.01):
                return [f"beam {beam.number}: its leaves are not those of {machine.title}"]
    pairs, lower = max(len(beam.leaf_boundaries_mm) - 1, 0), max(len(beam.lower_boundaries_mm) - 1, 0)
    for number, point in enumerate(beam.control_points):
        counts = (len(point.leaf_a_mm), len(point.leaf_b_mm), len(point.lower_a_mm), len(point.lower_b_mm))
        if counts != (pairs, pairs, lower, lower):
            return [f"{_where(beam, number)}: its leaf positions do not fit its leaf pairs"]
        if not np.isfinite(_numbers(point)).all():
            return [f"{_where(beam, number)}: a position or meterset is not a number"]
    return []


def _numbers(point: ControlPoint) -> list[float]:
    jaws = point.jaws
    edges = (jaws.x1_mm, jaws.x2_mm, jaws.y1_mm, jaws.y2_mm)
    angles = (point.gantry_deg, point.collimator_deg, point.couch_deg)
    leaves = (*point.leaf_a_mm, *point.leaf_b_mm, *point.lower_a_mm, *point.lower_b_mm)
    return [point.cumulative_mu, *angles, *edges, *leaves]
