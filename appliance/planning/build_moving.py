"""Leaf paths to a deliverable plan: control points, jaws, metersets, rounded to what a machine can be told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, ControlPoint, Jaws, Plan
from appliance.planning.build_plan import JAW_DECIMALS, LEAF_DECIMALS, MU_DECIMALS, PlanHead, name_of
from appliance.planning.leaf_layers import leaf_layers
from appliance.planning.machine import Machine
from appliance.planning.moving_field import MovingField, trajectory
from appliance.planning.moving_vector import FieldPath


def build_moving_plan(
    fields: tuple[MovingField, ...], paths: tuple[FieldPath, ...], machine: Machine, *, head: PlanHead
) -> Plan:
    """One beam a field, one control point at each end of its intervals; metersets rise from zero. A beam beyond the
    machine's largest meterset is delivered in equal parts, each the whole way and every second one backwards."""
    beams: list[Beam] = []
    for field, path in zip(fields, paths, strict=True):
        parts = int(np.ceil(float(path.mu.sum()) / machine.dose_rate.maximum_beam_mu))
        for part in range(parts):
            points = _points(field, path, machine, parts)
            if part % 2 == 1:
                points = _backwards(points)
            suffix = chr(ord("a") + part) if parts > 1 else ""
            beams.append(
                Beam(
                    number=len(beams) + 1,
                    name=_name(field, len(beams) + 1) + suffix,
                    machine=machine.treatment_machine,
                    energy_mv=machine.energy_mv,
                    fluence_mode=machine.fluence_mode,
                    isocentre_mm=field.isocentre_mm,
                    sad_mm=machine.sad_mm,
                    dose_rate_mu_min=machine.dose_rate.maximum_mu_min,
                    leaf_boundaries_mm=tuple(float(b) for b in machine.mlc.boundaries_mm),
                    control_points=points,
                    lower_boundaries_mm=tuple(float(b) for b in machine.mlc.lower_boundaries_mm),
                    jaw_axes=machine.jaw_axes,
                )
            )
    return Plan(head.label, tuple(beams), head.fractions, head.patient_position, head.technique)


def _name(field: MovingField, number: int) -> str:
    if not field.turn_deg:
        return name_of(field.gantry_deg[0], field.couch_deg)
    return f"Arc {number} {'CW' if field.turn_deg > 0 else 'CCW'}"


def _points(field: MovingField, path: FieldPath, machine: Machine, parts: int) -> tuple[ControlPoint, ...]:
    left, right = path.left_mm.round(LEAF_DECIMALS), path.right_mm.round(LEAF_DECIMALS)
    x_mm = trajectory(left, right, path.mu, field, machine).x_mm
    total = np.concatenate([[0.0], np.cumsum(path.mu / parts)]).round(MU_DECIMALS)
    layers = leaf_layers(machine).parts
    return tuple(
        ControlPoint(
            float(total[i]),
            field.gantry_deg[i],
            field.collimator_deg,
            field.couch_deg,
            _jaws(x_mm[i], field, machine),
            *(tuple(tips[i, own].tolist()) for own in layers for tips in (left, right)),
        )
        for i in range(len(left))
    )


def _jaws(x_mm: NDArray[np.float64], field: MovingField, machine: Machine) -> Jaws:
    """Rounded outwards and kept inside the jaws' travel."""
    scale = 10**JAW_DECIMALS
    y1, y2 = field.y_mm
    edges = (np.floor(x_mm[0] * scale), np.ceil(x_mm[1] * scale), np.floor(y1 * scale), np.ceil(y2 * scale))
    limits = (machine.jaws.x1_mm, machine.jaws.x2_mm, machine.jaws.y1_mm, machine.jaws.y2_mm)
    values = (round(float(np.clip(e / scale, *r)), JAW_DECIMALS) for e, r in zip(edges, limits, strict=True))
    return Jaws(*values)


def _backwards(points: tuple[ControlPoint, ...]) -> tuple[ControlPoint, ...]:
    whole = points[-1].cumulative_mu
    return tuple(
        ControlPoint(
            round(whole - p.cumulative_mu, MU_DECIMALS),
            p.gantry_deg,
            p.collimator_deg,
            p.couch_deg,
            p.jaws,
            p.leaf_a_mm,
            p.leaf_b_mm,
            p.lower_a_mm,
            p.lower_b_mm,
        )
        for p in reversed(points)
    )
