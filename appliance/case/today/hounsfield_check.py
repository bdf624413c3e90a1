"""Whether the values of today's image are those that tissue had in the reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.case.today.match import DayReference, external_of
from appliance.case.today.rules import finding, refusal
from appliance.contracts import Finding, Outcome
from engines.calibration import soft_peak
from engines.calibration.peaks import SOFT_HU, Numbers
from engines.errors import EngineError

LOOK_HU, STOP_HU = 30.0, 100.0
"""Shift of the peak of soft tissue that is flagged and that is refused (chosen: 30 HU are 3 % of the density, so 3 mm
of 100 mm of depth and some 1 % of the dose of 6 MV there; 100 HU some 4 %)."""

AIR_ABOVE_HU = -900.0
"""Of the air round the body, median from which it is flagged (chosen: air is -1000 by definition)."""

FEWEST_VOXELS = 100


def check_hounsfield(
    hu: Numbers, body: NDArray[np.bool_], reference: DayReference, *, is_dose: bool = True
) -> list[Finding]:
    """hu, body: of today (z, y, x). is_dose: dose is computed on these values. Then raises InconsistentCase
    `day.hounsfield` for a shift beyond STOP_HU, or where no soft tissue is found; else both are flagged."""
    inside = external_of(reference)
    try:
        before, now = soft_peak(reference.series.image.hu, inside), soft_peak(hu, body, SOFT_HU)
    except EngineError as error:
        if not is_dose:
            return [finding("day.hounsfield", f"It was not tested: {error}")]
        raise refusal("day.hounsfield", str(error)) from error
    shift = now - before
    words = f"Soft tissue has its peak at {now:.0f} HU today and at {before:.0f} HU on the reference"
    if is_dose and abs(shift) > STOP_HU:
        raise refusal("day.hounsfield", f"soft tissue lies {abs(shift):.0f} HU {'above' if shift > 0 else 'below'} it")
    findings = [finding("day.hounsfield", words, Outcome.FOUND if abs(shift) > LOOK_HU else Outcome.PASSED)]
    around = hu[~body]
    if around.size >= FEWEST_VOXELS and float(np.median(around)) > AIR_ABOVE_HU:
        findings.append(finding("day.hounsfield", f"The air round the body has {float(np.median(around)):.0f} HU"))
    return findings
