"""Collapsed-cone dose of any number of beams in one medium: released energy is gathered by direction of incidence, then
each cone is swept once for all of them; primary energy on a fine grid, scatter on a coarse one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.convolution import THREADS
from engines.photon.dose import Medium, box_corners_mm, projected_extent
from engines.photon.superposition.coarse import DoseGrid, dose_grid, pooled, refined
from engines.photon.superposition.cones import DEGREE, cones
from engines.photon.superposition.incidence import Exposure, Incidence, Sight, join, reach, wide_groups
from engines.photon.superposition.model import SuperpositionModel
from engines.photon.superposition.sweep import Part, transport, weak_apart
from engines.photon.superposition.terma import Head, depth_tables, head_maps, raster_around

DOSE_SPACING_MM = 2.5
"""Chosen: voxels in which primary energy is carried; docs/superposition.md has the differences to others."""
SCATTER_SPACING_MM = 6.0
"""The same for scatter, which starts out smooth: against voxels of 2 mm 0.07 % of the maximum root mean square (same
place)."""
PITCH_MM, ARC_PITCH_MM, MANY_DIRECTIONS = 1.0, 2.0, 30
"""Fluence raster, and that of more than so many exposures, whose errors in their penumbrae do not repeat (chosen)."""
GROUP_DEG = 15.0
"""Beams whose sources lie within this angle share one direction of incidence, their weighted mean, when their released
energy is handed to the cones (chosen: a full arc is then 24 groups; error in docs/superposition.md)."""

Report = Callable[[float], None]
Volume = NDArray[np.float32]


class SuperpositionDose:
    """Doses of one beam model in one medium, in the model's own units (see calibrate.py for Gy per MU).

    spacing_mm: dose voxels are the widest groups of image voxels not above it; image voxels above coarse.SPLIT_ABOVE_MM
    are cut. scatter_mm: the same for scatter, of dose voxels. degree: of the Lebedev rule of cones.
    Raises EngineError for a medium that is not finite or holds no matter."""

    def __init__(
        self,
        model: SuperpositionModel,
        medium: Medium,
        *,
        spacing_mm: float = DOSE_SPACING_MM,
        scatter_mm: float = SCATTER_SPACING_MM,
        degree: int = DEGREE,
        group_deg: float = GROUP_DEG,
        threads: int = THREADS,
    ) -> None:
        if not np.isfinite(medium.density).all() or not (medium.density > 0).any():
            raise EngineError("density must be finite and above zero somewhere")
        self._model, self._medium, self._threads = model, medium, threads
        self.where: DoseGrid = dose_grid(medium, spacing_mm, split=True)
        self._matter = Medium(self.where.grid, np.where(self.where.filled, self.where.density, np.float32(0)))
        self.scatter_grid: DoseGrid = dose_grid(self._matter, scatter_mm)
        self._group_deg, self._tables = group_deg, depth_tables(model)
        self._primary, self._scatter = (
            Part(model.kernel, number, where, cones(degree))
            for number, where in enumerate((self.where, self.scatter_grid))
        )

    def calculate(self, exposures: list[Exposure], report: Report = lambda _: None) -> Volume:
        """Dose (z, y, x) of all exposures together on the medium's grid; zero in empty voxels."""
        dose = refined(self.on_dose_grid(exposures, report), self.where, self._medium.grid)
        dose[self._medium.density <= 0] = 0.0
        return dose

    def on_dose_grid(self, exposures: list[Exposure], report: Report = lambda _: None) -> Volume:
        """The same on the dose grid (`where.grid`), its primary in air as well."""
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
        return np.array(
            [
                self._imparted(sum(g.primary for g in groups), self.where),
                self._imparted(sum(g.scatter for g in groups), self.scatter_grid),
            ]
        )

    @staticmethod
    def _imparted(energy: Volume | int, where: DoseGrid) -> float:
        return float((energy * where.density).sum(dtype=np.float64) * np.prod(where.grid.spacing_mm))

    def _expose(self, exposures: list[Exposure], electrons: Volume, report: Report) -> list[Incidence]:
        """Released energy by direction of incidence; the dose of contamination electrons is added to `electrons`."""
        groups: list[Incidence] = []
        shapes = (self.where.grid.shape, self.scatter_grid.grid.shape)
        fine, last = np.zeros(shapes[0], np.float32), None
        for head, exposure, weight in self._heads(exposures, report):
            reach_mm = reach(exposure.frame.sad_mm, self._group_deg)
            group = join(groups, exposure.frame.source_mm, reach_mm, shapes)
            if last is not None and group is not last:
                self._pool(fine, last)
            head.release(self._matter, (group.primary, fine, electrons), threads=self._threads)
            group.count(exposure, weight)
            last = group
        if last is not None:
            self._pool(fine, last)
        return groups

    def _pool(self, fine: Volume, into: Incidence) -> None:
        """Scatter of the fine grid goes to a group's coarse one."""
        into.scatter += pooled(fine, self._matter.density, self.scatter_grid)
        fine[:] = 0.0

    def _heads(self, exposures: list[Exposure], report: Report) -> Iterator[tuple[Head, Exposure, float]]:
        """Each exposure with its head, drawn, and the fluence of all its pixels together."""
        pitch_mm = ARC_PITCH_MM if len(exposures) > MANY_DIRECTIONS else PITCH_MM
        corners, spacing = box_corners_mm(self.where.grid), float(np.median(self.where.grid.spacing_mm))
        for done, exposure in enumerate(exposures):
            report(0.5 * done / len(exposures))
            frame = exposure.frame
            raster = raster_around(projected_extent([frame], corners), exposure.field_extent_mm, pitch_mm)
            fluence = exposure.draw(raster)
            maps = head_maps(self._model, raster, fluence, frame.sad_mm, sampling_mm=spacing)
            yield Head(self._model, frame, raster, maps, self._tables), exposure, float(fluence.sum(dtype=np.float64))

    def _transport(self, groups: list[Incidence], dose: Volume, sad_mm: float) -> None:
        wide, of = wide_groups(groups, sad_mm)
        sight = Sight.of(groups, wide)
        primary, scatter = ([g.primary for g in groups], [g.scatter for g in groups])
        groups.clear()  # their arrays are large, and emptied on the way
        coarse = transport(self._scatter, list(weak_apart(scatter, of)), sight, self._threads)
        dose += refined(coarse, self.scatter_grid, self.where.grid)
        energy = list(weak_apart(primary, of))
        primary.clear()
        dose += transport(self._primary, energy, sight, self._threads)
