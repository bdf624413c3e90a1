"""Today's patient as the planner sees it: image, structures, prescription, and the plan this one adapts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.origin import ContourOrigin
from appliance.contracts.plan import Plan
from engines.grid import Grid, VoxelSet


class StructureKind(StrEnum):
    EXTERNAL = "EXTERNAL"
    TARGET = "TARGET"
    ORGAN = "ORGAN"
    SUPPORT = "SUPPORT"
    OTHER = "OTHER"


@dataclass(frozen=True, eq=False)
class Contour:
    """One closed planar loop on an axial plane: points_mm (n, 2) of x, y in LPS at z_mm. Not repeated at the end."""

    z_mm: float
    points_mm: NDArray[np.float64]


@dataclass(frozen=True)
class DensityOverride:
    """Density of a structure in place of the CT's, relative to water; one of both at least is stated."""

    relative_mass_density: float | None = None
    relative_electron_density: float | None = None


@dataclass(frozen=True, eq=False)
class Structure:
    """A region of interest. `name` is as received, `tg263` the AAPM TG-263 name it is known by inside; `voxels` are
    rasterised on the case's image grid with partial-volume fractions at the edges. density: what its voxels count with
    in place of their HU, None: the CT's. origin: where its contours come from, None: nobody said."""

    number: int
    name: str
    tg263: str
    kind: StructureKind
    contours: tuple[Contour, ...]
    voxels: VoxelSet
    colour_rgb: tuple[int, int, int] = (255, 255, 0)
    density: DensityOverride | None = None
    origin: ContourOrigin | None = None


@dataclass(frozen=True, eq=False)
class Image:
    """CT-like image. hu: (z, y, x) int16 Hounsfield units on `grid`."""

    grid: Grid
    hu: NDArray[np.int16]
    modality: str = "CT"


@dataclass(frozen=True)
class PrescribedTarget:
    """Dose of the whole course to a target structure (TG-263 name), Gy."""

    structure: str
    dose_gy: float


@dataclass(frozen=True)
class OrganLimit:
    """Highest dose of the whole course that a plan allows an organ (TG-263 name), Gy."""

    structure: str
    most_gy: float


@dataclass(frozen=True)
class Identity:
    """Who the case belongs to; copied to what is exported, never logged. Values as in DICOM."""

    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    study_instance_uid: str
    study_id: str = ""
    study_date: str = ""
    study_time: str = ""
    accession_number: str = ""
    referring_physician: str = ""
    study_description: str = ""


@dataclass(frozen=True)
class SourceObject:
    """An object the case was made of: enough to reference it in what is exported."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    modality: str
    path: Path
    sha256: str


@dataclass(frozen=True, eq=False)
class Case:
    """Everything the planner may know.

    digest: SHA-256 over the source objects' hashes, safe to log. images: source objects of today's image in order of
    z. structure_set: the source object of the contours. reference_plan_object: the predecessor RTPLAN, if any, with
    `reference_plan` its content, at today's isocentre where today's anatomy was found; `reference_dose_gy` is its dose
    on today's grid only if it shares the frame of reference, or came here by the rigid motion that was found.
    target_shift_mm: how far today's targets lie from where that motion leaves the reference's, x, y, z in LPS; None
    where no motion was found or nothing is known of the reference's targets.
    reference_limits: what that plan states as the highest dose of organs that are there today.
    structure_predecessor: the structure set that today's contours were made from, where they were made here.
    patient_position: HFS, HFP, FFS or FFP. fractions: planned number, 0 where no plan states it.
    """

    digest: str
    identity: Identity
    frame_of_reference_uid: str
    patient_position: str
    image: Image
    structures: tuple[Structure, ...]
    prescription: tuple[PrescribedTarget, ...]
    fractions: int
    images: tuple[SourceObject, ...]
    structure_set: SourceObject
    reference_plan_object: SourceObject | None = None
    reference_plan: Plan | None = None
    reference_dose_object: SourceObject | None = None
    reference_dose_gy: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)
    structure_predecessor: SourceObject | None = None
    target_shift_mm: tuple[float, float, float] | None = None
    reference_limits: tuple[OrganLimit, ...] = ()

    def structure(self, tg263: str) -> Structure | None:
        return next((s for s in self.structures if s.tg263 == tg263), None)

    @property
    def external(self) -> Structure:
        """The patient's outline. Case assembly refuses a case without exactly one."""
        return next(s for s in self.structures if s.kind is StructureKind.EXTERNAL)

    @property
    def targets(self) -> tuple[Structure, ...]:
        return tuple(s for s in self.structures if s.kind is StructureKind.TARGET)
