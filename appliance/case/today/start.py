"""The registration object that came with today's image: where the search for the rigid registration begins, and how far
from it that ends. Whoever matched the images at the machine expects to find the match again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.uid import SpatialRegistrationStorage

from appliance.case.spatial_registration import read_registration
from appliance.case.today.reading import Day
from appliance.case.today.rules import finding
from appliance.case.today.seen import MOST_POINTS, shown
from appliance.contracts import Finding, Received
from appliance.errors import RefusedInput
from engines.registration import RigidTransform
from engines.registration.rigid import LEAST_SHARED

LEFT_MM, LEFT_DEG = 5.0, 3.0
"""How far the registration that is found may end from the one that came, at the isocentre, before a person looks
(chosen: AAPM TG-132, table V, asks of a registration for 2 to 3 mm, which two of them may be off in opposite ways; and
3 degrees move a point 100 mm away by 5 mm)."""


@dataclass(frozen=True, eq=False)
class Start:
    """rigid: from points of today to the reference; None where none came, or none that can be used. findings: why."""

    rigid: RigidTransform | None = None
    findings: tuple[Finding, ...] = ()

    def judged(self, found: RigidTransform, isocentre_mm: tuple[float, float, float]) -> tuple[Finding, ...]:
        """What is to be said of the object that came. found: the registration that the search ended at; isocentre_mm:
        of the plan, in the reference's frame."""
        if self.rigid is None:
            return self.findings
        apart_mm = self.rigid.error_mm(found, found.inverse.apply(np.asarray([isocentre_mm])))
        apart_deg = RigidTransform(found.matrix @ self.rigid.inverse.matrix).rotation_deg
        words = f"{apart_mm:.1f} mm (at the isocentre) and {apart_deg:.1f} degrees"
        begun = finding("day.registration", f"The search began at the one that came, and ended {words} from it")
        if apart_mm < LEFT_MM and apart_deg < LEFT_DEG:
            return (begun,)
        return begun, finding("day.registration-left", f"Both are {words} apart")


def start_of(objects: Sequence[Received], today: Day, before: Day) -> Start:
    """objects: today's, perhaps with a spatial registration of both days' frames of reference among them."""
    came = next((item for item in objects if item.sop_class_uid == str(SpatialRegistrationStorage)), None)
    if came is None:
        return Start()
    if came.sha256 and hashlib.sha256(came.path.read_bytes()).hexdigest() != came.sha256:
        return _unused("its file is not the one that was received")
    frames = today.series.frame_of_reference_uid, before.series.frame_of_reference_uid
    try:
        matrix = read_registration(came.path, *frames)
    except RefusedInput as error:
        return _unused(str(error.fields["reason"]))
    if matrix is None:
        return _unused("it does not join both images")
    start = RigidTransform(matrix)
    if (share := _shared(start, today, before)) < LEAST_SHARED:
        return _unused(f"it lays only {share:.0%} of the smaller body on the other")
    return Start(start)


def _unused(reason: str) -> Start:
    words = f"A registration object came with today's image and was not used: {reason}"
    return Start(findings=(finding("day.registration-unused", words),))


def _shared(to_reference: RigidTransform, today: Day, before: Day) -> float:
    """Part of the smaller body that lies in both."""
    index = today.body.index
    points_mm = today.grid.centres_mm(index[:: max(1, index.size // MOST_POINTS)]).astype(np.float64)
    share = float(shown(to_reference.apply(points_mm), before.grid, before.body.mask(before.grid.shape)).mean())
    own, other = (day.body.volume_cc(day.grid.voxel_volume_cc) for day in (today, before))
    return share * own / min(own, other)
