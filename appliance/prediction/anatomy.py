"""From a case and its goals to what the dose network is told of the patient, and from its dose back to the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, GoalSet, StructureKind
from appliance.errors import InconsistentCase
from appliance.prediction.network_grid import NetworkGrid
from engines.dose_features import Anatomy, AnatomyError, Layout
from engines.dose_features.possible import possible_dose
from engines.grid import Grid, VoxelSet

Mask = NDArray[np.bool_]

WHOLE_ENOUGH = 0.5
"""Share of a voxel from which on a structure has it."""

_REMEDY = "Correct the contours or the prescription; a plan can be made without a prediction"


@dataclass(frozen=True, eq=False)
class NetworkAnatomy:
    """anatomy: on `grid`, the network's, cropped to where dose is possible; image_grid: the case's. notes: what was
    done to get there, in sentences for a reader."""

    anatomy: Anatomy
    grid: Grid
    image_grid: Grid
    notes: tuple[str, ...]
    _network: NetworkGrid
    _corner: tuple[int, int, int]
    _body: Mask | None

    def to_image(self, volume: NDArray[np.floating]) -> NDArray[np.float32]:
        """A volume (z, y, x) on `grid` (Features.to_image gives it) on the image's grid: zero where dose is impossible,
        trilinear where the grids differ, and then zero outside the External too."""
        back = self._network.to_image(volume, self._corner, self.anatomy.possible)
        return back if self._body is None else np.where(self._body, back, np.float32(0))


def network_anatomy(
    case: Case, goal_set: GoalSet | None = None, *, layout: Layout | None = None, possible: Mask | None = None
) -> NetworkAnatomy:
    """What the network is told of a case.

    Targets and their doses are the goal set's prescription, without one the case's. Organs are the case's structures
    by their TG-263 names; those the layout does not name become "other". A structure has a voxel of which it fills at
    least half. Dose is possible in the External, without air around it, as far as the layout's beams reach
    (engines/dose_features/possible.py). possible: a mask (z, y, x) on the image's grid instead of that.

    Raises InconsistentCase, rules `prediction.*`: no target, a target without a voxel on the network's grid or wholly
    outside the body, and what else Anatomy refuses."""
    layout = layout or Layout()
    network = NetworkGrid.over(case.image.grid)
    targets = _targets(case, goal_set, network)
    organs = _organs(case, network)
    has_ct = case.image.modality == "CT"
    ct = network.ct(case.image.hu) if has_ct else None
    spacing = network.grid.spacing_mm[::-1]
    if possible is None:
        body = network.share(case.external.voxels) >= WHOLE_ENOUGH
        union = np.logical_or.reduce([mask for _, mask in targets])
        known = possible_dose(body, union, ct, spacing, layout.gantry_deg)
    else:
        known = _on_network(possible, network)
    if not known.any():
        raise _refused("possible.empty", "no voxel of the body can be reached by beams on its targets")
    corner, box = _box(known)
    cut = {name: np.ascontiguousarray(mask[box]) for name, mask in organs.items()}
    try:
        anatomy = Anatomy(
            possible=np.ascontiguousarray(known[box]),
            organs={name: mask for name, mask in cut.items() if mask.any()},
            targets=[(gy, np.ascontiguousarray(mask[box])) for gy, mask in targets],
            ct_hu=None if ct is None else np.ascontiguousarray(ct[box]),
            spacing_mm=spacing,
            layout=layout,
        )
    except AnatomyError as error:
        raise _refused(error.rule, str(error)) from error
    upper = tuple(low + side for low, side in zip(corner, anatomy.shape, strict=True))
    grid = network.grid.cropped(corner, (upper[0], upper[1], upper[2]))
    outline = None if network.is_image else case.external.voxels.mask(case.image.grid.shape, WHOLE_ENOUGH)
    return NetworkAnatomy(anatomy, grid, case.image.grid, _notes(network, has_ct), network, corner, outline)


def _targets(case: Case, goal_set: GoalSet | None, network: NetworkGrid) -> list[tuple[float, Mask]]:
    """(prescribed Gy, mask on the whole network grid) of each prescribed target that the case has."""
    prescribed: Sequence[tuple[str, float]] = goal_set.prescription if goal_set is not None else ()
    prescribed = prescribed or [(item.structure, item.dose_gy) for item in case.prescription]
    found = []
    for name, dose_gy in prescribed:
        structure = case.structure(name)
        if structure is None:
            continue
        mask = network.share(structure.voxels) >= WHOLE_ENOUGH
        if not mask.any():
            raise _refused("target.empty", f"the target {name} fills no voxel of the network's grid")
        found.append((dose_gy, mask))
    if not found:
        raise _refused("target.none", "none of the prescribed targets is among its structures")
    return found


def _organs(case: Case, network: NetworkGrid) -> dict[str, Mask]:
    made: dict[str, Mask] = {}
    for structure in case.structures:
        if structure.kind is StructureKind.ORGAN:
            mask = network.share(structure.voxels) >= WHOLE_ENOUGH
            made[structure.tg263] = made[structure.tg263] | mask if structure.tg263 in made else mask
    return made


def _on_network(possible: Mask, network: NetworkGrid) -> Mask:
    if network.is_image:
        return possible
    return network.share(VoxelSet.from_dense(possible.astype(np.float32))) >= WHOLE_ENOUGH


def _box(mask: Mask) -> tuple[tuple[int, int, int], tuple[slice, slice, slice]]:
    sides = []
    for axis in range(3):
        seen = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        sides.append(slice(int(seen[0]), int(seen[-1]) + 1))
    z, y, x = sides
    return (z.start, y.start, x.start), (z, y, x)


def _notes(network: NetworkGrid, has_ct: bool) -> tuple[str, ...]:
    notes = []
    if not network.is_image:
        old, new = (" x ".join(f"{s:.3g}" for s in g.spacing_mm) for g in (network.image, network.grid))
        notes.append(f"The prediction was made with voxels of {new} mm; the image's are {old} mm")
    if not has_ct:
        notes.append("The prediction was made without CT values")
    return tuple(notes)


def _refused(rule: str, reason: str) -> InconsistentCase:
    return InconsistentCase(
        reason, what="The case's anatomy for the dose prediction", remedy=_REMEDY, rule=f"prediction.{rule}"
    )
