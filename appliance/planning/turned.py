"""Leaves along IEC Y are planned as leaves along X of a collimator turned by 90 degrees, and turned back in the plan.

Turned by 90 degrees, the axis X is the old Y and the axis Y the old -X (IEC 61217, as `pieces` and `collimation` read
such beams), so borders and jaws along the old X change sign and order, and collimator angles are 90 degrees more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from appliance.contracts import Beam, ControlPoint, Jaws, Plan
from appliance.planning.machine import Machine
from appliance.planning.machine_parts import LeafBlock, Range

TURN_DEG, FULL_TURN_DEG = 90.0, 360.0
JawAxes = Literal["XY", "X", "Y", ""]
OLD_AXES: dict[JawAxes, JawAxes] = {"XY": "XY", "X": "Y", "Y": "X", "": ""}
"""Jaws of the turned collimator in the machine's own axes."""


class TurnedMachine(Machine):
    """A machine with leaves along Y in the axes of its collimator turned by 90 degrees: leaves along X."""


def as_planned(machine: Machine) -> Machine:
    """The machine as planning sees it, with leaves along X: itself, or a TurnedMachine."""
    if machine.mlc.leaf_axis == "X":
        return machine
    blocks = {name: _mirrored(getattr(machine.mlc, name)) for name in ("boundary_blocks", "lower_blocks")}
    jaws, turn = machine.jaws, machine.collimator
    low, high = turn.range_deg
    turned = machine.model_copy(
        update={
            "mlc": machine.mlc.model_copy(update={"leaf_axis": "X"} | blocks),
            "jaws": jaws.model_copy(
                update={
                    "axes": tuple(axis for axis, old in (("X", "Y"), ("Y", "X")) if old in jaws.axes),
                    "x1_mm": jaws.y1_mm,
                    "x2_mm": jaws.y2_mm,
                    "y1_mm": _negative(jaws.x2_mm),
                    "y2_mm": _negative(jaws.x1_mm),
                }
            ),
            "collimator": turn.model_copy(update={"range_deg": (low + TURN_DEG, high + TURN_DEG)}),
        }
    )
    return TurnedMachine.model_construct(**dict(turned))


def as_delivered(plan: Plan, machine: Machine) -> Plan:
    """A plan made for `as_planned` of a machine in the machine's own axes."""
    if not isinstance(machine, TurnedMachine):
        return plan
    return replace(plan, beams=tuple(_turned_back(beam) for beam in plan.beams))


def _turned_back(beam: Beam) -> Beam:
    return replace(
        beam,
        leaf_axis="Y",
        leaf_boundaries_mm=tuple(-border for border in reversed(beam.leaf_boundaries_mm)),
        lower_boundaries_mm=tuple(-border for border in reversed(beam.lower_boundaries_mm)),
        jaw_axes=OLD_AXES[beam.jaw_axes],
        control_points=tuple(_point_back(point) for point in beam.control_points),
    )


def _point_back(point: ControlPoint) -> ControlPoint:
    jaws = point.jaws
    tips = {name: getattr(point, name)[::-1] for name in ("leaf_a_mm", "leaf_b_mm", "lower_a_mm", "lower_b_mm")}
    return replace(
        point,
        collimator_deg=(point.collimator_deg - TURN_DEG) % FULL_TURN_DEG,
        jaws=Jaws(x1_mm=-jaws.y2_mm, x2_mm=-jaws.y1_mm, y1_mm=jaws.x1_mm, y2_mm=jaws.x2_mm),
        **tips,
    )


def _mirrored(blocks: tuple[LeafBlock, ...]) -> tuple[LeafBlock, ...]:
    return tuple(
        LeafBlock(from_mm=-(b.from_mm + b.width_mm * b.count), width_mm=b.width_mm, count=b.count)
        for b in reversed(blocks)
    )


def _negative(bounds: Range) -> Range:
    return -bounds[1], -bounds[0]
