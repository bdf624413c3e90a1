"""Control points as written: nothing missing, nothing falling, nothing the machine cannot do."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite

import numpy as np
from pydicom.dataset import Dataset

from appliance.checking.attributes import items, number, numbers, text, treated, where
from appliance.checking.material import Material
from appliance.checking.registry import CHOSEN, TG_275, Said, check, not_tested, passed, verdict
from appliance.contracts import Beam, ControlPoint, Severity
from appliance.contracts.collimation import positions_of, row_boundaries_mm, single_layer

DICOM_BEAMS = "DICOM PS3.3 C.8.8.14"
FIRST = ("GantryAngle", "BeamLimitingDeviceAngle", "PatientSupportAngle", "IsocenterPosition", "NominalBeamEnergy")
WEIGHT_TOLERANCE = 1e-6


def _points(material: Material) -> list[tuple[str, Dataset, list[Dataset]]]:
    return [(where(b), b, list(items(b, "ControlPointSequence"))) for b in treated(material.objects.plan)]


@check("points.count", "Control points are as many as stated, in order", Severity.STOP, source=DICOM_BEAMS)
def count(material: Material) -> Said:
    wrong, total = [], 0
    for name, beam, points in _points(material):
        total += len(points)
        if len(points) < 2:
            wrong.append(f"{name} has {len(points)} control points")
        if (stated := number(beam, "NumberOfControlPoints")) is None or int(stated) != len(points):
            wrong.append(
                f"{name} states {text(beam, 'NumberOfControlPoints') or 'no'} control points, has {len(points)}"
            )
        for at, point in enumerate(points):
            if (index := number(point, "ControlPointIndex")) is None or int(index) != at:
                wrong.append(
                    f"{name}, control point {at}: its index is {text(point, 'ControlPointIndex') or 'missing'}"
                )
                break
    return verdict(wrong, f"{total} control points")


@check("points.first-states-all", "The first control point states what later ones inherit", Severity.STOP,
       source=DICOM_BEAMS)  # fmt: skip
def first_states_all(material: Material) -> Said:
    wrong = []
    for name, beam, points in _points(material):
        if not points:
            continue
        wrong += [f"{name}, control point 0 has no {keyword}" for keyword in FIRST if not text(points[0], keyword)]
        devices = {text(item, "RTBeamLimitingDeviceType") for item in items(beam, "BeamLimitingDeviceSequence")}
        placed = {text(i, "RTBeamLimitingDeviceType") for i in items(points[0], "BeamLimitingDevicePositionSequence")}
        if devices - placed:
            wrong.append(f"{name}, control point 0 does not place {', '.join(sorted(devices - placed))}")
    return verdict(wrong, "angles, isocentre, energy and all collimators")


@check("points.numbers", "Every position, angle and weight is a number", Severity.STOP, source=CHOSEN)
def are_numbers(material: Material) -> Said:
    wrong = []
    for name, _, points in _points(material):
        for at, point in enumerate(points):
            bad = [k for k in (*FIRST, "CumulativeMetersetWeight") if not all(map(isfinite, numbers(point, k)))]
            for device in items(point, "BeamLimitingDevicePositionSequence"):
                values = numbers(device, "LeafJawPositions")
                if not values or not all(map(isfinite, values)):
                    bad.append(f"{text(device, 'RTBeamLimitingDeviceType')} position")
            wrong += [f"{name}, control point {at}: {what} is no number" for what in bad]
    return verdict(wrong, "all are")


@check("points.meterset", "Metersets rise from zero to the final weight", Severity.STOP, source=DICOM_BEAMS)
def meterset(material: Material) -> Said:
    wrong = []
    for name, beam, points in _points(material):
        weights = [number(point, "CumulativeMetersetWeight") for point in points]
        final = number(beam, "FinalCumulativeMetersetWeight")
        if final is None or final <= 0 or not weights:
            wrong.append(f"{name} has no final weight above zero")
            continue
        told = [weight for weight in weights if weight is not None]
        if len(told) != len(weights):
            wrong.append(f"{name}, control point {weights.index(None)} has no meterset weight")
        elif told[0] != 0:
            wrong.append(f"{name}, control point 0 begins at {told[0]:g}, not at zero")
        elif falls := [at for at, (a, b) in enumerate(pairwise(told), 1) if b < a]:
            wrong.append(f"{name}, control point {falls[0]}: its meterset falls")
        elif abs(told[-1] - final) > WEIGHT_TOLERANCE * final:
            wrong.append(f"{name} ends at {told[-1]:g}, its final weight is {final:g}")
    return verdict(wrong, "every beam rises from zero to its final weight")


@check("points.gantry-direction", "Angles and stated directions of rotation agree", Severity.STOP, source=DICOM_BEAMS)
def gantry_direction(material: Material) -> Said:
    """Clockwise angles rise (IEC 61217); half a turn in one step says nothing about the way. A move without dose, as
    between the segments of a static beam, has no direction to keep."""
    wrong, arcs = [], 0
    for name, _, points in _points(material):
        angle, direction, weight = None, "NONE", 0.0
        for at, point in enumerate(points):
            now = number(point, "GantryAngle") if text(point, "GantryAngle") else angle
            then = number(point, "CumulativeMetersetWeight") or 0.0
            turn = 0.0 if now is None or angle is None else (now - angle + 180.0) % 360.0 - 180.0
            if at and then > weight and abs(turn) > 1e-3:
                arcs += 1
                expected = "either way round" if abs(turn) >= 180.0 - 1e-6 else "CW" if turn > 0 else "CC"
                if direction != expected:
                    wrong.append(f"{name}, control point {at}: it turns {turn:+.1f} degrees, stated was {direction}")
            angle, weight = now, then
            direction = text(point, "GantryRotationDirection") or direction
    if not arcs:
        return passed("no gantry turns while its beam is on")
    return verdict(wrong, f"{arcs} moves of the gantry with beam on agree with their direction")


@check("points.limits", "The machine can deliver every control point", Severity.STOP, source=f"{TG_275}; machine file")
def limits(material: Material) -> Said:
    if material.facts is None:
        return not_tested(material.why_no("facts"))
    facts = material.facts
    told = f"{facts.control_points} control points, {facts.mu:.1f} MU, about {facts.delivery_time_s:.0f} s"
    return verdict(facts.violations, told)


@check("points.jaws-over-leaves", "Jaws cover what leaves leave open beside the field", Severity.WARN, source=CHOSEN)
def jaws_over_leaves(material: Material) -> Said:
    """Leaf pairs that are open by more than their smallest gap within the jaws make the field; the opening must not be
    shut by a jaw altogether, or monitor units go into the jaws."""
    if material.plan is None:
        return not_tested(material.why_no("plan"))
    wrong, points = [], 0
    for beam in material.plan.beams:
        if not beam.leaf_boundaries_mm:
            continue
        for at, (before, after) in enumerate(pairwise(beam.control_points)):
            mu = after.cumulative_mu - before.cumulative_mu
            points += mu > 0
            if mu > 0 and not (_is_open(beam, before) or _is_open(beam, after)):
                wrong.append(f"beam {beam.number}, control point {at}: {mu:.1f} MU through a closed field")
    return verdict(wrong, f"{points} segments are open") if points else not_tested("no beam has leaves")


def _is_open(beam: Beam, point: ControlPoint) -> bool:
    left, right, (x1, x2, y1, y2) = single_layer(beam, positions_of(beam, point))
    borders = row_boundaries_mm(beam)
    along = np.minimum(right, x2) > np.maximum(left, x1)
    across = np.minimum(borders[1:], y2) > np.maximum(borders[:-1], y1)
    return bool(np.any(along & across))
