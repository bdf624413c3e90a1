import numpy as np
import pytest

from appliance.case.today.seen import seen_region
from appliance.errors import InconsistentCase
from engines.grid import Grid, VoxelSet
from engines.registration import DisplacementField, RigidTransform


def still(grid: Grid, shift=(0.0, 0.0, 0.0)) -> DisplacementField:
    return DisplacementField.of_rigid(RigidTransform.of(shift), grid)


def cropped(day_kit, lower, upper):
    grid = day_kit.grid.cropped(lower, upper)
    box = tuple(slice(low, high) for low, high in zip(lower, upper, strict=True))
    return day_kit.today(hu=day_kit.reference.series.image.hu[box], grid=grid)


def seen(day_kit, today, shift=(0.0, 0.0, 0.0)):
    return seen_region(day_kit.reference, today, still(today.series.image.grid, shift))


def test_the_whole_patient_is_seen(day_kit):
    region = seen(day_kit, day_kit.today())
    assert region.findings == ()
    assert region.cut_cc == 0
    assert region.larger == day_kit.grid
    assert not region.extends
    assert region.within.all()
    assert min(region.shares.values()) == 1.0


def test_an_image_that_misses_the_target_is_refused(day_kit):
    """Slices from z = -8 upwards: two of the nine slices of the target are missing."""
    today = cropped(day_kit, (13, 0, 0), (31, 40, 50))
    with pytest.raises(InconsistentCase, match=r"it does not hold PTV_7000 \(78% of it are there\)") as refusal:
        seen(day_kit, today)
    assert refusal.value.fields["rule"] == "day.misses-target"


def test_a_set_up_shift_that_moves_the_target_out_is_refused(day_kit):
    with pytest.raises(InconsistentCase, match="does not hold PTV_7000"):
        seen(day_kit, day_kit.today(), (0.0, 0.0, 50.0))


def test_an_image_elsewhere_is_refused(day_kit):
    with pytest.raises(InconsistentCase) as refusal:
        seen(day_kit, day_kit.today(), (0.0, 0.0, 130.0))
    assert refusal.value.fields["rule"] == "day.no-overlap"


def test_an_organ_that_is_cut_is_flagged_and_the_image_goes_on_for_scatter(day_kit):
    """Slices up to z = 36: the parotid goes from 20 to 50; the grid goes on to 30 mm above the target."""
    region = seen(day_kit, cropped(day_kit, (0, 0, 0), (25, 40, 50)))
    assert [item.id for item in region.findings] == ["day.cuts-organ"]
    assert "Parotid_L (57%)" in region.findings[0].evidence
    assert "SpinalCord (81%)" in region.findings[0].evidence
    assert region.extends
    top = region.larger.axes_mm()[2][-1] + 2
    assert 46 <= top <= 52


def test_a_field_of_view_that_is_too_narrow_is_flagged_and_the_grid_extended(day_kit):
    """Cut at x = 44: the body goes on to 94 at its lower end, and the parotid to 60."""
    region = seen(day_kit, cropped(day_kit, (0, 0, 0), (31, 40, 36)))
    ids = {item.id for item in region.findings}
    assert ids == {"day.truncated", "day.cuts-organ"}
    x_mm = day_kit.grid.axes_mm()[0]
    body = day_kit.reference.structures.structures[0].voxels.dense(day_kit.grid.shape)
    beyond_cc = body[:, :, x_mm > 44].sum() * day_kit.grid.voxel_volume_cc
    assert region.cut_cc == pytest.approx(beyond_cc, rel=0.03)
    assert region.larger.axes_mm()[0][-1] == pytest.approx(94, abs=4.1)
    assert region.larger.spacing_mm == day_kit.grid.spacing_mm


def test_a_circle_of_reconstruction_that_cuts_the_body_is_found(day_kit):
    """What was not reconstructed has one value; air inside the circle has noise."""
    x_mm, y_mm, _ = day_kit.grid.axes_mm()
    inside = np.hypot(x_mm[None, :] - x_mm.mean(), y_mm[:, None] - y_mm.mean()) < 62
    hu = np.where(inside, day_kit.reference.series.image.hu, -1024).astype(np.int16)
    region = seen(day_kit, day_kit.today(hu=hu))
    assert {item.id for item in region.findings} == {"day.truncated"}
    assert np.mean(region.within[0] == inside) > 0.98
    assert region.cut_cc > 100
    assert region.larger == day_kit.grid


def test_a_target_that_is_cut_at_its_corners_is_flagged(day_kit):
    """Of its 10 x 10 pixels the four at the corners lie 25.5 mm from the middle of the frame, the next 22.8 mm."""
    x_mm, y_mm, _ = day_kit.grid.axes_mm()
    inside = np.hypot(x_mm[None, :], y_mm[:, None]) < 25
    hu = np.where(inside, day_kit.reference.series.image.hu, -1024).astype(np.int16)
    item = next(item for item in seen(day_kit, day_kit.today(hu=hu)).findings if item.id == "day.cuts-target")
    assert item.warns
    assert item.evidence == ("Not the whole target lies in it: PTV_7000 (96.0%). Check the target at the image's end")


def test_the_outline_goes_on_from_the_reference_where_the_image_ends(day_kit):
    region = seen(day_kit, cropped(day_kit, (0, 0, 0), (31, 40, 36)))
    whole = day_kit.reference.structures.structures[0].voxels.mask(day_kit.grid.shape)
    body = VoxelSet.from_dense(whole[:, :, :36].astype(np.float32))
    field = still(region.grid)
    there = region.outline(body, day_kit.reference, field).mask(region.larger.shape)
    np.testing.assert_array_equal(there, whole[:, :, : region.larger.shape[2]])
    assert there[:, :, 36:].any()


def test_an_image_that_shows_all_keeps_its_outline(day_kit):
    region = seen(day_kit, day_kit.today())
    body = day_kit.reference.structures.structures[0].voxels
    assert region.outline(body, day_kit.reference, still(region.grid)) is body
