"""The objects of both days as images, structures and plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import RTPlanStorage, RTStructureSetStorage

from appliance.case.external import derive_external
from appliance.case.image import MODALITIES, ImageSeries, read_image
from appliance.case.plan import PlanReading, read_plan_file
from appliance.case.structure_set import StructureReading, read_structures
from appliance.case.today.match import DayReference
from appliance.case.today.modality import DayImage, Imaging, read_day
from appliance.case.today.near_hounsfield import image_for_registration
from appliance.config import AnatomyConfig
from appliance.contracts import Image, Received, Structure, StructureKind
from appliance.errors import IncompleteCase
from engines.grid import Grid, VoxelSet

EXTERNAL_NUMBER = 0
"""Of an outline that no structure set has a number for yet; ROI numbers of structure sets are counted from 1."""


@dataclass(frozen=True, eq=False)
class Day:
    """One day's image, what is drawn on it, and the outline of the body on it. hu: (z, y, x) the image in HU or near
    them, to be registered and looked at; of an MR its values. is_drawn: somebody has contoured it."""

    series: ImageSeries
    hu: NDArray[np.int16]
    structures: tuple[Structure, ...]
    external: Structure | None
    is_drawn: bool

    @property
    def grid(self) -> Grid:
        return self.series.image.grid

    @property
    def body(self) -> VoxelSet:
        """Without an outline, all of the image."""
        if self.external is None:
            return VoxelSet.from_dense(np.ones(self.grid.shape, np.float32))
        return self.external.voxels


@dataclass(frozen=True, eq=False)
class Reference(Day):
    """The day the plan was made for."""

    known: DayReference

    @property
    def plan(self) -> PlanReading | None:
        return self.known.plan


def read_reference(objects: Sequence[Received], received: Sequence[Received]) -> Reference:
    """objects: its images and structure set; received: today's, among them the plan. Raises what reading raises."""
    series = read_image([item.path for item in objects if item.sop_class_uid in MODALITIES])
    path = _path_of(objects, RTStructureSetStorage)
    if path is None:
        raise IncompleteCase("the reference has no structure set", remedy="Send the one that the plan was made on")
    reading, plan_path = read_structures(path, series), _path_of(received, RTPlanStorage)
    plan = None if plan_path is None else read_plan_file(plan_path)
    known = DayReference(series, reading, plan)
    return Reference(series, series.image.hu, reading.structures, _external(reading), True, known)


def read_today(objects: Sequence[Received], reference: Reference, config: AnatomyConfig) -> tuple[Day, DayImage]:
    """Today's image and perhaps a structure set drawn on it. An MR shows no outline that can be found here. Raises
    what reading raises and `image_for_registration`."""
    image = read_day([item.path for item in objects if item.sop_class_uid in MODALITIES], names=config.cbct_names)
    hu, path = image_for_registration(reference.known, image, config), _path_of(objects, RTStructureSetStorage)
    seen = replace(image.series, image=Image(image.series.image.grid, hu))
    if path is not None:
        reading = read_structures(path, seen)
        return Day(image.series, hu, reading.structures, _external(reading), True), image
    external = None if image.imaging is Imaging.MR else derive_external(seen.image, EXTERNAL_NUMBER)
    return Day(image.series, hu, (), external, False), image


def _path_of(objects: Sequence[Received], sop_class_uid: str) -> Path | None:
    return next((item.path for item in objects if item.sop_class_uid == str(sop_class_uid)), None)


def _external(reading: StructureReading) -> Structure:
    return next(item for item in reading.structures if item.kind is StructureKind.EXTERNAL)
