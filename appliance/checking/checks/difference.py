"""Against the approved reference plan, as QAPV does: what an adaptation may change is listed, anything else vetoes."""

from __future__ import annotations

from appliance.checking.material import Material
from appliance.checking.registry import Said, check, found, not_tested, passed, verdict
from appliance.contracts import Beam, Plan, Severity

QAPV = "IHE-RO QAPV"
MU_PERCENT = 25.0
"""A plan's monitor units may change by this before a person should know why (chosen)."""
ALLOWED = "leaf and jaw positions, monitor units, control points, isocentre"


@check("difference.kept", f"Nothing changed but {ALLOWED}", Severity.STOP, source=QAPV)
def kept(material: Material) -> Said:
    plan, reference = material.plan, material.reference
    if plan is None or reference is None:
        return not_tested(material.why_no("plan" if plan is None else "reference"))
    wrong = []
    for name, one, other in (
        ("fractions", reference.fractions, plan.fractions),
        ("patient position", reference.patient_position, plan.patient_position),
        ("technique", reference.technique, plan.technique),
        ("machine", _each(reference, "machine"), _each(plan, "machine")),
        ("energy", _each(reference, "energy_mv"), _each(plan, "energy_mv")),
        ("fluence mode", _each(reference, "fluence_mode"), _each(plan, "fluence_mode")),
        ("leaves", _each(reference, "leaf_boundaries_mm"), _each(plan, "leaf_boundaries_mm")),
        ("beam directions", _directions(reference), _directions(plan)),
    ):
        if one != other:
            shown = f" from {one} to {other}" if name != "leaves" else ""
            wrong.append(f"{name} changed{shown}")
    return verdict(wrong, "machine, energy, fractions, position, technique and beam directions are the reference's")


def _each(plan: Plan, name: str) -> list[object]:
    return sorted({getattr(beam, name) for beam in plan.beams})


def _directions(plan: Plan) -> list[tuple[float, ...]]:
    return sorted({_direction(beam) for beam in plan.beams})


def _direction(beam: Beam) -> tuple[float, ...]:
    """First and last gantry angle, couch and collimator, to 0.1 degree."""
    first, last = beam.control_points[0], beam.control_points[-1]
    angles = (first.gantry_deg, last.gantry_deg, first.couch_deg, first.collimator_deg)
    return tuple(round(angle % 360.0, 1) % 360.0 for angle in angles)


@check("difference.monitor-units", "Monitor units are near the reference's", Severity.WARN, source=QAPV)
def monitor_units(material: Material) -> Said:
    if material.plan is None or material.reference is None:
        return not_tested(material.why_no("reference"))
    percent = 100.0 * (material.plan.mu / material.reference.mu - 1.0)
    told = f"{material.reference.mu:.1f} to {material.plan.mu:.1f} MU ({percent:+.1f} %)"
    return passed(told) if abs(percent) <= MU_PERCENT else found(told)


@check("difference.isocentre", "How far the isocentre moved", Severity.INFO, source=QAPV)
def isocentre(material: Material) -> Said:
    if material.plan is None or material.reference is None:
        return not_tested(material.why_no("reference"))
    old, new = material.reference.beams[0].isocentre_mm, material.plan.beams[0].isocentre_mm
    x, y, z = (b - a for a, b in zip(old, new, strict=True))
    return passed(f"by ({x:+.1f}, {y:+.1f}, {z:+.1f}) mm, in the coordinates of each plan's own image")
