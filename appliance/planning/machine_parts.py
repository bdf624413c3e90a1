"""The parts of a machine file, each refusing what no such part can be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Range = tuple[float, float]
FULL_TURN_DEG = 360.0
BORDER_TOLERANCE_MM = 1e-6
"""Blocks of leaves follow each other to this; chosen, because borders are written to a micrometre at best."""


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LeafBlock(Part):
    from_mm: float
    width_mm: float = Field(gt=0)
    count: int = Field(ge=1)


class Mlc(Part):
    """Multileaf collimator; all figures at the isocentre plane.

    leaf_axis: IEC axis along which leaves travel (X: MLCX, borders along Y; Y: MLCY, borders along X). boundary_blocks:
    the leaf pairs, of the layer nearer to the source where there are two; lower_blocks: of the layer nearer to the
    patient. position_min_mm, position_max_mm: reach of any leaf tip; overtravel_mm: how far a tip may cross the axis,
    None where only the reach limits it. bank_span_max_mm: largest distance between tips of one bank.
    leaf_acceleration_mm_s2: None where it is not known; the delivery time then counts leaves as quick to start."""

    leaf_axis: Literal["X", "Y"] = "X"
    boundary_blocks: tuple[LeafBlock, ...] = Field(min_length=1)
    lower_blocks: tuple[LeafBlock, ...] = ()
    position_min_mm: float
    position_max_mm: float
    overtravel_mm: float | None = Field(default=None, ge=0)
    bank_span_max_mm: float = Field(gt=0)
    minimum_gap_mm: float = Field(ge=0)
    interdigitation: bool
    leaf_speed_mm_s: float = Field(gt=0)
    leaf_acceleration_mm_s2: float | None = Field(default=None, gt=0)

    @property
    def boundaries_mm(self) -> NDArray[np.float64]:
        """Leaf borders across the leaf axis, pairs + 1 values."""
        return _borders(self.boundary_blocks)

    @property
    def lower_boundaries_mm(self) -> NDArray[np.float64]:
        """Those of the lower layer; empty where there is one layer."""
        return _borders(self.lower_blocks) if self.lower_blocks else np.zeros(0)

    @property
    def bank_a_mm(self) -> Range:
        """Where a tip of bank A (the negative side) may stand."""
        far = self.position_max_mm if self.overtravel_mm is None else min(self.overtravel_mm, self.position_max_mm)
        return self.position_min_mm, far

    @property
    def bank_b_mm(self) -> Range:
        near = self.position_min_mm if self.overtravel_mm is None else max(-self.overtravel_mm, self.position_min_mm)
        return near, self.position_max_mm

    @property
    def closed_mm(self) -> Range:
        """Where the tip of bank A of a pair may stand that is closed to the smallest gap."""
        (low_a, high_a), (low_b, high_b) = self.bank_a_mm, self.bank_b_mm
        return max(low_a, low_b - self.minimum_gap_mm), min(high_a, high_b - self.minimum_gap_mm)

    @model_validator(mode="after")
    def _possible(self) -> Mlc:
        for name in ("boundary_blocks", "lower_blocks"):
            _check_blocks(f"mlc.{name}", getattr(self, name))
        upper, lower = self.boundaries_mm, self.lower_boundaries_mm
        if lower.size and not (lower[0] < upper[-1] and upper[0] < lower[-1]):
            raise ValueError("mlc.lower_blocks lie beside mlc.boundary_blocks: no field passes through both layers")
        if self.position_min_mm >= self.position_max_mm:
            raise ValueError("mlc.position_min_mm must lie below mlc.position_max_mm")
        reach = self.position_max_mm - self.position_min_mm
        if self.minimum_gap_mm >= reach:
            raise ValueError("mlc.minimum_gap_mm leaves no leaf position: it is as wide as the leaves' reach")
        if self.bank_span_max_mm > reach:
            raise ValueError("mlc.bank_span_max_mm is longer than the leaves reach")
        return self


def _borders(blocks: Sequence[LeafBlock]) -> NDArray[np.float64]:
    starts = [block.from_mm + block.width_mm * i for block in blocks for i in range(block.count)]
    return np.array([*starts, blocks[-1].from_mm + blocks[-1].width_mm * blocks[-1].count])


def _check_blocks(name: str, blocks: Sequence[LeafBlock]) -> None:
    if blocks and not np.all(np.diff(_borders(blocks)) > 0):
        raise ValueError(f"leaf borders must grow: the blocks of {name} overlap or leave a gap")
    for block, following in pairwise(blocks):
        if abs(block.from_mm + block.width_mm * block.count - following.from_mm) > BORDER_TOLERANCE_MM:
            raise ValueError(f"{name} must follow each other without a gap")


class JawRange(Part):
    """Where each jaw may stand. axes: IEC axes that have a pair of jaws; along the others the opening is fixed, and the
    file gives its edge as a range of one value. tracking: jaws may move between control points. speed_mm_s: None where
    it is not known; jaws then count as no slower than the leaves."""

    axes: tuple[Literal["X", "Y"], ...] = ("X", "Y")
    x1_mm: Range
    x2_mm: Range
    y1_mm: Range
    y2_mm: Range
    minimum_opening_mm: float = Field(ge=0)
    tracking: bool
    speed_mm_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _possible(self) -> JawRange:
        if len(set(self.axes)) != len(self.axes):
            raise ValueError("jaws.axes names an axis twice")
        for axis in ("X", "Y"):
            low, high = getattr(self, f"{axis.lower()}1_mm"), getattr(self, f"{axis.lower()}2_mm")
            for name, (smallest, largest) in ((f"{axis.lower()}1_mm", low), (f"{axis.lower()}2_mm", high)):
                if axis in self.axes and smallest >= largest:
                    raise ValueError(f"jaws.{name} must be [smallest, largest]")
                if axis not in self.axes and smallest != largest:
                    raise ValueError(f"jaws.{name} must be one value twice: there is no jaw along {axis}")
            if high[1] - low[0] < max(self.minimum_opening_mm, np.finfo(float).tiny):
                raise ValueError(f"the jaws along {axis} cannot open to jaws.minimum_opening_mm")
        return self


class Gantry(Part):
    """range_deg: IEC angles between which the gantry turns, written without the wrap (-180..180 for a C-arm that stops
    at 180 from either side)."""

    speed_deg_s: float = Field(gt=0)
    acceleration_deg_s2: float = Field(gt=0)
    range_deg: Range

    @model_validator(mode="after")
    def _possible(self) -> Gantry:
        if self.range_deg[0] >= self.range_deg[1]:
            raise ValueError("gantry.range_deg must be [smallest, largest]")
        return self


class Axis(Part):
    """A collimator or couch axis: IEC angles without the wrap; a range of one value is an axis that does not turn."""

    range_deg: Range
    speed_deg_s: float = Field(ge=0)

    @property
    def turns(self) -> bool:
        return self.range_deg[0] < self.range_deg[1]

    @property
    def still_deg(self) -> float:
        """The angle nearest to 0 that it reaches."""
        return min(max(0.0, self.range_deg[0]), self.range_deg[1])

    def reaches(self, angle_deg: float) -> bool:
        """Whether it can stand at an IEC angle."""
        low, high = self.range_deg
        return low + (angle_deg - low) % FULL_TURN_DEG <= high

    @model_validator(mode="after")
    def _possible(self) -> Axis:
        if self.range_deg[0] > self.range_deg[1]:
            raise ValueError("range_deg must be [smallest, largest]")
        if self.turns != (self.speed_deg_s > 0):
            raise ValueError("speed_deg_s must be above 0 where the axis turns and 0 where it does not")
        return self


class DoseRate(Part):
    """minimum_mu_min: the slowest dose rate while the beam is on. mu_per_deg: least and most while the gantry turns.
    meterset_resolution_mu: the smallest step of monitor units that the machine tells apart."""

    minimum_mu_min: float = Field(ge=0)
    maximum_mu_min: float = Field(gt=0)
    mu_per_deg: Range
    minimum_segment_mu: float = Field(ge=0)
    maximum_beam_mu: float = Field(gt=0)
    meterset_resolution_mu: float = Field(gt=0)

    @model_validator(mode="after")
    def _possible(self) -> DoseRate:
        if self.minimum_mu_min > self.maximum_mu_min:
            raise ValueError("dose_rate.minimum_mu_min is above dose_rate.maximum_mu_min")
        least, most = self.mu_per_deg
        if least < 0 or least >= most:
            raise ValueError("dose_rate.mu_per_deg must be [least, most], not below 0")
        if self.minimum_segment_mu > self.maximum_beam_mu:
            raise ValueError("dose_rate.minimum_segment_mu is above dose_rate.maximum_beam_mu")
        if self.meterset_resolution_mu > max(self.minimum_segment_mu, 1.0):
            raise ValueError("dose_rate.meterset_resolution_mu is coarser than the smallest segment")
        return self


class Clearance(Part):
    """Solids that stand for what turns around the patient, and for the couch top. shape 'head': a cylinder of radius_mm
    around the beam axis, its face at face_mm from the isocentre, covers and accessory holder included; 'bore': a
    cylinder of radius_mm around the axis of the gantry, without face_mm. patient_margin_mm, couch_margin_mm: distances
    below which a plan is told to be too near."""

    shape: Literal["head", "bore"]
    radius_mm: float = Field(gt=0)
    face_mm: float | None = Field(default=None, gt=0)
    couch_width_mm: float = Field(gt=0)
    couch_thickness_mm: float = Field(gt=0)
    patient_margin_mm: float = Field(ge=0)
    couch_margin_mm: float = Field(ge=0)

    @model_validator(mode="after")
    def _possible(self) -> Clearance:
        if (self.shape == "head") != (self.face_mm is not None):
            raise ValueError("clearance.face_mm is given for a head, and only for a head")
        if self.shape == "bore" and self.couch_width_mm / 2 >= self.radius_mm:
            raise ValueError("clearance.couch_width_mm does not fit into the bore")
        return self
