"""The objects of both days as images, structures and plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import RTPlanStorage, RTStructureSetStorage

from appliance.case.external import derive_external
from appliance.case.image import MODALITIES, ImageSeries, read_image
from appliance.case.plan import PlanReading, read_plan_file
from appliance.case.structure_set import StructureReading, read_structures
from appliance.contracts import Received, Structure, StructureKind
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


def read_day(objects: Sequence[Received]) -> Day:
    """Images and perhaps a structure set of one day. Raises what reading images and structures raises."""
    series = read_image([item.path for item in objects if item.sop_class_uid in MODALITIES])
    drawn = [item for item in objects if item.sop_class_uid == str(RTStructureSetStorage)]
    if not drawn:
        return Day(series, None, derive_external(series.image, EXTERNAL_NUMBER))
    reading = read_structures(drawn[0].path, series)
    return Day(series, reading, next(item for item in reading.structures if item.kind is StructureKind.EXTERNAL))


def read_day_plan(objects: Sequence[Received]) -> PlanReading | None:
    found = [item for item in objects if item.sop_class_uid == str(RTPlanStorage)]
    return read_plan_file(found[0].path) if found else None
