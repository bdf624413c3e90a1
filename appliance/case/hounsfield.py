"""Stored pixel values to Hounsfield units, and the check that they look like Hounsfield units of a patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from appliance.case.attributes import number, refused, text
from appliance.errors import InconsistentCase

FLOOR_HU = -1024
"""Lowest value kept: air is -1000 HU by definition and scanners fill what they did not reconstruct with -1024 to
-3071; all of it is vacuum to a dose calculation."""

AIR_BELOW_HU = -300
"""Below this is air or lung; chosen midway between lung tissue (about -700) and fat (about -100)."""

DENSE_ABOVE_HU = 700
"""Above this is compact bone or metal (ICRU 46 cortical bone of 1.92 g/cm3 is about 1400 HU)."""

MOST_DENSE_SHARE = 0.2
"""Largest credible share of DENSE_ABOVE_HU in an image; chosen, because bone that dense is a few percent of a body."""

LEAST_SHARE = 1e-3
"""Share of the image that must be air, and that must not be; chosen, so that the air round any patient is enough."""

WATER_HU = 150
WATER_SHARE = 0.9
"""A water phantom may fill the whole image: without air, this share must lie within ± WATER_HU; both chosen."""


def rescaled(dataset: Dataset, stored: NDArray[np.generic], what: str) -> NDArray[np.int16]:
    """HU (rows, columns) int16 of a CT slice, rounded to the nearest, at least FLOOR_HU.

    Raises RefusedObject: `rescale.missing`, `rescale.not-hounsfield` (RescaleType given and not HU, PS3.3 C.8.2.1),
    `rescale.range` (a value above 32767 HU)."""
    if text(dataset, "RescaleSlope") == "" or text(dataset, "RescaleIntercept") == "":
        raise refused(what, "it has no RescaleSlope or RescaleIntercept, so its HU are unknown", "rescale.missing")
    if text(dataset, "RescaleType") not in ("", "HU"):
        raise refused(
            what,
            "its values are not Hounsfield units",
            "rescale.not-hounsfield",
            "Send the CT series that is calibrated in Hounsfield units",
        )
    slope, intercept = number(dataset, "RescaleSlope", what), number(dataset, "RescaleIntercept", what)
    if slope == 0:
        raise refused(what, "its RescaleSlope is zero", "rescale.missing")
    if slope == 1 and intercept.is_integer():
        hu = stored.astype(np.int32) + np.int32(intercept)
    else:
        hu = np.rint(stored.astype(np.float64) * slope + intercept).astype(np.int64)
    return to_int16(np.maximum(hu, FLOOR_HU), what)


def to_int16(values: NDArray[np.generic], what: str) -> NDArray[np.int16]:
    """Raises RefusedObject `rescale.range` instead of wrapping round."""
    limits = np.iinfo(np.int16)
    if values.size and (int(values.max()) > limits.max or int(values.min()) < limits.min):
        raise refused(what, "its values do not fit the range of Hounsfield units", "rescale.range")
    return values.astype(np.int16)


def check_plausible(hu: NDArray[np.int16], what: str) -> None:
    """Raises InconsistentCase `hounsfield.implausible` for an image (z, y, x) that cannot be HU of a patient or
    phantom: all air, too dense on the whole, or without air although it is no water phantom."""
    air = float(np.count_nonzero(hu < AIR_BELOW_HU)) / hu.size
    dense = float(np.count_nonzero(hu > DENSE_ABOVE_HU)) / hu.size
    if air > 1 - LEAST_SHARE:
        raise _implausible(what, f"there is nothing denser than {AIR_BELOW_HU} HU in it")
    if dense > MOST_DENSE_SHARE:
        raise _implausible(what, f"{dense:.0%} of it is above {DENSE_ABOVE_HU} HU")
    if air < LEAST_SHARE:
        watery = float(np.count_nonzero(np.abs(hu) <= WATER_HU)) / hu.size
        if watery < WATER_SHARE or dense > LEAST_SHARE:
            raise _implausible(what, f"there is no air in it (below {AIR_BELOW_HU} HU)")


def _implausible(what: str, reason: str) -> InconsistentCase:
    return InconsistentCase(
        f"its values cannot be Hounsfield units: {reason}",
        what=what,
        remedy="Send the CT series that is calibrated in Hounsfield units",
        rule="hounsfield.implausible",
    )
