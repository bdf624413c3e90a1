"""How the patient is brought under the beam: tolerance tables, distances, couch, bolus, setup fields."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from appliance.checking.attributes import is_treated, items, number, numbers, text, treated, where
from appliance.checking.material import Material
from appliance.checking.registry import MPPG_11A, TG_275, Said, check, found, not_tested, passed, verdict
from appliance.contracts import Severity, StructureKind

SSD_TOLERANCE_MM = 5.0
"""Stated against measured on the CT's outline; chosen, because setup readings differ by that much."""
OUTLINE_STEP_MM = 1.0
TILTS = ("TableTopPitchAngle", "TableTopRollAngle", "TableTopEccentricAngle")
TILT_DEG = 0.05
"""Chosen: half of what couches show."""


@check("setup.tolerance-table", "Every beam refers to a tolerance table", Severity.WARN, source=MPPG_11A)
def tolerance_table(material: Material) -> Said:
    plan = material.objects.plan
    tables = {text(item, "ToleranceTableNumber") for item in items(plan, "ToleranceTableSequence")}
    wrong = [
        f"{where(beam)} refers to {text(beam, 'ReferencedToleranceTableNumber') or 'none'}"
        for beam in treated(plan)
        if not text(beam, "ReferencedToleranceTableNumber")
        or text(beam, "ReferencedToleranceTableNumber") not in tables
    ]
    return verdict(wrong, f"tables {', '.join(sorted(tables))}")


@check("setup.ssd", "Stated source-surface distances are those of the outline", Severity.WARN, source=MPPG_11A)
def ssd(material: Material) -> Said:
    """Along the central axis of each beam's first control point, in steps of 1 mm."""
    external = next((s for s in material.structures if s.kind is StructureKind.EXTERNAL), None)
    if material.plan is None or material.image is None or external is None:
        return not_tested("it needs plan, image and outline")
    stated = {
        text(beam, "BeamNumber"): number(items(beam, "ControlPointSequence")[0], "SourceToSurfaceDistance")
        for beam in treated(material.objects.plan)
        if items(beam, "ControlPointSequence")
    }
    wrong, told = [], []
    body, grid = external.voxels.mask(material.image.grid.shape), material.image.grid
    for beam in material.plan.beams:
        given = stated.get(str(beam.number))
        if given is None or beam.number not in material.source_mm:
            continue
        source, isocentre = np.asarray(material.source_mm[beam.number]), np.asarray(beam.isocentre_mm)
        towards = (isocentre - source) / np.linalg.norm(isocentre - source)
        far_mm = np.arange(0.0, 2.0 * beam.sad_mm, OUTLINE_STEP_MM)
        at = np.rint((source + far_mm[:, None] * towards - grid.origin_mm) / grid.spacing_mm).astype(int)[:, ::-1]
        there = np.all((at >= 0) & (at < grid.shape), axis=1)
        hits = far_mm[there][body[tuple(at[there].T)]]
        if not hits.size:
            wrong.append(f"the axis of beam {beam.number} misses the body")
        elif abs(hits[0] - given) > SSD_TOLERANCE_MM:
            wrong.append(f"beam {beam.number} states {given:.0f} mm, the outline is at {hits[0]:.0f} mm")
        else:
            told.append(f"{given:.0f}")
    if not told and not wrong:
        return not_tested("no beam states a source-surface distance")
    return verdict(wrong, f"within {SSD_TOLERANCE_MM:g} mm: {', '.join(told)} mm")


@check("setup.couch", "The couch is in the calculation", Severity.WARN, source=MPPG_11A)
def couch(material: Material) -> Said:
    if not material.structures:
        return not_tested(material.why_no("structures"))
    supports = [s.name for s in material.structures if s.kind is StructureKind.SUPPORT]
    if not supports:
        return found("the structure set holds no couch or other support: beams from below are not attenuated by it")
    return passed(", ".join(supports))


@check("setup.bolus", "Bolus is where the plan says", Severity.WARN, source=MPPG_11A)
def bolus(material: Material) -> Said:
    plan = material.objects.plan
    wanted = [
        where(b) for b in treated(plan) if items(b, "ReferencedBolusSequence") or (number(b, "NumberOfBoli") or 0)
    ]
    drawn = [
        text(item, "ReferencedROINumber")
        for item in items(material.objects.structures, "RTROIObservationsSequence")
        if text(item, "RTROIInterpretedType") == "BOLUS"
    ]
    if wanted and not drawn:
        return found(f"{', '.join(wanted)} use bolus, the structure set holds none", Severity.STOP)
    if drawn and not wanted:
        return found(f"the structure set holds bolus (ROI {', '.join(drawn)}) that no beam uses")
    return passed("bolus in plan and structure set" if wanted else "none in plan and structure set")


@check("setup.fields", "Setup and treatment beams are told apart", Severity.INFO, source=TG_275)
def fields(material: Material) -> Said:
    beams = items(material.objects.plan, "BeamSequence")
    silent = [where(beam) for beam in beams if not text(beam, "TreatmentDeliveryType")]
    if silent:
        return found(f"{', '.join(silent)} do not say whether they treat; they were taken to", Severity.WARN)
    treating = sum(map(is_treated, beams))
    return passed(f"{treating} treatment and {len(beams) - treating} other beams")


@check("setup.fields-place", "Setup beams are of the treatment's isocentre and machine", Severity.WARN, source=TG_275)
def fields_place(material: Material) -> Said:
    beams = items(material.objects.plan, "BeamSequence")
    setups = [beam for beam in beams if text(beam, "TreatmentDeliveryType") == "SETUP"]
    if not setups:
        return not_tested("there is no setup beam")
    machines, isocentres = ({look(b) for b in treated(material.objects.plan)} for look in (_machine, _isocentre))
    wrong = [f"{where(beam)} is for another machine" for beam in setups if _machine(beam) not in machines]
    wrong += [f"{where(beam)} has another isocentre" for beam in setups if _isocentre(beam) not in isocentres]
    return verdict(wrong, f"{len(setups)} setup beams")


def _machine(beam: Dataset) -> str:
    return text(beam, "TreatmentMachineName")


def _isocentre(beam: Dataset) -> tuple[float, ...]:
    """To 0.1 mm."""
    points = items(beam, "ControlPointSequence")
    return tuple(round(value, 1) for value in numbers(points[0] if points else None, "IsocenterPosition"))


@check("setup.couch-position", "The couch stands level and where the isocentre asks", Severity.WARN, source=MPPG_11A)
def couch_position(material: Material) -> Said:
    """Beams of one isocentre and one couch angle have one table top; how it stands in the room is not known here."""
    wrong: list[str] = []
    tops: dict[tuple[object, ...], tuple[float | None, ...]] = {}
    for beam in treated(material.objects.plan):
        first = next(iter(items(beam, "ControlPointSequence")), None)
        tilted = [keyword for keyword in TILTS if abs(number(first, keyword) or 0.0) > TILT_DEG]
        wrong += [f"{where(beam)} has a {keyword} of {number(first, keyword):g} degrees" for keyword in tilted]
        stated = tuple(number(first, f"TableTop{axis}Position") for axis in ("Vertical", "Longitudinal", "Lateral"))
        if None in stated:
            continue
        place = (_isocentre(beam), number(first, "PatientSupportAngle"))
        if (other := tops.setdefault(place, stated)) != stated:
            wrong.append(f"{where(beam)} states another table top position than the beams before ({other})")
    if not tops and not wrong:
        return not_tested("no beam states where the table top is")
    told = "; ".join(", ".join(f"{value:g}" for value in stated if value is not None) for stated in tops.values())
    return verdict(wrong, f"vertical, longitudinal, lateral: {told} mm")
