"""Collapsed-cone dose of any number of beams in one medium: released energy is gathered by direction of incidence, then
each cone is swept once for all of them; primary energy near fields on a fine grid, all else on a coarse one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.convolution import THREADS
from engines.photon.dose import Medium, box_corners_mm, projected_extent
from engines.photon.superposition.coarse import DoseGrid, dose_grid, pooled, refined
from engines.photon.superposition.cones import DEGREE, SCATTER_DEGREE, cones
from engines.photon.superposition.incidence import Exposure, Incidence, Sight, join, reach, wide_groups
from engines.photon.superposition.model import SuperpositionModel
from engines.photon.superposition.sweep import Part, transport, weak_apart
from engines.photon.superposition.terma import Head, depth_tables, head_maps, near_and_far, raster_around

DOSE_SPACING_MM = 2.5
"""Chosen: voxels in which primary energy near fields is carried (differences to others: docs/superposition.md)."""
SCATTER_SPACING_MM = 6.0
"""The same for scatter, which starts out smooth, and for what leaks or comes from the head beside a field: against
voxels of 2 mm 0.07 % of the maximum root mean square (same place)."""
PITCH_MM, ARC_PITCH_MM, MANY_DIRECTIONS = 1.0, 2.0, 30
"""Fluence raster, and that of more than so many exposures, whose errors in their penumbrae do not repeat (chosen)."""
GROUP_DEG = 15.0
"""Beams whose sources lie within this angle share one direction of incidence, their weighted mean, when their released
energy is handed to the cones (chosen: a full arc is then 24 groups; error in docs/superposition.md)."""

ALL = 1.0
"""As the share that is weak: far from fields everything is."""

Report = Callable[[float], None]
Volume = NDArray[np.float32]


class SuperpositionDose:
    """Doses of one beam model in one medium, in the model's own units (see calibrate.py for Gy per MU).

    spacing_mm: dose voxels are the widest groups of image voxels not above it; image voxels above coarse.SPLIT_ABOVE_MM
    are cut. scatter_mm: the same for scatter, of dose voxels. degree, scatter_degree: of the Lebedev rules of both
    parts' cones.
    Raises EngineError for a medium that is not finite or holds no matter."""

    def __init__(
        self,
        model: SuperpositionModel,
        medium: Medium,
        *,
        spacing_mm: float = DOSE_SPACING_MM,
        scatter_mm: float = SCATTER_SPACING_MM,
        degree: int = DEGREE,
        scatter_degree: int = SCATTER_DEGREE,
        group_deg: float = GROUP_DEG,
        threads: int = THREADS,
    ) -> None:
        if not np.isfinite(medium.density).all() or not (medium.density > 0).any():
            raise EngineError("density must be finite and above zero somewhere")
        self._model, self._medium, self._threads = model, medium, threads
        self.where: DoseGrid = dose_grid(medium, spacing_mm, split=True)
        self._matter = _matter_of(self.where)
        self.scatter_grid: DoseGrid = dose_grid(self._matter, scatter_mm)
        self._wide_matter = _matter_of(self.scatter_grid)
        self._group_deg, self._tables = group_deg, depth_tables(model)
        self._primary, self._scatter, self._far = (
            Part(model.kernel, number, where, cones(rule))
            for number, where, rule in (
                (0, self.where, degree),
                (1, self.scatter_grid, scatter_degree),
                (0, self.scatter_grid, degree),
            )
        )

    def calculate(self, exposures: list[Exposure], report: Report = lambda _: None) -> Volume:
        """Dose (z, y, x) of all exposures together on the medium's grid; zero in empty voxels."""
        dose = refined(self.on_dose_grid(exposures, report), self.where, self._medium.grid)
        dose[self._medium.density <= 0] = 0.0
        return dose

    def on_dose_grid(self, exposures: list[Exposure], report: Report = lambda _: None) -> Volume:
        """The same on the dose grid (`where.grid`), what primary is near fields in air as well."""
        electrons = self._nothing()
        groups = self._expose(exposures, electrons, report)
        report(0.5)
        dose = self._transport(groups, electrons, exposures[0].frame.sad_mm) if groups else electrons[0]
        report(1.0)
        return dose

    def released(self, exposures: list[Exposure]) -> NDArray[np.float64]:
        """Energy released in the whole dose grid, as dose times relative density times mm3: (primary, scatter)."""
        groups = self._expose(exposures, self._nothing(), lambda _: None)
        near, far, scatter = (sum(getattr(g, name) for g in groups) for name in ("primary", "far", "scatter"))
        coarse = self.scatter_grid
        return np.array([imparted(near, self.where) + imparted(far, coarse), imparted(scatter, coarse)])

    def _nothing(self) -> tuple[Volume, Volume]:
        """Of the fine and the coarse grid."""
        return np.zeros(self.where.grid.shape, np.float32), np.zeros(self.scatter_grid.grid.shape, np.float32)

    def _expose(self, exposures: list[Exposure], electrons: tuple[Volume, Volume], report: Report) -> list[Incidence]:
        """Released energy by direction of incidence; the dose of contamination electrons is added to `electrons`, of
        the fine and the coarse grid."""
        groups: list[Incidence] = []
        fine, coarse = (volume.shape for volume in electrons)
        pending, last = np.zeros(fine, np.float32), None
        for (near, far), exposure, weight in self._heads(exposures, report):
            reach_mm = reach(exposure.frame.sad_mm, self._group_deg)
            group = join(groups, exposure.frame.source_mm, reach_mm, fine, coarse)
            if last is not None and group is not last:
                self._pool(pending, last)
            near.release(self._matter, (group.primary, pending, electrons[0]), threads=self._threads)
            far.release(self._wide_matter, (group.far, group.scatter, electrons[1]), threads=self._threads)
            group.count(exposure, weight)
            last = group
        if last is not None:
            self._pool(pending, last)
        return groups

    def _pool(self, pending: Volume, into: Incidence) -> None:
        """Scatter of the fine grid goes to a group's coarse one."""
        into.scatter += pooled(pending, self._matter.density, self.scatter_grid)
        pending[:] = 0.0

    def _heads(self, exposures: list[Exposure], report: Report) -> Iterator[tuple[tuple[Head, Head], Exposure, float]]:
        """Each exposure with its head, drawn, near its field and far from it, and the fluence of all its pixels."""
        pitch_mm = ARC_PITCH_MM if len(exposures) > MANY_DIRECTIONS else PITCH_MM
        corners, spacing = box_corners_mm(self.where.grid), float(np.median(self.where.grid.spacing_mm))
        for done, exposure in enumerate(exposures):
            report(0.5 * done / len(exposures))
            frame, field = exposure.frame, exposure.field_extent_mm
            raster = raster_around(projected_extent([frame], corners), field, pitch_mm)
            fluence = exposure.draw(raster)
            maps = head_maps(self._model, raster, fluence, frame.sad_mm, sampling_mm=spacing)
            near, rest = near_and_far(raster, maps, field)
            heads = (
                Head(self._model, frame, *near, self._tables),
                Head(self._model, frame, raster, rest, self._tables),
            )
            yield heads, exposure, float(fluence.sum(dtype=np.float64))

    def _transport(self, groups: list[Incidence], electrons: tuple[Volume, Volume], sad_mm: float) -> Volume:
        wide, of = wide_groups(groups, sad_mm)
        sight = Sight.of(groups, wide)
        near, scatter, far = ([getattr(g, name) for g in groups] for name in ("primary", "scatter", "far"))
        groups.clear()  # their arrays are large, and emptied on the way
        dose, coarse = electrons
        coarse += transport(self._scatter, list(weak_apart(scatter, of)), sight, self._threads)
        coarse += transport(self._far, list(weak_apart(far, of, ALL)), sight, self._threads)
        dose += refined(coarse, self.scatter_grid, self.where.grid)
        energy = list(weak_apart(near, of))
        near.clear()
        dose += transport(self._primary, energy, sight, self._threads)
        return dose


def _matter_of(where: DoseGrid) -> Medium:
    """Without the air that empty voxels count as on the way."""
    return Medium(where.grid, np.where(where.filled, where.density, np.float32(0)))


def imparted(energy: Volume | int, where: DoseGrid) -> float:
    """Energy (z, y, x) in relative dose, times relative density times mm3."""
    return float((energy * where.density).sum(dtype=np.float64) * np.prod(where.grid.spacing_mm))
