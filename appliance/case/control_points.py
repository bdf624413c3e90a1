"""The control points of a photon beam (PS3.3 C.8.8.14), with what DICOM leaves out put back.

A control point states only what differs from the one before it; the first states everything. Leaves and jaws are given
per device: jaws as (X1, X2) or (Y1, Y2), leaves as all of bank A (X1, Y1) and then all of bank B, in the order of the
leaf boundaries. Plans of dual-layer machines carry two devices, MLCX1 nearer to the patient and MLCX2 nearer to the
source, which are no terms of the standard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

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
UPPER, LOWER = "upper layer", "lower layer"
LEAF_TYPES: dict[str, tuple[str, Literal["X", "Y"]]] = {
    "MLCX": (UPPER, "X"),
    "MLCY": (UPPER, "Y"),
    "MLCX2": (UPPER, "X"),
    "MLCX1": (LOWER, "X"),
}
"""Layer and axis of each kind of multileaf collimator."""


@dataclass(frozen=True)
class Devices:
    """leaf_boundaries_mm is empty without a multileaf collimator, lower_boundaries_mm without a second layer. axes:
    those with a jaw pair, of X and Y; independent: those whose two jaws move by themselves."""

    leaf_boundaries_mm: tuple[float, ...]
    lower_boundaries_mm: tuple[float, ...]
    leaf_axis: Literal["X", "Y"]
    axes: frozenset[str]
    independent: frozenset[str]

    @property
    def pairs(self) -> dict[str, int]:
        """Leaf pairs of each layer that is there."""
        layers = ((UPPER, self.leaf_boundaries_mm), (LOWER, self.lower_boundaries_mm))
        return {layer: len(borders) - 1 for layer, borders in layers if borders}

    @property
    def jaw_axes(self) -> Literal["XY", "X", "Y", ""]:
        if len(self.independent) == 2:
            return "XY"
        return "X" if "X" in self.independent else "Y" if "Y" in self.independent else ""


def read_devices(beam: Dataset, where: str) -> Devices:
    """Raises UnsupportedPlan for devices other than X and Y jaws and one MLC of one layer, or of two along X."""
    borders: dict[str, tuple[float, ...]] = {}
    kinds: list[str] = []
    for device in items(beam, "BeamLimitingDeviceSequence"):
        kind = text(device, "RTBeamLimitingDeviceType")
        same = JAW_TYPES.get(kind) or (LEAF_TYPES[kind][0] if kind in LEAF_TYPES else "")
        if not same or same in [JAW_TYPES.get(other) or LEAF_TYPES[other][0] for other in kinds]:
            raise UnsupportedPlan(f"{where}: it is shaped by a device this release does not know ({kind or 'no type'})")
        kinds.append(kind)
        if kind in LEAF_TYPES:
            borders[LEAF_TYPES[kind][0]] = _leaf_boundaries(device, where)
    axes = {JAW_TYPES[kind] for kind in kinds if kind in JAW_TYPES}
    if not borders and axes != {"X", "Y"}:
        raise UnsupportedPlan(f"{where}: it has neither a multileaf collimator nor jaws along both axes")
    if ("MLCX1" in kinds) != ("MLCX2" in kinds):
        raise UnsupportedPlan(f"{where}: of its two layers of leaves one is missing")
    return Devices(
        leaf_boundaries_mm=borders.get(UPPER, ()),
        lower_boundaries_mm=borders.get(LOWER, ()),
        leaf_axis="Y" if "MLCY" in kinds else "X",
        axes=frozenset(axes),
        independent=frozenset(kind[-1] for kind in kinds if kind.startswith("ASYM")),
    )


def _leaf_boundaries(device: Dataset, where: str) -> tuple[float, ...]:
    boundaries = numbers(device, "LeafPositionBoundaries", 0, where)
    if len(boundaries) != int(number(device, "NumberOfLeafJawPairs", where)) + 1 or any(
        after <= before for before, after in pairwise(boundaries)
    ):
        raise UnsupportedPlan(f"{where}: its leaf boundaries do not fit its leaves")
    return boundaries


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
    weights = [number(item, "CumulativeMetersetWeight", _at(where, i)) for i, item in enumerate(sequence)]
    rising = all(before <= after for before, after in pairwise(weights))
    if final <= 0 or weights[0] != 0 or not rising or abs(weights[-1] - final) > 1e-6 * final:
        raise UnsupportedPlan(f"{where}: its metersets do not rise from zero to the final weight")
    _check_unchanged(sequence, where)
    points = []
    state: _State | None = None
    for index, (item, weight) in enumerate(zip(sequence, weights, strict=True)):
        state = _following(item, state, devices, _at(where, index))
        # the last weight is the final one but for rounding; the beam's meterset must come out exactly
        share = 1.0 if weight == weights[-1] else weight / final
        points.append(_point(state, devices, meterset_mu * share))
    return tuple(points)


def _at(where: str, index: int) -> str:
    return f"{where}, control point {index}"


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
        name = LEAF_TYPES[kind][0] if kind in LEAF_TYPES else JAW_TYPES.get(kind, kind)
        fits = kind not in LEAF_TYPES or LEAF_TYPES[kind][1] == devices.leaf_axis
        if not fits or name not in (*devices.axes, *devices.pairs):
            raise UnsupportedPlan(f"{where}: it positions a device it does not have ({kind or 'no type'})")
        positions[name] = numbers(device, "LeafJawPositions", 2 * devices.pairs.get(name, 1), where)
    wanted = set(devices.axes) | set(devices.pairs)
    if set(positions) != wanted:
        missing = ", ".join(sorted(wanted - set(positions)))
        raise UnsupportedPlan(f"{where}: its first control point has no position of {missing}")
    angles = []
    for index, keyword in enumerate(("GantryAngle", "BeamLimitingDeviceAngle", "PatientSupportAngle")):
        inherited = before is not None and not text(item, keyword)
        angles.append(before.angles[index] if before and inherited else number(item, keyword, where))
    return _State(positions, (angles[0], angles[1], angles[2]))


def _point(state: _State, devices: Devices, cumulative_mu: float) -> ControlPoint:
    banks = {layer: (state.positions[layer][:n], state.positions[layer][n:]) for layer, n in devices.pairs.items()}
    leaf_a, leaf_b = banks.get(UPPER, ((), ()))
    lower_a, lower_b = banks.get(LOWER, ((), ()))
    openings = {axis: state.positions.get(axis) or _without_jaws(devices, axis) for axis in ("X", "Y")}
    (x1, x2), (y1, y2) = openings["X"], openings["Y"]
    gantry, collimator, couch = state.angles
    return ControlPoint(
        cumulative_mu=cumulative_mu,
        gantry_deg=gantry,
        collimator_deg=collimator,
        couch_deg=couch,
        jaws=Jaws(x1, x2, y1, y2),
        leaf_a_mm=leaf_a,
        leaf_b_mm=leaf_b,
        lower_a_mm=lower_a,
        lower_b_mm=lower_b,
    )


def _without_jaws(devices: Devices, axis: str) -> tuple[float, ...]:
    """The opening along an axis without jaws: where leaves are across it, the field they cover."""
    layers = [borders for borders in (devices.leaf_boundaries_mm, devices.lower_boundaries_mm) if borders]
    if axis == devices.leaf_axis or not layers:
        return -OPEN_MM, OPEN_MM
    return max(borders[0] for borders in layers), min(borders[-1] for borders in layers)
