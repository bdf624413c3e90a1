import numpy as np
import pydicom
import pytest

from appliance.case import read_dose
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import save_durable
from appliance.dicomio.values import new_uid
from appliance.errors import InconsistentCase, RefusedObject
from engines.grid import Grid

GRID = Grid((-20.0, 10.5, -7.5), (3.0, 2.0, 2.5), (4, 6, 5))
DOSE_GY = np.random.default_rng(3).uniform(0, 70, GRID.shape).astype(np.float32)
STEP_GY = 70.0 / 65535


@pytest.fixture
def path(tmp_path, kit):
    dataset = dose_dataset(
        GRID, DOSE_GY, identity=kit.IDENTITY, frame_of_reference_uid=new_uid(), plan=None, structure_set=None
    )
    return save_durable(dataset, tmp_path / "RD.dcm").path


def turned(row_sign, column_sign):
    """The same dose with rows and columns running the other way, frames along their normal."""

    def change(dataset):
        x, y, z = (float(value) for value in dataset.ImagePositionPatient)
        pixels = dataset.pixel_array[:, ::column_sign, ::row_sign]
        if row_sign < 0:
            x += GRID.spacing_mm[0] * (GRID.shape[2] - 1)
        if column_sign < 0:
            y += GRID.spacing_mm[1] * (GRID.shape[1] - 1)
        if row_sign * column_sign < 0:
            z += GRID.spacing_mm[2] * (GRID.shape[0] - 1)
            pixels = pixels[::-1]
        dataset.ImagePositionPatient = [x, y, z]
        dataset.ImageOrientationPatient = [row_sign, 0, 0, 0, column_sign, 0]
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()

    return change


@pytest.mark.parametrize(("row_sign", "column_sign"), [(1, 1), (-1, -1), (-1, 1), (1, -1)])
def test_every_orientation_gives_the_same_dose(path, kit, row_sign, column_sign):
    kit.altered(path, turned(row_sign, column_sign))
    grid, dose_gy = read_dose(path)
    assert grid.same_as(GRID)
    np.testing.assert_allclose(dose_gy, DOSE_GY, atol=STEP_GY)


def test_offsets_that_are_z_themselves(path, kit):
    def absolute(dataset):
        dataset.GridFrameOffsetVector = [-7.5, -5.0, -2.5, 0.0]

    kit.altered(path, absolute)
    grid, dose_gy = read_dose(path)
    assert grid.same_as(GRID)
    np.testing.assert_allclose(dose_gy, DOSE_GY, atol=STEP_GY)


def test_frames_from_head_to_feet(path, kit):
    def falling(dataset):
        dataset.GridFrameOffsetVector = [0, -2.5, -5, -7.5]
        dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], 0.0]
        dataset.PixelData = np.ascontiguousarray(dataset.pixel_array[::-1]).tobytes()

    kit.altered(path, falling)
    grid, dose_gy = read_dose(path)
    assert grid.same_as(GRID)
    np.testing.assert_allclose(dose_gy, DOSE_GY, atol=STEP_GY)


def test_32_bit_pixels(path, kit):
    def wide(dataset):
        dataset.PixelData = (dataset.pixel_array.astype(np.uint32) * 60000).tobytes()
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 32, 32, 31
        dataset.DoseGridScaling = f"{float(dataset.DoseGridScaling) / 60000:.9e}"

    kit.altered(path, wide)
    np.testing.assert_allclose(read_dose(path)[1], DOSE_GY, atol=STEP_GY)


@pytest.mark.parametrize(
    ("keyword", "value", "rule"),
    [
        ("DoseUnits", "RELATIVE", "dose.units"),
        ("DoseComment", "PREDICTED, not a calculated dose, never for treatment", "dose.predicted"),
        ("DoseType", "EFFECTIVE", "dose.type"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.481.3", "dose.class"),
        ("GridFrameOffsetVector", [5, 7.5, 10, 12.5], "dose.frames"),
        ("GridFrameOffsetVector", [0, 2.5], "dose.frames"),
        ("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], "geometry.orientation"),
        ("DoseGridScaling", -1, "dose.values"),
    ],
)
def test_a_dose_that_cannot_be_used(path, kit, keyword, value, rule):
    kit.altered(path, lambda dataset: setattr(dataset, keyword, value))
    with pytest.raises(RefusedObject) as refusal:
        read_dose(path)
    assert refusal.value.fields["rule"] == rule


def test_no_scaling(path, kit):
    kit.altered(path, lambda dataset: delattr(dataset, "DoseGridScaling"))
    with pytest.raises(RefusedObject, match="DoseGridScaling is missing"):
        read_dose(path)


def test_uneven_frames(path, kit):
    kit.altered(path, lambda dataset: setattr(dataset, "GridFrameOffsetVector", [0, 2.5, 4.5, 7.5]))
    with pytest.raises(InconsistentCase, match="unevenly spaced"):
        read_dose(path)


def test_the_file_is_not_changed_by_reading(path):
    before = path.read_bytes()
    read_dose(path)
    assert path.read_bytes() == before
    assert pydicom.dcmread(path).DoseUnits == "GY"
