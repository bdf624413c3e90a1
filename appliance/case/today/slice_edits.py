"""What one edit makes of the slices of one structure. Nothing here knows of other structures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.case.today.drawn import Drawn, Loops
from appliance.case.today.edit_checks import (
    checked_mask,
    checked_points,
    checked_polygon,
    checked_radius,
    checked_slice,
)
from appliance.contracts.contour_edit import (
    AddBrush,
    AddPolygon,
    CopySlice,
    DeleteSlice,
    Interpolate,
    ReplaceByMask,
    ReplaceSlice,
    SliceEdit,
    SmoothSlice,
    SubtractBrush,
    SubtractPolygon,
)
from appliance.errors import RefusedContourEdit
from engines.contouring import loops_between
from engines.contouring.borders import border_outline
from engines.contouring.shapes import (
    Area,
    area_mm2,
    area_of,
    common,
    cut,
    image_area,
    is_same,
    joined,
    loops_of,
    smoothed,
    stroke,
    without_crumbs,
)
from engines.contouring.trace import LEAST_PIXELS
from engines.grid import Grid
from engines.grid.rasterise import shoelace_area_mm2

DRAW_FIRST = "Draw it there first"
OnSlices = AddPolygon | SubtractPolygon | AddBrush | SubtractBrush | ReplaceSlice | ReplaceByMask | SmoothSlice


@dataclass(frozen=True)
class Redrawn:
    """loops: of every slice that the edit changes, none where it leaves nothing. crumbs_mm2: area of parts and holes
    that came out smaller than LEAST_PIXELS and were left out."""

    loops: dict[int, Loops]
    crumbs_mm2: float = 0.0


def redrawn_slices(drawn: Drawn, edit: SliceEdit, grid: Grid) -> Redrawn:
    """Raises RefusedContourEdit where the edit makes no sense on these slices."""
    match edit:
        case DeleteSlice():
            index = checked_slice(edit.z_mm, grid)
            _must_have(drawn.loops(index), edit.structure, edit.z_mm)
            return Redrawn({index: ()})
        case CopySlice():
            return Redrawn({checked_slice(edit.z_mm, grid): _copied(drawn, edit, grid)})
        case Interpolate():
            return Redrawn(_interpolated(drawn, edit, grid))
        case _:
            return _one_slice(drawn, edit, grid)


def _one_slice(drawn: Drawn, edit: OnSlices, grid: Grid) -> Redrawn:
    index = checked_slice(edit.z_mm, grid)
    before = drawn.shape(index, grid)
    area = common(_area(edit, before, grid), image_area(grid))
    least_mm2 = LEAST_PIXELS * grid.spacing_mm[0] * grid.spacing_mm[1]
    # Parts that small may have been drawn on purpose; where there were some, none is left out.
    held_small = any(abs(shoelace_area_mm2(loop)) < least_mm2 for loop in before)
    clean = area if held_small else without_crumbs(area, least_mm2)
    if is_same(clean, area_of(before)):
        return Redrawn({})
    return Redrawn({index: loops_of(clean)}, area_mm2(cut(area, clean)) + area_mm2(cut(clean, area)))


def _area(edit: OnSlices, before: Loops, grid: Grid) -> Area:
    match edit:
        case AddPolygon():
            return joined(area_of(before), area_of([checked_polygon(edit.points_mm, grid)]))
        case SubtractPolygon():
            return cut(area_of(before), area_of([checked_polygon(edit.points_mm, grid)]))
        case AddBrush():
            return joined(area_of(before), _stroke(edit, grid))
        case SubtractBrush():
            return cut(area_of(before), _stroke(edit, grid))
        case ReplaceSlice():
            return area_of([checked_polygon(loop, grid) for loop in edit.loops_mm])
        case ReplaceByMask():
            spacing, origin = np.array(grid.spacing_mm[:2]), np.array(grid.origin_mm[:2])
            return area_of([loop * spacing + origin for loop in border_outline(checked_mask(edit, grid))])
        case SmoothSlice():
            radius_mm = checked_radius(edit.radius_mm)
            _must_have(before, edit.structure, edit.z_mm)
            area = smoothed(area_of(before), radius_mm)
            if area.is_empty:
                raise RefusedContourEdit(
                    f"smoothing with {radius_mm:g} mm would leave nothing of it on this slice",
                    remedy="Choose a smaller radius",
                )
            return area


def _stroke(edit: AddBrush | SubtractBrush, grid: Grid) -> Area:
    return stroke(checked_points(edit.points_mm, grid), checked_radius(edit.radius_mm))


def _copied(drawn: Drawn, edit: CopySlice, grid: Grid) -> Loops:
    source = checked_slice(edit.from_z_mm, grid)
    if source == checked_slice(edit.z_mm, grid):
        raise RefusedContourEdit("a slice cannot be copied onto itself", remedy="Choose another slice")
    loops = drawn.shape(source, grid)
    _must_have(loops, edit.structure, edit.from_z_mm)
    return loops


def _interpolated(drawn: Drawn, edit: Interpolate, grid: Grid) -> dict[int, Loops]:
    ends_mm = sorted((edit.z_mm, edit.to_z_mm))
    low, high = (checked_slice(z_mm, grid) for z_mm in ends_mm)
    if high - low < 2:
        raise RefusedContourEdit("there is no slice between these two", remedy="Choose slices further apart")
    for index, z_mm in zip((low, high), ends_mm, strict=True):
        _must_have(drawn.loops(index), edit.structure, z_mm)
    between = range(low + 1, high)
    weights = [(index - low) / (high - low) for index in between]
    shapes = loops_between(drawn.loops(low), drawn.loops(high), weights, grid)
    if not all(shapes):
        raise RefusedContourEdit(
            "the outlines of the two slices do not lie over each other", remedy="Draw a slice between them first"
        )
    return {index: loops_of(area_of(shape)) for index, shape in zip(between, shapes, strict=True)}


def _must_have(loops: Loops, structure: str, z_mm: float) -> None:
    if not loops:
        raise RefusedContourEdit(f"{structure} has no contour at z = {z_mm:g} mm", remedy=DRAW_FIRST)
