"""Today's anatomy as it was found: how today's image lies to the reference, what the contours were made of, and what a
person must look at before they count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pydantic import TypeAdapter

from appliance.contracts.case import Image, Structure
from appliance.contracts.derived import DerivedRule
from appliance.contracts.finding import Finding
from appliance.contracts.received import Received
from engines.grid import VoxelSet


class Verdict(StrEnum):
    """Of a measure against its action levels, and of all of them together: the worst one."""

    WITHIN = "within"
    LOOK = "look"
    STOP = "stop"


class DensitySource(StrEnum):
    """What dose is computed on."""

    TODAY_CT = "today's CT"
    CALIBRATED = "today's image, calibrated to the reference CT"
    DEFORMED_CT = "reference CT deformed to today"
    BULK = "bulk densities of today's structures"


@dataclass(frozen=True)
class TableShift:
    """How the table top must move from where the patient was imaged, so that the anatomy at the plan's isocentre comes
    to the machine's: IEC 61217 table top coordinates, as a therapist dials them.

    lateral_mm: +X, to the right of somebody who faces the gantry. longitudinal_mm: +Y, towards the gantry. vertical_mm:
    +Z, up. pitch_deg, roll_deg, yaw_deg: about X, Y and Z of the table top through the isocentre, in the order yaw,
    pitch, roll; what a table without these axes cannot do stays as a residual."""

    lateral_mm: float
    longitudinal_mm: float
    vertical_mm: float
    pitch_deg: float
    roll_deg: float
    yaw_deg: float


@dataclass(frozen=True)
class Measure:
    """One quality measure with its action levels. key: 'registration.folded' and alike, stable. structure: TG-263 name
    where it is of one, '' of the whole. value: None where it could not be found. look_at, stop_at: the value from which
    a person has to look, or the case stops; None: there is no such level. is_low_bad: levels are passed downwards."""

    key: str
    title: str
    value: float | None
    unit: str
    verdict: Verdict
    look_at: float | None = None
    stop_at: float | None = None
    is_low_bad: bool = False
    structure: str = ""


@dataclass(frozen=True)
class StructureChange:
    """A structure today against the reference laid on today by the rigid motion alone: what changed beyond set-up.

    origin: of the contour (contracts/origin.py). centroid_mm: shift x, y, z in LPS. surface_mean_mm, surface_95_mm,
    dice: of both outlines. similarity: correlation of both images within the structure and its rim, None where it was
    not measured. flags: sentences for what passes a limit."""

    structure: str
    origin: str
    reference_cc: float
    today_cc: float
    centroid_mm: tuple[float, float, float]
    surface_mean_mm: float
    surface_95_mm: float
    dice: float
    similarity: float | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnatomyReport:
    """to_reference: rows of the rigid (4, 4) matrix, LPS mm, from points of today to the reference. method,
    field_spacing_mm: of the deformable registration, '' and zeros where there was none. seconds: of each step.
    recognised: rules that structures of today follow because the reference shows that they did there."""

    verdict: Verdict
    table_shift: TableShift
    to_reference: tuple[tuple[float, ...], ...]
    method: str
    field_spacing_mm: tuple[float, float, float]
    density: DensitySource
    measures: tuple[Measure, ...]
    changes: tuple[StructureChange, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    recognised: tuple[DerivedRule, ...] = ()

    def to_json(self) -> bytes:
        """Without rules the bytes are those of older releases: the digest of a case holds them."""
        return _REPORT.dump_json(self, indent=1, exclude=None if self.recognised else {"recognised"})

    @staticmethod
    def from_json(data: bytes) -> AnatomyReport:
        return _REPORT.validate_json(data)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What assembling takes beside the received objects. structure_set: the one made for today, None where one was
    received with today's image. density: what dose is computed on in the place of today's image, None: that itself."""

    report: AnatomyReport
    structure_set: Received | None = None
    density: Image | None = None


@dataclass(frozen=True, eq=False)
class ReferenceToday:
    """The reference laid on today by the rigid motion alone, on today's grid, to look at beside today; kept nowhere."""

    image: Image
    structures: tuple[Structure, ...]


class Segmenter(Protocol):
    """A segmentation network for today's image. name: with its hash, for the origin of a contour."""

    @property
    def name(self) -> str: ...

    def __call__(self, image: Image, external: VoxelSet) -> Mapping[str, VoxelSet]:
        """Voxels by TG-263 name. Raises EvaluationError, ModelError."""
        ...


_REPORT = TypeAdapter(AnatomyReport)
