"""How two frames of reference lie to each other, from registration objects: one of them, its way back, or two of them
through an image between.

A deformable object speaks one way only. Its way back is found point by point and checked by going there and back again;
where it cannot be found (a field that folds), the object is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import DeformableSpatialRegistrationStorage

from appliance.case.attributes import items, refused, text
from appliance.case.deformable_registration import WHAT, read_deformable
from appliance.case.spatial_registration import read_registration
from appliance.dicomio.read import read_dataset
from appliance.errors import InconsistentCase
from engines.grid import Grid
from engines.registration import DisplacementField, RigidTransform, composed, inverse_of

Transform = DisplacementField | RigidTransform

LARGEST_RESIDUAL_MM = 1.0
"""There and back again may miss by this (chosen: a third of a dose voxel); what it misses by is added to the
uncertainty."""

BOTH_KINDS = "A deformable and a rigid registration object join the same two images; the deformable one was used"


@dataclass(frozen=True, eq=False)
class Link:
    """to_there: takes points of one frame to the other. objects: how many were put after each other. residual_mm: by
    how much turning round missed, 0 where nothing was turned. origin: in words. notes: what a person must know."""

    to_there: Transform
    objects: int
    residual_mm: float
    origin: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Object:
    path: Path

    @cached_property
    def _told(self) -> tuple[bool, frozenset[str]]:
        dataset = read_dataset(self.path, what="A registration object")
        is_deformable = text(dataset, "SOPClassUID") == str(DeformableSpatialRegistrationStorage)
        sequence, keyword = (
            ("DeformableRegistrationSequence", "SourceFrameOfReferenceUID")
            if is_deformable
            else ("RegistrationSequence", "FrameOfReferenceUID")
        )
        named = {text(item, keyword) for item in items(dataset, sequence)}
        return is_deformable, frozenset({text(dataset, "FrameOfReferenceUID"), *named} - {""})

    @property
    def is_deformable(self) -> bool:
        return self._told[0]

    @property
    def frames(self) -> frozenset[str]:
        return self._told[1]


def link_frames(paths: Sequence[Path], here: str, there: str) -> Link | None:
    """From points of frame `here` to those of `there` (Frame of Reference UIDs); None where these registration objects
    do not lead from one to the other in two steps. A direct way goes first, and a deformable object before a rigid one
    of the same frames.

    Raises InconsistentCase `case.several` for two objects of one kind and frames or for ways through two images,
    RefusedObject `registration.direction` for a field that cannot be turned round, and what reading raises."""
    found = [_Object(path) for path in paths]
    if (link := _direct(found, here, there)) is not None:
        return link
    between = frozenset().union(*(item.frames for item in found)) - {here, there}
    ways = []
    for frame in sorted(between):
        first = _direct(found, here, frame)
        then = None if first is None else _direct(found, frame, there)
        if first is not None and then is not None:
            ways.append(_after(first, then))
    if len(ways) > 1:
        raise _several(f"registration objects lead to it through {len(ways)} other images")
    return ways[0] if ways else None


def _direct(found: Sequence[_Object], here: str, there: str) -> Link | None:
    both = [item for item in found if {here, there} <= item.frames]
    fields, matrices = [], []
    for item in both:
        if not item.is_deformable:
            matrices.append(read_registration(item.path, here, there))
        elif (read := read_deformable(item.path, here, there)) is not None:
            fields.append(Link(read.field, 1, 0.0, "deformable registration object", read.notes))
        elif (back := read_deformable(item.path, there, here)) is not None:
            fields.append(_turned(back.field, back.notes))
    rigid = [RigidTransform(matrix) for matrix in matrices if matrix is not None]
    if len(fields) > 1 or len(rigid) > 1:
        raise _several("several registration objects of one kind join the same two images")
    if fields:
        notes = (*fields[0].notes, *((BOTH_KINDS,) if rigid else ()))
        return Link(fields[0].to_there, 1, fields[0].residual_mm, fields[0].origin, notes)
    return Link(rigid[0], 1, 0.0, "rigid registration object") if rigid else None


def _turned(field: DisplacementField, notes: tuple[str, ...]) -> Link:
    inverse = inverse_of(field, _reached(field))
    residual_mm = float(inverse.residual_mm.max())
    if residual_mm > LARGEST_RESIDUAL_MM:
        raise refused(
            WHAT,
            f"it speaks the other way, and turning it round misses by up to {residual_mm:.1f} mm, so it folds",
            "registration.direction",
            "Send the one whose own frame of reference is that of the image that values are brought to",
        )
    return Link(inverse.field, 1, residual_mm, "deformable registration object, turned round", notes)


def _after(first: Link, then: Link) -> Link:
    origin = f"two registration objects through another image ({first.origin}; {then.origin})"
    notes = tuple(dict.fromkeys((*first.notes, *then.notes)))
    whole = _in_turn(first.to_there, then.to_there)
    return Link(whole, 2, first.residual_mm + then.residual_mm, origin, notes)


def _in_turn(one: Transform, other: Transform) -> Transform:
    """Sampled on the field's grid; where the first is rigid, on the second's, taken back to the first frame."""
    if isinstance(one, DisplacementField):
        second = other if isinstance(other, DisplacementField) else DisplacementField.of_rigid(other, _reached(one))
        return composed(one, second, one.grid)
    if isinstance(other, RigidTransform):
        return RigidTransform(np.asarray(other.matrix @ one.matrix, np.float64))
    middle = np.asarray(other.grid.origin_mm) + 0.5 * np.asarray(other.grid.spacing_mm) * (
        np.asarray(other.grid.shape[::-1]) - 1
    )
    grid = _moved(other.grid, one.inverse.apply(middle) - middle)
    return composed(DisplacementField.of_rigid(one, grid), other, grid)


def _reached(field: DisplacementField) -> Grid:
    """Where the field leads on average: the frames may lie far apart."""
    return _moved(field.grid, field.displacement_mm.mean(axis=(0, 1, 2), dtype=np.float64))


def _moved(grid: Grid, shift_mm: NDArray[np.float64]) -> Grid:
    x, y, z = (float(start + shift) for start, shift in zip(grid.origin_mm, shift_mm, strict=True))
    return Grid((x, y, z), grid.spacing_mm, grid.shape)


def _several(reason: str) -> InconsistentCase:
    return InconsistentCase(
        reason, what="A fraction", remedy="Give the ones that a person has approved", rule="case.several"
    )
