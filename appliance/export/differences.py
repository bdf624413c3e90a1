"""Comparing what was written with what was approved, and naming the first difference."""

from __future__ import annotations

import math
from collections.abc import Sequence

from appliance.errors import ReadBackMismatch

POSITION_TOLERANCE_MM = 0.01
"""Leaves, jaws, isocentre and contour points: what writing rounds to (0.01 mm), so a difference is not rounding."""

ANGLE_TOLERANCE_DEG = 0.01
"""Gantry, collimator and couch: what writing rounds to."""

MU_TOLERANCE = 1e-4
"""Part of the beam's monitor units; chosen, because writing rounds to 1e-6 MU and no dosimeter counts finer."""

FLOAT_SLACK = 1e-9
"""Room for binary fractions when a difference is compared with a tolerance."""


def require(holds: bool, difference: str) -> None:
    """Raises ReadBackMismatch with `difference` unless it holds."""
    if not holds:
        raise ReadBackMismatch(difference)


def same(what: str, read: object, approved: object) -> None:
    require(read == approved, f"{what}: '{read}' was written, '{approved}' approved")


def near(what: str, read: float, approved: float, tolerance: float) -> None:
    close = math.isfinite(read) and abs(read - approved) <= tolerance + FLOAT_SLACK
    require(close, f"{what}: {read:.6g} was written, {approved:.6g} approved")


def near_all(what: str, read: Sequence[float], approved: Sequence[float], tolerance: float) -> None:
    require(len(read) == len(approved), f"{what}: {len(read)} values were written, {len(approved)} approved")
    for index, (one, other) in enumerate(zip(read, approved, strict=True), start=1):
        near(f"{what} {index}", one, other, tolerance)


def near_angle(what: str, read: float, approved: float) -> None:
    """Angles as points of a circle: 359.999 and 0 are the same."""
    turned = (read - approved + 180.0) % 360.0 - 180.0
    close = math.isfinite(read) and abs(turned) <= ANGLE_TOLERANCE_DEG + FLOAT_SLACK
    require(close, f"{what}: {read:.6g} degrees were written, {approved:.6g} approved")
