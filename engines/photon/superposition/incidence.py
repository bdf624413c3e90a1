"""Exposures gathered by direction of incidence: what cones are told of many beams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.photon.dose import FluenceOnRaster
from engines.photon.frame import BeamFrame

WEAK_DEG = 60.0
"""Weak energy counts with the direction of all sources within this angle (chosen; error in docs/superposition.md)."""
RAYS = 5
"""Along each side of the field: 25 rays sample the angles between beam and cones."""
RAY_MARGIN_MM = 20.0

Vector = NDArray[np.float64]
Shape = tuple[int, int, int]
EMPTY: Shape = (0, 0, 0)


@dataclass(frozen=True, eq=False)
class Exposure:
    """Still fluence from one direction: `draw` gives it on a raster as (nv, nu), 1 where one unit is open. Beyond
    field_extent_mm (u_min, u_max, v_min, v_max) there is at most leakage."""

    frame: BeamFrame
    draw: FluenceOnRaster
    field_extent_mm: tuple[float, float, float, float]


@dataclass(eq=False)
class Incidence:
    """Exposures that share one direction of incidence: where their sources are, on average, and what they release:
    primary near fields on the fine grid, scatter and what primary is far from fields on the coarse one, (z, y, x)."""

    first_mm: Vector
    primary: NDArray[np.float32]
    scatter: NDArray[np.float32]
    far: NDArray[np.float32]
    source_sum: Vector
    weight: float
    rays: list[Vector]

    def count(self, exposure: Exposure, weight: float) -> None:
        self.source_sum += weight * exposure.frame.source_mm
        self.weight += weight
        self.rays.append(_rays(exposure.frame, exposure.field_extent_mm))

    @property
    def source_mm(self) -> Vector:
        return self.source_sum / self.weight if self.weight > 0 else self.first_mm


def join(groups: list[Incidence], source_mm: Vector, reach_mm: float, fine: Shape, coarse: Shape) -> Incidence:
    """The group that a source belongs to, a new one with arrays of these shapes if there is none."""
    for group in groups:
        if np.linalg.norm(source_mm - group.first_mm) <= reach_mm:
            return group
    primary, scatter, far = (np.zeros(shape, np.float32) for shape in (fine, coarse, coarse))
    groups.append(Incidence(source_mm, primary, scatter, far, np.zeros(3), 0.0, []))
    return groups[-1]


def reach(sad_mm: float, within_deg: float) -> float:
    """Distance in mm of two sources that are seen within an angle from the isocentre."""
    return float(2 * sad_mm * np.sin(np.deg2rad(within_deg) / 2) + 1e-6)


def wide_groups(groups: list[Incidence], sad_mm: float) -> tuple[list[Incidence], list[int]]:
    """(groups for weak energy, which know the sources and rays of those that hand energy to them; which of them each
    group hands its own to); none where that would not make fewer."""
    wide: list[Incidence] = []
    own = [join(wide, group.first_mm, reach(sad_mm, WEAK_DEG), EMPTY, EMPTY) for group in groups]
    if 2 * len(wide) > len(groups):
        return [], []
    for group, one in zip(groups, own, strict=True):
        one.rays += group.rays
        one.source_sum += group.source_sum
        one.weight += group.weight
    return wide, [wide.index(one) for one in own]


@dataclass(frozen=True, eq=False)
class Sight:
    """What cones see of all groups, the wide ones last. rays (groups, samples, 3): of each group's first, middle and
    last exposure, as many whatever their number. sources_mm (groups, 3): their mean. edges (groups,): whether a group's
    energy has the edges of fields; weak energy has none."""

    rays: Vector
    sources_mm: Vector
    edges: NDArray[np.bool_]

    @staticmethod
    def of(groups: list[Incidence], wide: list[Incidence]) -> Sight:
        every = groups + wide
        rays = [np.concatenate([g.rays[0], g.rays[len(g.rays) // 2], g.rays[-1]]) for g in every]
        return Sight(np.stack(rays), np.stack([g.source_mm for g in every]), np.arange(len(every)) < len(groups))


def _rays(frame: BeamFrame, field_mm: tuple[float, float, float, float]) -> Vector:
    """Unit vectors (RAYS^2, 3) from the source through the field and a margin around it."""
    u = np.linspace(field_mm[0] - RAY_MARGIN_MM, field_mm[1] + RAY_MARGIN_MM, RAYS)
    v = np.linspace(field_mm[2] - RAY_MARGIN_MM, field_mm[3] + RAY_MARGIN_MM, RAYS)
    rays = u[None, :, None] * frame.ex + v[:, None, None] * frame.ey - frame.sad_mm * frame.ez
    return np.asarray(rays / np.linalg.norm(rays, axis=2, keepdims=True)).reshape(-1, 3)
