"""A case as one small file of arrays: CT, voxels of structures and reference dose, which is all that a planning system
needs to explore. Read by every worker, so it imports little."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, Identity, Image, SourceObject, Structure, StructureKind
from appliance.errors import RefusedObject
from engines.grid import Grid, VoxelSet

NOWHERE = SourceObject("", "", "", "CT", Path(), "")
"""In the place of DICOM objects that a case for training does not have."""


def file_of(cache: Path, name: str) -> Path:
    return cache / f"{name}.npz"


def save_case(case: Case, path: Path) -> None:
    """What the planning system needs of a case: CT, voxels of structures, reference dose. Written beside and then put
    in place, so that several may prepare one folder."""
    facts = {
        "digest": case.digest,
        "position": case.patient_position,
        "fractions": case.fractions,
        "grid": [case.image.grid.origin_mm, case.image.grid.spacing_mm],
        "structures": [[one.number, one.tg263, one.kind.value] for one in case.structures],
    }
    arrays: dict[str, Any] = {"hu": case.image.hu, "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    for place, one in enumerate(case.structures):
        arrays |= {f"index_{place}": one.voxels.index, f"fraction_{place}": one.voxels.fraction}
    if case.reference_dose_gy is not None:
        arrays["dose_gy"] = case.reference_dose_gy
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    part.replace(path)


def load_case(path: Path) -> Case:
    """Raises RefusedObject for what is no file of `save_case`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
        facts = json.loads(stored["facts"].tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RefusedObject(
            f"it cannot be read ({error})", what=f"The training case {path.name}", rule="train.case",
            remedy="Every worker must see the cache folder under the same path; prepare the cases again",
        ) from error  # fmt: skip
    origin, spacing = facts["grid"]
    hu = stored["hu"]
    structures = tuple(
        Structure(
            number, name, name, StructureKind(kind), (),
            VoxelSet(stored[f"index_{place}"], stored[f"fraction_{place}"]),
        )
        for place, (number, name, kind) in enumerate(facts["structures"])
    )  # fmt: skip
    grid = Grid(tuple(origin), tuple(spacing), hu.shape)
    case = bare_case(facts["digest"], Image(grid, hu), structures, stored.get("dose_gy"))
    return replace(case, patient_position=facts["position"], fractions=facts["fractions"])


def bare_case(
    digest: str, image: Image, structures: tuple[Structure, ...], dose_gy: NDArray[np.float32] | None
) -> Case:
    """A case that nobody is named in and nothing is prescribed for."""
    return Case(
        digest=digest,
        identity=Identity("training", "training", "", "", ""),
        frame_of_reference_uid="",
        patient_position="HFS",
        image=image,
        structures=structures,
        prescription=(),
        fractions=0,
        images=(NOWHERE,),
        structure_set=NOWHERE,
        reference_dose_gy=dose_gy,
    )
