"""Isocentres and rays against the image: hand-made boxes and fields whose cut share is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import Image, Jaws, Plan
from appliance.planning import misplaced_isocentres, missing_anatomy
from appliance.planning.on_image import Missing
from engines.grid import Grid, VoxelSet

from .cases import beam, leaves, plan, point

GRID = Grid((-98.0, -98.0, -38.0), (4.0, 4.0, 4.0), (20, 50, 50))  # to +-100 mm across, +-40 mm along the patient
ACROSS_MM = np.hypot(*np.meshgrid(*GRID.axes_mm()[:2]))
WATER = Image(GRID, np.repeat(np.where(ACROSS_MM < 60, 0, -1000).astype(np.int16)[None], 20, axis=0))


def field(half_mm: float = 20.0, *, z_mm: float = 0.0, gantry_deg: float = 0.0, couch_deg: float = 0.0) -> Plan:
    """A square field at the isocentre plane, static."""
    jaws = Jaws(-half_mm, half_mm, -half_mm, half_mm)
    points = (point(mu, jaws, *leaves(-half_mm, half_mm), gantry=gantry_deg) for mu in (0.0, 100.0))
    turned = tuple(replace(p, couch_deg=couch_deg) for p in points)
    return plan(beam(*turned, isocentre_mm=(0.0, 0.0, z_mm)))


@pytest.mark.parametrize(
    ("isocentre_mm", "outside"),
    [((0, 0, 0), False), ((99.9, 0, 0), False), ((100.1, 0, 0), True), ((0, 0, -40.1), True), ((0, -3000, 0), True)],
)
def test_an_isocentre_outside_the_outer_voxels_is_named(
    isocentre_mm: tuple[float, float, float], outside: bool
) -> None:
    placed = plan(replace(field().beams[0], isocentre_mm=isocentre_mm))
    assert bool(misplaced_isocentres(placed, GRID)) is outside
    assert all("beam 1" in sentence for sentence in misplaced_isocentres(placed, GRID))


@pytest.mark.parametrize("gantry_deg", [0.0, 45.0, 90.0, 180.0, 270.0])
def test_a_field_within_the_slices_misses_nothing(gantry_deg: float) -> None:
    assert missing_anatomy(field(gantry_deg=gantry_deg), WATER, None) == ()


@pytest.mark.parametrize("z_mm", [30.0, -30.0])
def test_half_of_a_field_over_the_end_is_half(z_mm: float) -> None:
    """Field from 20 mm before to 20 mm behind the isocentre at 30 mm; the image ends at 40: a quarter is beyond it, and
    what diverges towards the source does not come back in."""
    [found] = missing_anatomy(field(z_mm=z_mm), WATER, None)
    assert found.share == pytest.approx(0.25, abs=0.13)  # leaf rows are 5 and 10 mm wide
    assert (found.beam, found.control_point, found.is_serious) == (1, 0, True)
    assert "beam 1, control point 0" in found.sentence


def test_a_field_through_the_cut_end_is_seen_from_any_side() -> None:
    """Couch at 60 degrees, gantry at 90: the beam comes along the patient and enters through the last slice."""
    for gantry_deg in (90.0, 270.0):
        [found] = missing_anatomy(field(gantry_deg=gantry_deg, couch_deg=60.0), WATER, None)
        assert found.share > 0.9


def test_a_body_wider_than_the_image_is_cut_at_its_side() -> None:
    wide = Image(GRID, np.zeros(GRID.shape, np.int16))
    [found] = missing_anatomy(field(gantry_deg=90.0), wide, None)
    assert found.share == 1.0


def test_the_outline_decides_where_there_is_one() -> None:
    wide = Image(GRID, np.zeros(GRID.shape, np.int16))
    inner = np.zeros(GRID.shape, np.float32)
    inner[2:-2, 10:-10, 10:-10] = 1.0
    assert missing_anatomy(field(gantry_deg=90.0), wide, VoxelSet.from_dense(inner)) == ()


def test_two_percent_is_the_limit() -> None:
    assert [Missing(1, 0, share).is_serious for share in (0.0199, 0.0201)] == [False, True]


def test_a_slit_of_leaves_along_y_lies_where_its_leaves_are() -> None:
    """20 mm along X and 140 mm along Y (the patient's axis, of which the image shows 80): leaves along Y as leaves
    along X. Turned the wrong way the slit would lie within the slices and miss nothing."""
    jaws = Jaws(-10.0, 10.0, -70.0, 70.0)
    borders = tuple(np.arange(-70.0, 71.0, 5.0).tolist())
    along_x = beam(*(point(mu, jaws, (-10.0,) * 28, (10.0,) * 28) for mu in (0.0, 100.0)), borders_mm=borders)
    narrow = tuple(np.arange(-20.0, 21.0, 5.0).tolist())
    along_y = beam(*(point(mu, jaws, (-70.0,) * 8, (70.0,) * 8) for mu in (0.0, 100.0)), borders_mm=narrow)
    shares = [missing_anatomy(plan(one), WATER, None)[0].share for one in (along_x, replace(along_y, leaf_axis="Y"))]
    assert shares[0] == pytest.approx(1 - 80 / 140, abs=0.06)  # as of rows of 5 mm
    assert shares[1] == pytest.approx(1 - 80 / 140, abs=0.06)  # as of five rays a leaf: 0, 35 and 70 mm from the middle


def test_of_two_layers_the_rays_go_through_what_both_leave_open() -> None:
    """The upper layer opens 140 mm along the patient, the lower one only the 40 mm in the middle."""
    jaws = Jaws(-140.0, 140.0, -140.0, 140.0)
    borders = np.arange(-70.0, 71.0, 10.0)
    lower = borders[:-1] + 5.0
    shown = np.abs(lower[:-1] + 5.0) < 20.0
    a, b = np.where(shown, -10.0, -130.0), np.where(shown, 10.0, -129.5)
    points = [
        replace(point(mu, jaws, (-10.0,) * 14, (10.0,) * 14), lower_a_mm=tuple(a), lower_b_mm=tuple(b))
        for mu in (0.0, 100.0)
    ]
    stacked = replace(beam(*points, borders_mm=tuple(borders)), lower_boundaries_mm=tuple(lower))
    assert missing_anatomy(plan(stacked), WATER, None) == ()
    open_lower = [replace(p, lower_a_mm=(-10.0,) * 13, lower_b_mm=(10.0,) * 13) for p in points]
    [found] = missing_anatomy(plan(replace(stacked, control_points=tuple(open_lower))), WATER, None)
    assert found.is_serious
