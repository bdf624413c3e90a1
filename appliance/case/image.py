"""A CT or MR series as one image on the grid used everywhere inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from appliance.case.attributes import identity_of, number, numbers, refused, required_text, source_of, text
from appliance.case.hounsfield import check_plausible, rescaled, to_int16
from appliance.case.planes import COSINE_TOLERANCE, RESEND, SPACING_TOLERANCE_MM, Plane, axial_signs, grid_of
from appliance.case.scanner import Scanner
from appliance.contracts import Identity, Image, SourceObject
from appliance.dicomio.read import read_dataset
from appliance.errors import InconsistentCase

PATIENT_POSITIONS = ("HFS", "HFP", "FFS", "FFP")
MODALITIES = {str(CTImageStorage): "CT", str(MRImageStorage): "MR"}
MULTI_FRAME = {
    str(EnhancedCTImageStorage): "CT",
    str(LegacyConvertedEnhancedCTImageStorage): "CT",
    str(EnhancedMRImageStorage): "MR",
    str(LegacyConvertedEnhancedMRImageStorage): "MR",
}


@dataclass(frozen=True, eq=False)
class ImageSeries:
    """An image with what it was made of. sources: one per slice in order of rising z. patient_position: HFS, HFP, FFS,
    FFP or '' where no slice states it. scanner: of the lowest slice."""

    image: Image
    frame_of_reference_uid: str
    patient_position: str
    identity: Identity
    sources: tuple[SourceObject, ...]
    scanner: Scanner = field(default_factory=Scanner)


@dataclass(frozen=True, eq=False)
class _Slice:
    plane: Plane
    modality: str
    frame_of_reference_uid: str
    patient_position: str
    identity: Identity
    source: SourceObject
    scanner: Scanner
    values: NDArray[np.int16]


def read_image(paths: Sequence[Path], *, hounsfield: bool = True) -> ImageSeries:
    """Reads the slices of one axial series in any order and any of the four patient positions.

    CT values are HU; MR values are taken as they are after rescale, and are no basis for dose. hounsfield=False: the CT
    need not be calibrated (an image of a treatment machine), and its values too are taken as they are. Needs memory for
    twice the image at most. Raises RefusedObject for a slice that cannot be used (`image.class`, `image.multi-frame`,
    `geometry.orientation`, `rescale.*`, `pixels.*`, `attribute.*` and the rules of reading a file), InconsistentCase
    for slices that do not make an image (`series.mixed`, `slices.*`, `hounsfield.implausible`).
    """
    if not paths:
        raise InconsistentCase("it has no slices", what="The image series", remedy=RESEND, rule="slices.too-few")
    slices = [_read_slice(path, position, hounsfield) for position, path in enumerate(paths, start=1)]
    first = slices[0]
    what = f"The {first.modality} series"
    _check_one_series(slices, what)
    slices.sort(key=lambda item: item.plane.position_mm[2])
    z_mm = np.array([item.plane.position_mm[2] for item in slices])
    grid = grid_of(first.plane, z_mm, what)
    sources = tuple(item.source for item in slices)
    values = np.empty(grid.shape, np.int16)
    for index in reversed(range(len(slices))):
        values[index] = slices.pop().values
    if first.modality == "CT" and hounsfield:
        check_plausible(values, what)
    return ImageSeries(
        image=Image(grid, values, first.modality),
        frame_of_reference_uid=first.frame_of_reference_uid,
        patient_position=first.patient_position,
        identity=first.identity,
        sources=sources,
        scanner=first.scanner,
    )


def _read_slice(path: Path, position: int, hounsfield: bool) -> _Slice:
    what = f"Image slice {position}"
    dataset = read_dataset(path, what=what)
    modality = modality_of(dataset, what)
    what = f"{modality} slice {text(dataset, 'InstanceNumber') or position}"
    if "LOCALIZER" in (dataset.get("ImageType") or ()):
        raise refused(what, "it is a localizer", "image.class", "Send the axial series without its localizer")
    patient_position = text(dataset, "PatientPosition")
    if patient_position and patient_position not in PATIENT_POSITIONS:
        raise refused(
            what,
            f"the patient position {patient_position} is not supported",
            "patient.position",
            "Use an image of a patient lying on the back or the belly",
        )
    plane = _plane(dataset, what)
    return _Slice(
        plane=plane,
        modality=modality,
        frame_of_reference_uid=required_text(dataset, "FrameOfReferenceUID", what),
        patient_position=patient_position,
        identity=identity_of(dataset),
        source=source_of(dataset, path, what),
        scanner=Scanner.of(dataset),
        values=_values(dataset, plane, what, is_hounsfield=modality == "CT" and hounsfield),
    )


def modality_of(dataset: Dataset, what: str) -> str:
    """CT or MR. Raises RefusedObject `image.multi-frame`, `image.class`."""
    sop_class_uid = text(dataset, "SOPClassUID")
    if sop_class_uid in MULTI_FRAME:
        raise refused(
            what,
            f"it is an Enhanced {MULTI_FRAME[sop_class_uid]} object with all slices in one, which is not read",
            "image.multi-frame",
            f"Send it as a series of {MULTI_FRAME[sop_class_uid]} Image Storage slices; scanners and archives convert",
        )
    modality = MODALITIES.get(sop_class_uid)
    if modality is None or int(dataset.get("NumberOfFrames") or 1) != 1:
        raise refused(what, "it is no single CT or MR slice", "image.class", "Send a series of CT Image Storage slices")
    return modality


def _plane(dataset: Dataset, what: str) -> Plane:
    x, y, z = numbers(dataset, "ImagePositionPatient", 3, what)
    between_rows, between_columns = numbers(dataset, "PixelSpacing", 2, what)
    if min(between_rows, between_columns) <= 0:
        raise refused(what, "its PixelSpacing is not positive", "attribute.unreadable")
    return Plane(
        position_mm=(x, y, z),
        signs=axial_signs(numbers(dataset, "ImageOrientationPatient", 6, what), what),
        spacing_mm=(between_columns, between_rows),
        shape=(int(number(dataset, "Rows", what)), int(number(dataset, "Columns", what))),
    )


def _values(dataset: Dataset, plane: Plane, what: str, *, is_hounsfield: bool) -> NDArray[np.int16]:
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise refused(what, "it is a colour image", "image.class", "Send a series of CT Image Storage slices")
    stored = pixels_of(dataset, what)
    if stored.shape != plane.shape:
        raise refused(what, "its pixels do not fill its rows and columns", "pixels.shape")
    if is_hounsfield:
        values = rescaled(dataset, stored, what)
    elif text(dataset, "RescaleSlope"):
        slope, intercept = number(dataset, "RescaleSlope", what), number(dataset, "RescaleIntercept", what)
        values = to_int16(np.rint(stored.astype(np.float64) * slope + intercept), what)
    else:
        values = to_int16(stored, what)
    return np.ascontiguousarray(plane.upright(values), np.int16)


def pixels_of(dataset: Dataset, what: str) -> NDArray[Any]:
    """Decoded pixels as stored, before rescale. Raises RefusedObject `pixels.undecodable`."""
    try:
        pixels: NDArray[Any] = dataset.pixel_array
    # pydicom's decoders and their plug-ins raise these, and no type of their own, for data they cannot decode.
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as e:
        raise refused(
            what, "its pixel data cannot be decoded", "pixels.undecodable", "Send it again without compression"
        ) from e
    return pixels


def _check_one_series(slices: Sequence[_Slice], what: str) -> None:
    first = slices[0]
    for item in slices[1:]:
        differing = (
            ("series", item.source.series_instance_uid == first.source.series_instance_uid),
            ("modality", item.modality == first.modality),
            ("frame of reference", item.frame_of_reference_uid == first.frame_of_reference_uid),
            ("patient position", item.patient_position == first.patient_position),
            ("orientation", item.plane.signs == first.plane.signs),
            ("rows and columns", item.plane.shape == first.plane.shape),
            ("pixel spacing", np.allclose(item.plane.spacing_mm, first.plane.spacing_mm, rtol=0, atol=1e-4)),
            ("position across the patient", _same_corner(item, first)),
            ("patient", item.identity.patient_id == first.identity.patient_id),
        )
        for name, same in differing:
            if not same:
                reason = f"its slices differ in {name}"
                raise InconsistentCase(reason, what=what, remedy=RESEND, rule="series.mixed")


def _same_corner(item: _Slice, first: _Slice) -> bool:
    """Slices shifted against each other are a tilted stack, by the same measure as tilted planes."""
    *shift, rise = np.abs(np.subtract(item.plane.position_mm, first.plane.position_mm))
    return bool(max(shift) <= max(SPACING_TOLERANCE_MM, COSINE_TOLERANCE * rise))
