"""Apertures to a deliverable plan: jaws, parked leaves, control points, rounding to what a machine can be told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, ControlPoint, Jaws, Plan
from appliance.planning.geometry import Arrangement
from appliance.planning.machine import Machine
from appliance.planning.segments import PARK_MM, BeamSegments

LEAF_DECIMALS, MU_DECIMALS, JAW_DECIMALS = 2, 3, 1
"""0.01 mm, 0.001 MU and 0.1 mm: what the exported RTPLAN carries, so that the plan reads back unchanged."""


def build_plan(
    arrangement: Arrangement, beams: tuple[BeamSegments, ...], machine: Machine, *, fractions: int,
    patient_position: str, label: str,
) -> Plan:  # fmt: skip
    """Step-and-shoot plan: for each segment one control point before and one after its dose. Beams without a segment
    are left out; their numbers are not reused."""
    built = []
    for number, (gantry_deg, segments) in enumerate(zip(arrangement.gantry_deg, beams, strict=True), start=1):
        if not len(segments.apertures.mu):
            continue
        points: list[ControlPoint] = []
        total = 0.0
        for i in delivery_order(segments):
            jaws = _jaws(segments, i, machine)
            leaf_a, leaf_b = _leaves(segments, i, jaws, machine)
            for dose in (0.0, float(segments.apertures.mu[i])):
                total = round(total + dose, MU_DECIMALS)
                points.append(ControlPoint(total, gantry_deg, arrangement.collimator_deg, 0.0, jaws, leaf_a, leaf_b))
        built.append(
            Beam(
                number=number,
                name=f"G{gantry_deg:05.1f}",
                machine=machine.treatment_machine,
                energy_mv=machine.energy_mv,
                fluence_mode=machine.fluence_mode,
                isocentre_mm=arrangement.isocentre_mm,
                sad_mm=machine.sad_mm,
                dose_rate_mu_min=machine.dose_rate.maximum_mu_min,
                leaf_boundaries_mm=tuple(float(b) for b in machine.mlc.boundaries_mm),
                control_points=tuple(points),
            )
        )
    return Plan(label, tuple(built), fractions, patient_position)


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


def _leaves(
    segments: BeamSegments, i: int, jaws: Jaws, machine: Machine
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Leaf positions of one segment; closed pairs stand behind the nearer X jaw, with the smallest gap."""
    left, right = segments.apertures.left_mm[i], segments.apertures.right_mm[i]
    is_open = right > left
    gap = machine.mlc.minimum_gap_mm
    # Behind X1 unless the bank could not span from there to the segment's far leaves: one side keeps travel short.
    furthest = right[is_open].max() if is_open.any() else jaws.x1_mm
    near_x1 = furthest - (jaws.x1_mm - PARK_MM) <= machine.mlc.bank_span_max_mm
    tip = jaws.x1_mm - PARK_MM + gap if near_x1 else jaws.x2_mm + PARK_MM - gap
    parked_a = np.clip(tip - gap / 2, machine.mlc.position_min_mm, machine.mlc.position_max_mm - gap)
    a = np.where(is_open, left, parked_a).round(LEAF_DECIMALS)
    b = np.where(is_open, right, parked_a + gap).round(LEAF_DECIMALS)
    return tuple(float(v) for v in a), tuple(float(v) for v in b)
