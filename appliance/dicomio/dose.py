"""RT Dose of a plan or of one beam on an axis-aligned grid (PS3.3 A.18)."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import RTDoseStorage
from pydicom.valuerep import DSfloat

from appliance.contracts import CalculatedDose, Identity, SourceObject
from appliance.dicomio.files import RESEARCH_NOTICE, new_dataset, sop_reference
from appliance.dicomio.values import date_time, ds, ds_list, new_uid
from appliance.errors import ExportError
from engines.grid import Grid

LEVELS = 65535
"""Steps of 16-bit pixels. Rounding is at most half a step, 7.7e-6 of the maximum (5e-4 Gy at 70 Gy); chosen over 32
bits, because it is far under the 1e-4 we promise, half the size, and every viewer reads it."""

FRACTION_GROUP = 1
"""Number of the only fraction group of the plans that `plan.plan_dataset` writes."""


def dose_dataset(
    grid: Grid,
    dose_gy: NDArray[np.float32],
    *,
    identity: Identity,
    frame_of_reference_uid: str,
    plan: SourceObject | None,
    structure_set: SourceObject | None,
    summation: str = "PLAN",
    beam_number: int | None = None,
) -> Dataset:
    """The physical dose dose_gy (z, y, x) of the whole course, in Gy, on `grid`.

    summation: PLAN, or BEAM with the `beam_number` it belongs to. plan None: a dose whose plan is not to be had, such
    as an imported one; since PLAN demands a reference, it is then written as PLAN_OVERVIEW (PS3.3 C.8.8.3), whose
    overview names the structure set. With a plan the structures are reached through it: naming them in the dose itself
    would claim the RT DVH module, which we leave out. Raises ExportError for dose that is negative, not finite or of
    another shape.
    """
    _check(grid, dose_gy, plan, summation, beam_number)
    dataset = new_dataset(
        RTDoseStorage,
        identity,
        modality="RTDOSE",
        series_instance_uid=new_uid(),
        series_description="Plan dose" if beam_number is None else f"Dose of beam {beam_number}",
    )
    dataset.FrameOfReferenceUID = frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    dataset.InstanceNumber = 1 if beam_number is None else beam_number + 1
    dataset.ContentDate, dataset.ContentTime = date_time(datetime.now(UTC))
    _add_grid(dataset, grid)
    _add_pixels(dataset, dose_gy)
    dataset.DoseUnits = "GY"
    dataset.DoseType = "PHYSICAL"
    dataset.DoseComment = RESEARCH_NOTICE
    if plan is not None:
        dataset.DoseSummationType = summation
        dataset.ReferencedRTPlanSequence = [_plan_reference(plan, beam_number)]
    else:
        dataset.DoseSummationType = "PLAN_OVERVIEW"
        dataset.PlanOverviewSequence = [_overview(structure_set)]
    return dataset


def name_medium(dataset: Dataset, dose: CalculatedDose) -> None:
    """States in an RTDOSE of ours what matter the dose is to, which DICOM has no attribute for (the comment names it),
    and whether structures had a density in place of the CT's (PS3.3 C.8.8.3, Tissue Heterogeneity Correction)."""
    dataset.DoseComment = f"{RESEARCH_NOTICE}; dose to {dose.dose_to}"
    dataset.TissueHeterogeneityCorrection = ["IMAGE", "ROI_OVERRIDE"] if dose.density_overridden else "IMAGE"


def _overview(structure_set: SourceObject | None) -> Dataset:
    item = Dataset()
    item.PlanOverviewIndex = 1
    item.RTPlanLabel = ""
    item.ReferencedStructureSetSequence = [] if structure_set is None else [sop_reference(structure_set)]
    item.TreatmentSite = ""
    item.PrescriptionOverviewSequence = []
    return item


def _check(
    grid: Grid, dose_gy: NDArray[np.float32], plan: SourceObject | None, summation: str, beam_number: int | None
) -> None:
    if dose_gy.shape != grid.shape:
        raise ExportError(f"the dose has shape {dose_gy.shape} and its grid {grid.shape}")
    if not np.all(np.isfinite(dose_gy)) or float(dose_gy.min()) < 0:
        raise ExportError("the dose holds values that are negative or not numbers; calculate it again")
    if summation not in ("PLAN", "BEAM") or (summation == "BEAM") != (beam_number is not None):
        raise ExportError(f"a dose of kind '{summation}' with beam number {beam_number} cannot be written")
    if summation == "BEAM" and plan is None:
        raise ExportError("the dose of a beam needs its plan")


def _add_grid(dataset: Dataset, grid: Grid) -> None:
    dataset.ImageOrientationPatient = ds_list((1, 0, 0, 0, 1, 0))
    dataset.ImagePositionPatient = ds_list(grid.origin_mm)
    dataset.PixelSpacing = ds_list((grid.spacing_mm[1], grid.spacing_mm[0]))
    dataset.SliceThickness = ds(grid.spacing_mm[2])
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = grid.shape
    dataset.FrameIncrementPointer = Tag("GridFrameOffsetVector")
    dataset.GridFrameOffsetVector = ds_list(grid.spacing_mm[2] * index for index in range(grid.shape[0]))


def _add_pixels(dataset: Dataset, dose_gy: NDArray[np.float32]) -> None:
    scaling = dose_scaling(float(dose_gy.max()))
    dataset.DoseGridScaling = scaling
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16
    dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    steps = np.rint(dose_gy.astype(np.float64) / float(scaling)).astype("<u2")
    data = steps.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)


def dose_scaling(maximum_gy: float) -> DSfloat:
    """Gy of one step, as the decimal string that is written: rounded up, so that the maximum never overflows.

    A dose of zero everywhere gets the scaling of 1 Gy."""
    exact = (maximum_gy if maximum_gy > 0 else 1.0) / LEVELS
    scaling = ds(exact)
    while float(scaling) < exact:
        digits = 10 ** (math.floor(math.log10(exact)) - 8)
        scaling = ds(float(scaling) + digits)
    return scaling


def _plan_reference(plan: SourceObject, beam_number: int | None) -> Dataset:
    item = sop_reference(plan)
    if beam_number is not None:
        beam = Dataset()
        beam.ReferencedBeamNumber = beam_number
        group = Dataset()
        group.ReferencedBeamSequence = [beam]
        group.ReferencedFractionGroupNumber = FRACTION_GROUP
        item.ReferencedFractionGroupSequence = [group]
    return item
