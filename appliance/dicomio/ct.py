"""A CT series on disk: one file a slice, in the row and column order a scanner gives for the patient's position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from appliance.contracts import Identity, Image, SourceObject
from appliance.dicomio.files import new_dataset, save_durable
from appliance.dicomio.values import ds, ds_list, new_uid
from appliance.errors import ExportError

ROW_AND_COLUMN_SIGNS = {"HFS": (1, 1), "HFP": (-1, -1), "FFS": (-1, 1), "FFP": (1, -1)}
"""Direction of image rows along LPS x and of columns along LPS y. A scanner's image axes are fixed to its gantry
(PS3.3 C.7.3.1.1.2 defines the positions), so turning the patient prone turns both axes, feet first turns x and the
slice normal."""


def write_ct_series(
    image: Image,
    *,
    identity: Identity,
    frame_of_reference_uid: str,
    patient_position: str,
    folder: Path,
    series_instance_uid: str | None = None,
    description: str = "",
) -> tuple[SourceObject, ...]:
    """Writes `image` as CT slices CT_0001.dcm … and returns them in order of rising z (patient superior).

    HU are stored as signed 16-bit integers with slope 1 and intercept 0, so nothing is lost. Instance numbers follow
    the slice normal (row × column direction), which points to the feet for FFS and FFP. Raises ExportError for
    another modality or an unknown patient position, DiskFull, WriteFailed.
    """
    if image.modality != "CT":
        raise ExportError(f"only CT images can be written, this one is '{image.modality}'")
    if patient_position not in ROW_AND_COLUMN_SIGNS:
        raise ExportError(f"patient position '{patient_position}' is not one of HFS, HFP, FFS, FFP")
    series_uid = series_instance_uid or new_uid()
    count = image.grid.shape[0]
    towards_head = patient_position.startswith("HF")
    written = []
    for slice_index in range(count):
        dataset = new_dataset(
            CTImageStorage,
            identity,
            modality="CT",
            series_instance_uid=series_uid,
            series_description=description,
        )
        dataset.FrameOfReferenceUID = frame_of_reference_uid
        dataset.InstanceNumber = slice_index + 1 if towards_head else count - slice_index
        _add_slice(dataset, image, slice_index, patient_position)
        written.append(save_durable(dataset, folder / f"CT_{slice_index + 1:04d}.dcm"))
    return tuple(written)


def _add_slice(dataset: Dataset, image: Image, slice_index: int, patient_position: str) -> None:
    row_sign, column_sign = ROW_AND_COLUMN_SIGNS[patient_position]
    grid = image.grid
    x_mm, y_mm, z_mm = grid.axes_mm()
    dataset.PatientPosition = patient_position
    dataset.PositionReferenceIndicator = ""
    dataset.ImageOrientationPatient = ds_list((row_sign, 0, 0, 0, column_sign, 0))
    first_x_mm = x_mm[0] if row_sign > 0 else x_mm[-1]
    first_y_mm = y_mm[0] if column_sign > 0 else y_mm[-1]
    dataset.ImagePositionPatient = ds_list((first_x_mm, first_y_mm, z_mm[slice_index]))
    dataset.SliceLocation = ds(z_mm[slice_index])
    dataset.PixelSpacing = ds_list((grid.spacing_mm[1], grid.spacing_mm[0]))
    dataset.SliceThickness = ds(grid.spacing_mm[2])
    dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    dataset.AcquisitionNumber = 1
    dataset.KVP = None
    dataset.Laterality = ""
    dataset.ContentDate, dataset.ContentTime = dataset.InstanceCreationDate, dataset.InstanceCreationTime
    _add_pixels(dataset, image.hu[slice_index, ::column_sign, ::row_sign])


def _add_pixels(dataset: Dataset, hu: NDArray[np.int16]) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = hu.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.RescaleIntercept = ds(0)
    dataset.RescaleSlope = ds(1)
    dataset.RescaleType = "HU"
    dataset.PixelData = np.ascontiguousarray(hu, "<i2").tobytes()
