import shutil
import subprocess

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from appliance.case import read_image
from appliance.errors import InconsistentCase, RefusedObject

POSITIONS = ("HFS", "HFP", "FFS", "FFP")


@pytest.mark.parametrize("position", POSITIONS)
def test_every_patient_position_gives_the_same_image(tmp_path, kit, position):
    study = kit.write_study(tmp_path, position)
    first = pydicom.dcmread(study.paths[0])
    stored_as_is = first.ImageOrientationPatient[0] > 0 and first.ImageOrientationPatient[4] > 0
    assert stored_as_is == (position == "HFS")
    series = read_image(study.paths)
    assert series.image.grid.same_as(kit.GRID)
    np.testing.assert_array_equal(series.image.hu, kit.body_hu())
    assert (series.patient_position, series.frame_of_reference_uid) == (position, study.frame_of_reference_uid)
    assert series.identity == kit.IDENTITY


def test_prone_pixels_laid_out_by_hand(tmp_path, kit):
    """Stored first row and column of a prone patient are the posterior left corner of the image."""
    study = kit.write_study(tmp_path, "HFP")
    stored = pydicom.dcmread(study.paths[0])
    x_mm, y_mm, z_mm = kit.GRID.axes_mm()
    assert [float(v) for v in stored.ImagePositionPatient] == [x_mm[-1], y_mm[-1], z_mm[0]]

    def mark(dataset):
        pixels = dataset.pixel_array.copy()
        pixels[0, 0] = 1234
        dataset.PixelData = pixels.tobytes()

    kit.altered(study.paths[0], mark)
    assert read_image(study.paths).image.hu[0, -1, -1] == 1234


def test_order_of_files_does_not_matter(study, kit):
    series = read_image([*study.paths[4:], *reversed(study.paths[:4])])
    np.testing.assert_array_equal(series.image.hu, kit.body_hu())
    assert [source.sop_instance_uid for source in series.sources] == [image.sop_instance_uid for image in study.images]
    assert [source.sha256 for source in series.sources] == [image.sha256 for image in study.images]


def unsigned(dataset):
    hu = dataset.pixel_array.astype(np.int32)
    dataset.PixelData = (hu + 1024).astype(np.uint16).tobytes()
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept = -1024


def test_unsigned_pixels_with_an_intercept_do_not_wrap(study, kit):
    for path in study.paths:
        kit.altered(path, unsigned)
    np.testing.assert_array_equal(read_image(study.paths).image.hu, kit.body_hu())


def test_twelve_of_sixteen_bits_and_a_slope(study, kit):
    def twelve_bits(dataset):
        hu = dataset.pixel_array.astype(np.int32)
        dataset.PixelData = ((hu + 1024) // 2).astype(np.uint16).tobytes()
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1024

    for path in study.paths:
        kit.altered(path, twelve_bits)
    np.testing.assert_array_equal(read_image(study.paths).image.hu, kit.body_hu())


def test_what_was_not_reconstructed_is_air(study, kit):
    def padded(dataset):
        pixels = dataset.pixel_array.copy()
        pixels[0, :] = -3024
        dataset.PixelData = pixels.tobytes()

    for path in study.paths:
        kit.altered(path, padded)
    assert read_image(study.paths).image.hu.min() == -1024


def test_rle_slices(study, kit):
    for path in study.paths:
        kit.altered(path, unsigned)
        kit.altered(path, lambda dataset: dataset.compress(RLELossless, generate_instance_uid=False))
    np.testing.assert_array_equal(read_image(study.paths).image.hu, kit.body_hu())


@pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"])
def test_slices_compressed_by_gdcm(study, kit, syntax):
    for path in study.paths:
        kit.altered(path, unsigned)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(path))
        assert writer.Write()
    assert pydicom.dcmread(study.paths[0]).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_image(study.paths).image.hu, kit.body_hu())


@pytest.mark.peer
@pytest.mark.parametrize("program", ["dcmcjpeg", "dcmcjpls"])
def test_slices_compressed_by_dcmtk(study, kit, program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} of DCMTK is not installed")
    for path in study.paths:
        kit.altered(path, unsigned)
        subprocess.run([program, str(path), str(path)], check=True, timeout=30)
    np.testing.assert_array_equal(read_image(study.paths).image.hu, kit.body_hu())


def test_a_damaged_compressed_slice_is_refused(study, kit):
    def cut(dataset):
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.PixelData = dataset.PixelData[:60] + b"\0" * 20

    kit.altered(study.paths[3], cut)
    with pytest.raises(RefusedObject) as refusal:
        read_image(study.paths)
    assert refusal.value.fields["rule"].startswith(("pixels.", "truncated", "damaged"))


def set_to(**values):
    def change(dataset):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def without(keyword):
    return lambda dataset: delattr(dataset, keyword)


ONE_SLICE = [
    (without("RescaleSlope"), "rescale.missing", "no RescaleSlope"),
    (without("RescaleIntercept"), "rescale.missing", "no RescaleSlope or RescaleIntercept"),
    (set_to(RescaleType="US"), "rescale.not-hounsfield", "not Hounsfield units"),
    (set_to(RescaleSlope=0), "rescale.missing", "RescaleSlope is zero"),
    (set_to(RescaleSlope=100), "rescale.range", "do not fit"),
    (set_to(ImageOrientationPatient=[1, 0, 0, 0, 0.9962, 0.0872]), "geometry.orientation", "tilted"),
    (set_to(ImageOrientationPatient=[0, 1, 0, -1, 0, 0]), "geometry.orientation", "tilted or not transverse"),
    (set_to(PatientPosition="HFDL"), "patient.position", "HFDL is not supported"),
    (set_to(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "image.class", "localizer"),
    (set_to(SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1"), "image.multi-frame", "Enhanced CT"),
    (set_to(SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1"), "image.multi-frame", "Enhanced MR"),
    (set_to(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.1"), "image.class", "no single CT or MR slice"),
    (without("ImagePositionPatient"), "attribute.missing", "ImagePositionPatient is missing"),
    (without("FrameOfReferenceUID"), "attribute.missing", "FrameOfReferenceUID is missing"),
    (set_to(PixelSpacing=[0, 2]), "attribute.unreadable", "PixelSpacing is not positive"),
]


@pytest.mark.parametrize(
    ("change", "rule", "words"), ONE_SLICE, ids=[f"{rule}-{words}" for _, rule, words in ONE_SLICE]
)
def test_a_slice_that_cannot_be_used(study, kit, change, rule, words):
    kit.altered(study.paths[2], change)
    with pytest.raises(RefusedObject, match=words) as refusal:
        read_image(study.paths)
    assert refusal.value.fields["rule"] == rule
    assert "slice 3" in refusal.value.sentence and refusal.value.fields["remedy"]


SERIES = [
    (set_to(SeriesInstanceUID="1.2.3"), "differ in series"),
    (set_to(FrameOfReferenceUID="1.2.3"), "differ in frame of reference"),
    (set_to(PixelSpacing=[2.5, 2.01]), "differ in pixel spacing"),
    (set_to(ImagePositionPatient=[-31, -24.0, -6]), "differ in position across the patient"),
    (set_to(PatientPosition="FFS"), "differ in patient position"),
    (set_to(PatientID="other"), "differ in patient"),
]


@pytest.mark.parametrize(("change", "words"), SERIES, ids=[words for _, words in SERIES])
def test_slices_that_do_not_make_one_series(study, kit, change, words):
    kit.altered(study.paths[2], change)
    with pytest.raises(InconsistentCase, match=words) as refusal:
        read_image(study.paths)
    assert refusal.value.fields["rule"] == "series.mixed"


def test_missing_slice(study):
    with pytest.raises(InconsistentCase, match=r"planes are missing above z = 0\.0 mm") as refusal:
        read_image([*study.paths[:5], *study.paths[6:]])
    assert refusal.value.fields["rule"] == "slices.missing"


def test_duplicate_slice(study):
    with pytest.raises(InconsistentCase, match=r"two planes at z = -6\.0 mm") as refusal:
        read_image([*study.paths, study.paths[2]])
    assert refusal.value.fields["rule"] == "slices.duplicate"


def test_uneven_slices(study, kit):
    kit.altered(study.paths[2], set_to(ImagePositionPatient=[-31, -24.5, -5.8]))
    with pytest.raises(InconsistentCase, match="unevenly spaced") as refusal:
        read_image(study.paths)
    assert refusal.value.fields["rule"] == "slices.uneven"


def test_positions_rounded_to_a_hundredth_are_even(study, kit):
    kit.altered(study.paths[2], set_to(ImagePositionPatient=[-31, -24.5, -6.01]))
    assert read_image(study.paths).image.grid.same_as(kit.GRID)


def test_one_slice_or_none_is_no_image(study):
    for paths in (study.paths[:1], []):
        with pytest.raises(InconsistentCase) as refusal:
            read_image(paths)
        assert refusal.value.fields["rule"] == "slices.too-few"


@pytest.mark.parametrize(
    ("hu", "words"),
    [
        (lambda hu: hu + 1000, "above 700 HU"),  # intercept of -1000 lost
        (lambda hu: np.full_like(hu, -1000), "nothing denser"),
        (lambda hu: np.abs(hu) // 2 + 200, "no air"),  # intensities of another modality
        (lambda hu: np.where(hu < -900, 0, 5000), "above 700 HU"),
    ],
)
def test_values_that_cannot_be_hounsfield_units(tmp_path, kit, hu, words):
    study = kit.write_study(tmp_path, hu=hu(kit.body_hu()).astype(np.int16))
    with pytest.raises(InconsistentCase, match=words) as refusal:
        read_image(study.paths)
    assert refusal.value.fields["rule"] == "hounsfield.implausible"


def test_a_water_phantom_that_fills_the_image_is_taken(tmp_path, kit):
    study = kit.write_study(tmp_path, hu=np.zeros(kit.GRID.shape, np.int16))
    assert not read_image(study.paths).image.hu.any()


def test_an_mr_series_keeps_its_values(study, kit):
    def to_mr(dataset):
        dataset.SOPClassUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.4", "MR"
        dataset.PixelData = (dataset.pixel_array + 1000).tobytes()
        del dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType

    for path in study.paths:
        kit.altered(path, to_mr)
    image = read_image(study.paths).image
    assert image.modality == "MR"
    np.testing.assert_array_equal(image.hu, kit.body_hu() + 1000)


def test_no_refusal_names_the_patient(study, kit):
    kit.altered(study.paths[2], set_to(RescaleType="US"))
    with pytest.raises(RefusedObject) as refusal:
        read_image(study.paths)
    assert "Doe" not in refusal.value.sentence and "P-17" not in refusal.value.sentence


def test_a_stack_that_leans_is_refused(study, kit):
    """A gantry tilted by 5 degrees, its slices stored as if upright: each one 0.26 mm further back."""
    for index, path in enumerate(study.paths):
        kit.altered(path, set_to(ImagePositionPatient=[-31, -24.5 + 0.26 * index, -12 + 3 * index]))
    with pytest.raises(InconsistentCase, match="differ in position across the patient"):
        read_image(study.paths)
