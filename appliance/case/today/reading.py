"""The objects of both days as images, structures and plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import RTPlanStorage, RTStructureSetStorage

from appliance.case.external import derive_external
from appliance.case.image import MODALITIES, ImageSeries, read_image
from appliance.case.plan import PlanReading, read_plan_file
from appliance.case.structure_set import StructureReading, read_structures
from appliance.case.today.modality import DayImage, read_day
from appliance.contracts import Received, Structure, StructureKind
from appliance.errors import IncompleteCase
from engines.grid import VoxelSet

AIR_HU = -1000.0
EXTERNAL_NUMBER = 0
"""Of an outline that no structure set has a number for yet; ROI numbers of structure sets are counted from 1."""


@dataclass(frozen=True, eq=False)
class Day:
    """One day's image, what is drawn on it (None: nothing yet), and the outline of the body on it."""

    series: ImageSeries
    drawn: StructureReading | None
    external: Structure

    @property
    def structures(self) -> tuple[Structure, ...]:
        return () if self.drawn is None else self.drawn.structures

    @property
    def body(self) -> VoxelSet:
        return self.external.voxels

    def inside_hu(self) -> NDArray[np.float32]:
        """(z, y, x) HU within the outline, air elsewhere: couch and mask must not steer a registration."""
        image = self.series.image
        mask = self.body.mask(image.grid.shape)
        return np.where(mask, image.hu.astype(np.float32), np.float32(AIR_HU))


@dataclass(frozen=True, eq=False)
class Reference(Day):
    """The day the plan was made for. drawn is never None."""

    reading: StructureReading
    plan: PlanReading | None


def read_reference(objects: Sequence[Received], received: Sequence[Received]) -> Reference:
    """objects: its images and structure set; received: today's, among them the plan. Raises what reading raises."""
    series = read_image([item.path for item in objects if item.sop_class_uid in MODALITIES])
    path = next((item.path for item in objects if item.sop_class_uid == str(RTStructureSetStorage)), None)
    if path is None:
        raise IncompleteCase("the reference has no structure set", remedy="Send the one that the plan was made on")
    reading = read_structures(path, series)
    plans = [item for item in received if item.sop_class_uid == str(RTPlanStorage)]
    plan = read_plan_file(plans[0].path) if plans else None
    return Reference(series, reading, _external(reading), reading, plan)


def read_today(objects: Sequence[Received], names: Sequence[str]) -> tuple[Day, DayImage]:
    """Today's image and perhaps a structure set drawn on it. names: of the clinic's own imagers. Raises what reading
    raises."""
    image = read_day([item.path for item in objects if item.sop_class_uid in MODALITIES], names=names)
    path = next((item.path for item in objects if item.sop_class_uid == str(RTStructureSetStorage)), None)
    if path is not None:
        reading = read_structures(path, image.series)
        return Day(image.series, reading, _external(reading)), image
    # A cone-beam CT shows air and body well enough for an outline, whatever its values are worth.
    seen = replace(image.series.image, modality="CT" if image.series.image.modality == "CBCT" else "MR")
    seen = image.series.image if image.series.image.modality == "CT" else seen
    return Day(image.series, None, derive_external(seen, EXTERNAL_NUMBER)), image


def _external(reading: StructureReading) -> Structure:
    return next(item for item in reading.structures if item.kind is StructureKind.EXTERNAL)
