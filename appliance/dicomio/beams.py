"""Beams and control points of an RT Plan (PS3.3 C.8.8.14), unchanged values left out after the first control point."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from pydicom.dataset import Dataset

from appliance.contracts import Beam, ControlPoint
from appliance.dicomio.values import LONG_STRING, SHORT_STRING, clipped, ds, ds_list
from appliance.errors import ExportError

LEAF_DECIMALS = 2
"""Leaves and jaws are written to 0.01 mm; chosen, because no MLC positions better than 0.1 mm."""

BORDER_DECIMALS = 4
"""Leaf borders are written to 0.0001 mm; chosen, because leaves of 7.175 mm have borders of three decimals."""

ANGLE_DECIMALS = 2
"""Angles are written to 0.01 degree; chosen, because gantries read out to 0.1 degree."""

MU_DECIMALS = 6
WEIGHT_DECIMALS = 12
"""Rounding keeps order, and the last weight is exactly 1, so metersets stay monotonic and sum to the beam's; the error
of a segment is below 1e-6 MU."""

ISOCENTRE_DECIMALS = 4
"""The isocentre is written to 0.0001 mm, as contours are."""

HALF_TURN_DEG = 180.0

AXES = {
    "gantry_deg": ("GantryAngle", "GantryRotationDirection"),
    "collimator_deg": ("BeamLimitingDeviceAngle", "BeamLimitingDeviceRotationDirection"),
    "couch_deg": ("PatientSupportAngle", "PatientSupportRotationDirection"),
}
"""What rotates: field of the control point, with the attributes of its angle and direction."""


def beam_item(beam: Beam) -> Dataset:
    """One item of the Beam Sequence. Raises ExportError for a beam that no machine could deliver: fewer than two
    control points, metersets that fall or stay zero, leaves that do not fit the leaf boundaries, or a rotation of
    half a turn in one step, whose direction could not be told from the plan."""
    _check(beam)
    points = beam.control_points
    item = Dataset()
    item.BeamNumber = beam.number
    item.BeamName = clipped(beam.name, LONG_STRING)
    item.BeamType = "DYNAMIC" if _moves_while_delivering(beam) else "STATIC"
    item.RadiationType = "PHOTON"
    item.TreatmentMachineName = clipped(beam.machine, SHORT_STRING)
    item.Manufacturer = ""
    item.PrimaryDosimeterUnit = "MU"
    item.SourceAxisDistance = ds(beam.sad_mm)
    item.BeamLimitingDeviceSequence = _devices(beam)
    item.PrimaryFluenceModeSequence = [_fluence_mode(beam)]
    item.ReferencedPatientSetupNumber = 1
    item.TreatmentDeliveryType = "TREATMENT"
    item.NumberOfWedges = 0
    item.NumberOfCompensators = 0
    item.NumberOfBoli = 0
    item.NumberOfBlocks = 0
    item.FinalCumulativeMetersetWeight = ds(1.0)
    item.NumberOfControlPoints = len(points)
    turns = {axis: _turns(beam, axis) for axis in AXES}
    later = [_later_point(beam, index, turns) for index in range(1, len(points))]
    item.ControlPointSequence = [_first_point(beam, turns), *later]
    return item


def _check(beam: Beam) -> None:
    points = beam.control_points
    where = f"beam {beam.number}"
    if len(points) < 2:
        raise ExportError(f"{where} has fewer than two control points")
    metersets = [point.cumulative_mu for point in points]
    if metersets[0] != 0 or metersets[-1] <= 0 or any(after < before for before, after in pairwise(metersets)):
        raise ExportError(f"{where} has monitor units that do not rise from zero; plan it again")
    _check_leaves(beam, where)
    if not np.all(np.isfinite([value for point in points for value in _numbers(point)])):
        raise ExportError(f"{where} holds values that are not numbers")
    if any(abs(_step(*pair, axis)) >= HALF_TURN_DEG for axis in AXES for pair in pairwise(points)):
        raise ExportError(f"{where} rotates by half a turn between two control points, which could be either way round")


def _check_leaves(beam: Beam, where: str) -> None:
    pairs, lower = max(len(beam.leaf_boundaries_mm) - 1, 0), max(len(beam.lower_boundaries_mm) - 1, 0)
    for point in beam.control_points:
        if {len(point.leaf_a_mm), len(point.leaf_b_mm)} != {pairs} or {
            len(point.lower_a_mm), len(point.lower_b_mm)} != {lower}:  # fmt: skip
            raise ExportError(f"{where} has leaf positions that do not fit its {pairs + lower} leaf pairs")
        for axis, one, two in (
            ("X", point.jaws.x1_mm, point.jaws.x2_mm),
            ("Y", point.jaws.y1_mm, point.jaws.y2_mm),
        ):
            if axis not in beam.jaw_axes and round(one + two, LEAF_DECIMALS) != 0:
                raise ExportError(f"{where} has no jaws along {axis}, but an opening there that is not symmetric")
    if lower and (not pairs or beam.leaf_axis != "X"):
        raise ExportError(f"{where} has a second layer of leaves that DICOM has no name for")


def _numbers(point: ControlPoint) -> tuple[float, ...]:
    jaws = point.jaws
    angles = (point.gantry_deg, point.collimator_deg, point.couch_deg)
    return (point.cumulative_mu, *angles, jaws.x1_mm, jaws.x2_mm, jaws.y1_mm, jaws.y2_mm, *_leaves(point))


def _leaves(point: ControlPoint) -> tuple[float, ...]:
    return (*point.leaf_a_mm, *point.leaf_b_mm, *point.lower_a_mm, *point.lower_b_mm)


def _moves_while_delivering(beam: Beam) -> bool:
    """PS3.3 C.8.8.14 Beam Type: STATIC if nothing changes between control points of different meterset."""
    return any(
        after.cumulative_mu > before.cumulative_mu and _numbers(before)[1:] != _numbers(after)[1:]
        for before, after in pairwise(beam.control_points)
    )


def _fluence_mode(beam: Beam) -> Dataset:
    item = Dataset()
    flattened = beam.fluence_mode.upper() != "FFF"
    item.FluenceMode = "STANDARD" if flattened else "NON_STANDARD"
    if not flattened:
        item.FluenceModeID = "FFF"
    return item


def _devices(beam: Beam) -> list[Dataset]:
    borders = {kind: own for kind, own, _ in _layers(beam, beam.control_points[0])}
    devices = []
    for kind in (*_jaw_kinds(beam), *borders):
        item = Dataset()
        item.RTBeamLimitingDeviceType = kind
        item.NumberOfLeafJawPairs = len(borders[kind]) - 1 if kind in borders else 1
        if kind in borders:
            item.LeafPositionBoundaries = ds_list(borders[kind], BORDER_DECIMALS)
        devices.append(item)
    return devices


def _jaw_kinds(beam: Beam) -> tuple[str, str]:
    """Independent jaws, or where the opening is fixed the symmetric kind, which such machines' plans carry for it."""
    return "ASYMX" if "X" in beam.jaw_axes else "X", "ASYMY" if "Y" in beam.jaw_axes else "Y"


def _layers(beam: Beam, point: ControlPoint) -> list[tuple[str, tuple[float, ...], tuple[float, ...]]]:
    """(device, leaf borders, positions) of each layer. MLCX1, the lower one, and MLCX2 are no terms of the standard,
    but what plans of dual-layer machines carry (as conjuror, Radformation, writes them)."""
    if not beam.leaf_boundaries_mm:
        return []
    upper = (beam.leaf_boundaries_mm, (*point.leaf_a_mm, *point.leaf_b_mm))
    if not beam.lower_boundaries_mm:
        return [(f"MLC{beam.leaf_axis}", *upper)]
    lower = (beam.lower_boundaries_mm, (*point.lower_a_mm, *point.lower_b_mm))
    return [("MLCX1", *lower), ("MLCX2", *upper)]


def _positions(beam: Beam, point: ControlPoint) -> dict[str, tuple[float, ...]]:
    """Positions by device as they are written: rounded, bank A (X1, or Y1) before bank B."""
    jaws, (along_x, along_y) = point.jaws, _jaw_kinds(beam)
    positions: dict[str, tuple[float, ...]] = {
        along_x: (jaws.x1_mm, jaws.x2_mm),
        along_y: (jaws.y1_mm, jaws.y2_mm),
        **{kind: tips for kind, _, tips in _layers(beam, point)},
    }
    return {kind: tuple(round(value, LEAF_DECIMALS) for value in values) for kind, values in positions.items()}


def _position_item(kind: str, values: tuple[float, ...]) -> Dataset:
    item = Dataset()
    item.RTBeamLimitingDeviceType = kind
    item.LeafJawPositions = ds_list(values, LEAF_DECIMALS)
    return item


def _first_point(beam: Beam, turns: Mapping[str, tuple[str, ...]]) -> Dataset:
    point = beam.control_points[0]
    item = Dataset()
    item.ControlPointIndex = 0
    item.NominalBeamEnergy = ds(beam.energy_mv)
    item.DoseRateSet = ds(beam.dose_rate_mu_min)
    item.BeamLimitingDevicePositionSequence = [
        _position_item(kind, values) for kind, values in _positions(beam, point).items()
    ]
    for axis, (angle, direction) in AXES.items():
        setattr(item, angle, ds(_angle(point, axis)))
        setattr(item, direction, turns[axis][0])
    item.TableTopEccentricAngle = ds(0)
    item.TableTopEccentricRotationDirection = "NONE"
    item.TableTopVerticalPosition = None
    item.TableTopLongitudinalPosition = None
    item.TableTopLateralPosition = None
    item.IsocenterPosition = ds_list(beam.isocentre_mm, ISOCENTRE_DECIMALS)
    item.CumulativeMetersetWeight = ds(0.0)
    return item


def _later_point(beam: Beam, index: int, turns: Mapping[str, tuple[str, ...]]) -> Dataset:
    before, point = beam.control_points[index - 1], beam.control_points[index]
    item = Dataset()
    item.ControlPointIndex = index
    old = _positions(beam, before)
    moved = [_position_item(kind, new) for kind, new in _positions(beam, point).items() if new != old[kind]]
    if moved:
        item.BeamLimitingDevicePositionSequence = moved
    for axis, (angle, direction) in AXES.items():
        if _angle(point, axis) != _angle(before, axis):
            setattr(item, angle, ds(_angle(point, axis)))
        if turns[axis][index] != turns[axis][index - 1]:
            setattr(item, direction, turns[axis][index])
    item.CumulativeMetersetWeight = ds(point.cumulative_mu / beam.mu, WEIGHT_DECIMALS)
    return item


def _angle(point: ControlPoint, axis: str) -> float:
    """The angle as it is written: 0 to under 360, rounded."""
    return round(float(getattr(point, axis)), ANGLE_DECIMALS) % 360.0


def _step(before: ControlPoint, after: ControlPoint, axis: str) -> float:
    """Degrees of the shorter way round, positive clockwise as IEC 61217 counts; -180 to under 180."""
    difference = _angle(after, axis) - _angle(before, axis)
    return round((difference + HALF_TURN_DEG) % 360.0 - HALF_TURN_DEG, ANGLE_DECIMALS)


def _turns(beam: Beam, axis: str) -> tuple[str, ...]:
    """Rotation direction from each control point to the next; NONE after the last."""
    steps = [_step(before, after, axis) for before, after in pairwise(beam.control_points)]
    return (*("NONE" if step == 0 else "CW" if step > 0 else "CC" for step in steps), "NONE")
