"""How far a modelled curve lies from a measured one: dose difference, distance to agreement, region by region.

Regions of a profile, by the distance of a point from the geometric field edge at its depth: inside (high dose), the
edge zone, and the tail to 50 mm outside (AAPM MPPG 5.b asks for it up to 5 cm from the edge). The guideline leaves the
border of the penumbra open; here the edge zone is 10 mm to either side, or half of a narrow field's half width.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from appliance.commissioning.curves import Array, Curve, Kind

EDGE_ZONE_MM = 10.0
"""Chosen: wider than the 80-20 % penumbra of 6 MV at 20 cm depth, so that what lies inside is flat enough for a dose
difference."""
TAIL_MM = 50.0
STEEP = (0.2, 0.8)
"""Shares of the dose at the inner border of the edge zone between which a point is judged by distance alone; nearer to
the shoulder and the toe, where the curve is flat, either dose or distance may agree."""
SHOULDER_PERCENT = 2.0


class Region(StrEnum):
    BUILD_UP = "build-up"
    HIGH_DOSE = "high dose"
    PENUMBRA = "penumbra"
    TAIL = "low-dose tail"
    BEYOND = "beyond"


@dataclass(frozen=True, eq=False)
class Comparison:
    """measured and modelled (n,) at the curve's positions, in one normalisation. regions (n,) of Region.
    deviation (n,): percent of the measured dose (high dose, build-up), mm (penumbra), percent of the maximum (tail)."""

    curve: Curve
    measured: Array
    modelled: Array
    regions: tuple[Region, ...]
    deviation: Array

    def worst(self, region: Region) -> tuple[float, float] | None:
        """(deviation with the largest magnitude, its position in mm) in a region; None without a point there."""
        inside = np.array([r is region for r in self.regions])
        if not inside.any():
            return None
        index = int(np.flatnonzero(inside)[np.argmax(np.abs(self.deviation[inside]))])
        return float(self.deviation[index]), float(self.curve.positions_mm[index])

    def points(self, region: Region) -> int:
        return sum(r is region for r in self.regions)


def compare(
    curve: Curve, measured: Array, modelled: Array, *, sad_mm: float, finer: tuple[Array, Array] | None = None
) -> Comparison:
    """measured and modelled (n,) must share their normalisation. finer: the modelled profile on more positions, (m,)
    each, for distances to agreement; the curve's own without."""
    regions = _profile_regions(curve, sad_mm) if curve.kind is Kind.PROFILE else _depth_regions(curve, measured)
    local = np.maximum(np.abs(measured), 1e-9 * np.abs(measured).max())
    deviation = 100.0 * (modelled - measured) / local
    most = float(measured.max())
    for index, region in enumerate(regions):
        if region in (Region.TAIL, Region.BEYOND):
            deviation[index] = 100.0 * (modelled[index] - measured[index]) / most
    edge = [index for index, region in enumerate(regions) if region is Region.PENUMBRA]
    for index in edge:
        deviation[index] = _edge_distance_mm(curve, measured, modelled, index, regions, finer)
    return Comparison(curve, measured, modelled, regions, deviation)


def half_width_mm(curve: Curve, sad_mm: float) -> float:
    """Distance from the axis to the geometric field edge along a profile, at its depth."""
    side = {"X": curve.field_x_mm, "Y": curve.field_y_mm}.get(curve.axis)
    if side is None:
        side = float(np.sqrt(2.0) * min(curve.field_x_mm, curve.field_y_mm))
    return 0.5 * side * (curve.ssd_mm + curve.depth_mm) / sad_mm


def _profile_regions(curve: Curve, sad_mm: float) -> tuple[Region, ...]:
    half = half_width_mm(curve, sad_mm)
    zone = min(EDGE_ZONE_MM, 0.5 * half)
    beyond_edge = np.abs(curve.positions_mm) - half

    def of(distance: float) -> Region:
        if distance < -zone:
            return Region.HIGH_DOSE
        if distance <= zone:
            return Region.PENUMBRA
        return Region.TAIL if distance <= TAIL_MM else Region.BEYOND

    return tuple(of(float(d)) for d in beyond_edge)


def _depth_regions(curve: Curve, measured: Array) -> tuple[Region, ...]:
    """Build-up ends at the measured maximum; single points are high dose."""
    if curve.kind not in (Kind.DEPTH_DOSE, Kind.TISSUE_PHANTOM_RATIO):
        return (Region.HIGH_DOSE,) * len(measured)
    top = int(np.argmax(measured))
    return tuple(Region.BUILD_UP if i < top else Region.HIGH_DOSE for i in range(len(measured)))


def _edge_distance_mm(
    curve: Curve,
    measured: Array,
    modelled: Array,
    index: int,
    regions: tuple[Region, ...],
    finer: tuple[Array, Array] | None,
) -> float:
    """Signed distance to agreement at one point of the edge zone: positive where the modelled field is wider."""
    position, dose = curve.positions_mm[index], measured[index]
    shoulder = _shoulder(curve, measured, index, regions)
    difference = modelled[index] - dose
    is_steep = STEEP[0] * shoulder <= dose <= STEEP[1] * shoulder
    if not is_steep and 100.0 * abs(difference) <= SHOULDER_PERCENT * shoulder:
        return 0.0
    positions, doses = finer or (curve.positions_mm, modelled)
    distance = distance_to_agreement_mm(positions, doses, position, dose)
    return float(np.copysign(distance, difference))


def _shoulder(curve: Curve, measured: Array, index: int, regions: tuple[Region, ...]) -> float:
    """Measured dose at the inner border of the edge zone on the same side; the maximum where no point lies inside."""
    side = np.sign(curve.positions_mm) == np.sign(curve.positions_mm[index])
    inside = np.array([r is Region.HIGH_DOSE for r in regions]) & side
    if not inside.any():
        return float(measured.max())
    outermost = int(np.flatnonzero(inside)[np.argmax(np.abs(curve.positions_mm[inside]))])
    return float(measured[outermost])


def distance_to_agreement_mm(positions_mm: Array, doses: Array, position_mm: float, dose: float) -> float:
    """Distance along a curve (n,), linear between its points, from a position to the nearest place with that dose. The
    length of the curve if the dose does not occur on it."""
    low, high = doses[:-1], doses[1:]
    crosses = (np.minimum(low, high) <= dose) & (dose <= np.maximum(low, high))
    if not crosses.any():
        return float(np.ptp(positions_mm))
    span = np.where(high == low, 1.0, high - low)
    share = np.clip((dose - low) / span, 0.0, 1.0)
    where = positions_mm[:-1] + share * np.diff(positions_mm)
    flat = crosses & (high == low)
    nearest = np.clip(position_mm, positions_mm[:-1], positions_mm[1:])
    where = np.where(flat, nearest, where)
    return float(np.abs(where[crosses] - position_mm).min())
