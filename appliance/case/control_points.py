"""The control points of a photon beam (PS3.3 C.8.8.14), with what DICOM leaves out put back.

A control point states only what differs from the one before it; the first states everything. Leaves and jaws are given
per device: jaws as (X1, X2) or (Y1, Y2), leaves as all of bank A (X1) and then all of bank B (X2), in the order of the
leaf boundaries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydicom.dataset import Dataset

from appliance.case.attributes import items, number, numbers, text
from appliance.contracts import ControlPoint, Jaws
from appliance.errors import UnsupportedPlan

OPEN_MM = 200.0
"""Where a machine has no jaw along an axis, half the largest field stands for it: 40 cm at the isocentre; chosen,
because collimators of linear accelerators open no further."""

ANGLE_TOLERANCE_DEG = 0.01
"""Table tilts below this are zero; chosen, because tables read out to 0.1 degree."""

LEVEL_ANGLES = ("TableTopEccentricAngle", "TableTopPitchAngle", "TableTopRollAngle", "GantryPitchAngle")
JAW_TYPES = {"X": "X", "ASYMX": "X", "Y": "Y", "ASYMY": "Y"}


@dataclass(frozen=True)
class Devices:
    """leaf_boundaries_mm is empty without a multileaf collimator. jaw_axes: axes with a jaw pair, of X and Y."""

    leaf_boundaries_mm: tuple[float, ...]
    jaw_axes: frozenset[str]

    @property
    def leaf_pairs(self) -> int:
        return max(len(self.leaf_boundaries_mm) - 1, 0)


def read_devices(beam: Dataset, where: str) -> Devices:
    """Raises UnsupportedPlan for devices other than X and Y jaws and one MLCX."""
    boundaries: tuple[float, ...] = ()
    axes: set[str] = set()
    for device in items(beam, "BeamLimitingDeviceSequence"):
        kind = text(device, "RTBeamLimitingDeviceType")
        if kind == "MLCX" and not boundaries:
            boundaries = numbers(device, "LeafPositionBoundaries", 0, where)
            if len(boundaries) != int(number(device, "NumberOfLeafJawPairs", where)) + 1 or any(
                after <= before for before, after in pairwise(boundaries)
            ):
                raise UnsupportedPlan(f"{where}: its leaf boundaries do not fit its leaves")
        elif kind in JAW_TYPES and JAW_TYPES[kind] not in axes:
            axes.add(JAW_TYPES[kind])
        else:
            raise UnsupportedPlan(f"{where}: it is shaped by a device this release does not know ({kind or 'no type'})")
    if not boundaries and axes != {"X", "Y"}:
        raise UnsupportedPlan(f"{where}: it has neither a multileaf collimator nor jaws along both axes")
    return Devices(boundaries, frozenset(axes))


@dataclass(frozen=True)
class _State:
    """What control points inherit: positions by device type, angles."""

    positions: Mapping[str, tuple[float, ...]]
    angles: tuple[float, float, float]


def read_control_points(beam: Dataset, devices: Devices, meterset_mu: float, where: str) -> tuple[ControlPoint, ...]:
    """cumulative_mu is the share of the Final Cumulative Meterset Weight, times the beam's meterset.

    Raises UnsupportedPlan for tilted tables, weights that fall or do not end at the final weight, an isocentre or
    energy that changes, positions that do not fit the devices; RefusedObject for missing values."""
    sequence = items(beam, "ControlPointSequence")
    if len(sequence) < 2:
        raise UnsupportedPlan(f"{where}: it has fewer than two control points")
    final = number(beam, "FinalCumulativeMetersetWeight", where)
    weights = [number(item, "CumulativeMetersetWeight", where) for item in sequence]
    rising = all(before <= after for before, after in pairwise(weights))
    if final <= 0 or weights[0] != 0 or not rising or abs(weights[-1] - final) > 1e-6 * final:
        raise UnsupportedPlan(f"{where}: its metersets do not rise from zero to the final weight")
    _check_unchanged(sequence, where)
    points = []
    state: _State | None = None
    for item, weight in zip(sequence, weights, strict=True):
        state = _following(item, state, devices, where)
        # the last weight is the final one but for rounding; the beam's meterset must come out exactly
        share = 1.0 if weight == weights[-1] else weight / final
        points.append(_point(state, devices, meterset_mu * share))
    return tuple(points)


def _check_unchanged(sequence: Sequence[Dataset], where: str) -> None:
    first = sequence[0]
    for item in sequence[1:]:
        for keyword in ("IsocenterPosition", "NominalBeamEnergy"):
            if text(item, keyword) and item[keyword].value != first.get(keyword):
                raise UnsupportedPlan(f"{where}: its {keyword} changes during the beam")
    for item in sequence:
        for keyword in LEVEL_ANGLES:
            if text(item, keyword):
                tilt = number(item, keyword, where) % 360.0
                if min(tilt, 360.0 - tilt) > ANGLE_TOLERANCE_DEG:
                    raise UnsupportedPlan(f"{where}: its {keyword} is not zero")


def _following(item: Dataset, before: _State | None, devices: Devices, where: str) -> _State:
    positions = dict(before.positions) if before else {}
    for device in items(item, "BeamLimitingDevicePositionSequence"):
        kind = text(device, "RTBeamLimitingDeviceType")
        name = JAW_TYPES.get(kind, kind)
        count = 2 * devices.leaf_pairs if name == "MLCX" else 2
        if (name != "MLCX" or count == 0) and name not in devices.jaw_axes:
            raise UnsupportedPlan(f"{where}: it positions a device it does not have ({kind or 'no type'})")
        positions[name] = numbers(device, "LeafJawPositions", count, where)
    wanted = set(devices.jaw_axes) | ({"MLCX"} if devices.leaf_pairs else set())
    if set(positions) != wanted:
        missing = ", ".join(sorted(wanted - set(positions)))
        raise UnsupportedPlan(f"{where}: its first control point has no position of {missing}")
    angles = []
    for index, keyword in enumerate(("GantryAngle", "BeamLimitingDeviceAngle", "PatientSupportAngle")):
        inherited = before is not None and not text(item, keyword)
        angles.append(before.angles[index] if before and inherited else number(item, keyword, where))
    return _State(positions, (angles[0], angles[1], angles[2]))


def _point(state: _State, devices: Devices, cumulative_mu: float) -> ControlPoint:
    leaves = state.positions.get("MLCX", ())
    boundaries = devices.leaf_boundaries_mm
    x1, x2 = state.positions.get("X", (-OPEN_MM, OPEN_MM))
    y1, y2 = state.positions.get("Y", (boundaries[0], boundaries[-1]) if boundaries else (-OPEN_MM, OPEN_MM))
    gantry, collimator, couch = state.angles
    return ControlPoint(
        cumulative_mu=cumulative_mu,
        gantry_deg=gantry,
        collimator_deg=collimator,
        couch_deg=couch,
        jaws=Jaws(x1, x2, y1, y2),
        leaf_a_mm=leaves[: devices.leaf_pairs],
        leaf_b_mm=leaves[devices.leaf_pairs :],
    )
