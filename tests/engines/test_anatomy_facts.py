"""Facts of masks whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest

from engines.anatomy.facts import (
    box_of,
    centre_mm,
    checked,
    ct_facts,
    extent_mm,
    near_surface,
    raggedness,
    share_inside,
    surface_mm2,
    volume_cc,
)
from engines.errors import EngineError


def block(shape: tuple[int, int, int], *sides: slice) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[sides] = True
    return mask


def test_a_box_has_its_volume_lengths_and_centre() -> None:
    mask = block((10, 12, 14), slice(2, 6), slice(3, 8), slice(4, 6))
    spacing = (3.0, 2.0, 5.0)
    assert volume_cc(mask, spacing) == pytest.approx(12 * 10 * 10 / 1000)
    assert extent_mm(mask, spacing) == {"z": 12.0, "y": 10.0, "x": 10.0}
    assert centre_mm(mask, spacing) == pytest.approx([3.5 * 3, 5 * 2, 4.5 * 5])
    assert surface_mm2(mask, spacing) == pytest.approx(2 * (12 * 10 + 12 * 10 + 10 * 10))
    assert box_of(mask) == (slice(2, 6), slice(3, 8), slice(4, 6))


def test_a_cube_is_not_ragged_at_the_border_either_and_dust_is() -> None:
    assert raggedness(np.ones((4, 4, 4), bool), (2.0, 2.0, 2.0)) == pytest.approx(1.0)
    dust = np.zeros((8, 8, 8), bool)
    dust[::2, ::2, ::2] = True
    # 64 cubes apart have 64 times a small cube's surface, in all 64^(1/3) times that of one cube of their volume.
    assert raggedness(dust, (1.0, 1.0, 1.0)) == pytest.approx(4.0)


def test_shares() -> None:
    body = block((8, 8, 8), slice(1, 7), slice(1, 7), slice(1, 7))
    inner = block((8, 8, 8), slice(2, 6), slice(2, 6), slice(2, 6))
    assert share_inside(body, inner) == pytest.approx(64 / 216)
    assert near_surface(inner, body) == 0.0
    assert near_surface(body, body) == pytest.approx((216 - 64) / 216)
    # A body that fills its array ends there.
    assert near_surface(np.ones((4, 4, 4), bool), np.ones((4, 4, 4), bool)) == pytest.approx((64 - 8) / 64)


def test_an_empty_mask_has_no_facts() -> None:
    empty = np.zeros((3, 3, 3), bool)
    assert np.isnan(centre_mm(empty, (1.0, 1.0, 1.0))).all()
    assert np.isnan([raggedness(empty, (1.0, 1.0, 1.0)), share_inside(empty, empty), near_surface(empty, empty)]).all()
    with pytest.raises(EngineError):
        box_of(empty)


def test_ct_is_shared_out_by_hand() -> None:
    body = np.ones((1, 1, 10), bool)
    ct = np.array([[[-1000, -950, -700, 0, 10, 20, 30, 40, 300, 900]]], np.float32)
    facts = ct_facts(body, block((1, 1, 10), slice(None), slice(None), slice(2, 4)), ct)
    assert facts["air_share"] == pytest.approx(0.3)
    assert facts["empty_share"] == pytest.approx(0.2)
    assert facts["bone_share"] == pytest.approx(0.2)
    assert facts["target_air_share"] == pytest.approx(0.5)
    assert facts["soft_share"] == pytest.approx(0.5)
    assert facts["soft_median_hu"] == pytest.approx(20.0)


def test_arrays_of_different_grids_are_refused() -> None:
    with pytest.raises(EngineError, match="one grid"):
        checked({"a": np.zeros((2, 2, 2)), "b": np.zeros((2, 2, 3))}, (1.0, 1.0, 1.0))
    with pytest.raises(EngineError, match="spacing"):
        checked({"a": np.zeros((2, 2, 2))}, (1.0, 0.0, 1.0))
