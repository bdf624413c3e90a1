"""What a person may do to the contours of one structure: a closed set of typed edits, each on one slice or between two.
Points are x, y in LPS mm; z_mm is that of an image slice. Who edits, and when, is the session's to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

Point = tuple[float, float]


@dataclass(frozen=True)
class AddPolygon:
    """What a closed outline holds is part of the structure."""

    structure: str
    z_mm: float
    points_mm: tuple[Point, ...]
    kind: Literal["polygon add"] = "polygon add"


@dataclass(frozen=True)
class SubtractPolygon:
    """What a closed outline holds is not part of the structure."""

    structure: str
    z_mm: float
    points_mm: tuple[Point, ...]
    kind: Literal["polygon subtract"] = "polygon subtract"


@dataclass(frozen=True)
class AddBrush:
    """What a disc covers on its way along the points is part of the structure."""

    structure: str
    z_mm: float
    points_mm: tuple[Point, ...]
    radius_mm: float
    kind: Literal["brush add"] = "brush add"


@dataclass(frozen=True)
class SubtractBrush:
    """What a disc covers on its way along the points is not part of the structure."""

    structure: str
    z_mm: float
    points_mm: tuple[Point, ...]
    radius_mm: float
    kind: Literal["brush subtract"] = "brush subtract"


@dataclass(frozen=True)
class ReplaceSlice:
    """The structure is on this slice what these outlines hold by the even-odd rule (one inside another is a hole)."""

    structure: str
    z_mm: float
    loops_mm: tuple[tuple[Point, ...], ...]
    kind: Literal["replace slice"] = "replace slice"


@dataclass(frozen=True)
class ReplaceByMask:
    """The structure is on this slice these pixels of the image. runs: (row, first column, number of pixels); rows grow
    towards posterior, columns towards the patient's left."""

    structure: str
    z_mm: float
    runs: tuple[tuple[int, int, int], ...]
    kind: Literal["replace by mask"] = "replace by mask"


@dataclass(frozen=True)
class DeleteSlice:
    """The structure has no contour on this slice."""

    structure: str
    z_mm: float
    kind: Literal["delete slice"] = "delete slice"


@dataclass(frozen=True)
class CopySlice:
    """The structure is on this slice what it is on another."""

    structure: str
    z_mm: float
    from_z_mm: float
    kind: Literal["copy slice"] = "copy slice"


@dataclass(frozen=True)
class SmoothSlice:
    """Corners and notches that a disc of this radius does not fit into are rounded."""

    structure: str
    z_mm: float
    radius_mm: float
    kind: Literal["smooth slice"] = "smooth slice"


@dataclass(frozen=True)
class Interpolate:
    """All slices between two get the shape on the way from one to the other, whatever they were."""

    structure: str
    z_mm: float
    to_z_mm: float
    kind: Literal["interpolate"] = "interpolate"


@dataclass(frozen=True)
class Release:
    """A structure that follows from another by a rule keeps its shape and follows no more, so that it can be edited."""

    structure: str
    kind: Literal["release"] = "release"


SliceEdit = (
    AddPolygon
    | SubtractPolygon
    | AddBrush
    | SubtractBrush
    | ReplaceSlice
    | ReplaceByMask
    | DeleteSlice
    | CopySlice
    | SmoothSlice
    | Interpolate
)
ContourEdit = SliceEdit | Release

_EDITS: TypeAdapter[tuple[ContourEdit, ...]] = TypeAdapter(
    tuple[Annotated[ContourEdit, Field(discriminator="kind")], ...]
)


def contour_edits_to_json(edits: tuple[ContourEdit, ...]) -> bytes:
    return _EDITS.dump_json(edits)


def contour_edits_from_json(data: bytes | str) -> tuple[ContourEdit, ...]:
    """Raises pydantic.ValidationError for what is no list of edits."""
    return _EDITS.validate_json(data)
