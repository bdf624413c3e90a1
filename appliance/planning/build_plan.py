"""Apertures to a deliverable plan: jaws, parked leaves, control points, rounding to what a machine can be told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, ControlPoint, Jaws, Plan
from appliance.planning.geometry import Arrangement, Direction
from appliance.planning.leaf_layers import leaf_layers
from appliance.planning.machine import Machine
from appliance.planning.segments import PARK_MM, BeamSegments

SPLIT_ROOM = 0.9
"""Split beams are filled to this share of the largest meterset on average, by exposures of at most the rest of it."""
LEAF_DECIMALS, MU_DECIMALS, JAW_DECIMALS = 2, 3, 1
"""0.01 mm, 0.001 MU and 0.1 mm: what the exported RTPLAN carries, so that the plan reads back unchanged."""

Vector = NDArray[np.float64]
Tips = tuple[tuple[float, ...], ...]
"""Of one control point: bank A and B of the layer nearer to the source, then of the other, if there is one."""


@dataclass(frozen=True)
class PlanHead:
    """What a plan states beside its beams."""

    label: str
    fractions: int
    patient_position: str
    technique: str = "STEP_AND_SHOOT"


def build_plan(arrangement: Arrangement, beams: tuple[BeamSegments, ...], machine: Machine, *, head: PlanHead) -> Plan:
    """Step-and-shoot plan: for each segment one control point before and one after its dose. Beams without a segment
    are left out; a beam beyond the machine's largest meterset is split into several from the same angle."""
    built: list[Beam] = []
    for direction, segments in zip(arrangement.directions, beams, strict=True):
        parts = _split(segments, machine.dose_rate.maximum_beam_mu)
        for part, exposures in enumerate(parts):
            suffix = chr(ord("a") + part) if len(parts) > 1 else ""
            built.append(
                Beam(
                    number=len(built) + 1,
                    name=f"{name_of(direction.gantry_deg, direction.couch_deg)}{suffix}",
                    machine=machine.treatment_machine,
                    energy_mv=machine.energy_mv,
                    fluence_mode=machine.fluence_mode,
                    isocentre_mm=arrangement.isocentre_mm,
                    sad_mm=machine.sad_mm,
                    dose_rate_mu_min=machine.dose_rate.maximum_mu_min,
                    leaf_boundaries_mm=tuple(float(b) for b in machine.mlc.boundaries_mm),
                    control_points=_control_points(segments, exposures, direction, machine),
                    lower_boundaries_mm=tuple(float(b) for b in machine.mlc.lower_boundaries_mm),
                    jaw_axes=machine.jaw_axes,
                )
            )
    return Plan(head.label, tuple(built), head.fractions, head.patient_position, head.technique)


def _split(segments: BeamSegments, most_mu: float) -> list[list[tuple[int, float]]]:
    """Exposures (segment, MU) in delivery order, in as few beams of at most `most_mu` as must be, evenly filled."""
    exposures = [(int(i), float(segments.apertures.mu[i])) for i in delivery_order(segments)]
    total = sum(mu for _, mu in exposures)
    count = int(np.ceil(total / (most_mu * SPLIT_ROOM)))
    parts: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    done = 0.0
    for segment, mu in exposures:
        pieces = int(np.ceil(mu / (most_mu * (1 - SPLIT_ROOM)))) if count > 1 else 1
        for _ in range(pieces):
            parts[min(count - 1, int(done / total * count))].append((segment, mu / pieces))
            done += mu / pieces
    return [part for part in parts if part]


def name_of(gantry_deg: float, couch_deg: float) -> str:
    """Of a beam, by its angles."""
    return f"G{gantry_deg:05.1f}" + (f"T{couch_deg % 360.0:05.1f}" if couch_deg else "")


def _control_points(
    segments: BeamSegments, exposures: list[tuple[int, float]], direction: Direction, machine: Machine
) -> tuple[ControlPoint, ...]:
    points: list[ControlPoint] = []
    angles, total = (direction.gantry_deg, direction.collimator_deg, direction.couch_deg), 0.0
    for segment, mu in exposures:
        jaws = _jaws(segments, segment, machine)
        tips = _leaves(segments, segment, jaws, machine)
        for dose in (0.0, mu):
            total = round(total + dose, MU_DECIMALS)
            points.append(ControlPoint(total, *angles, jaws, *tips))
    return tuple(points)


def _jaws(segments: BeamSegments, i: int, machine: Machine) -> Jaws:
    """The segment's jaws, rounded outwards to what a plan states and kept inside the jaws' travel."""
    x1, x2, y1, y2 = segments.apertures.jaws_mm[i] * 10**JAW_DECIMALS
    edges = (np.floor(x1), np.ceil(x2), np.floor(y1), np.ceil(y2))
    limits = (machine.jaws.x1_mm, machine.jaws.x2_mm, machine.jaws.y1_mm, machine.jaws.y2_mm)
    return Jaws(*(round(float(np.clip(e / 10**JAW_DECIMALS, *r)), 1) for e, r in zip(edges, limits, strict=True)))


def delivery_order(segments: BeamSegments) -> NDArray[np.int64]:
    """Segments from left to right by the middle of their opening, which keeps leaf travel short."""
    a, is_open = segments.apertures, segments.is_open
    middle = ((a.left_mm + a.right_mm) * is_open).sum(axis=1) / np.maximum(is_open.sum(axis=1), 1)
    return np.argsort(middle, kind="stable")


def _leaves(segments: BeamSegments, i: int, jaws: Jaws, machine: Machine) -> Tips:
    """Leaf positions of one segment; closed pairs stand behind the nearer X jaw, with the smallest gap, or as far out
    as their banks reach. Without X jaws pairs of a second layer stand at the other end, so that each layer covers the
    gaps of the other; all closed pairs of a single layer are behind a Y jaw then (`segments.ajar`)."""
    left, right = segments.apertures.left_mm[i], segments.apertures.right_mm[i]
    gap = machine.mlc.minimum_gap_mm
    low, high = machine.mlc.closed_mm
    at_x1 = min(max(jaws.x1_mm - PARK_MM + gap / 2, low), high)
    at_x2 = min(max(jaws.x2_mm + PARK_MM - 1.5 * gap, low), high)
    tips: list[tuple[float, ...]] = []
    for number, own in enumerate(leaf_layers(machine).parts):
        is_open = right[own] > left[own]
        sides = (at_x2, at_x1) if number and "X" not in machine.jaws.axes else (at_x1, at_x2)
        parked = _parked(left[own][is_open], right[own][is_open], sides, machine.mlc.bank_span_max_mm)
        tips += [
            tuple(np.where(is_open, left[own], parked).round(LEAF_DECIMALS).tolist()),
            tuple(np.where(is_open, right[own], parked + gap).round(LEAF_DECIMALS).tolist()),
        ]
    return tuple(tips)


def _parked(left: Vector, right: Vector, sides: tuple[float, float], span_mm: float) -> float:
    """The first side, unless the bank could not span from there to the segment's far leaves: one side keeps travel
    short."""
    first = sides[0]
    furthest = max(float(np.abs(leaves - first).max(initial=0.0)) for leaves in (left, right))
    return first if furthest <= span_mm else sides[1]
