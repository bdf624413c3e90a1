"""Whether today's image shows this patient, and shows them the right way round: by the image, not by its header."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.case.today.match import DayReference, external_of
from appliance.case.today.modality import DayImage, Imaging
from appliance.case.today.rules import finding, refusal
from appliance.contracts import Finding, Outcome
from engines.calibration import body_of, circle_seen
from engines.errors import EngineError
from engines.registration import RigidTransform
from engines.registration.orientation import Orientations, orientations

OTHER_BELOW = 0.82
"""Likeness below which the image is refused as another patient's (chosen in the middle between other patients, at most
0.78, and the worst right day, 0.86, of the tuning half of bench/registration_levels.py; docs/today.md)."""

UNLIKE_BELOW = {Imaging.CT: 0.88, Imaging.CBCT: 0.86}
"""Likeness below which it is flagged: just under the worst right days of that half, 0.89 and 0.86. The noise of a
cone-beam CT costs some 0.03."""

SURE_MARGIN = 0.015
"""By how much the image as it lies must be likelier than mirrored. From OpenKBP as above."""

SYMMETRIC_ABOVE = 0.97
"""Likeness of both, as it lies and mirrored, from which the anatomy itself is symmetric, as in a phantom: then the
image cannot tell, and a mirrored one would show the same (chosen: above what any patient reaches mirrored)."""

AIR_HU = -1000


@dataclass(frozen=True, eq=False)
class Likeness:
    """found: what was measured, None where it cannot be (MR). findings: what has to be said."""

    found: Orientations | None
    findings: tuple[Finding, ...]


def check_likeness(
    reference: DayReference, today: DayImage, hu: NDArray[np.int16], to_reference: RigidTransform | None = None
) -> Likeness:
    """hu: today's image in HU or near them, as `near_hounsfield.py` makes it. to_reference: the rigid registration
    where it is known, to start from.

    Raises InconsistentCase `day.no-overlap`, `day.swapped`, `day.other-patient`."""
    if today.imaging is Imaging.MR:
        words = "An MR shows tissue in other values than a CT, so blocks of both cannot be compared"
        names = ("day.swapped", "day.other-patient")
        return Likeness(None, tuple(finding(name, words, Outcome.NOT_TESTED) for name in names))
    before, grid = reference.series.image, today.series.image.grid
    try:
        shown = np.where(body_of(hu, grid), hu, np.float32(AIR_HU)).astype(np.float32)
        circle = circle_seen(today.series.image.hu, grid)
        if circle is not None:
            shown[:, ~circle] = np.nan
        found = orientations(
            shown,
            grid,
            np.where(external_of(reference), before.hu, np.int16(AIR_HU)),
            before.grid,
            start=to_reference,
        )
    except EngineError as error:
        raise refusal("day.no-overlap", f"it cannot be compared with the reference: {error}") from error
    return Likeness(found, _judged(found, UNLIKE_BELOW[today.imaging]))


def _judged(found: Orientations, unlike_below: float) -> tuple[Finding, ...]:
    own = found.as_it_is.likeness
    name, other = max(found.swapped.items(), key=lambda entry: entry[1])
    words = f"Likeness to the reference is {own:.2f} as it lies and {other:.2f} {name}"
    if min(own, other) >= SYMMETRIC_ABOVE:
        return (finding("day.unsure-side", f"{words}: the anatomy itself is symmetric", Outcome.NOT_TESTED),)
    if other - own >= SURE_MARGIN and other >= OTHER_BELOW:
        raise refusal("day.swapped", f"it shows the patient {name}: {words[0].lower()}{words[1:]}")
    if own < OTHER_BELOW:
        raise refusal("day.other-patient", f"its likeness to the reference is {own:.2f}, and {OTHER_BELOW} the least")
    findings = []
    if own < unlike_below:
        findings.append(finding("day.unlike", words))
    if own - other < SURE_MARGIN:
        findings.append(finding("day.unsure-side", words))
    passed = [finding(rule, words, Outcome.PASSED) for rule in ("day.swapped", "day.other-patient")]
    return (*passed, *findings)
