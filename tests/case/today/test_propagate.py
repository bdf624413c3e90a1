"""Regions carried to today: hand-derived places, shares and ends of a box on a grid of 2 mm."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.case.today.propagate import carried, contours_of, moved_region
from appliance.contracts import Structure, StructureKind
from engines.grid import Grid, VoxelSet
from engines.registration import DisplacementField, RigidTransform

GRID = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (12, 14, 16))
ALL = VoxelSet.from_dense(np.ones(GRID.shape, np.float32))
KINDS = StructureKind


def block(z: tuple[int, int], y: tuple[int, int], x: tuple[int, int]) -> np.ndarray:
    """Ones in voxels from each first to each last index."""
    dense = np.zeros(GRID.shape, np.float32)
    dense[tuple(slice(first, last + 1) for first, last in (z, y, x))] = 1.0
    return dense


BOX = VoxelSet.from_dense(block((4, 7), (5, 9), (6, 11)))


def shift(*shift_mm: float) -> DisplacementField:
    """Today's points lie so far from the reference's: a region moves the other way."""
    return DisplacementField.of_rigid(RigidTransform.of(shift_mm), GRID)


def structure(name: str, kind: StructureKind, number: int, voxels: VoxelSet = BOX) -> Structure:
    return Structure(number, name, name, kind, (), voxels)


def test_a_shift_of_whole_voxels_moves_every_voxel_as_it_is():
    moved, is_cut = moved_region(BOX, GRID, GRID, shift(2.0, -4.0, 2.0))
    np.testing.assert_allclose(moved.dense(GRID.shape), block((3, 6), (7, 11), (5, 10)), atol=1e-6)
    assert not is_cut


def test_a_shift_of_half_a_voxel_shares_the_first_and_the_last_one():
    moved, _ = moved_region(BOX, GRID, GRID, shift(1.0, 0.0, 0.0))
    expected = block((4, 7), (5, 9), (5, 11))
    expected[..., [5, 11]] *= 0.5
    np.testing.assert_allclose(moved.dense(GRID.shape), expected, atol=1e-6)
    assert moved.volume_cc(0.008) == pytest.approx(BOX.volume_cc(0.008))


def test_shares_that_interpolation_leaves_are_no_part_of_it():
    """0.02 mm of 2 mm: the voxel ahead gets a hundredth, under the least share of 0.02."""
    moved, _ = moved_region(BOX, GRID, GRID, shift(0.02, 0.0, 0.0))
    dense = moved.dense(GRID.shape)
    assert not dense[..., 5].any()
    np.testing.assert_allclose(dense[4:8, 5:10, 11], 0.99, atol=1e-5)


@pytest.mark.parametrize(
    ("along_mm", "slices", "is_cut"),
    [(-6.0, range(7, 11), False), (-8.0, range(8, 12), True), (-10.0, range(9, 12), True)],
)
def test_what_reaches_the_last_slice_may_go_on_beyond_it(along_mm, slices, is_cut):
    moved, told = moved_region(BOX, GRID, GRID, shift(0.0, 0.0, along_mm))
    assert np.flatnonzero(moved.dense(GRID.shape).any(axis=(1, 2))).tolist() == list(slices)
    assert told == is_cut


def test_what_lies_beyond_the_image_is_nothing_that_is_cut():
    moved, is_cut = moved_region(BOX, GRID, GRID, shift(0.0, 0.0, -40.0))
    assert moved.empty and is_cut
    assert moved_region(VoxelSet.from_dense(np.zeros(GRID.shape, np.float32)), GRID, GRID, shift(0, 0, 0))[1] is False


def test_a_region_comes_onto_a_grid_of_another_spacing_and_place():
    """Half the spacing, from x = 11: the box from 11 to 23 mm holds the voxels whose centres lie in it."""
    today = Grid((11.5, 9.5, 7.5), (1.0, 1.0, 1.0), (8, 10, 12))
    moved, is_cut = moved_region(BOX, GRID, today, shift(0.0, 0.0, 0.0))
    inner = moved.dense(today.shape)[1:-1, 1:-1, 1:-1]
    np.testing.assert_allclose(inner, 1.0, atol=1e-6)
    assert is_cut


def test_an_outline_lies_halfway_to_the_voxels_outside():
    loops = contours_of(BOX, GRID)
    assert [loop.z_mm for loop in loops] == [8.0, 10.0, 12.0, 14.0]
    for loop in loops:
        np.testing.assert_allclose(loop.points_mm.min(axis=0), (11.0, 9.0), atol=0.01)
        np.testing.assert_allclose(loop.points_mm.max(axis=0), (23.0, 19.0), atol=0.01)


def test_each_is_carried_by_its_own_field_in_the_references_order():
    fields = {"PTV": shift(0.0, 0.0, 0.0), "Cord": shift(-2.0, 0.0, 0.0)}
    given = (structure("Cord", KINDS.ORGAN, 7), structure("PTV", KINDS.TARGET, 3))
    done = carried(given, GRID, GRID, ALL, lambda one: fields[one.tg263])
    assert [(one.number, one.tg263) for one in done.structures] == [(7, "Cord"), (3, "PTV")]
    cord, target = (one.voxels.dense(GRID.shape) for one in done.structures)
    np.testing.assert_allclose(cord, block((4, 7), (5, 9), (7, 12)), atol=1e-6)
    np.testing.assert_allclose(target, block((4, 7), (5, 9), (6, 11)), atol=1e-6)
    assert (done.lost, done.cut) == ((), ())


def test_targets_and_organs_end_at_todays_body_and_others_do_not():
    body = VoxelSet.from_dense(block((0, 11), (0, 13), (0, 8)))
    given = [structure(str(kind), kind, 1) for kind in (KINDS.TARGET, KINDS.ORGAN, KINDS.SUPPORT, KINDS.OTHER)]
    done = carried(given, GRID, GRID, body, lambda _: shift(0.0, 0.0, 0.0))
    lasts = [int(np.nonzero(one.voxels.dense(GRID.shape))[2].max()) for one in done.structures]
    assert lasts == [8, 8, 11, 11]


def test_lost_and_cut_ones_are_named_and_the_body_and_empty_ones_left_out():
    far, near, still = shift(0.0, 0.0, -40.0), shift(0.0, 0.0, -10.0), shift(0.0, 0.0, 0.0)
    fields = {"Far": far, "Near": near, "Still": still}
    nothing = VoxelSet.from_dense(np.zeros(GRID.shape, np.float32))
    given = [structure(name, KINDS.ORGAN, number) for number, name in enumerate(fields, 1)]
    given += [structure("External", KINDS.EXTERNAL, 8), structure("Empty", KINDS.ORGAN, 9, nothing)]
    done = carried(given, GRID, GRID, ALL, lambda one: fields[one.tg263])
    assert [one.tg263 for one in done.structures] == ["Near", "Still"]
    assert (done.lost, done.cut) == (("Far",), ("Near",))
