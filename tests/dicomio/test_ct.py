"""CT slices: what the pixels mean in space must not depend on how the patient lay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from appliance.contracts import Identity, Image
from appliance.dicomio.ct import ROW_AND_COLUMN_SIGNS, write_ct_series
from appliance.errors import ExportError

POSITIONS = sorted(ROW_AND_COLUMN_SIGNS)


def hu_at_every_voxel(paths: list[Path]) -> dict[tuple[float, float, float], int]:
    """HU by (x, y, z) with the image plane equation, PS3.3 C.7.6.2.1.1: written apart from the writer on purpose."""
    found = {}
    for path in paths:
        dataset = dcmread(path)
        origin = np.array(dataset.ImagePositionPatient, float)
        along_row, along_column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        row_spacing, column_spacing = (float(v) for v in dataset.PixelSpacing)
        for (row, column), value in np.ndenumerate(dataset.pixel_array):
            at = origin + along_row * column_spacing * column + along_column * row_spacing * row
            found[tuple(np.round(at, 3).tolist())] = int(value * dataset.RescaleSlope + dataset.RescaleIntercept)
    return found


@pytest.mark.parametrize("position", POSITIONS)
def test_every_voxel_keeps_its_place_and_value(
    position: str, image: Image, identity: Identity, frame_uid: str, tmp_path: Path
) -> None:
    written = write_ct_series(
        image, identity=identity, frame_of_reference_uid=frame_uid, patient_position=position, folder=tmp_path
    )
    found = hu_at_every_voxel([source.path for source in written])
    x_mm, y_mm, z_mm = image.grid.axes_mm()
    expected = {
        (round(x_mm[ix], 3), round(y_mm[iy], 3), round(z_mm[iz], 3)): int(hu)
        for (iz, iy, ix), hu in np.ndenumerate(image.hu)
    }
    assert found == expected


@pytest.mark.parametrize(("position", "normal_z"), [("HFS", 1), ("HFP", 1), ("FFS", -1), ("FFP", -1)])
def test_slices_are_returned_by_z_and_numbered_along_the_normal(
    position: str, normal_z: int, image: Image, identity: Identity, frame_uid: str, tmp_path: Path
) -> None:
    written = write_ct_series(
        image, identity=identity, frame_of_reference_uid=frame_uid, patient_position=position, folder=tmp_path
    )
    headers = [dcmread(source.path, stop_before_pixels=True) for source in written]
    z_mm = [float(header.ImagePositionPatient[2]) for header in headers]
    numbers = [int(header.InstanceNumber) for header in headers]
    orientation = np.array(headers[0].ImageOrientationPatient, float).reshape(2, 3)
    assert np.cross(*orientation)[2] == normal_z
    assert z_mm == sorted(z_mm)
    assert numbers == sorted(numbers, reverse=normal_z < 0)
    assert {header.PatientPosition for header in headers} == {position}
    assert len({source.sop_instance_uid for source in written}) == image.grid.shape[0]
    assert len({source.series_instance_uid for source in written}) == 1


def test_only_known_positions_and_ct_are_written(
    image: Image, identity: Identity, frame_uid: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="HFDR"):
        write_ct_series(
            image, identity=identity, frame_of_reference_uid=frame_uid, patient_position="HFDR", folder=tmp_path
        )
    with pytest.raises(ExportError, match="MR"):
        write_ct_series(
            Image(image.grid, image.hu, "MR"),
            identity=identity,
            frame_of_reference_uid=frame_uid,
            patient_position="HFS",
            folder=tmp_path,
        )
    assert list(tmp_path.iterdir()) == []
