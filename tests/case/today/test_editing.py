"""The desk of contour edits: what an edit does, what follows from it, undo, and what is refused."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.case.gaps import fill_gaps
from appliance.case.today.editing import ContourDesk
from appliance.contracts import Contour, Structure, StructureKind
from appliance.contracts.contour_edit import (
    AddBrush,
    AddPolygon,
    CopySlice,
    DeleteSlice,
    Interpolate,
    Release,
    ReplaceByMask,
    ReplaceSlice,
    SmoothSlice,
    SubtractBrush,
    SubtractPolygon,
)
from appliance.contracts.derived import DerivedRule
from appliance.contracts.origin import ContourOrigin, Origin
from appliance.errors import RefusedContourEdit
from engines.grid import Grid, Margins, VoxelSet, rasterise
from engines.grid.rasterise import even_odd_area_mm2

GRID = Grid((-59.0, -50.0, -24.0), (2.0, 2.0, 3.0), (17, 51, 60))
Z_MM = [float(z) for z in GRID.axes_mm()[2]]
PTV = DerivedRule("PTV", "CTV", Margins.all_round(6.0), 3.0)
CORD = DerivedRule("PRV", "SpinalCord", Margins(3, 3, 3, 3, 0, 0), None)


def rectangle(x0, x1, y0, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


def corners(*box):
    return tuple(map(tuple, rectangle(*box).tolist()))


def structure(number, name, kind, slices, *loops):
    contours = tuple(Contour(Z_MM[index], loop) for index in slices for loop in loops)
    planes = {Z_MM[index]: list(loops) for index in slices}
    voxels, _, _ = fill_gaps(rasterise(planes, GRID), GRID)
    return Structure(number, f"my {name}", name, kind, contours, voxels, (number, 2, 3))


def patient():
    return (
        structure(1, "External", StructureKind.EXTERNAL, range(17), rectangle(-50, 50, -40, 40)),
        structure(2, "CTV", StructureKind.TARGET, range(5, 12), rectangle(-12, 12, -10, 10)),
        structure(3, "SpinalCord", StructureKind.ORGAN, range(2, 15, 2), rectangle(-4, 4, 20, 28)),
        structure(4, "Couch", StructureKind.SUPPORT, range(17), rectangle(-55, 55, 42, 46)),
    )


@pytest.fixture
def desk():
    return ContourDesk(patient(), GRID, (PTV, CORD))


def of(desk, name):
    return next(one for one in desk.structures if one.tg263 == name)


def area(desk, name, z_mm):
    loops = [contour.points_mm for contour in of(desk, name).contours if contour.z_mm == z_mm]
    return even_odd_area_mm2(loops) if loops else 0.0


def digest(desk):
    found = hashlib.sha256()
    for one in desk.structures:
        found.update(f"{one.number} {one.name} {one.tg263} {one.kind} {one.colour_rgb} {one.origin}".encode())
        for contour in one.contours:
            found.update(np.float64(contour.z_mm).tobytes() + contour.points_mm.tobytes())
        found.update(one.voxels.index.tobytes() + one.voxels.fraction.tobytes())
    return found.hexdigest()


def as_read(one):
    """The voxels that a structure set of these contours is read with."""
    planes = {}
    for contour in one.contours:
        planes.setdefault(contour.z_mm, []).append(contour.points_mm)
    return fill_gaps(rasterise(planes, GRID), GRID)[0]


EDITS = (
    AddPolygon("CTV", 0.0, corners(8, 20, -6, 6)),
    SubtractBrush("CTV", 0.0, ((-12.0, 0.0), (-6.0, 3.0)), 4.0),
    AddBrush("SpinalCord", 6.0, ((0.0, 24.0),), 7.0),
    ReplaceSlice("CTV", 3.0, (corners(-15, 15, -12, 12), corners(-3, 3, -3, 3))),
    SmoothSlice("CTV", 3.0, 2.5),
    CopySlice("CTV", 12.0, 9.0),
    DeleteSlice("CTV", -6.0),
    Interpolate("CTV", -9.0, 3.0),
    ReplaceByMask("SpinalCord", 0.0, ((34, 27, 6), (35, 27, 6), (36, 28, 4))),
    SubtractPolygon("External", 0.0, corners(30, 45, -45, -20)),
)


def test_what_is_not_edited_is_what_came(desk):
    came = {one.tg263: one for one in patient()}
    desk.apply(EDITS[0])
    assert [one.tg263 for one in desk.structures] == ["External", "CTV", "SpinalCord", "Couch", "PTV", "PRV"]
    for name in ("External", "SpinalCord", "Couch"):
        assert of(desk, name).voxels.index.tobytes() == came[name].voxels.index.tobytes()
    assert (of(desk, "CTV").number, of(desk, "CTV").name, of(desk, "CTV").colour_rgb) == (2, "my CTV", (2, 2, 3))


def test_a_polygon_is_added_and_taken_away_by_hand(desk):
    change = desk.apply(EDITS[0])
    assert area(desk, "CTV", 0.0) == pytest.approx(24 * 20 + 8 * 12)
    assert change.names == ("CTV", "PTV") and change.slices["CTV"] == (8,)
    assert change.slices["PTV"] == (7, 8, 9)
    desk.apply(SubtractPolygon("CTV", 0.0, EDITS[0].points_mm))
    assert area(desk, "CTV", 0.0) == pytest.approx(24 * 20 - 4 * 12)


def test_a_brush_draws_discs_along_its_way(desk):
    desk.apply(AddBrush("CTV", 0.0, ((40.0, 0.0),), 5.0))
    assert area(desk, "CTV", 0.0) == pytest.approx(480 + np.pi * 25, rel=0.002)
    desk.apply(SubtractBrush("CTV", 0.0, ((-20.0, 0.0), (20.0, 0.0)), 5.0))
    assert area(desk, "CTV", 0.0) == pytest.approx(480 - 240 + np.pi * 25, rel=0.002)


def test_an_edit_beside_the_structure_changes_nothing(desk):
    before = digest(desk)
    change = desk.apply(SubtractBrush("CTV", 0.0, ((35.0, 30.0),), 5.0), by="Meier")
    assert (change.names, change.notes) == ((), ())
    assert digest(desk) == before and len(desk.edits) == 1


def test_voxels_are_those_that_the_contours_are_read_with(desk):
    for edit in EDITS:
        change = desk.apply(edit)
        assert edit.structure in change.names
        for one in change.structures:
            read = as_read(one)
            np.testing.assert_array_equal(one.voxels.index, read.index)
            np.testing.assert_allclose(one.voxels.fraction, read.fraction, atol=1e-6)


def test_derived_structures_are_as_if_derived_whole(desk):
    for edit in EDITS:
        desk.apply(edit)
    plain = [one for one in desk.structures if one.tg263 not in ("PTV", "PRV")]
    whole = ContourDesk(plain, GRID, (PTV, CORD))
    for name in ("PTV", "PRV"):
        one, other = of(desk, name), of(whole, name)
        assert one.voxels.fraction.tobytes() == other.voxels.fraction.tobytes()
        assert [c.points_mm.tobytes() for c in one.contours] == [c.points_mm.tobytes() for c in other.contours]


def test_undo_and_redo_are_exact(desk):
    states = [digest(desk)]
    for edit in EDITS:
        desk.apply(edit, by="A", at_utc="2026-11-28T10:00:00Z")
        states.append(digest(desk))
    assert len(set(states)) == len(states)
    for state in reversed(states[:-1]):
        desk.undo()
        assert digest(desk) == state
    assert desk.edits == ()
    with pytest.raises(RefusedContourEdit, match="no edit to undo"):
        desk.undo()
    for state in states[1:]:
        desk.redo()
        assert digest(desk) == state
    with pytest.raises(RefusedContourEdit, match="no edit to redo"):
        desk.redo()


def test_the_same_edits_give_the_same_bytes(desk):
    for edit in EDITS[:4]:
        desk.apply(edit)
    desk.undo()
    desk.apply(EDITS[5])
    again = ContourDesk(patient(), GRID, (PTV, CORD))
    for edit in desk.edits:
        again.apply(edit)
    assert digest(again) == digest(desk) and len(desk.edits) == 4


def test_an_edit_after_undo_forgets_what_was_undone(desk):
    desk.apply(EDITS[0])
    desk.undo()
    desk.apply(EDITS[1])
    with pytest.raises(RefusedContourEdit):
        desk.redo()


def test_a_deleted_slice_between_others_is_filled_as_it_will_be_read(desk):
    change = desk.apply(DeleteSlice("CTV", 0.0))
    assert area(desk, "CTV", 0.0) == 0.0
    assert change.notes == ("CTV: slices without contour, filled in between their neighbours: 1",)
    assert (of(desk, "CTV").voxels.index // (51 * 60) == 8).sum() > 0
    assert "PTV" not in change.names or change.slices["PTV"]


def test_a_structure_ends_where_its_last_slice_was(desk):
    desk.apply(DeleteSlice("CTV", 9.0))
    assert max(contour.z_mm for contour in of(desk, "CTV").contours) == 6.0
    assert max(contour.z_mm for contour in of(desk, "PTV").contours) == 6.0 + 6.0


def test_interpolation_draws_what_lies_between(desk):
    desk.apply(ReplaceSlice("CTV", 0.0, (corners(-20, 20, -18, 18),)))
    change = desk.apply(Interpolate("CTV", 0.0, 9.0))
    assert change.slices["CTV"] == (9, 10)
    areas = [area(desk, "CTV", z) for z in (0.0, 3.0, 6.0, 9.0)]
    assert areas == sorted(areas, reverse=True) and areas[1] == pytest.approx(1440 - 320, rel=0.15)


def test_the_target_is_cropped_to_the_body_and_follows_it(desk):
    desk.apply(AddPolygon("CTV", 0.0, corners(12, 48, -5, 5)))

    def right():
        return max(c.points_mm[:, 0].max() for c in of(desk, "PTV").contours if c.z_mm == 0.0)

    assert right() == pytest.approx(47.0, abs=0.2)
    change = desk.apply(SubtractPolygon("External", 0.0, corners(40, 55, -41, 41)))
    assert change.names == ("External", "PTV")
    assert right() == pytest.approx(37.0, abs=0.2)


def test_origins_say_who_and_of_what(desk):
    marked = [
        Structure(**{**vars(one), "origin": ContourOrigin(Origin.PROPAGATED_DEFORMABLE, "b-spline")})
        for one in patient()
    ]
    desk = ContourDesk(marked, GRID, (PTV,))
    assert desk.made_at_start == ("PTV",)
    assert of(desk, "PTV").origin == ContourOrigin(Origin.DERIVED, from_="CTV + 6 mm in External - 3 mm")
    for _ in range(2):
        desk.apply(EDITS[1], by="Meier", at_utc="2026-11-28T10:00:00Z")
    edited = ContourOrigin(Origin.EDITED, "Meier", "2026-11-28T10:00:00Z", "propagated_deformable")
    assert of(desk, "CTV").origin == edited
    assert of(desk, "PTV").origin == ContourOrigin(
        Origin.DERIVED, "Meier", "2026-11-28T10:00:00Z", "CTV + 6 mm in External - 3 mm"
    )
    assert of(desk, "SpinalCord").origin.kind is Origin.PROPAGATED_DEFORMABLE
    assert ContourDesk(desk.structures, GRID, (PTV,)).made_at_start == ()


def test_a_derived_structure_is_edited_once_it_is_released(desk):
    edit = AddBrush("PTV", 0.0, ((20.0, 20.0),), 6.0)
    with pytest.raises(RefusedContourEdit, match=r"PTV follows from CTV .*Edit CTV, or release PTV"):
        desk.apply(edit)
    released = desk.apply(Release("PTV"), by="Meier")
    assert (released.names, released.slices) == (("PTV",), {"PTV": ()})
    assert of(desk, "PTV").origin == ContourOrigin(Origin.EDITED, "Meier", from_="derived")
    assert ContourDesk(desk.structures, GRID, (PTV, CORD)).rules == (CORD,)
    assert desk.apply(edit).names == ("PTV",)
    assert desk.apply(EDITS[0]).names == ("CTV",)
    with pytest.raises(RefusedContourEdit, match="follows from no other"):
        desk.apply(Release("PTV"))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (AddPolygon("Heart", 0.0, corners(0, 5, 0, 5)), "no structure Heart"),
        (AddPolygon("CTV", 1.2, corners(0, 5, 0, 5)), "no slice of the image"),
        (AddPolygon("CTV", 300.0, corners(0, 5, 0, 5)), "no slice of the image"),
        (AddPolygon("CTV", float("nan"), corners(0, 5, 0, 5)), "no slice of the image"),
        (AddPolygon("CTV", 0.0, ((0, 0), (9, 9), (9, 0), (0, 9))), "crosses itself"),
        (AddPolygon("CTV", 0.0, ((0, 0), (9, 9), (12, 0), (0, 9))), "crosses itself"),
        (AddPolygon("CTV", 0.0, ((0, 0), (5, 5))), "2 points where at least 3"),
        (AddPolygon("CTV", 0.0, ((0, 0), (5, 5), (0, 0))), "encloses nothing"),
        (AddPolygon("CTV", 0.0, ((0, 0), (5, 5), (70, 0))), "outside the image"),
        (AddPolygon("CTV", 0.0, ((0, 0), (5, 5), (float("inf"), 0))), "not a number"),
        (AddBrush("CTV", 0.0, (), 4.0), "0 points"),
        (AddBrush("CTV", 0.0, ((0, 0),), 0.0), "a radius of 0 mm"),
        (AddBrush("CTV", 0.0, ((0, 0),), -2.0), "a radius of -2 mm"),
        (AddBrush("CTV", 0.0, ((0, 0),), 500.0), "a radius of 500 mm"),
        (ReplaceByMask("CTV", 0.0, ((51, 0, 3),)), "outside the image"),
        (ReplaceByMask("CTV", 0.0, ((5, 58, 3),)), "outside the image"),
        (ReplaceByMask("CTV", 0.0, ((5, 5, 0),)), "outside the image"),
        (DeleteSlice("CTV", 21.0), "no contour at z = 21 mm"),
        (DeleteSlice("SpinalCord", -15.0), "no contour at z = -15 mm"),
        (CopySlice("CTV", 0.0, 21.0), "no contour at z = 21 mm"),
        (CopySlice("CTV", 0.0, 0.0), "onto itself"),
        (Interpolate("CTV", 0.0, 3.0), "no slice between"),
        (Interpolate("CTV", 0.0, 21.0), "no contour at z = 21 mm"),
        (SmoothSlice("CTV", 0.0, 30.0), "would leave nothing"),
        (SmoothSlice("CTV", 21.0, 3.0), "no contour at z = 21 mm"),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(desk, edit, reason):
    before = digest(desk)
    with pytest.raises(RefusedContourEdit, match=reason):
        desk.apply(edit)
    assert digest(desk) == before and desk.edits == ()


@pytest.mark.parametrize("name", ["External", "CTV"])
def test_neither_body_nor_target_may_vanish(name):
    whole = structure(1, "External", StructureKind.EXTERNAL, range(17), rectangle(-50, 50, -40, 40))
    thin = structure(1, "External", StructureKind.EXTERNAL, [8], rectangle(-50, 50, -40, 40))
    target = structure(2, "CTV", StructureKind.TARGET, [8], rectangle(-12, 12, -10, 10))
    desk = ContourDesk((thin if name == "External" else whole, target), GRID)
    with pytest.raises(RefusedContourEdit, match=f"nothing would be left of {name}"):
        desk.apply(DeleteSlice(name, 0.0))


def test_a_target_stays_in_the_body(desk):
    """Of 480 mm2 on each of 7 slices: 20 x 10 mm beyond the skin are 5.3 % of what there is then, 10 x 10 mm 2.8 %."""
    outside = AddPolygon("CTV", 0.0, corners(50, 59.9, -10, 10))
    with pytest.raises(RefusedContourEdit, match="of the target CTV would lie outside the body"):
        desk.apply(outside)
    desk.apply(AddPolygon("CTV", 0.0, corners(50, 59.9, -5, 5)))
    with pytest.raises(RefusedContourEdit, match="of the target CTV would lie outside the body"):
        desk.apply(SubtractPolygon("External", 0.0, corners(0, 55, -41, 41)))


def test_an_organ_may_vanish_and_that_is_said(desk):
    organ = structure(9, "Bowel", StructureKind.ORGAN, [8], rectangle(-4, 4, 20, 28))
    desk = ContourDesk((*patient(), organ), GRID)
    change = desk.apply(DeleteSlice("Bowel", 0.0))
    assert change.notes == ("Bowel has no contours any more",)
    assert of(desk, "Bowel").voxels.empty and of(desk, "Bowel").contours == ()


def test_crumbs_are_left_out_and_said(desk):
    change = desk.apply(SubtractPolygon("CTV", 0.0, corners(-13, 11.99, -11, 11)))
    assert "too small to keep" in change.notes[0]
    assert area(desk, "CTV", 0.0) == 0.0


def test_rules_that_cannot_be_followed():
    for rules, reason in (
        ((DerivedRule("PTV", "GTV", Margins.all_round(5.0)),), "no structure GTV"),
        ((PTV, PTV), "two rules"),
        ((DerivedRule("A", "B", Margins.all_round(5.0)), DerivedRule("B", "A", Margins.all_round(5.0))), "each other"),
    ):
        with pytest.raises(RefusedContourEdit, match=reason):
            ContourDesk(patient(), GRID, rules)


def test_a_rule_of_a_rule_follows_too():
    ring = DerivedRule("Ring", "PTV", Margins.all_round(4.0))
    desk = ContourDesk(patient(), GRID, (ring, PTV))
    assert [rule.name for rule in desk.rules] == ["PTV", "Ring"]
    assert desk.apply(EDITS[0]).names == ("CTV", "PTV", "Ring")


polygons = st.tuples(
    st.floats(-25, 20), st.floats(-20, 15), st.floats(2, 25), st.floats(2, 20), st.sampled_from([-3.0, 0.0, 3.0])
)


@settings(deadline=None, max_examples=25)
@given(polygons)
def test_adding_and_subtracting_leaves_what_the_polygon_does_not_touch(polygon):
    x, y, width, height, z_mm = polygon
    desk = ContourDesk(patient(), GRID)
    points = corners(x, x + width, y, y + height)
    across = max(0.0, min(12, x + width) - max(-12, x)) * max(0.0, min(10, y + height) - max(-10, y))
    desk.apply(AddPolygon("CTV", z_mm, points))
    assert area(desk, "CTV", z_mm) == pytest.approx(480 + width * height - across, abs=0.02)
    desk.apply(SubtractPolygon("CTV", z_mm, points))
    assert area(desk, "CTV", z_mm) == pytest.approx(480 - across, abs=1.0)  # crumbs under a square mm may go


def test_nothing_is_no_voxels():
    nothing = VoxelSet(np.zeros(0, np.int32), np.zeros(0, np.float32))
    empty = Structure(7, "Empty", "Empty", StructureKind.ORGAN, (), nothing)
    desk = ContourDesk((*patient(), empty), GRID)
    assert desk.apply(AddBrush("Empty", 0.0, ((0.0, 0.0),), 5.0)).slices == {"Empty": (8,)}
