import numpy as np
import pytest
from pydicom.dataset import Dataset

from appliance.case import read_image, read_structures
from appliance.case.external import derive_external, share_outside
from appliance.case.gaps import fill_gaps
from appliance.contracts import Contour, DensityOverride, Structure, StructureKind
from appliance.dicomio.values import new_uid
from appliance.errors import InconsistentCase, RefusedObject
from engines.grid import Grid, VoxelSet, rasterise


def read(study, items=None, change=None):
    return read_structures(study.structure_set(items, change).path, series_of(study))


_SERIES = {}


def series_of(study):
    """The study's image, read once for all tests that share it."""
    uid = study.frame_of_reference_uid
    if uid not in _SERIES:
        _SERIES[uid] = read_image(study.paths)
    return _SERIES[uid]


def volume_cc(structure, kit):
    return structure.voxels.volume_cc(kit.GRID.voxel_volume_cc)


def rule_of(study, rule, items=None, change=None, error=InconsistentCase):
    with pytest.raises(error) as refusal:
        read(study, items, change)
    assert refusal.value.fields["rule"] == rule
    assert refusal.value.fields["remedy"]
    return refusal.value.sentence


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
def test_contour_to_mask_to_volume_in_every_position(tmp_path, kit, position):
    study = kit.write_study(tmp_path, position)
    reading = read(study)
    assert reading.notes == ()
    by_name = {item.tg263: item for item in reading.structures}
    assert {name: item.kind.value for name, item in by_name.items()} == {
        "External": "EXTERNAL",
        "PTV_7000": "TARGET",
        "Parotid_R": "ORGAN",
    }
    assert [item.name for item in reading.structures] == ["BODY", "PTV70", "RightParotid"]
    assert volume_cc(by_name["External"], kit) == pytest.approx(50 * 37.5 * 27 / 1000)
    assert volume_cc(by_name["PTV_7000"], kit) == pytest.approx(12 * 15 * 12 / 1000, rel=2e-3)
    assert volume_cc(by_name["Parotid_R"], kit) == pytest.approx(10 * 10 * 15 / 1000, rel=2e-3)
    # patient right is negative x: low column indices whatever the position
    parotid = by_name["Parotid_R"].voxels.dense(kit.GRID.shape)
    assert np.flatnonzero(parotid.any(axis=(0, 1))).max() < kit.GRID.shape[2] // 2
    assert [float(c.z_mm) for c in by_name["PTV_7000"].contours] == [-6.0, -3.0, 0.0, 3.0]


def test_a_hole_is_a_loop_inside_a_loop(study, kit):
    ring = kit.prism(3, "Ring", StructureKind.OTHER, kit.box(-20, 0, -10, 10), [4])
    hole = Contour(0.0, kit.box(-15, -5, -5, 5))
    ring = Structure(3, "Ring", "Ring", ring.kind, (*ring.contours, hole), ring.voxels)
    reading = read(study, [*kit.structures()[:2], ring])
    assert volume_cc(reading.structures[2], kit) == pytest.approx((400 - 100) * 3 / 1000, rel=2e-3)


def roi_contour(dataset, position):
    return dataset.ROIContourSequence[position]


def test_contours_off_the_image_planes(study):
    def shift(dataset):
        contour = roi_contour(dataset, 1).ContourSequence[0]
        contour.ContourData = [float(v) + (1.2 if i % 3 == 2 else 0) for i, v in enumerate(contour.ContourData)]

    assert "structure PTV70 cannot be used: it has contours off the image planes" in rule_of(
        study, "contour.off-plane", change=shift
    )


def test_a_tilted_contour(study):
    def tilt(dataset):
        contour = roi_contour(dataset, 2).ContourSequence[0]
        data = [float(v) for v in contour.ContourData]
        data[2] += 0.5
        contour.ContourData = data

    rule_of(study, "contour.off-plane", change=tilt)


def test_rounding_to_a_tenth_is_on_the_plane(study):
    def shift(dataset):
        for contour in roi_contour(dataset, 1).ContourSequence:
            contour.ContourData = [float(v) + (0.05 if i % 3 == 2 else 0) for i, v in enumerate(contour.ContourData)]

    assert read(study, change=shift).structures[1].contours[0].z_mm == -6.0


def test_contours_beyond_the_last_slice(study, kit):
    far = Structure(3, "Far", "Far", StructureKind.ORGAN, (Contour(15.0, kit.box(0, 5, 0, 5)),), kit.NOTHING)
    rule_of(study, "contour.off-plane", [*kit.structures()[:2], far])


def test_another_frame_of_reference(study):
    def other(dataset):
        uid = new_uid()
        dataset.FrameOfReferenceUID = uid
        dataset.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = uid
        for roi in dataset.StructureSetROISequence:
            roi.ReferencedFrameOfReferenceUID = uid

    assert "frame of reference of another image" in rule_of(study, "structures.other-image", change=other)


def test_another_series_in_the_same_frame(study):
    def other(dataset):
        study_item = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
        for image in study_item.RTReferencedSeriesSequence[0].ContourImageSequence:
            image.ReferencedSOPInstanceUID = new_uid()

    assert "slices that are not those" in rule_of(study, "structures.other-image", change=other)


def test_one_contour_drawn_on_another_slice(study):
    def other(dataset):
        contour = roi_contour(dataset, 1).ContourSequence[0]
        contour.ContourImageSequence[0].ReferencedSOPInstanceUID = new_uid()

    rule_of(study, "structures.other-image", change=other)


def drop_contours(position):
    def change(dataset):
        del roi_contour(dataset, position).ContourSequence

    return change


def test_an_empty_organ_is_left_out_and_noted(study):
    reading = read(study, change=drop_contours(2))
    assert [item.name for item in reading.structures] == ["BODY", "PTV70"]
    assert reading.notes == ("Structure RightParotid was left out: it is empty",)


@pytest.mark.parametrize(("position", "name"), [(0, "BODY"), (1, "PTV70")])
def test_an_empty_target_or_external_is_refused(study, position, name):
    assert f"{name} cannot be used: it is empty" in rule_of(study, "structures.empty", change=drop_contours(position))


def as_type(position, kind):
    def change(dataset):
        for contour in roi_contour(dataset, position).ContourSequence:
            contour.ContourGeometricType = kind

    return change


def test_points_are_no_structure(study):
    reading = read(study, change=as_type(2, "POINT"))
    assert reading.notes == ("Structure RightParotid was left out: it holds points or open lines only",)
    assert "points or open lines" in rule_of(study, "structures.empty", change=as_type(1, "OPEN_PLANAR"))


def test_open_and_closed_contours_mixed(study):
    def mixed(dataset):
        roi_contour(dataset, 2).ContourSequence[0].ContourGeometricType = "OPEN_PLANAR"

    assert "not closed and planar" in rule_of(study, "contour.type", change=mixed)


def test_a_stray_click_is_left_out_and_noted(study, kit):
    def click(dataset):
        contour = roi_contour(dataset, 2).ContourSequence[4]
        contour.ContourData, contour.NumberOfContourPoints = [1, 2, 3, 1, 2, 3], 2

    reading = read(study, change=click)
    assert reading.notes == ("Structure RightParotid: contours without area, left out: 1",)
    assert volume_cc(reading.structures[2], kit) == pytest.approx(10 * 10 * 12 / 1000, rel=2e-3)


@pytest.mark.parametrize(
    ("data", "count"), [([1, 2, 3, 4, 5, 6, 7, 8], None), ([1, 2, 3, 4, 5, 6, 7, 8, 3], 4), ([], 0)]
)
def test_contour_data_that_are_no_points(study, data, count):
    def damage(dataset):
        contour = roi_contour(dataset, 2).ContourSequence[0]
        contour.ContourData, contour.NumberOfContourPoints = data, count

    rule_of(study, "contour.values", change=damage, error=RefusedObject)


def test_a_loop_that_crosses_itself_is_read_even_odd_and_noted(study, kit):
    crossing = np.array([[-20.0, -10.0], [-5.0, 5.0], [-5.0, -10.0], [-20.0, 5.0]])
    organ = kit.prism(3, "Bow tie", StructureKind.ORGAN, crossing, [4])
    reading = read(study, [*kit.structures()[:2], organ])
    assert "contours that cross themselves, read by the even-odd rule: 1" in reading.notes[0]
    assert volume_cc(reading.structures[2], kit) == pytest.approx(112.5 * 3 / 1000, rel=0.02)


def test_repeated_points_do_no_harm(study, kit):
    loop = np.repeat(kit.box(-20, -10, -5, 5), 2, axis=0)
    organ = kit.prism(3, "Organ", StructureKind.ORGAN, np.vstack([loop, loop[:1]]), [4])
    reading = read(study, [*kit.structures()[:2], organ])
    assert len(reading.structures[2].contours[0].points_mm) == 4
    assert reading.notes == ()


def test_gap_of_one_slice_is_filled_and_noted(study, kit):
    organ = kit.prism(3, "Organ", StructureKind.ORGAN, kit.box(-20, -10, -5, 5), [1, 2, 4, 5])
    reading = read(study, [*kit.structures()[:2], organ])
    assert reading.notes == ("Structure Organ: slices without contour, filled in between their neighbours: 1",)
    assert volume_cc(reading.structures[2], kit) == pytest.approx(10 * 10 * 15 / 1000, rel=0.05)
    assert len(reading.structures[2].contours) == 4


def test_parts_that_do_not_lie_over_each_other_stay_apart(study, kit):
    apart = (Contour(-3.0, kit.box(-20, -10, -5, 5)), Contour(3.0, kit.box(5, 15, -5, 5)))
    organ = Structure(3, "Nodes", "Nodes", StructureKind.ORGAN, apart, kit.NOTHING)
    reading = read(study, [*kit.structures()[:2], organ])
    assert reading.notes == ("Structure Nodes: gaps along the patient, left open: 1",)
    assert volume_cc(reading.structures[2], kit) == pytest.approx(2 * 10 * 10 * 3 / 1000, rel=2e-3)


def test_half_way_between_two_discs_is_the_disc_of_the_mean_radius():
    grid = Grid((-30.0, -30.0, 0.0), (0.5, 0.5, 2.0), (3, 121, 121))
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    voxels, filled, left_open = fill_gaps(rasterise({0.0: [20 * circle], 4.0: [10 * circle]}, grid), grid)
    assert (filled, left_open) == (1, 0)
    area = voxels.dense(grid.shape)[1].sum() * 0.25
    assert area == pytest.approx(np.pi * 15**2, rel=0.02)
    assert np.all(np.diff(voxels.index) > 0)


def test_missing_external_is_found_on_the_ct(study, kit):
    reading = read(study, kit.structures()[1:])
    external = next(item for item in reading.structures if item.kind is StructureKind.EXTERNAL)
    assert (external.name, external.number) == ("External", 4)
    assert "no External" in reading.notes[0]
    # the body of the phantom, lung-like landmark filled: 15 x 25 voxels on 9 slices
    assert external.voxels.index.size == 15 * 25 * 9
    again = rasterise({c.z_mm: [c.points_mm] for c in external.contours}, kit.GRID)
    np.testing.assert_array_equal(again.index, external.voxels.index)


def test_the_largest_part_is_the_body(study, kit):
    hu = kit.body_hu()
    hu[:, 19:, :] = 200  # a couch below, apart from the body
    series = read_image(study.paths)
    image = type(series.image)(series.image.grid, hu)
    assert derive_external(image, 9).voxels.index.size == 15 * 25 * 9


def test_two_externals_are_refused(study, kit):
    second = kit.prism(9, "Outline", StructureKind.ORGAN, kit.box(-24, 26, -18.25, 19.25), range(9))

    def untyped(dataset):
        dataset.RTROIObservationsSequence[-1].RTROIInterpretedType = ""

    sentence = rule_of(study, "external.several", [*kit.structures(), second], untyped)
    assert "2 outlines of the patient (BODY, Outline)" in sentence


def test_a_target_outside_the_body_is_refused(study, kit):
    away = kit.prism(2, "PTV70", StructureKind.TARGET, kit.box(20, 30, -5, 10), range(2, 6))
    assert "40% of the target PTV70 lies outside the body" in rule_of(
        study, "target.outside", [kit.structures()[0], away]
    )


def test_a_target_slightly_outside_is_noted(study, kit):
    near = kit.prism(2, "PTV70", StructureKind.TARGET, kit.box(6, 26.2, -5, 10), range(2, 6))
    assert read(study, [kit.structures()[0], near]).notes == ("1.0% of the target PTV70 lies outside the body",)


def test_a_target_that_leaves_the_image_is_refused_and_an_organ_noted(study, kit):
    out = kit.box(20, 80, -5, 10)
    assert "it leaves the image" in rule_of(
        study,
        "target.beyond-image",
        [kit.structures()[0], kit.prism(2, "PTV70", StructureKind.TARGET, out, [2])],
    )
    reading = read(study, [*kit.structures()[:2], kit.prism(3, "Arm", StructureKind.ORGAN, out, [2])])
    assert reading.notes == ("Structure Arm leaves the image and was cut off at its border",)


def test_two_structures_of_one_standard_name(study, kit):
    items = [*kit.structures(), kit.prism(4, "Parotid_R", StructureKind.ORGAN, kit.box(-20, -10, -5, 5), [3])]
    reading = read(study, items)
    assert [item.tg263 for item in reading.structures] == ["External", "PTV_7000", "RightParotid", "Parotid_R"]
    assert "RightParotid keeps its own name" in reading.notes[0]
    items[2] = kit.prism(3, "parotid r", StructureKind.ORGAN, kit.box(-20, -10, -5, 5), [3])
    assert "two of its structures are called Parotid_R" in rule_of(study, "structures.names", items)


def test_no_structures_and_repeated_numbers(study):
    rule_of(study, "structures.empty", change=lambda d: setattr(d, "StructureSetROISequence", []))

    def same_number(dataset):
        dataset.StructureSetROISequence[2].ROINumber = 2

    rule_of(study, "structures.numbers", change=same_number)


def test_something_else_than_a_structure_set(study):
    with pytest.raises(RefusedObject, match="no RT Structure Set"):
        read_structures(study.paths[0], read_image(study.paths))


def with_properties(*properties: tuple[str, float], kind: str = ""):
    def change(dataset):
        observation = dataset.RTROIObservationsSequence[2]
        if kind:
            observation.RTROIInterpretedType = kind
        made = []
        for name, value in properties:
            item = Dataset()
            item.ROIPhysicalProperty, item.ROIPhysicalPropertyValue = name, value
            made.append(item)
        observation.ROIPhysicalPropertiesSequence = made

    return change


def test_a_density_that_the_structure_set_assigns_is_read_and_said(study):
    found = read(study, change=with_properties(("REL_MASS_DENSITY", 4.5), ("REL_ELEC_DENSITY", 3.74)))
    assert found.structures[2].density == DensityOverride(4.5, 3.74)
    assert "a mass density of 4.5 and an electron density of 3.74 times that of water" in found.notes[0]
    assert all(item.density is None for item in (found.structures[0], found.structures[1]))


def test_a_bolus_needs_a_density_to_be_matter(study):
    assert read(study, change=with_properties(kind="BOLUS")).notes == (
        "Structure RightParotid: it is a bolus without a density, which is not added to the image",
    )
    found = read(study, change=with_properties(("REL_ELEC_DENSITY", 1.0), kind="BOLUS"))
    assert found.structures[2].density == DensityOverride(None, 1.0)
    assert "not added" not in found.notes[0]


def test_other_physical_properties_are_named_as_not_used(study):
    found = read(study, change=with_properties(("EFFECTIVE_Z", 7.4)))
    assert found.structures[2].density is None
    assert "physical properties EFFECTIVE_Z are not used" in found.notes[0]


@pytest.mark.parametrize(
    "properties",
    [
        [("REL_MASS_DENSITY", -1.0)],
        [("REL_ELEC_DENSITY", 26.0)],
        [("REL_MASS_DENSITY", 1.0), ("REL_MASS_DENSITY", 1.1)],
    ],
    ids=["negative", "denser than any matter", "two of them"],
)
def test_an_impossible_density_is_refused(study, properties):
    with pytest.raises(InconsistentCase, match="RightParotid") as refused:
        read(study, change=with_properties(*properties))
    assert refused.value.fields["rule"] == "structures.density"


def test_colour_is_kept(study):
    def paint(dataset: Dataset):
        roi_contour(dataset, 1).ROIDisplayColor = [12, 34, 56]

    assert read(study, change=paint).structures[1].colour_rgb == (12, 34, 56)


def test_share_outside_by_hand():
    part = VoxelSet(np.array([1, 2, 3], np.int32), np.array([1.0, 0.5, 0.5], np.float32))
    whole = VoxelSet(np.array([0, 1, 3], np.int32), np.array([1.0, 0.75, 1.0], np.float32))
    assert share_outside(part, whole) == pytest.approx((0.25 + 0.5) / 2.0)
    assert share_outside(part, VoxelSet(np.zeros(0, np.int32), np.zeros(0, np.float32))) == 1.0
    assert share_outside(part, part) == 0.0
