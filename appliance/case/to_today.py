"""The plan of the reference at the place it has on today's anatomy, and what the case says of how it came there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from appliance.contracts import Plan, Structure, StructureKind
from appliance.contracts.anatomy import Anatomy, DensitySource, Verdict
from engines.registration import RigidTransform

SHIFTED = (
    "The received plan is taken at the isocentre that the table shift brings it to: {lateral:+.1f} mm lateral, "
    "{longitudinal:+.1f} mm longitudinal, {vertical:+.1f} mm vertical (IEC 61217 table top)"
)
NOT_TURNED = (
    "Today's anatomy is turned by {angle:.1f} degrees against the reference. The received plan is not turned with it"
)
NOTED_DEG = 0.5
"""Rotation from which it is said (chosen: half a degree moves a point 100 mm away by 0.9 mm)."""


def rigid_of(anatomy: Anatomy) -> RigidTransform:
    """From points of today to the reference."""
    return RigidTransform(np.asarray(anatomy.report.to_reference, np.float64))


def plan_today(plan: Plan, anatomy: Anatomy | None) -> Plan:
    """The plan with its isocentre where the anatomy of the reference's isocentre lies today: the table is shifted and
    not turned. Unchanged without `anatomy`."""
    if anatomy is None:
        return plan
    to_today = rigid_of(anatomy).inverse
    beams = []
    for beam in plan.beams:
        x, y, z = to_today.apply(np.asarray(beam.isocentre_mm)).tolist()
        beams.append(replace(beam, isocentre_mm=(round(x, 2), round(y, 2), round(z, 2))))
    return replace(plan, beams=tuple(beams))


def target_shift_mm(anatomy: Anatomy | None, structures: Sequence[Structure]) -> tuple[float, float, float] | None:
    """How far today's targets lie from where the rigid motion leaves those of the reference, x, y, z in LPS: of the
    middle of all of them, each counting by its volume today. None where nothing was compared."""
    targets = {structure.tg263 for structure in structures if structure.kind is StructureKind.TARGET}
    changes = () if anatomy is None else [one for one in anatomy.report.changes if one.structure in targets]
    volumes_cc = np.array([one.today_cc for one in changes])
    if not volumes_cc.sum() > 0:
        return None
    x, y, z = np.average([one.centroid_mm for one in changes], axis=0, weights=volumes_cc).tolist()
    return x, y, z


def anatomy_notes(anatomy: Anatomy, *, has_plan: bool) -> Iterator[str]:
    report, shift = anatomy.report, anatomy.report.table_shift
    if has_plan:
        yield SHIFTED.format(lateral=shift.lateral_mm, longitudinal=shift.longitudinal_mm, vertical=shift.vertical_mm)
    if has_plan and (angle := rigid_of(anatomy).rotation_deg) > NOTED_DEG:
        yield NOT_TURNED.format(angle=angle)
    if report.density is not DensitySource.TODAY_CT:
        yield f"Dose is computed on: {report.density.value}"
    if report.verdict is not Verdict.WITHIN:
        passed = [measure.title for measure in report.measures if measure.verdict is not Verdict.WITHIN]
        yield f"Today's anatomy needs a look: {', '.join(dict.fromkeys(passed))}"
    yield from report.notes
    for change in report.changes:
        yield from change.flags
