"""What stands around the isocentre: points of the patient, of supports that were contoured, and of a couch that was
not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, Structure, StructureKind
from appliance.contracts.machine_view import MachineSolids
from engines.clearance import box_points, outline_points
from engines.grid import Grid
from engines.photon.frame import beam_frame

Array = NDArray[np.float64]
COUCH_LENGTH_MM = 2000.0
"""How far the couch goes on away from the gantry (chosen: further than a head or bore could meet it)."""
EDGE_VOXELS = 1.0
"""An outline that comes this near to the border of the image, in voxels, counts as cut by it (chosen)."""
HALF = 0.5


@dataclass(frozen=True, eq=False)
class Thing:
    """points_mm (n, 3) in LPS."""

    what: str
    points_mm: Array
    margin_mm: float


@dataclass(frozen=True, eq=False)
class Room:
    """cut: names of the sides at which the image cuts the patient off, each with the position of the cut, as sentences
    need it: (side, unit vector outwards in LPS, mm along it)."""

    things: tuple[Thing, ...]
    cut: tuple[tuple[str, tuple[float, float, float], float], ...]
    limits: tuple[str, ...]


SIDES = (("right", "left", 0), ("anterior", "posterior", 1), ("inferior", "superior", 2))


def room_of(case: Case, solids: MachineSolids) -> Room:
    """Patient, supports and couch of a case. The couch top is a slab directly under the lowest point of the External,
    as wide and at least as thick as the machine file says, down to the lowest point of contoured supports, along the
    whole image and on beyond it away from the gantry; its middle is that of the supports, without any that of the
    patient."""
    grid = case.image.grid
    patient = surface_points(case.external, grid)
    supports = [s for s in case.structures if s.kind is StructureKind.SUPPORT and (s.contours or not s.voxels.empty)]
    things = [Thing("patient", patient, solids.patient_margin_mm)]
    things += [Thing(s.tg263, surface_points(s, grid), solids.couch_margin_mm) for s in supports]
    held = np.concatenate([thing.points_mm for thing in things[1:]]) if supports else None
    couch = _couch(case, patient, held, solids)
    things.append(Thing("couch", couch, solids.couch_margin_mm))
    named = ", ".join(s.tg263 for s in supports)
    limits = [
        "the couch top is taken as a slab of the machine file directly under the patient"
        + (f", in the middle of {named} and down to its lowest point" if supports else ", in the middle of the patient")
        + "; it ends where the image ends towards the gantry",
        "imaging arms, the gantry's body, accessories and what lies on the patient without a contour are not looked at",
    ]
    return Room(tuple(things), _cuts(patient, grid), tuple(limits))


def surface_points(structure: Structure, grid: Grid) -> Array:
    """(n, 3) LPS: its contours, or without any the border voxels of its mask."""
    if structure.contours:
        loops = [(contour.z_mm, contour.points_mm) for contour in structure.contours]
        return outline_points(loops, grid.spacing_mm[2])
    solid = structure.voxels.fraction >= HALF
    if not solid.any():
        return grid.centres_mm(structure.voxels.index).astype(np.float64)
    z, y, x = np.unravel_index(structure.voxels.index[solid], grid.shape)
    low = [int(axis.min()) for axis in (z, y, x)]
    mask = np.zeros([int(axis.max()) - start + 3 for axis, start in zip((z, y, x), low, strict=True)], np.bool_)
    own = tuple(axis - start + 1 for axis, start in zip((z, y, x), low, strict=True))
    mask[own] = True
    inner = mask.copy()
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(mask, step, axis=axis)
    border = ~inner[own]
    return grid.centres_mm(np.ravel_multi_index((z, y, x), grid.shape)[border]).astype(np.float64)


def _couch(case: Case, patient: Array, held: Array | None, solids: MachineSolids) -> Array:
    table = beam_frame((0.0, 0.0, 0.0), 0.0, patient_position=case.patient_position)
    axes = np.stack([table.ex, table.ey, table.ez])
    lying = patient @ axes.T
    middle = lying if held is None else held @ axes.T
    x = float(middle[:, 0].min() + middle[:, 0].max()) / 2
    top = float(lying[:, 2].min())
    bottom = min(top - solids.couch_thickness_mm, np.inf if held is None else float(middle[:, 2].min()))
    grid = case.image.grid
    half = np.array(grid.spacing_mm) / 2
    low = np.array(grid.origin_mm) - half
    high = low + np.array(grid.spacing_mm) * np.array(grid.shape[::-1])
    end = float(max(low @ table.ey, high @ table.ey)) if abs(table.ey[2]) > 0.5 else float(lying[:, 1].max())
    width = solids.couch_width_mm / 2
    return np.asarray(box_points((x - width, end - COUCH_LENGTH_MM, bottom), (x + width, end, top)) @ axes)


def _cuts(patient: Array, grid: Grid) -> tuple[tuple[str, tuple[float, float, float], float], ...]:
    found = []
    for lower_name, upper_name, axis in SIDES:
        step = grid.spacing_mm[axis]
        low = grid.origin_mm[axis] - step / 2
        high = low + step * grid.shape[2 - axis]
        unit = [0.0, 0.0, 0.0]
        for name, sign, edge, reached in (
            (lower_name, -1.0, low, float(patient[:, axis].min()) - low),
            (upper_name, 1.0, high, high - float(patient[:, axis].max())),
        ):
            if reached < EDGE_VOXELS * step:
                unit[axis] = sign
                found.append((name, (unit[0], unit[1], unit[2]), sign * edge))
    return tuple(found)
