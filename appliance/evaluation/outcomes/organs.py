"""Which voxels a model is about: both lungs without the tumour, each parotid by itself, the target to be controlled."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from appliance.contracts import Case, Structure, StructureKind
from appliance.evaluation.outcomes.parameters import ComplicationRow, ControlRow
from engines.grid import VoxelSet

TUMOUR_TYPES = ("GTV", "CTV")
"""What is taken out of an organ: the gross tumour, else the clinical target (TG-263 target types)."""


@dataclass(frozen=True, eq=False)
class Found:
    """`voxels` None: `sentence` says what is missing. name: as shown; remark: what was done to the organ."""

    name: str
    voxels: VoxelSet | None
    sentence: str = ""
    remark: str = ""


def organs_of(case: Case, row: ComplicationRow, wanted: frozenset[str]) -> tuple[Found, ...]:
    """The organs of a complication model in this case, () where it has none of them.

    wanted: structures that the goals name; a model of such an organ that the case lacks gets a sentence, so that it
    does not just vanish. A pair of which one is missing always gets one."""
    if row.each:
        return tuple(found for name in row.structures for found in _one(case, name, row, wanted))
    for name in row.structures:
        found = _one(case, name, row, frozenset())
        if found and found[0].voxels is not None:
            return found
    for name in row.structures:
        if found := _one(case, name, row, wanted):
            return found
    return ()


def target_of(case: Case, row: ControlRow) -> Found:
    """The first structure that the row's names fit, whole targets of the highest dose first among equals."""
    for pattern in row.structures:
        fitting = [item for item in case.structures if fnmatchcase(item.tg263, pattern) and not item.voxels.empty]
        if fitting:
            dose_gy = {entry.structure: entry.dose_gy for entry in case.prescription}
            chosen = max(fitting, key=lambda item: dose_gy.get(item.tg263, 0.0))
            return Found(chosen.tg263, chosen.voxels)
    return Found(row.structures[0], None, f"The case has no target of this model ({', '.join(row.structures)})")


def _one(case: Case, names: str, row: ComplicationRow, wanted: frozenset[str]) -> tuple[Found, ...]:
    parts = names.split("+")
    present = [item for part in parts if (item := _present(case, part)) is not None]
    if not present:
        if wanted.isdisjoint(parts):
            return ()
        return (Found(names, None, f"The case has no {' and no '.join(parts)}, which the goals name"),)
    if len(present) < len(parts):
        missing = " and ".join(part for part in parts if _present(case, part) is None)
        return (Found(names, None, f"The model is about {names.replace('+', ' and ')} together; {missing} is missing"),)
    voxels = present[0].voxels
    for item in present[1:]:
        voxels = voxels.union(item.voxels)
    if not row.minus_target:
        return (Found(names, voxels),)
    for kind in TUMOUR_TYPES:
        tumours = [item for item in case.targets if item.tg263.upper().startswith(kind)]
        if tumours:
            rest = without(voxels, [item.voxels for item in tumours])
            taken = ", ".join(item.tg263 for item in tumours)
            if rest.empty:
                return (Found(names, None, f"Nothing of {names} is left without {taken}"),)
            return (Found(names, rest, remark=f"without {taken}"),)
    return (Found(names, voxels, remark="no GTV or CTV to take out"),)


def without(voxels: VoxelSet, others: list[VoxelSet]) -> VoxelSet:
    """`voxels` less what the others fill of each voxel, as if both filled it side by side only where they must."""
    fraction = voxels.fraction.copy()
    for other in others:
        shared, mine, theirs = np.intersect1d(voxels.index, other.index, assume_unique=True, return_indices=True)
        if shared.size:
            fraction[mine] = np.minimum(fraction[mine], 1 - other.fraction[theirs])
    inside = fraction > 0
    return VoxelSet(voxels.index[inside], fraction[inside])


def _present(case: Case, name: str) -> Structure | None:
    structure = case.structure(name)
    usable = structure is not None and structure.kind is not StructureKind.SUPPORT and not structure.voxels.empty
    return structure if usable else None
