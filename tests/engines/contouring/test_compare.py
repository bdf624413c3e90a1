"""What changed between boxes and discs, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engines.contouring import compare
from engines.contouring import surface as surface_module
from engines.contouring.surface import surface_distances_mm
from engines.errors import EngineError
from engines.grid import Grid, VoxelSet

GRID = Grid((-10.0, 5.0, 0.0), (1.0, 2.0, 3.0), (20, 30, 40))
NOTHING = VoxelSet(np.zeros(0, np.int32), np.zeros(0, np.float32))


def block(low, high, share=1.0):
    dense = np.zeros(GRID.shape, np.float32)
    dense[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = share
    return VoxelSet.from_dense(dense)


def test_a_box_moved_along_x():
    change = compare(block((5, 5, 5), (15, 15, 15)), block((5, 5, 9), (15, 15, 19)), GRID)
    assert change.before_cc == change.after_cc == pytest.approx(1000 * 6.0 / 1000)
    assert change.centroid_shift_mm == pytest.approx((4.0, 0.0, 0.0))
    assert change.dice == pytest.approx(0.6)
    assert change.max_mm == change.p95_mm == pytest.approx(4.0)
    assert 0 < change.mean_mm < 4.0


def test_a_box_compared_with_itself():
    own = block((5, 5, 5), (15, 15, 15))
    change = compare(own, own, GRID)
    assert (change.dice, change.mean_mm, change.p95_mm, change.max_mm) == (1.0, 0.0, 0.0, 0.0)
    assert change.centroid_shift_mm == (0.0, 0.0, 0.0)


def test_partial_voxels_count_with_their_part():
    change = compare(block((5, 5, 5), (15, 15, 15)), block((5, 5, 5), (15, 15, 15), 0.75), GRID)
    assert change.after_cc == pytest.approx(0.75 * change.before_cc)
    assert change.dice == pytest.approx(2 * 0.75 / 1.75)


def test_both_ways_are_the_same_but_for_the_sign():
    one, other = block((3, 4, 5), (9, 15, 20)), block((4, 4, 8), (12, 20, 22))
    there, back = compare(one, other, GRID), compare(other, one, GRID)
    assert (there.dice, there.mean_mm, there.p95_mm, there.max_mm) == pytest.approx(
        (back.dice, back.mean_mm, back.p95_mm, back.max_mm)
    )
    np.testing.assert_allclose(there.centroid_shift_mm, -np.array(back.centroid_shift_mm))


@pytest.mark.parametrize("pair", [(NOTHING, 0), (0, NOTHING)])
def test_nothing_cannot_be_compared(pair):
    own = block((5, 5, 5), (15, 15, 15))
    with pytest.raises(EngineError):
        compare(*(own if region == 0 else region for region in pair), GRID)


def test_fewer_points_of_a_large_surface_say_nearly_the_same(monkeypatch):
    rows, columns = np.mgrid[:60, :60]
    one = np.broadcast_to((rows - 30) ** 2 + (columns - 30) ** 2 < 625, (12, 60, 60)).copy()
    other = np.broadcast_to((rows - 27) ** 2 + (columns - 30) ** 2 < 625, (12, 60, 60)).copy()
    whole = surface_distances_mm(one, other, (3.0, 1.0, 1.0))
    monkeypatch.setattr(surface_module, "MOST_POINTS", 300)
    part = surface_distances_mm(one, other, (3.0, 1.0, 1.0))
    assert part[0].size < 320 < whole[0].size
    assert part[0].mean() == pytest.approx(whole[0].mean(), abs=0.1)
    assert part[0].max() == pytest.approx(whole[0].max(), abs=1.0)
