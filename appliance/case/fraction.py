"""One delivered fraction read from its objects: what was planned on the image of that day, and how that image lies to
the anatomy that dose is added up on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.uid import DeformableSpatialRegistrationStorage

from appliance.case.assemble import assemble, check_one_person
from appliance.case.attributes import text
from appliance.case.deformable_registration import read_deformable
from appliance.case.dose import read_dose
from appliance.case.spatial_registration import read_registration
from appliance.contracts import Case, Received
from appliance.contracts.accumulation import Fraction, Placed, Register
from appliance.dicomio.read import read_dataset
from appliance.errors import IncompleteCase, InconsistentCase
from engines.accumulation import Delivered
from engines.registration import RigidTransform

NEEDS_REGISTRATION = (
    "Add a spatial or deformable registration object whose own frame of reference is that of the anatomy that dose is "
    "added up on"
)
BOTH = "A deformable and a rigid registration object place this fraction; the deformable one was used"


def read_fraction(
    received: Sequence[Received],
    registrations: Sequence[Path],
    onto: Case,
    *,
    count: int,
    uncertainty_mm: float,
    register: Register | None,
) -> Fraction:
    """received: image, structure set, plan and its dose of the day, as `assemble` takes them. registrations: what
    registration objects came with them; without one that speaks of both frames, `register` is asked, if there is one.
    count: how many fractions were delivered so. uncertainty_mm: taken for registration objects, which state none.

    The dose of a fraction is the plan's over the fractions it was planned for. Raises IncompleteCase without a plan,
    without its dose or without a registration, InconsistentCase for another patient (`case.identity`) and for several
    registrations (`case.several`), and what reading the objects raises."""
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
    if placed is None and register is not None:
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


def _placed(registrations: Sequence[Path], onto: Case, case: Case, uncertainty_mm: float) -> Placed | None:
    here, there = onto.frame_of_reference_uid, case.frame_of_reference_uid
    if here == there:
        return Placed(RigidTransform(np.eye(4)), uncertainty_mm, "same frame of reference")
    deformable, rigid = [], []
    for path in registrations:
        if _is_deformable(path):
            if (read := read_deformable(path, here, there)) is not None:
                deformable.append(read)
        elif (matrix := read_registration(path, here, there)) is not None:
            rigid.append(matrix)
    for found in (deformable, rigid):
        if len(found) > 1:
            raise InconsistentCase(
                f"{len(found)} registration objects of one kind place it",
                what="A fraction",
                remedy="Give the one that a person has approved",
                rule="case.several",
            )
    if deformable:
        notes = (*deformable[0].notes, *((BOTH,) if rigid else ()))
        return Placed(deformable[0].field, uncertainty_mm, "deformable registration object", notes)
    if rigid:
        return Placed(RigidTransform(rigid[0]), uncertainty_mm, "rigid registration object")
    return None


def _is_deformable(path: Path) -> bool:
    dataset = read_dataset(path, what="A registration object")
    return text(dataset, "SOPClassUID") == str(DeformableSpatialRegistrationStorage)
