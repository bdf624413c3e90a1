"""Today's image in Hounsfield units, or near enough to be registered, outlined and looked at, before anything of the
reference lies on it. What dose is computed on is made in `density.py`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.case.today.match import DayReference, external_of
from appliance.case.today.modality import DayImage, Imaging
from appliance.case.today.rules import refusal
from appliance.config import AnatomyConfig
from engines.calibration import Calibration, filling_of, rough, soft_peak
from engines.calibration.curve import AIR_HU, HIGHEST_HU, LOWEST_HU
from engines.calibration.peaks import mode
from engines.errors import EngineError

WATER_HU = 0.0
"""Of soft tissue, where the reference has too little of it to say."""


def image_for_registration(reference: DayReference, today: DayImage, settings: AnatomyConfig) -> NDArray[np.int16]:
    """(z, y, x): a CT as it is, a cone-beam CT as `near_hounsfield` makes it, an MR as it is. Raises as that does."""
    if today.imaging is not Imaging.CBCT:
        return today.series.image.hu
    return near_hounsfield(reference, today, settings)[0]


def near_hounsfield(reference: DayReference, today: DayImage, settings: AnatomyConfig) -> tuple[NDArray[np.int16], str]:
    """A cone-beam CT near HU (z, y, x), air beyond what was reconstructed, and by what, a part of a sentence: its peaks
    of air and soft tissue, else the phantom points of the configuration, else a shift alone, which must do where no
    dose is computed on it.

    Raises InconsistentCase `day.no-overlap` for an image of one value, `day.calibration` if it does not show air and
    tissue and dose is to be computed on its values."""
    values = today.series.image.hu
    if values.min() == values.max():
        raise refusal("day.no-overlap", "all of it has one value, so it shows nothing")
    filling, soft_hu = filling_of(values, today.series.image.grid), _soft_hu(reference)
    try:
        near, how = rough(values, soft_hu, filling).hu(values), "by its peaks of air and soft tissue"
    except EngineError as error:
        if settings.phantom_points:
            points = np.asarray(settings.phantom_points, np.float64)
            near, how = Calibration(points).hu(values), "by the phantom points of the configuration"
        elif settings.cbct_density == "deformed":
            shown = values.reshape(-1) if filling is None else values[values != filling]
            near = np.clip(values + np.float32(soft_hu - mode(shown)), LOWEST_HU, HIGHEST_HU)
            how = "by taking the most frequent value for soft tissue"
        else:
            reason = f"its values cannot be brought to Hounsfield units: {error}"
            raise refusal("day.calibration", reason) from error
    if filling is not None:
        near[values == filling] = AIR_HU
    return np.rint(near).astype(np.int16), how


def _soft_hu(reference: DayReference) -> float:
    try:
        return soft_peak(reference.series.image.hu, external_of(reference))
    except EngineError:
        return WATER_HU
