"""One delivered fraction read from its objects: what was planned on the image of that day, and how that image lies to
the anatomy that dose is added up on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from appliance.case.assemble import assemble, check_one_person
from appliance.case.dose import read_dose
from appliance.case.links import link_frames
from appliance.contracts import Case, Received
from appliance.contracts.accumulation import Fraction, Placed, Register
from appliance.errors import IncompleteCase
from engines.accumulation import Delivered
from engines.registration import RigidTransform

NEEDS_REGISTRATION = (
    "Add a spatial or deformable registration object of this image and of the anatomy that dose is added up on"
)
AS_IT_LIES = (
    "A fraction's image is in the same frame of reference as this anatomy and was taken as it lies there: check that "
    "nothing moved between them, or have it registered"
)


def read_fraction(
    received: Sequence[Received],
    registrations: Sequence[Path],
    onto: Case,
    *,
    count: int,
    uncertainty_mm: float,
    register: Register | None,
) -> Fraction:
    """received: image, structure set, plan and its dose of the day, as `assemble` takes them. registrations: objects
    that came with them or with the anatomy; where they do not join both frames, and where both images share one frame,
    `register` is asked, if there is one.
    count: how many fractions were delivered so. uncertainty_mm: of one registration object, which states none.

    The dose of a fraction is the plan's over the fractions it was planned for. Raises IncompleteCase without a plan,
    without its dose or without a registration, InconsistentCase for another patient (`case.identity`), and what reading
    the objects and `link_frames` raise."""
    case = assemble(received)
    check_one_person(onto.identity, [case.identity])
    if case.reference_plan is None or case.reference_plan_object is None:
        raise IncompleteCase("a fraction has no plan (RTPLAN)", remedy="Add the plan that was delivered, with its dose")
    if case.reference_dose_object is None or case.reference_dose_gy is None:
        said = next((note for note in case.notes if "dose" in note), "there is none of this plan")
        raise IncompleteCase(
            f"a fraction has no dose of its plan on its own image ({said})",
            remedy="Add the RTDOSE of the plan that was delivered, calculated on the image of that day",
        )
    placed = _placed(registrations, onto, case, uncertainty_mm)
    if register is not None and (placed is None or _share_frame(onto, case)):
        placed = register(onto, case)
    if placed is None:
        raise IncompleteCase("a fraction has no registration to this anatomy", remedy=NEEDS_REGISTRATION)
    grid, dose_gy = read_dose(case.reference_dose_object.path)
    one_gy = dose_gy / np.float32(case.fractions)
    return Fraction(
        date=case.identity.study_date,
        delivered=Delivered(grid, one_gy, placed.to_fraction, count, placed.uncertainty_mm),
        plan_digest=case.reference_plan.digest,
        plan=case.reference_plan_object,
        dose=case.reference_dose_object,
        origin=placed.origin,
        notes=placed.notes,
    )


def _share_frame(onto: Case, case: Case) -> bool:
    return onto.frame_of_reference_uid == case.frame_of_reference_uid


def _placed(registrations: Sequence[Path], onto: Case, case: Case, uncertainty_mm: float) -> Placed | None:
    """Errors of objects that were put after each other are added: `Placed` promises a bound."""
    here, there = onto.frame_of_reference_uid, case.frame_of_reference_uid
    if _share_frame(onto, case):
        return Placed(RigidTransform(np.eye(4)), uncertainty_mm, "same frame of reference", (AS_IT_LIES,))
    link = link_frames(registrations, here, there)
    if link is None:
        return None
    bound_mm = link.objects * uncertainty_mm + link.residual_mm
    return Placed(link.to_there, bound_mm, link.origin, link.notes)
