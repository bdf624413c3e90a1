"""Limits of one control point, standing still: jaws, leaves of each layer, angles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, ControlPoint
from appliance.planning.machine import Machine
from appliance.planning.machine_parts import Mlc

POSITION_TOLERANCE_MM = 0.011
"""Leaf positions are written to 0.01 mm; a gap of two rounded leaves may miss its limit by this."""
ROUNDING = 1e-6
"""A value on a limit may miss it by the rounding of arithmetic, mm and degrees."""


def point_violations(beam: Beam, point: ControlPoint, machine: Machine) -> list[str]:
    """Sentences without beam and control point, which the caller adds."""
    found = [*_jaws(beam, point, machine), *_angles(point, machine)]
    mlc = machine.mlc
    for layer, a, b in (
        ("", point.leaf_a_mm, point.leaf_b_mm),
        (" of the lower layer", point.lower_a_mm, point.lower_b_mm),
    ):
        if a:
            found += [f"{v}{layer}" for v in _leaves(np.array(a), np.array(b), mlc)]
    return found


def _jaws(beam: Beam, point: ControlPoint, machine: Machine) -> list[str]:
    """An axis without jaws is checked only where the beam claims to have moved some there."""
    found = []
    for axis in ("X", "Y"):
        if axis not in machine.jaws.axes and axis not in beam.jaw_axes:
            continue
        name = axis.lower()
        one, two = getattr(point.jaws, f"{name}1_mm"), getattr(point.jaws, f"{name}2_mm")
        for jaw, value in ((f"{name}1", one), (f"{name}2", two)):
            low, high = getattr(machine.jaws, f"{jaw}_mm")
            if not low - ROUNDING <= value <= high + ROUNDING:
                found.append(f"jaw {jaw} at {value:g} mm is outside {low:g}..{high:g} mm")
        if two - one < machine.jaws.minimum_opening_mm - ROUNDING:
            found.append(f"jaw opening is below {machine.jaws.minimum_opening_mm:g} mm along {axis}")
    return found


def _angles(point: ControlPoint, machine: Machine) -> list[str]:
    """Angles that an axis cannot reach at all; on the way between them see limits_motion."""
    found = []
    for name, angle, (low, high) in (
        ("gantry", point.gantry_deg, machine.gantry.range_deg),
        ("collimator", point.collimator_deg, machine.collimator.range_deg),
        ("couch", point.couch_deg, machine.couch.range_deg),
    ):
        if low + (angle - low + ROUNDING) % 360.0 > high + 2 * ROUNDING:
            found.append(f"the {name} at {angle % 360.0:g} degrees is outside {low:g}..{high:g} degrees")
    return found


def _leaves(a: NDArray[np.float64], b: NDArray[np.float64], mlc: Mlc) -> list[str]:
    found = []
    for bank, tips, (low, high) in (("A", a, mlc.bank_a_mm), ("B", b, mlc.bank_b_mm)):
        beyond = np.flatnonzero((tips < low - ROUNDING) | (tips > high + ROUNDING))
        if beyond.size:
            pair = int(beyond[0])
            found.append(f"a leaf is outside {low:g}..{high:g} mm (bank {bank}, pair {pair + 1}: {tips[pair]:g} mm)")
        if float(np.ptp(tips)) > mlc.bank_span_max_mm + POSITION_TOLERANCE_MM:
            found.append(f"bank {bank} spans {float(np.ptp(tips)):.1f} mm, more than {mlc.bank_span_max_mm:g} mm")
    pair = int(np.argmin(b - a))
    gap = float((b - a)[pair])
    if gap < mlc.minimum_gap_mm - POSITION_TOLERANCE_MM:
        found.append(f"a leaf gap of {gap:.2f} mm is below {mlc.minimum_gap_mm:g} mm (pair {pair + 1})")
    if not mlc.interdigitation:
        crossing = np.flatnonzero((a[1:] > b[:-1]) | (a[:-1] > b[1:]))
        if crossing.size:
            first = int(crossing[0]) + 1
            found.append(
                f"neighbouring leaves interdigitate, which this MLC does not allow (pairs {first} and {first + 1})"
            )
    return found
