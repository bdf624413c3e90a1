"""What a prediction is judged by before it is made: the facts of an anatomy, measured on the network's grid.

Arrays are (z, y, x) in DICOM LPS. Everything is measured inside the box around where dose is possible, so that a grid
that is cropped to it gives the same facts as a whole image; only a target's share outside can tell the two apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from engines.anatomy.facts import (
    Mask,
    Spacing,
    box_of,
    centre_mm,
    checked,
    ct_facts,
    extent_mm,
    near_surface,
    organ_facts,
    raggedness,
    share_inside,
    volume_cc,
)

NESTED_SHARE = 0.98
"""A target of a lower prescription that holds at least this share of a higher one was drawn around it: no overlap to
speak of (chosen: two per cent are voxels along a border)."""


@dataclass(frozen=True)
class Treatment:
    """How it is to be treated; None and empty where nothing is said. gantry_deg: of each beam or arc start; arcs: the
    gantry turns while beams are on; coplanar: no couch turn. others: structures that were not handed over, because the
    network does not know them. image_spacing_mm: (z, y, x) of the image, where facts are measured on another grid."""

    fractions: int | None = None
    gantry_deg: tuple[float, ...] = ()
    arcs: bool = False
    coplanar: bool = True
    others: tuple[str, ...] = ()
    image_spacing_mm: Spacing | None = None


@dataclass(frozen=True)
class Overlap:
    """Two targets of different prescriptions that share a volume although neither was drawn around the other."""

    higher_gy: float
    lower_gy: float
    volume_cc: float


@dataclass(frozen=True, eq=False)
class AnatomyFacts:
    """values: every measured number by name, NaN where it cannot be had. organs: whether a contour has voxels, for each
    organ that was handed in. prescribed_gy: distinct, highest first; empty_gy: prescriptions of targets without a
    voxel where dose is possible."""

    values: Mapping[str, float]
    organs: Mapping[str, bool]
    prescribed_gy: tuple[float, ...]
    empty_gy: tuple[float, ...]
    overlaps: tuple[Overlap, ...]
    spacing_mm: Spacing
    has_ct: bool
    treatment: Treatment = field(default_factory=Treatment)

    @staticmethod
    def of(
        possible: Mask,
        organs: Mapping[str, Mask],
        targets: Sequence[tuple[float, Mask]],
        ct_hu: NDArray[np.float32] | None,
        spacing_mm: Spacing,
        treatment: Treatment = Treatment(),
    ) -> AnatomyFacts:
        """Measures masks (z, y, x) of one shape; targets as (prescribed Gy, mask), ct_hu None where there is no CT,
        spacing_mm (z, y, x). Raises EngineError for shapes that differ or a spacing that is not positive."""
        arrays: dict[str, NDArray[np.generic]] = {"possible": possible, **organs}
        arrays |= {f"target {n}": mask for n, (_, mask) in enumerate(targets)}
        checked(arrays if ct_hu is None else arrays | {"ct": ct_hu}, spacing_mm)
        levels = _levels(targets)
        values, empty = _measured(possible, organs, levels, ct_hu, spacing_mm)
        return AnatomyFacts(
            MappingProxyType(values),
            MappingProxyType({name: bool(mask.any()) for name, mask in organs.items()}),
            tuple(levels), empty, _overlaps(levels, spacing_mm), spacing_mm, ct_hu is not None, treatment,
        )  # fmt: skip


def _levels(targets: Sequence[tuple[float, Mask]]) -> dict[float, Mask]:
    """Targets of the same prescription taken together, the highest first."""
    levels: dict[float, Mask] = {}
    for gy, mask in sorted(targets, key=lambda target: -target[0]):
        levels[gy] = levels[gy] | mask if gy in levels else mask.astype(bool)
    return levels


def _measured(
    possible: Mask, organs: Mapping[str, Mask], levels: Mapping[float, Mask], ct_hu: NDArray[np.float32] | None,
    spacing_mm: Spacing,
) -> tuple[dict[str, float], tuple[float, ...]]:  # fmt: skip
    if not possible.any():
        return {}, tuple(levels)
    box = box_of(possible)
    body = possible[box]
    aimed = {gy: mask[box] & body for gy, mask in levels.items()}
    empty = tuple(gy for gy, mask in aimed.items() if not mask.any())
    targets = np.zeros_like(body)
    for mask in aimed.values():
        targets |= mask
    values = {f"body.{name}": value for name, value in _size(body, spacing_mm).items()}
    if not targets.any():
        return values, empty
    centre = centre_mm(targets, spacing_mm)
    values |= {f"targets.{name}": value for name, value in _size(targets, spacing_mm).items()}
    values["targets.raggedness"] = raggedness(targets, spacing_mm)
    values |= _placed(targets, body, centre, spacing_mm)
    values["targets.outside_share"] = _outside(levels, possible)
    highest = next((mask for mask in aimed.values() if mask.any()), targets)
    values["highest.volume_cc"] = volume_cc(highest, spacing_mm)
    values["highest.raggedness"] = raggedness(highest, spacing_mm)
    if ct_hu is not None:
        values |= {f"ct.{name}": value for name, value in ct_facts(body, targets, ct_hu[box]).items()}
    for name, organ in organs.items():
        if organ[box].any():
            found = organ_facts(organ[box], targets, centre, spacing_mm)
            values |= {f"{name}.{fact}": value for fact, value in found.items()}
    return values, empty


def _size(mask: Mask, spacing_mm: Spacing) -> dict[str, float]:
    """How ragged the body is stays out: masks of the training are rougher than external contours are."""
    lengths = {f"length_{axis}_mm": value for axis, value in extent_mm(mask, spacing_mm).items()}
    return {"volume_cc": volume_cc(mask, spacing_mm)} | lengths


def _placed(targets: Mask, body: Mask, centre: NDArray[np.float64], spacing_mm: Spacing) -> dict[str, float]:
    """Where the targets lie in the body."""
    off = centre - centre_mm(body, spacing_mm)
    return {
        "targets.body_share": share_inside(body, targets),
        "targets.surface_share": near_surface(targets, body),
        "targets.body_offset_x_mm": float(off[2]),
        "targets.body_offset_y_mm": float(off[1]),
        "targets.body_offset_z_mm": float(off[0]),
    }


def _outside(levels: Mapping[float, Mask], possible: Mask) -> float:
    """Of all target voxels, the share where dose is impossible."""
    together = np.zeros_like(possible)
    for mask in levels.values():
        together |= mask
    inside = share_inside(together, possible)
    return math.nan if math.isnan(inside) else 1.0 - inside


def _overlaps(levels: Mapping[float, Mask], spacing_mm: Spacing) -> tuple[Overlap, ...]:
    found, every = [], list(levels.items())
    for n, (higher, inner) in enumerate(every):
        for lower, outer in every[n + 1 :]:
            shared = inner & outer
            if shared.any() and share_inside(inner, outer) < NESTED_SHARE:
                found.append(Overlap(higher, lower, volume_cc(shared, spacing_mm)))
    return tuple(found)
