"""From a reader's points to a checked Curve: what every format shares."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from appliance.commissioning.curves import SINGLE_POINT, Curve, Kind, Slab
from appliance.errors import RefusedMeasurements

LARGEST_FIELD_MM = 400.0
FEWEST_POINTS = 3
NEGATIVE_SHARE = 0.01
"""Scans end in noise about zero: values down to this share of the maximum below zero are let in (chosen)."""
REACH_MM = {Kind.DEPTH_DOSE: (0.0, 500.0), Kind.TISSUE_PHANTOM_RATIO: (0.0, 500.0), Kind.PROFILE: (-400.0, 400.0)}


@dataclass(frozen=True)
class Setting:
    """How a curve was measured: what all its points have in common. Fields as those of Curve."""

    kind: Kind
    field_x_mm: float
    field_y_mm: float
    ssd_mm: float
    depth_mm: float
    axis: str
    shaped_by: str = "jaws"
    slab: Slab | None = None


@dataclass
class Points:
    """Positions and values in the order of the file, each with its line."""

    positions_mm: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def add(self, position_mm: float, value: float, line: int) -> None:
        self.positions_mm.append(position_mm)
        self.values.append(value)
        self.lines.append(line)


def refused(file: str, line: int, reason: str, remedy: str) -> RefusedMeasurements:
    where = f"{file}, line {line}," if line else f"{file}"
    return RefusedMeasurements(reason, what=where, remedy=remedy)


def make_curve(setting: Setting, points: Points, *, file: str, line: int) -> Curve:
    """`line` is where the curve begins. Raises RefusedMeasurements for what cannot be measured of a photon beam."""
    for good, reason in _setting_checks(setting):
        if not good:
            raise refused(file, line, reason, "Correct the file, or take the curve out")
    _check_points(setting.kind, points, file, line)
    order = np.argsort(points.positions_mm, kind="stable")
    return Curve(
        kind=setting.kind,
        field_x_mm=setting.field_x_mm,
        field_y_mm=setting.field_y_mm,
        ssd_mm=setting.ssd_mm,
        depth_mm=setting.depth_mm,
        axis=setting.axis,
        positions_mm=np.asarray(points.positions_mm, np.float64)[order],
        values=np.asarray(points.values, np.float64)[order],
        shaped_by=setting.shaped_by,
        slab=setting.slab,
        source=f"{file}:{line}",
    )


def _setting_checks(s: Setting) -> tuple[tuple[bool, str], ...]:
    """Written so that a NaN fails."""
    in_air = s.kind in (Kind.COLLIMATOR_FACTOR, Kind.TISSUE_PHANTOM_RATIO)
    at_depth = s.kind not in (Kind.DEPTH_DOSE, Kind.COLLIMATOR_FACTOR)
    slab = s.slab
    return (
        (all(0 < side <= LARGEST_FIELD_MM for side in (s.field_x_mm, s.field_y_mm)),
         f"a field of {s.field_x_mm:g} × {s.field_y_mm:g} mm is not one of 0 to {LARGEST_FIELD_MM:g} mm"),
        (in_air or 500 <= s.ssd_mm <= 2000,
         f"a source-surface distance of {s.ssd_mm:g} mm is not one of 500 to 2000 mm"),
        (not at_depth or 0 < s.depth_mm <= 500, f"a depth of {s.depth_mm:g} mm is not one of 0 to 500 mm"),
        (s.axis in ("XYD" if s.kind is Kind.PROFILE else "Z"), f"axis '{s.axis}' does not fit a {s.kind}"),
        (s.shaped_by in ("jaws", "mlc"), f"shaped_by '{s.shaped_by}' is neither jaws nor mlc"),
        ((slab is not None) == (s.kind is Kind.DENSITY_CORRECTION),
         "a density correction needs a slab, others have none"),
        (slab is None or 0 <= slab.from_mm < slab.to_mm <= s.depth_mm,
         "the slab does not lie between surface and point"),
        (slab is None or 0 < slab.density < 5, "the slab's density is not one of 0 to 5 g/cm³"),
    )  # fmt: skip


def _check_points(kind: Kind, points: Points, file: str, line: int) -> None:
    fix = "Correct the file, or take the curve out"
    for position, value, at in zip(points.positions_mm, points.values, points.lines, strict=True):
        if not (np.isfinite(position) and np.isfinite(value)):
            raise refused(file, at, "a number is not finite", fix)
    if kind in SINGLE_POINT:
        if len(points.values) != 1:
            raise refused(file, points.lines[1], f"this {kind} comes twice", "Leave one of them")
        if not 0 < points.values[0] < 10:
            raise refused(file, line, f"a {kind} of {points.values[0]:g} is not a ratio of doses", fix)
        return
    if len(points.values) < FEWEST_POINTS:
        raise refused(file, line, f"a curve of {len(points.values)} points", f"It needs at least {FEWEST_POINTS}")
    low, high = REACH_MM[kind]
    seen: dict[float, int] = {}
    for position, at in zip(points.positions_mm, points.lines, strict=True):
        if not low <= position <= high:
            raise refused(file, at, f"position {position:g} mm is not one of {low:g} to {high:g} mm", fix)
        if position in seen:
            raise refused(file, at, f"position {position:g} mm comes again (before in line {seen[position]})", fix)
        seen[position] = at
    most = max(points.values)
    if most <= 0:
        raise refused(file, line, "a curve without dose", fix)
    for value, at in zip(points.values, points.lines, strict=True):
        if value < -NEGATIVE_SHARE * most:
            raise refused(file, at, f"a dose of {value:g} below zero", "Subtract the background, or take the point out")
