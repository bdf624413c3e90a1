"""Do the slices of a series make one volume? Parallel, axial, one size, one distance, none missing, none twice.

Pure functions on `SlicePlacement` (DICOM patient LPS, mm). Contradictions raise InconsistentCase; a slice that is
merely not there yet is returned as a sentence, since it may still arrive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from appliance.contracts import Received
from appliance.contracts.received import SlicePlacement
from appliance.errors import InconsistentCase
from appliance.inbound.catalogue import SetRule

COSINE_TOLERANCE = 1e-3  # chosen, as for single objects: 0.06 degree, 0.25 mm over a field of 500 mm
TILT_TOLERANCE_DEG = 0.1  # chosen: 0.9 mm over 500 mm; scanners report their resting gantry as 0.0
SPACING_TOLERANCE_MM = 0.02  # chosen: positions are written with two decimals by the coarsest scanners
SPACING_TOLERANCE = 0.01  # of the distance; as highdicom's default for regular volumes (spatial.py)
SHEAR_TOLERANCE_MM = 0.05  # chosen: sideways step from slice to slice; a tilt of 1 degree at 3 mm is 0.052


def _contradiction(rule: SetRule, reason: str, remedy: str) -> InconsistentCase:
    return InconsistentCase(reason, what="The image series", remedy=remedy, rule=rule.value)


def in_order(series: Sequence[Received]) -> tuple[Received, ...]:
    """By z, ascending. Raises InconsistentCase for an object without a place."""
    return tuple(sorted(series, key=lambda item: _place(item).position_mm[2]))


def _place(item: Received) -> SlicePlacement:
    if item.placement is None:
        raise _contradiction(SetRule.MIXED, "it holds an object that is no image", "Send the image series again")
    return item.placement


def check_stack(series: Sequence[Received]) -> str:
    """'' if the slices make a volume, else what is missing. Raises InconsistentCase."""
    places = [_place(item) for item in in_order(series)]
    _same_geometry(places)
    _axial_untilted(places[0])
    _same_positions(series)
    return _even_spacing(places)


def _same_geometry(places: Sequence[SlicePlacement]) -> None:
    first = places[0]
    for place in places:
        if (place.rows, place.columns) != (first.rows, first.columns) or not np.allclose(
            place.pixel_spacing_mm, first.pixel_spacing_mm, rtol=0, atol=1e-4
        ):
            raise _contradiction(
                SetRule.MIXED, "its slices differ in size or pixel spacing", "Send one series with equal slices"
            )
        if not np.allclose(place.cosines, first.cosines, rtol=0, atol=COSINE_TOLERANCE):
            raise _contradiction(
                SetRule.MIXED, "its slices differ in orientation", "Remove localisers; send one series of axial slices"
            )
        _upright(place)


def _upright(place: SlicePlacement) -> None:
    if abs(place.gantry_tilt_deg) > TILT_TOLERANCE_DEG:
        raise _contradiction(
            SetRule.TILTED, "it was scanned with a tilted gantry", "Scan again, or reformat it without tilt"
        )


def _axial_untilted(place: SlicePlacement) -> None:
    """Rows along x and columns along y of the patient, either sense. What else is nearly axial is called tilted."""
    normal = np.cross(place.cosines[:3], place.cosines[3:])
    if abs(abs(normal[2]) - 1) > 0.2:
        raise _contradiction(SetRule.NOT_AXIAL, "its slices are not axial", "Send a series of axial slices")
    off_axis = np.abs([*normal[:2], place.cosines[1], place.cosines[2], place.cosines[3], place.cosines[5]])
    if off_axis.max() > COSINE_TOLERANCE:
        raise _contradiction(
            SetRule.TILTED, "its slices are tilted or rotated", "Send a series with straight axial slices"
        )


def _same_positions(series: Sequence[Received]) -> None:
    """Patient positions must agree, and be given."""
    if len({item.patient_position for item in series}) != 1:
        raise _contradiction(
            SetRule.POSITION, "its slices differ in patient position", "Send one series, scanned in one position"
        )


def _even_spacing(places: Sequence[SlicePlacement]) -> str:
    if len(places) < 2:
        return "only one slice of the image series has arrived"
    positions = np.array([place.position_mm for place in places])
    gaps = np.diff(positions[:, 2])
    sideways = np.abs(np.diff(positions[:, :2], axis=0)).max()
    tolerance = max(SPACING_TOLERANCE_MM, SPACING_TOLERANCE * float(np.median(gaps)))
    if gaps.min() <= SPACING_TOLERANCE_MM:
        raise _contradiction(
            SetRule.DUPLICATE_SLICE,
            f"{int((gaps <= SPACING_TOLERANCE_MM).sum())} of its slices lie at the position of another",
            "Send each slice once, from one reconstruction",
        )
    if sideways > SHEAR_TOLERANCE_MM:
        raise _contradiction(
            SetRule.TILTED, "its slices are shifted against each other, as with a tilted gantry", "Scan without tilt"
        )
    spacing = float(np.median(gaps))
    uneven = np.abs(gaps - spacing) > tolerance
    if not uneven.any():
        return ""
    steps = gaps[uneven] / spacing
    if np.all(steps > 1.5) and np.all(np.abs(steps - np.round(steps)) * spacing <= tolerance * np.round(steps)):
        missing = int((np.round(steps) - 1).sum())
        where = float(positions[:-1, 2][uneven][0])
        return f"{missing} slices of the image series are missing (the first after z = {where:.1f} mm)"
    raise _contradiction(
        SetRule.UNEVEN,
        f"its slices lie {gaps.min():.2f} to {gaps.max():.2f} mm apart",
        "Send a series with one slice distance",
    )
