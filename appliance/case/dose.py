"""An RTDOSE as dose in Gy on a grid of our frame (PS3.3 C.8.8.3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import RTDoseStorage

from appliance.case.attributes import number, numbers, refused, text
from appliance.case.image import pixels_of
from appliance.case.planes import SPACING_TOLERANCE_MM, Plane, axial_signs, grid_of
from appliance.dicomio.accumulated_dose import is_accumulated
from appliance.dicomio.predicted_dose import is_prediction
from appliance.dicomio.read import read_dataset
from engines.grid import Grid

WHAT = "RTDOSE"


def read_dose(path: Path) -> tuple[Grid, NDArray[np.float32]]:
    """(grid, dose_gy (z, y, x)) of a dose in GY, of any summation type.

    Raises RefusedObject: `dose.class`, `dose.predicted` (one that `couchside predict` wrote), `dose.accumulated` (one
    that `couchside accumulate` wrote), `dose.units`, `dose.type`, `dose.frames`, `dose.values`, `geometry.orientation`,
    `attribute.*`, `pixels.*`; InconsistentCase `slices.*` for uneven planes.
    """
    return dose_of(read_dataset(path, what=WHAT))


def read_accumulated_dose(path: Path) -> tuple[Grid, NDArray[np.float32]]:
    """As `read_dose`, of what `couchside accumulate` wrote, physical or EQD2, and of nothing else."""
    dataset = read_dataset(path, what=WHAT)
    if not is_accumulated(lambda keyword: text(dataset, keyword)):
        raise refused(WHAT, "it is no accumulated dose", "dose.class", "Give one that couchside accumulate wrote")
    return _values(dataset)


def dose_of(dataset: Dataset) -> tuple[Grid, NDArray[np.float32]]:
    """As `read_dose`, of a dataset that is read already."""
    _check_kind(dataset)
    return _values(dataset)


def _values(dataset: Dataset) -> tuple[Grid, NDArray[np.float32]]:
    rows, columns = int(number(dataset, "Rows", WHAT)), int(number(dataset, "Columns", WHAT))
    x, y, z = numbers(dataset, "ImagePositionPatient", 3, WHAT)
    between_rows, between_columns = numbers(dataset, "PixelSpacing", 2, WHAT)
    if min(between_rows, between_columns) <= 0:
        raise refused(WHAT, "its PixelSpacing is not positive", "attribute.unreadable")
    signs = axial_signs(numbers(dataset, "ImageOrientationPatient", 6, WHAT), WHAT)
    plane = Plane((x, y, z), signs, (between_columns, between_rows), (rows, columns))
    z_mm = _plane_positions(dataset, z, signs)
    order = np.argsort(z_mm, kind="stable")
    grid = grid_of(plane, z_mm[order], WHAT)
    scaling = number(dataset, "DoseGridScaling", WHAT)
    stored = pixels_of(dataset, WHAT)
    if stored.shape != grid.shape or not np.issubdtype(stored.dtype, np.integer):
        raise refused(WHAT, "its pixels do not fill its frames, rows and columns", "pixels.shape")
    if scaling <= 0 or int(stored.min()) < 0:
        raise refused(WHAT, "it holds negative dose", "dose.values", "Send the physical dose of the plan, in Gy")
    dose_gy = np.empty(grid.shape, np.float32)
    for index, frame in enumerate(order):
        dose_gy[index] = plane.upright(stored[frame]) * np.float64(scaling)
    return grid, dose_gy


def check_of_one_plan(dataset: Dataset) -> None:
    """Raises RefusedObject `dose.predicted` for what `couchside predict` wrote, which nobody calculated, and
    `dose.accumulated` for what `couchside accumulate` wrote, which several fractions gave together."""
    if is_prediction(lambda keyword: text(dataset, keyword)):
        raise refused(
            WHAT,
            "it is a dose that Couchside predicted, which nobody calculated",
            "dose.predicted",
            "Give the dose that was calculated for the plan",
        )
    if is_accumulated(lambda keyword: text(dataset, keyword)):
        raise refused(
            WHAT,
            "it is what several fractions gave together, not the dose of a plan",
            "dose.accumulated",
            "Give the dose that was calculated for the plan",
        )


def _check_kind(dataset: Dataset) -> None:
    remedy = "Send the physical dose of the plan, in Gy"
    if text(dataset, "SOPClassUID") != str(RTDoseStorage):
        raise refused(WHAT, "it is no RT Dose", "dose.class", remedy)
    check_of_one_plan(dataset)
    if text(dataset, "DoseUnits") != "GY":
        raise refused(WHAT, "its dose is relative, not in GY", "dose.units", remedy)
    if text(dataset, "DoseType") != "PHYSICAL":
        raise refused(WHAT, "it is not physical dose", "dose.type", remedy)


def _plane_positions(dataset: Dataset, first_z_mm: float, signs: tuple[int, int]) -> NDArray[np.float64]:
    """z of each frame (PS3.3 C.8.8.3.2): offsets that begin with 0 count from the first plane along rows x columns
    (to the feet where one of them is turned), offsets that begin with the first plane's z are z itself."""
    offsets = np.array(numbers(dataset, "GridFrameOffsetVector", 0, WHAT))
    if len(offsets) != int(dataset.get("NumberOfFrames") or 1):
        raise refused(WHAT, "its GridFrameOffsetVector does not fit its frames", "dose.frames")
    if offsets[0] == 0:
        return first_z_mm + signs[0] * signs[1] * offsets
    if abs(offsets[0] - first_z_mm) <= SPACING_TOLERANCE_MM:
        return offsets
    raise refused(WHAT, "its GridFrameOffsetVector begins neither with 0 nor with its first plane", "dose.frames")
