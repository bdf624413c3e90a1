"""What was measured of a beam: curves and single points in water, as every reader gives them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIELD_TOLERANCE_MM = 0.5
"""Two curves are of one field if their sides agree within this (chosen: below what a collimator repeats)."""


class Kind(StrEnum):
    DEPTH_DOSE = "depth_dose"
    TISSUE_PHANTOM_RATIO = "tissue_phantom_ratio"
    PROFILE = "profile"
    OUTPUT_FACTOR = "output_factor"
    COLLIMATOR_FACTOR = "collimator_factor"
    DENSITY_CORRECTION = "density_correction"


SINGLE_POINT = (Kind.OUTPUT_FACTOR, Kind.COLLIMATOR_FACTOR, Kind.DENSITY_CORRECTION)


@dataclass(frozen=True)
class Slab:
    """A layer across the whole beam: from_mm to to_mm below the surface, mass density in g/cm3."""

    from_mm: float
    to_mm: float
    density: float


@dataclass(frozen=True, eq=False)
class Curve:
    """One measured curve, or one point of the single-point kinds.

    field_*_mm: sides at the isocentre plane, symmetric about the axis. ssd_mm: source to water surface (0 in air).
    depth_mm: of the profile or point; of a tissue-phantom ratio where it is 1; 0 for a depth dose. axis: 'X', 'Y', 'D'
    (diagonal, growing with X and Y) of a profile, else 'Z'. positions_mm (n,), growing: depths, or distances from the
    axis at the depth of measurement. values (n,): relative dose. source: file and line."""

    kind: Kind
    field_x_mm: float
    field_y_mm: float
    ssd_mm: float
    depth_mm: float
    axis: str
    positions_mm: Array
    values: Array
    shaped_by: str = "jaws"
    slab: Slab | None = None
    source: str = ""

    @property
    def title(self) -> str:
        """What it is, in words: 'Depth dose 100 × 100 mm, SSD 1000 mm'."""
        name = self.kind.replace("_", " ").capitalize()
        along = f" {self.axis}" if self.kind is Kind.PROFILE else ""
        ssd = f", SSD {self.ssd_mm:g} mm" if self.ssd_mm else ""
        depth = f", depth {self.depth_mm:g} mm" if self.depth_mm else ""
        mlc = " (MLC)" if self.shaped_by == "mlc" else ""
        return f"{name}{along} {self.field_x_mm:g} × {self.field_y_mm:g} mm{mlc}{ssd}{depth}"

    def is_of_field(self, field_x_mm: float, field_y_mm: float) -> bool:
        """Whether it was measured in a field of these sides."""
        return max(abs(self.field_x_mm - field_x_mm), abs(self.field_y_mm - field_y_mm)) < FIELD_TOLERANCE_MM

    def at(self, position_mm: float) -> float:
        """Value at a position, linear between points; nan outside the curve."""
        return float(np.interp(position_mm, self.positions_mm, self.values, left=np.nan, right=np.nan))


def equivalent_square_mm(field_x_mm: float, field_y_mm: float) -> float:
    """Side of the equivalent square 2ab/(a+b) (Sterling, Perry, Katz, Br J Radiol 37:544, 1964)."""
    return 2.0 * field_x_mm * field_y_mm / (field_x_mm + field_y_mm)


def of_kind(curves: Iterable[Curve], *kinds: Kind) -> tuple[Curve, ...]:
    return tuple(curve for curve in curves if curve.kind in kinds)
