from dataclasses import replace

import numpy as np
import pytest

from appliance.case.today.density import density_map
from appliance.case.today.modality import Imaging
from appliance.case.today.near_hounsfield import image_for_registration
from appliance.case.today.seen import seen_region
from appliance.config import AnatomyConfig
from appliance.contracts import StructureKind
from appliance.contracts.anatomy import DensitySource
from appliance.errors import InconsistentCase
from engines.registration import DisplacementField, RigidTransform

CALIBRATED = AnatomyConfig(cbct_density="calibrated")


def mapped(day_kit, today, settings, structures=()):
    still = DisplacementField.of_rigid(RigidTransform.of(), today.series.image.grid)
    seen = seen_region(day_kit.reference, today, still)
    return density_map(day_kit.reference, today, still, seen=seen, settings=settings, structures=structures)


@pytest.fixture(scope="module")
def body(day_kit):
    return day_kit.reference.structures.structures[0].voxels.mask(day_kit.grid.shape)


@pytest.fixture(scope="module")
def cupped(day_kit, body):
    """A cone-beam image: 12 % darker in the middle, scaled, shifted, noisy, and with a gas pocket of today; and the
    truth."""
    truth = day_kit.reference.series.image.hu.astype(np.float64)
    truth[day_kit.box((-40, -10, -30), (-20, 10, -10))] = -950
    x_mm, y_mm, _ = day_kit.grid.axes_mm()
    away = np.hypot(x_mm[None, :] / 80, y_mm[:, None] / 60)
    darker = 1 - 0.12 * np.clip(1 - away, 0, 1)
    noise = np.random.default_rng(4).standard_normal(truth.shape) * np.where(body, 30, 8)
    return np.rint((truth + 1000) * darker * 0.9 + 80 + noise - 1000).astype(np.int16), truth


def error_hu(density, truth, body):
    return float(np.abs(density.image.hu - truth)[body].mean())


def test_todays_ct_is_taken_as_it_is(day_kit):
    today = day_kit.today()
    density = mapped(day_kit, today, AnatomyConfig())
    assert density.source is DensitySource.TODAY_CT
    np.testing.assert_array_equal(density.image.hu, today.series.image.hu)
    assert density.image.modality == "CT"
    assert not density.filled.any()
    assert density.notes == ("Dose is computed on today's CT (CT of the day)",)
    assert not [item for item in density.findings if item.warns]


@pytest.mark.parametrize("shift, warns", [(20, False), (45, True), (-45, True)])
def test_soft_tissue_with_other_values_is_flagged(day_kit, body, shift, warns):
    hu = np.where(body, day_kit.reference.series.image.hu + shift, -1000).astype(np.int16)
    findings = mapped(day_kit, day_kit.today(hu=hu), AnatomyConfig()).findings
    item = next(item for item in findings if item.id == "day.hounsfield")
    assert item.warns == warns
    assert (
        f"{20 + shift}" in item.evidence or f"{20 + shift + 1}" in item.evidence or f"{20 + shift - 1}" in item.evidence
    )


def test_values_that_no_tissue_has_are_refused(day_kit, body):
    hu = np.where(body, day_kit.reference.series.image.hu + 150, -1000).astype(np.int16)
    with pytest.raises(InconsistentCase) as refusal:
        mapped(day_kit, day_kit.today(hu=hu), AnatomyConfig())
    assert refusal.value.fields["rule"] == "day.hounsfield"
    assert "choose the density deformed (anatomy.ct_density, anatomy.cbct_density)" in str(refusal.value)
    chosen = mapped(day_kit, day_kit.today(hu=hu), AnatomyConfig(ct_density="deformed"))
    assert chosen.source is DensitySource.DEFORMED_CT
    assert any(item.id == "day.hounsfield" and item.warns for item in chosen.findings)


def test_air_that_is_no_air_is_flagged(day_kit, body):
    hu = np.where(body, day_kit.reference.series.image.hu, -800).astype(np.int16)
    findings = mapped(day_kit, day_kit.today(hu=hu), AnatomyConfig()).findings
    assert any("The air round the body has -800 HU" in item.evidence for item in findings)


def test_a_cone_beam_image_is_brought_near_hounsfield_units_for_registration(day_kit, cupped, body):
    today = day_kit.today(hu=cupped[0], imaging=Imaging.CBCT)
    hu = image_for_registration(day_kit.reference, today, AnatomyConfig())
    assert float(np.median(hu[~body])) == pytest.approx(-1000, abs=15)
    assert error_of_median(hu, body) < 30


def error_of_median(hu, body):
    return abs(float(np.median(hu[body])) - 20)


def test_a_cone_beam_image_gets_the_deformed_reference_with_todays_gas(day_kit, cupped, body):
    raw, truth = cupped
    density = mapped(day_kit, day_kit.today(hu=raw, imaging=Imaging.CBCT), AnatomyConfig())
    assert density.source is DensitySource.DEFORMED_CT
    assert error_hu(density, truth, body) < 15
    pocket = day_kit.box((-36, -6, -26), (-24, 6, -14))
    assert density.image.hu[pocket].max() < -600
    assert density.notes[0] == "Dose is computed on reference CT deformed to today (cone-beam CT of the day)"
    said = {item.id: item for item in density.findings}
    assert "day.uncalibrated" not in said
    assert not said["day.hounsfield"].warns
    assert said["day.hounsfield"].evidence.startswith("Soft tissue has its peak at ")


def test_a_cone_beam_image_calibrated_to_the_reference(day_kit, cupped, body):
    raw, truth = cupped
    today = day_kit.today(hu=raw, imaging=Imaging.CBCT)
    density = mapped(day_kit, today, CALIBRATED)
    assert density.source is DensitySource.CALIBRATED
    still = DisplacementField.of_rigid(RigidTransform.of(), day_kit.grid)
    phantom = AnatomyConfig(cbct_density="calibrated", phantom_points=((-920.0, -1000.0), (0.0, 22.0)))
    seen = seen_region(day_kit.reference, today, still)
    by_phantom = density_map(day_kit.reference, today, still, seen=seen, settings=phantom)
    core = day_kit.box((-30, -30, -40), (30, 30, 40)) & (truth > -200) & (truth < 200)
    assert abs(float((density.image.hu - truth)[core].mean())) < 20
    assert float((by_phantom.image.hu - truth)[core].mean()) < -40
    assert "muscle and organs" in density.notes[1]
    assert "phantom points" in by_phantom.notes[1]


def test_a_cone_beam_image_of_one_value_shows_nothing(day_kit):
    today = day_kit.today(hu=np.full(day_kit.grid.shape, 7, np.int16), imaging=Imaging.CBCT)
    assert rule_of(lambda: image_for_registration(day_kit.reference, today, AnatomyConfig())) == "day.no-overlap"


def rule_of(act):
    with pytest.raises(InconsistentCase) as refusal:
        act()
    return refusal.value.fields["rule"]


@pytest.fixture(scope="module")
def water(day_kit, body):
    """A reference of water and air, in which nothing is found again but air; and its image of the day, shifted."""
    hu = np.where(body, 0, -1000).astype(np.int16)
    series = replace(day_kit.reference.series, image=replace(day_kit.reference.series.image, hu=hu))
    kit = replace(day_kit, reference=replace(day_kit.reference, series=series))
    return kit, kit.today(hu=(hu * 0.9 + 100).astype(np.int16), imaging=Imaging.CBCT)


def test_without_tissues_to_calibrate_by_dose_is_computed_on_the_deformed_reference_all_the_same(water):
    kit, today = water
    density = mapped(kit, today, AnatomyConfig())
    assert density.source is DensitySource.DEFORMED_CT
    item = next(item for item in density.findings if item.id == "day.uncalibrated")
    assert item.warns
    assert item.evidence.startswith("It cannot be calibrated to the reference CT: too few tissues")
    assert "by its peaks of air and soft tissue. Check today's outline and gas" in item.evidence
    before = kit.reference.series.image.hu
    assert (density.image.hu != before).mean() < 0.02  # today's outline is seen on voxels


def test_without_tissues_to_calibrate_by_the_values_themselves_are_refused(water):
    kit, today = water
    assert rule_of(lambda: mapped(kit, today, CALIBRATED)) == "day.calibration"
    points = AnatomyConfig(cbct_density="calibrated", phantom_points=((-800.0, -1000.0), (100.0, 0.0)))
    assert mapped(kit, today, points).source is DensitySource.CALIBRATED


def test_an_image_without_air_is_brought_near_hounsfield_units_as_the_configuration_lets_it(day_kit):
    """Fat and muscle, 500 values above what they have in HU."""
    grid = day_kit.grid.cropped((0, 14, 18), (12, 26, 32))
    before = np.full(grid.shape, 20, np.int16)
    before[:, :4] = -100
    before += np.random.default_rng(5).integers(-8, 9, grid.shape, np.int16)
    today = day_kit.today(hu=(before + 500).astype(np.int16), grid=grid, imaging=Imaging.CBCT)
    near = image_for_registration(day_kit.reference, today, AnatomyConfig())
    assert float(np.median(near - before)) == pytest.approx(0, abs=15)
    assert rule_of(lambda: image_for_registration(day_kit.reference, today, CALIBRATED)) == "day.calibration"
    points = AnatomyConfig(cbct_density="calibrated", phantom_points=((-500.0, -1000.0), (500.0, 0.0)))
    np.testing.assert_array_equal(image_for_registration(day_kit.reference, today, points), before)


def test_what_was_not_reconstructed_is_air_whatever_its_value(day_kit, cupped):
    x_mm, y_mm, _ = day_kit.grid.axes_mm()
    circle = np.hypot(x_mm[None, :], y_mm[:, None]) < 76
    today = day_kit.today(hu=np.where(circle, cupped[0], 0).astype(np.int16), imaging=Imaging.CBCT)
    near = image_for_registration(day_kit.reference, today, AnatomyConfig())
    assert set(np.unique(near[:, ~circle])) == {-1000}
    assert float(np.median(near[:, circle][near[:, circle] > -300])) == pytest.approx(20, abs=40)


def test_an_mr_takes_the_deformed_reference_within_todays_outline(day_kit, body):
    """Today's External is 8 mm narrower on the left: air there."""
    narrower = body & (day_kit.grid.axes_mm()[0] < 60)[None, None, :]
    external = day_kit.structure("External", StructureKind.EXTERNAL, narrower, 1)
    today = day_kit.today(hu=np.full(day_kit.grid.shape, 300, np.int16), imaging=Imaging.MR)
    density = mapped(day_kit, today, AnatomyConfig(), [external])
    np.testing.assert_array_equal(density.image.hu[narrower], day_kit.reference.series.image.hu[narrower])
    assert (density.image.hu[~narrower] == -1000).all()
    assert "Gas of the day is not seen on an MR" in density.notes[1]


def test_an_mr_takes_one_density_for_each_structure(day_kit):
    drawn = day_kit.reference.structures.structures
    today = day_kit.today(hu=np.full(day_kit.grid.shape, 300, np.int16), imaging=Imaging.MR)
    density = mapped(day_kit, today, AnatomyConfig(mr_density="bulk"), drawn)
    assert density.source is DensitySource.BULK
    cord = drawn[3].voxels.mask(day_kit.grid.shape)
    before = day_kit.reference.series.image.hu
    assert set(np.unique(density.image.hu[cord])) == {round(float(np.median(before[cord])))}
    outside = ~drawn[0].voxels.mask(day_kit.grid.shape)
    assert (density.image.hu[outside] == -1000).all()
    assert np.unique(density.image.hu).size == 4


def test_a_truncated_image_is_filled_up_from_the_reference(day_kit, body):
    grid = day_kit.grid.cropped((0, 0, 0), (31, 40, 36))
    before = day_kit.reference.series.image.hu
    today = day_kit.today(hu=before[:, :, :36] + np.int16(1), grid=grid)
    density = mapped(day_kit, today, AnatomyConfig())
    assert density.image.grid.shape[2] > 36
    width = density.image.grid.shape[2]
    np.testing.assert_array_equal(density.image.hu[:, :, :36], before[:, :, :36] + 1)
    expected = np.where(body, before, -1000)[:, :, 36:width]
    np.testing.assert_array_equal(density.image.hu[:, :, 36:], expected)
    assert density.filled[:, :, 36:].all()
    assert not density.filled[:, :, :36].any()


def test_a_truncated_image_is_refused_where_the_configuration_says_so(day_kit):
    grid = day_kit.grid.cropped((0, 0, 0), (31, 40, 36))
    today = day_kit.today(hu=day_kit.reference.series.image.hu[:, :, :36] + np.int16(1), grid=grid)
    with pytest.raises(InconsistentCase) as refusal:
        mapped(day_kit, today, AnatomyConfig(extend=False))
    assert refusal.value.fields["rule"] == "day.truncated"
