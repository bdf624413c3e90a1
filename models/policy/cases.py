"""Cases to train on, kept small: voxels of structures and CT as arrays in one file each, outside the repository.

OpenKBP patients are read from the challenge's arrays without the detour through DICOM, which gives the same voxels in a
tenth of the time. Patients from 201 on are refused by their number: they are what the policy is judged on."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from appliance.builtin.cases import CASES, kind_of
from appliance.builtin.packed import read_packed
from appliance.builtin.study import write_study
from appliance.case import assemble
from appliance.case.external import check_targets_inside
from appliance.case.gaps import fill_gaps
from appliance.contracts import Case, Image, Structure
from appliance.errors import RefusedInput
from appliance.session_headless import read_case
from engines.grid import VoxelSet
from models.policy.stored import bare_case, file_of, save_case

LAST_TRAINING = 200
"""OpenKBP patients from the next number on are the challenge's validation set."""
OPENKBP, BUILTIN = "openkbp-{}", "tg119-{}"
_NUMBER = re.compile(r"^(?:pt_|openkbp-)(\d+)$")


def patient_number(name: str) -> int:
    """Of 'pt_34' or 'openkbp-34'. Raises RefusedInput for one that is held out, or that does not say who it is."""
    found = _NUMBER.match(name)
    if found is None:
        raise RefusedInput(f"'{name}' does not say which OpenKBP patient it is; training takes pt_1 to pt_200 only")
    if not 1 <= int(found[1]) <= LAST_TRAINING:
        raise RefusedInput(
            f"OpenKBP patient {found[1]} is held out: what is trained is judged on it; training takes pt_1 to "
            f"pt_{LAST_TRAINING} only"
        )
    return int(found[1])


def openkbp_case(packed: Path) -> Case:
    """A packed patient with the voxels that its import through DICOM gives, its reference dose, and no contours. Raises
    RefusedInput for a held-out patient; RefusedObject and InconsistentCase for one that cannot be planned."""
    patient_number(packed.stem)
    patient = read_packed(packed)
    structures = tuple(
        Structure(
            number, name, name, kind_of(name), (),
            fill_gaps(VoxelSet.from_dense(mask.astype(np.float32)), patient.grid)[0],
        )
        for number, (name, mask) in enumerate(patient.masks.items(), start=1)
    )  # fmt: skip
    check_targets_inside(structures, structures[0])
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    return bare_case(digest, Image(patient.grid, patient.hu), structures, patient.dose_gy)


def builtin_case(name: str) -> Case:
    """A TG-119 case on its reference day, without contours. Raises RefusedInput for an unknown one."""
    with tempfile.TemporaryDirectory(prefix="couchside-train-") as scratch:
        study = Path(scratch) / "study"
        write_study(name, study, day="reference", uid_seed="train")
        case = assemble(read_case(study)[0])
    bare = tuple(replace(one, contours=()) for one in case.structures)
    return bare_case(case.digest, case.image, bare, None)


def builtin_cases(cache: Path) -> tuple[str, ...]:
    """Names of the built-in cases; those that are not in the cache yet are drawn and kept there."""
    cache.mkdir(parents=True, exist_ok=True)
    for builtin in CASES:
        path = file_of(cache, BUILTIN.format(builtin))
        if not path.is_file():
            save_case(builtin_case(builtin), path)
    return tuple(BUILTIN.format(builtin) for builtin in CASES)


def openkbp_cases(folder: Path, numbers: Iterable[int], cache: Path) -> tuple[str, ...]:
    """Names of the patients of these numbers; those that are not in the cache yet are read from `folder` and kept.
    Left out: patients without a CT, or with contours that no plan can be made on. Raises RefusedInput for a held-out or
    absent patient."""
    cache.mkdir(parents=True, exist_ok=True)
    names = []
    for number in numbers:
        name = OPENKBP.format(number)
        patient_number(name)
        if file_of(cache, name).is_file() or _kept(folder, number, cache):
            names.append(name)
    return tuple(names)


def _kept(folder: Path, number: int, cache: Path) -> bool:
    """Whether the patient is in the cache now; one that cannot be planned is marked there and not read again."""
    refused = cache / f"{OPENKBP.format(number)}.refused"
    if refused.is_file():
        return False
    packed = folder / f"pt_{number}.npz"
    if not packed.is_file():
        raise RefusedInput(f"{packed} is not there; name the folder of the OpenKBP training patients")
    try:
        save_case(openkbp_case(packed), file_of(cache, OPENKBP.format(number)))
    except RefusedInput as error:
        refused.write_text(f"{error.sentence}\n", "utf-8")
        return False
    return True
