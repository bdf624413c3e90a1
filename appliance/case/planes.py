"""Image planes of any patient position turned into one grid: axial, LPS, indices rising to left, posterior, superior.

DICOM gives each plane the centre of its first pixel and the directions of its rows and columns in patient coordinates
(PS3.3 C.7.6.2.1.1), so a prone or feet-first patient needs no special case: rows and columns that run backwards are
turned round here, once, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.case.attributes import refused
from appliance.errors import InconsistentCase
from engines.grid import Grid

COSINE_TOLERANCE = 1e-3
"""Largest deviation of a direction cosine from 0 or ±1; chosen, because it moves no voxel of a 500 mm image by more
than 0.5 mm, and rounded decimal strings stay far below."""

SPACING_TOLERANCE_MM = 0.05
"""Largest deviation of a plane from even spacing; chosen, because peers round positions to 0.01 mm and a twentieth of
a millimetre is a fortieth of a usual slice."""

MISSING_SLICE_RATIO = 1.5
"""A step this much longer than the usual one means that slices are missing; chosen midway between one and two steps."""

RESEND = "Send or export the whole series again"


class Plane(NamedTuple):
    """Position of the first pixel (x, y, z) mm, direction of rows along x and of columns along y (±1), pixel spacing
    (x, y) mm, rows and columns."""

    position_mm: tuple[float, float, float]
    signs: tuple[int, int]
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]

    def upright(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(..., rows, columns) with rows running to patient left and columns to posterior; a view."""
        return pixels[..., :: self.signs[1], :: self.signs[0]]


def axial_signs(cosines: Sequence[float], what: str) -> tuple[int, int]:
    """Signs of rows along x and columns along y from six direction cosines. Raises RefusedObject
    `geometry.orientation` for planes that are tilted or not transverse, or rows along y (patient on the side)."""
    rows, columns = np.array(cosines[:3]), np.array(cosines[3:])
    signs = (1 if rows[0] > 0 else -1, 1 if columns[1] > 0 else -1)
    expected = np.array([[signs[0], 0, 0], [0, signs[1], 0]])
    if np.abs(np.stack([rows, columns]) - expected).max() > COSINE_TOLERANCE:
        raise refused(
            what,
            "its planes are tilted or not transverse with rows from side to side",
            "geometry.orientation",
            "Use an untilted axial series of a patient lying on the back or the belly",
        )
    return signs


def grid_of(plane: Plane, z_mm: NDArray[np.float64], what: str) -> Grid:
    """The grid of planes like `plane` at z_mm (rising). Raises InconsistentCase: `slices.too-few`,
    `slices.duplicate`, `slices.missing`, `slices.uneven`."""
    spacing_z = even_spacing(z_mm, what)
    rows, columns = plane.shape
    (x, y, _), (dx, dy) = plane.position_mm, plane.spacing_mm
    origin_x = x if plane.signs[0] > 0 else x - dx * (columns - 1)
    origin_y = y if plane.signs[1] > 0 else y - dy * (rows - 1)
    return Grid((origin_x, origin_y, float(z_mm[0])), (dx, dy, spacing_z), (len(z_mm), rows, columns))


def even_spacing(z_mm: NDArray[np.float64], what: str) -> float:
    """The one distance between planes at rising z_mm. Raises InconsistentCase as `grid_of`."""
    if len(z_mm) < 2:
        raise _uneven(what, "it has fewer than two planes, so its extent along the patient is unknown", "too-few")
    steps = np.diff(z_mm)
    usual = float(np.median(steps))
    if steps.min() <= SPACING_TOLERANCE_MM:
        at = z_mm[int(steps.argmin())]
        raise _uneven(what, f"it holds two planes at z = {at:.1f} mm", "duplicate")
    if steps.max() > MISSING_SLICE_RATIO * usual:
        at = z_mm[int(steps.argmax())]
        raise _uneven(what, f"planes are missing above z = {at:.1f} mm", "missing")
    spacing = float(z_mm[-1] - z_mm[0]) / (len(z_mm) - 1)
    deviation = np.abs(z_mm - z_mm[0] - spacing * np.arange(len(z_mm))).max()
    if deviation > SPACING_TOLERANCE_MM:
        raise _uneven(what, f"its planes are unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm)", "uneven")
    return spacing


def _uneven(what: str, reason: str, rule: str) -> InconsistentCase:
    return InconsistentCase(reason, what=what, remedy=RESEND, rule=f"slices.{rule}")
