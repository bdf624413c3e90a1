"""The registration object that came with today's image: how the therapist, or the machine, laid it on the reference."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.uid import SpatialRegistrationStorage

from appliance.contracts import Received
from appliance.inbound.catalogue import Modality

DEFORMABLE = "a deformable registration object came with today's image and was left aside: today's is found here"
OTHER_FRAMES = (
    "a registration object came with today's image and was left aside: it does not join the frame of reference of "
    "today's image with the reference's"
)
OLDER = "registration objects of today's image that a newer one replaces were left aside"


def registration_of(
    received: Sequence[Received], day: Sequence[Received], reference: Sequence[Received]
) -> tuple[tuple[Received, ...], tuple[str, ...]]:
    """The newest spatial registration of both frames of reference, if there is one, and notes on others of today; those
    of earlier days are passed over. day, reference: today's images and the reference's objects; without a reference
    nothing is registered."""
    if not reference:
        return (), ()
    frames = {day[0].frame_of_reference_uid, reference[0].frame_of_reference_uid}
    taken = max(item.made_at for item in day)[:8]
    own, notes = [], []
    for item in received:
        if item.modality != Modality.REG or not _is_of_today(item, day[0].frame_of_reference_uid, taken):
            continue
        if item.sop_class_uid != str(SpatialRegistrationStorage):
            notes.append(DEFORMABLE)
        elif len(frames) == 2 and frames <= set(item.joins):
            own.append(item)
        else:
            notes.append(OTHER_FRAMES)
    own.sort(key=lambda item: item.made_at)
    notes += [OLDER] if len(own) > 1 else []
    return tuple(own[-1:]), tuple(dict.fromkeys(notes))


def _is_of_today(item: Received, frame_uid: str, taken: str) -> bool:
    """By the frame it names, else by the day it was made."""
    return frame_uid in item.joins or not item.made_at or item.made_at[:8] >= taken
