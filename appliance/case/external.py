"""The patient's outline: found on the CT where the structure set has none, and what targets must not do to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.case.hounsfield import AIR_BELOW_HU
from appliance.contracts import Contour, Image, Structure, StructureKind
from appliance.contracts.origin import ContourOrigin, Origin
from appliance.errors import InconsistentCase
from engines.contouring.borders import border_outline
from engines.grid import VoxelSet

EXTERNAL = "External"
METHOD = "body above air"
"""How an outline that is found here was made, for its origin."""

MOST_OUTSIDE = 0.05
"""Largest share of a target's volume outside the body before the case is refused; chosen, because margins near the skin
reach out a little and a target drawn on another image reaches out a lot."""

NOTED_OUTSIDE = 0.002
"""Share from which it is noted; chosen above what two outlines of one skin differ by at partial voxels."""


def derive_external(image: Image, number: int) -> Structure:
    """The largest connected part above AIR_BELOW_HU (neighbours by faces), holes filled slice by slice, as whole
    voxels with contours along their borders. A couch that touches the skin belongs to it.

    Raises InconsistentCase `external.none` if there is nothing that dense or the image is no CT."""
    if image.modality != "CT":
        raise _no_external()
    parts, count = ndimage.label(image.hu > AIR_BELOW_HU)
    if count == 0:
        raise _no_external()
    sizes = np.bincount(parts.reshape(-1))
    sizes[0] = 0
    body = parts == sizes.argmax()
    del parts
    contours: list[Contour] = []
    _, _, z_mm = image.grid.axes_mm()
    spacing, origin = np.array(image.grid.spacing_mm[:2]), np.array(image.grid.origin_mm[:2])
    for index in range(len(body)):
        body[index] = _without_holes(body[index])
        contours.extend(Contour(float(z_mm[index]), loop * spacing + origin) for loop in border_outline(body[index]))
    return Structure(
        number=number,
        name=EXTERNAL,
        tg263=EXTERNAL,
        kind=StructureKind.EXTERNAL,
        contours=tuple(contours),
        voxels=VoxelSet.from_dense(body.astype(np.float32)),
        colour_rgb=(0, 255, 0),
        origin=ContourOrigin(Origin.SEGMENTED, METHOD),
    )


def _without_holes(plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What does not hang together with the rim by faces is filled: binary_fill_holes, but in one pass."""
    around = np.pad(~plane, 1, constant_values=True)
    parts, _ = ndimage.label(around)
    return np.asarray(parts[1:-1, 1:-1] != parts[0, 0], np.bool_)


def _no_external() -> InconsistentCase:
    return InconsistentCase(
        "it has no External, and none can be found on the image",
        what="The structure set",
        remedy="Outline the patient and send the structure set again",
        rule="external.none",
    )


def check_targets_inside(structures: Sequence[Structure], external: Structure) -> tuple[str, ...]:
    """Notes on targets that reach slightly outside the body. Raises InconsistentCase `target.outside` for one that
    reaches out by more than MOST_OUTSIDE of its volume."""
    notes = []
    for target in structures:
        if target.kind is not StructureKind.TARGET:
            continue
        share = share_outside(target.voxels, external.voxels)
        if share > MOST_OUTSIDE:
            raise InconsistentCase(
                f"{share:.0%} of the target {target.name} lies outside the body",
                what="The structure set",
                remedy="Check that it was drawn on today's image, correct the target or the External, and send again",
                rule="target.outside",
            )
        if share > NOTED_OUTSIDE:
            notes.append(f"{share:.1%} of the target {target.name} lies outside the body")
    return tuple(notes)


def share_outside(part: VoxelSet, whole: VoxelSet) -> float:
    """Share of `part` by which its voxels' fractions pass those of `whole`: 0 inside, 1 outside."""
    if part.empty:
        return 0.0
    beyond = part.difference(whole).fraction.sum(dtype=np.float64)
    return float(beyond / part.fraction.sum(dtype=np.float64))
