"""Collapsed-cone dose of any number of beams in one medium: released energy is gathered by direction of incidence, then
each cone is swept once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon import _kernels
from engines.photon.convolution import THREADS
from engines.photon.dose import FluenceOnRaster, Medium, box_corners_mm, projected_extent
from engines.photon.frame import BeamFrame
from engines.photon.superposition.coarse import DoseGrid, dose_grid, refined
from engines.photon.superposition.cones import DEGREE, cone_weights, cones
from engines.photon.superposition.model import SuperpositionModel
from engines.photon.superposition.terma import Head, depth_tables, head_maps, raster_around

DOSE_SPACING_MM = 3.0
"""Chosen: the voxel of most final doses; docs/superposition.md has the differences to 2 mm."""
PITCH_MM, ARC_PITCH_MM, MANY_DIRECTIONS = 1.0, 2.0, 30
"""Fluence raster, and that of more than so many exposures, whose errors in their penumbrae do not repeat (chosen)."""
GROUP_DEG = 15.0
"""Beams whose sources lie within this angle share one direction of incidence, their weighted mean, when their released
energy is handed to the cones (chosen: a full arc is then 24 groups; error in docs/superposition.md)."""
WEAK, WEAK_DEG = 0.03, 60.0
"""What a group releases below this share of its own maximum (leakage, head scatter beside the field) counts with the
direction of all sources within this angle (chosen: cones then read few groups outside the fields; error in
docs/superposition.md)."""
NOTHING = 1e-5
"""Energy below this share of the largest is not carried: tails of the source's Gaussian (chosen)."""
SETS = 2
"""Sets of lines for each cone, which begin elsewhere in a voxel: lines keep to whole voxels, so that at a field's edge
single voxels are off. A cube seen from 0 and 90
degrees differs by 9, 4 and 4 % of the maximum at worst for one, two and three sets."""
RAYS = 5
"""Along each side of the field: 25 rays sample the angles between beam and cones."""
RAY_MARGIN_MM = 20.0

Report = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Exposure:
    """Still fluence from one direction: `draw` gives it on a raster as (nv, nu), 1 where one unit is open. Beyond
    field_extent_mm (u_min, u_max, v_min, v_max) there is at most leakage."""

    frame: BeamFrame
    draw: FluenceOnRaster
    field_extent_mm: tuple[float, float, float, float]


@dataclass(eq=False)
class _Group:
    first_mm: NDArray[np.float64]
    primary: NDArray[np.float32]
    scatter: NDArray[np.float32]
    source_sum: NDArray[np.float64]
    weight: float
    rays: list[NDArray[np.float64]]


class SuperpositionDose:
    """Doses of one beam model in one medium, in the model's own units (see calibrate.py for Gy per MU).

    spacing_mm: dose voxels are the widest groups of image voxels not above it. degree: of the Lebedev rule of cones.
    Raises EngineError for a medium that is not finite or holds no matter."""

    def __init__(
        self,
        model: SuperpositionModel,
        medium: Medium,
        *,
        spacing_mm: float = DOSE_SPACING_MM,
        degree: int = DEGREE,
        group_deg: float = GROUP_DEG,
        threads: int = THREADS,
    ) -> None:
        if not np.isfinite(medium.density).all() or not (medium.density > 0).any():
            raise EngineError("density must be finite and above zero somewhere")
        self._model, self._medium, self._threads = model, medium, threads
        self.where: DoseGrid = dose_grid(medium, spacing_mm)
        self._cones, self._group_deg = cones(degree), group_deg
        self._tables = depth_tables(model)
        where = self.where
        self._matter = Medium(where.grid, np.where(where.filled, where.density, np.float32(0)))

    def calculate(self, exposures: list[Exposure], report: Report = lambda _: None) -> NDArray[np.float32]:
        """Dose (z, y, x) of all exposures together on the medium's grid; zero in empty voxels."""
        dose = refined(self.on_dose_grid(exposures, report), self.where, self._medium.grid)
        dose[self._medium.density <= 0] = 0.0
        return dose

    def on_dose_grid(self, exposures: list[Exposure], report: Report = lambda _: None) -> NDArray[np.float32]:
        """The same on the coarser dose grid (`where.grid`), in air as well."""
        dose = np.zeros(self.where.grid.shape, np.float32)
        groups = self._expose(exposures, dose, report)
        report(0.5)
        if groups:
            self._transport(groups, dose, exposures[0].frame.sad_mm)
        report(1.0)
        return dose

    def released(self, exposures: list[Exposure]) -> NDArray[np.float64]:
        """Energy released in the whole dose grid, as dose times relative density times mm3: (primary, scatter)."""
        groups = self._expose(exposures, np.zeros(self.where.grid.shape, np.float32), lambda _: None)
        volume = float(np.prod(self.where.grid.spacing_mm))
        parts = [[(part * self.where.density).sum(dtype=np.float64) for part in (g.primary, g.scatter)] for g in groups]
        return np.asarray(np.sum(parts, axis=0) * volume, np.float64)

    def _expose(self, exposures: list[Exposure], electrons: NDArray[np.float32], report: Report) -> list[_Group]:
        """Released energy by direction of incidence; the dose of contamination electrons is added to `electrons`."""
        groups: list[_Group] = []
        pitch_mm = ARC_PITCH_MM if len(exposures) > MANY_DIRECTIONS else PITCH_MM
        corners, spacing = box_corners_mm(self.where.grid), float(np.median(self.where.grid.spacing_mm))
        for done, exposure in enumerate(exposures):
            report(0.5 * done / len(exposures))
            frame = exposure.frame
            raster = raster_around(projected_extent([frame], corners), exposure.field_extent_mm, pitch_mm)
            fluence = exposure.draw(raster)
            maps = head_maps(self._model, raster, fluence, frame.sad_mm, sampling_mm=spacing)
            reach_mm = _reach(frame.sad_mm, self._group_deg)
            group = _join(groups, frame.source_mm, reach_mm, self.where.grid.shape)
            head = Head(self._model, frame, raster, maps, self._tables)
            head.release(self._matter, (group.primary, group.scatter, electrons), threads=self._threads)
            weight = float(fluence.sum(dtype=np.float64))
            group.source_sum += weight * frame.source_mm
            group.weight += weight
            group.rays.append(_rays(frame, exposure.field_extent_mm))
        return groups

    def _transport(self, narrow: list[_Group], dose: NDArray[np.float32], sad_mm: float) -> None:
        """Lines step along the steepest axis; where that is x, through arrays turned so that their lanes run along y:
        neighbouring lines then always lie side by side in memory."""
        groups = _weak_apart(narrow, sad_mm)
        rays = np.stack([_spread(group.rays) for group in groups])
        weights = cone_weights(self._model.kernel, self._cones, rays)
        weights[..., 3:] /= SETS
        sources = np.array([g.source_sum / g.weight if g.weight > 0 else g.first_mm for g in groups])
        steps = np.abs(self._cones.directions) / self.where.grid.spacing_mm
        along_x = steps.argmax(axis=1) == 0
        primary, scatter = np.stack([g.primary for g in groups]), np.stack([g.scatter for g in groups])
        least = NOTHING * float(primary.max() + scatter.max())
        for chosen, axes in ((~along_x, (0, 1, 2)), (along_x, (0, 2, 1))):
            turned = np.zeros([dose.shape[a] for a in axes], np.float32)
            own = (0, *(a + 1 for a in axes))
            xyz = [2 - a for a in axes]
            energy = [np.ascontiguousarray(part.transpose(own)) for part in (primary, scatter)]
            _kernels.transport(
                np.ascontiguousarray(self.where.density.transpose(axes)),
                [self.where.grid.origin_mm[a] for a in xyz],
                [self.where.grid.spacing_mm[a] for a in xyz],
                energy[0],
                energy[1],
                _hulls(energy[0] + energy[1] > least),
                np.ascontiguousarray(sources[:, xyz], np.float32),
                np.ascontiguousarray(np.tile(self._cones.directions[chosen][:, xyz], (SETS, 1)), np.float32),
                np.ascontiguousarray(np.tile(weights[chosen], (SETS, 1, 1))),
                [self._model.kernel.primary_exponent_per_mm, self._model.kernel.scatter_exponent_per_mm],
                turned,
                self._threads,
            )
            dose += turned.transpose(np.argsort(axes))


def _join(groups: list[_Group], source_mm: NDArray[np.float64], reach_mm: float, shape: tuple[int, ...]) -> _Group:
    """The group that a source belongs to, a new one if there is none."""
    for group in groups:
        if np.linalg.norm(source_mm - group.first_mm) <= reach_mm:
            return group
    empty = [np.zeros(shape, np.float32) for _ in range(2)]
    groups.append(_Group(source_mm, empty[0], empty[1], np.zeros(3), 0.0, []))
    return groups[-1]


def _reach(sad_mm: float, within_deg: float) -> float:
    return float(2 * sad_mm * np.sin(np.deg2rad(within_deg) / 2) + 1e-6)


def _weak_apart(groups: list[_Group], sad_mm: float) -> list[_Group]:
    """The groups, and wide ones that have taken over their weak energy; as they are where that would not make fewer."""
    wide: list[_Group] = []
    for group in groups:
        own = _join(wide, group.first_mm, _reach(sad_mm, WEAK_DEG), group.primary.shape)
        own.rays += group.rays
        own.source_sum += group.source_sum
        own.weight += group.weight
    if 2 * len(wide) > len(groups):
        return groups
    for group in groups:
        own = _join(wide, group.first_mm, _reach(sad_mm, WEAK_DEG), group.primary.shape)
        weak = group.primary < WEAK * group.primary.max()
        for part, theirs in ((group.primary, own.primary), (group.scatter, own.scatter)):
            np.add(theirs, part, out=theirs, where=weak)
            part[weak] = 0.0
    return groups + wide


def _rays(frame: BeamFrame, field_mm: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Unit vectors (RAYS^2, 3) from the source through the field and a margin around it."""
    u = np.linspace(field_mm[0] - RAY_MARGIN_MM, field_mm[1] + RAY_MARGIN_MM, RAYS)
    v = np.linspace(field_mm[2] - RAY_MARGIN_MM, field_mm[3] + RAY_MARGIN_MM, RAYS)
    rays = u[None, :, None] * frame.ex + v[:, None, None] * frame.ey - frame.sad_mm * frame.ez
    return np.asarray(rays / np.linalg.norm(rays, axis=2, keepdims=True)).reshape(-1, 3)


def _spread(rays: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """First, middle and last exposure's rays: as many for each group, whatever its number of exposures."""
    return np.concatenate([rays[0], rays[len(rays) // 2], rays[-1]])


def _hulls(some: NDArray[np.bool_]) -> NDArray[np.int16]:
    """(groups, a, b, 2): first lane with energy and one past the last; an empty row gives 0, 0."""
    lanes = some.shape[-1]
    any_lane = some.any(axis=-1)
    first, last = some.argmax(axis=-1), lanes - some[..., ::-1].argmax(axis=-1)
    return np.ascontiguousarray(np.stack([first, np.where(any_lane, last, first)], axis=-1), np.int16)
