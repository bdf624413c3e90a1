from appliance.case.today.metal import metal_findings
from engines.registration import DisplacementField, RigidTransform


def looked(day_kit, hu):
    still = DisplacementField.of_rigid(RigidTransform.of(), day_kit.grid)
    return metal_findings(hu, day_kit.grid, day_kit.reference, still)


def test_no_metal(day_kit):
    assert looked(day_kit, day_kit.reference.series.image.hu) == ()


def test_metal_is_flagged_with_what_lies_beside_it(day_kit):
    """Two voxels of 4 mm beside the parotid, 26 mm from the target."""
    hu = day_kit.reference.series.image.hu.copy()
    hu[20, 20, 35:37] = 2800
    (item,) = looked(day_kit, hu)
    assert item.id == "day.metal"
    assert item.warns
    assert "0.1 cm³ are denser than 2500 HU. Within 20 mm of it lie Parotid_L" in item.evidence
    assert "PTV_7000" not in item.evidence
    assert "density_overrides" in item.evidence


def test_a_scale_that_ends_is_said(day_kit):
    for end in (3071, 4095):
        hu = day_kit.reference.series.image.hu.copy()
        hu[20, 20, 35:37] = end
        assert f"the scale ends there at {end} HU" in looked(day_kit, hu)[0].evidence
