"""Spatial Registration (PS3.3 C.20.2) and Deformable Spatial Registration (C.20.3) of two images.

The frame of the object itself, which the standard calls the Registered RCS, is that of the fixed image: in this product
today's. Direction. C.20.3.1.1 finds for each point of the Registered RCS the point of the Source RCS to sample there:

    x_source = M_post (M_pre x + delta_ijk),   x = position + i r_x row + j r_y column + k r_z (row x column)

which is x_moving = x + u(x) of `DisplacementField` with delta = u, both matrices left out and the source's frame that
of the moving image: vectors are written as they are, x fastest, in patient coordinates. A rigid object goes the other
way: C.20.2.1.1 gives each frame the matrix that takes its points to the Registered RCS, so the moving image gets the
inverse of `RigidTransform`, and the fixed one the identity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import DeformableSpatialRegistrationStorage, SpatialRegistrationStorage

from appliance.contracts import Case, Identity, SourceObject
from appliance.dicomio.files import RESEARCH_NOTICE, new_dataset, sop_reference
from appliance.dicomio.values import LONG_STRING, clipped, date_time, ds_list, new_uid
from appliance.errors import ExportError
from engines.registration import DisplacementField, RigidTransform

NO_SERIAL_NUMBER = "0"
"""Device Serial Number is demanded (C.7.5.2), and software has none."""

LABEL = "REGISTRATION"


@dataclass(frozen=True)
class RegisteredImage:
    """One side of a registration: whose image, its frame of reference and its slices."""

    identity: Identity
    frame_of_reference_uid: str
    images: tuple[SourceObject, ...]

    @staticmethod
    def of(case: Case) -> RegisteredImage:
        return RegisteredImage(case.identity, case.frame_of_reference_uid, case.images)


def spatial_registration_dataset(
    transform: RigidTransform, *, fixed: RegisteredImage, moving: RegisteredImage, comment: str = ""
) -> Dataset:
    """transform: points of the fixed image's frame to the moving one's. comment: how it was found. Raises ExportError
    for two images of one frame or of two patients."""
    dataset = _new(SpatialRegistrationStorage, fixed, moving, comment or "Rigid registration")
    dataset.RegistrationSequence = [
        _rigid_item(fixed, np.eye(4), comment),
        _rigid_item(moving, transform.inverse.matrix, comment),
    ]
    return dataset


def deformable_registration_dataset(
    field: DisplacementField, *, fixed: RegisteredImage, moving: RegisteredImage, comment: str = ""
) -> Dataset:
    """field: points of the fixed image's frame to the moving one's; written on its own grid, unrounded. Raises
    ExportError as `spatial_registration_dataset`."""
    dataset = _new(DeformableSpatialRegistrationStorage, fixed, moving, comment or "Deformable registration")
    item = Dataset()
    item.SourceFrameOfReferenceUID = moving.frame_of_reference_uid
    item.ReferencedImageSequence = [sop_reference(image) for image in moving.images]
    item.FrameOfReferenceTransformationComment = clipped(comment, LONG_STRING)
    item.RegistrationTypeCodeSequence = [_by_content()]
    item.DeformableRegistrationGridSequence = [_grid(field)]
    dataset.DeformableRegistrationSequence = [item]
    return dataset


def _new(sop_class_uid: str, fixed: RegisteredImage, moving: RegisteredImage, description: str) -> Dataset:
    if fixed.frame_of_reference_uid == moving.frame_of_reference_uid:
        raise ExportError("both images are in one frame of reference, which needs no registration object")
    if fixed.identity.patient_id != moving.identity.patient_id:
        raise ExportError("the images of a registration belong to two patients")
    dataset = new_dataset(
        sop_class_uid,
        fixed.identity,
        modality="REG",
        series_instance_uid=new_uid(),
        series_description=description,
    )
    # Type 2C in General Series (C.7.3.1) and asked for by validators: no side of the body is meant.
    dataset.Laterality = ""
    dataset.DeviceSerialNumber = NO_SERIAL_NUMBER
    dataset.FrameOfReferenceUID = fixed.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    dataset.InstanceNumber = 1
    dataset.ContentDate, dataset.ContentTime = date_time(datetime.now(UTC))
    dataset.ContentLabel = LABEL
    dataset.ContentDescription = clipped(RESEARCH_NOTICE, LONG_STRING)
    dataset.ContentCreatorName = ""
    _add_references(dataset, fixed, moving)
    return dataset


def _add_references(dataset: Dataset, fixed: RegisteredImage, moving: RegisteredImage) -> None:
    """Common Instance Reference (C.12.2): images of the object's own study apart from those of another."""
    own = fixed.identity.study_instance_uid
    here = [*fixed.images, *(moving.images if moving.identity.study_instance_uid == own else ())]
    if here:
        dataset.ReferencedSeriesSequence = _series(here)
    if moving.images and moving.identity.study_instance_uid != own:
        study = Dataset()
        study.StudyInstanceUID = moving.identity.study_instance_uid
        study.ReferencedSeriesSequence = _series(moving.images)
        dataset.StudiesContainingOtherReferencedInstancesSequence = [study]


def _series(images: Iterable[SourceObject]) -> list[Dataset]:
    found: dict[str, Dataset] = {}
    for image in images:
        if image.series_instance_uid not in found:
            series = Dataset()
            series.SeriesInstanceUID = image.series_instance_uid
            series.ReferencedInstanceSequence = []
            found[image.series_instance_uid] = series
        found[image.series_instance_uid].ReferencedInstanceSequence.append(sop_reference(image))
    return list(found.values())


def _rigid_item(image: RegisteredImage, to_object: NDArray[np.float64], comment: str) -> Dataset:
    matrix = Dataset()
    matrix.FrameOfReferenceTransformationMatrix = ds_list(to_object.reshape(-1).tolist())
    matrix.FrameOfReferenceTransformationMatrixType = "RIGID"
    step = Dataset()
    step.FrameOfReferenceTransformationComment = clipped(comment, LONG_STRING)
    step.RegistrationTypeCodeSequence = [_by_content()]
    step.MatrixSequence = [matrix]
    item = Dataset()
    item.FrameOfReferenceUID = image.frame_of_reference_uid
    item.ReferencedImageSequence = [sop_reference(one) for one in image.images]
    item.MatrixRegistrationSequence = [step]
    return item


def _by_content() -> Dataset:
    """From PS3.16 CID 7100, RCS Registration Method Type."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "125024", "DCM"
    code.CodeMeaning = "Image Content-based Alignment"
    return code


def _grid(field: DisplacementField) -> Dataset:
    item = Dataset()
    item.ImagePositionPatient = ds_list(field.grid.origin_mm)
    item.ImageOrientationPatient = ds_list((1, 0, 0, 0, 1, 0))
    item.GridDimensions = list(field.grid.shape[::-1])
    item.GridResolution = [float(step) for step in field.grid.spacing_mm]
    # The z axis of the grid is row x column: it rises, as the planes of a `Grid` do.
    item.VectorGridData = np.ascontiguousarray(field.displacement_mm, "<f4").tobytes()
    return item
