"""The collapsed cone on a GPU: heads are drawn on the CPU and go up, the dose of the dose grid comes down;
between, everything stays on the device."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import DeviceError
from engines.photon.backend.cone_energy import DeviceMatter, Launcher, PartEnergy, ReleasedEnergy
from engines.photon.backend.cone_sweep import HULL_ENDS, SHORT, SLOTS, AxisOrder, ConeSweep, SortedLines
from engines.photon.backend.device import Buffer, Device, fetched
from engines.photon.backend.parameters import Launch
from engines.photon.backend.points import FLOAT
from engines.photon.dose import Medium
from engines.photon.superposition.coarse import DoseGrid, refined
from engines.photon.superposition.dose import ALL, Report, SuperpositionDose, imparted
from engines.photon.superposition.incidence import EMPTY, Exposure, Incidence, Sight, join, reach, wide_groups
from engines.photon.superposition.model import SuperpositionModel
from engines.photon.superposition.sweep import WEAK, Part
from engines.photon.superposition.terma import Head

MEMORY_SHARE = 0.9
"""Of the free device memory that one calculation may take (chosen, as for a CudaDoseOperator)."""


class CudaSuperposition(SuperpositionDose):
    """SuperpositionDose on a device, to the bit the same at every call. Options are those of SuperpositionDose.

    Raises DeviceError where the device fails or its memory does not suffice."""

    def __init__(self, device: Device, model: SuperpositionModel, medium: Medium, **options: Any) -> None:
        super().__init__(model, medium, **options)
        self._device = device
        device.run(self._place)

    def _place(self) -> None:
        self._placed = DeviceMatter(self._device, self._matter, self._wide_matter, self.scatter_grid, self._tables)
        self._ways = [self._ways_of(part) for part in (self._primary, self._scatter, self._far)]

    def _ways_of(self, part: Part) -> list[AxisOrder]:
        grid, density = part.where.grid, part.where.density
        return [
            AxisOrder.of(self._device, grid, density, axes, chosen) for chosen, axes in part.orders() if chosen.any()
        ]

    def on_dose_grid(self, exposures: list[Exposure], report: Report = lambda _: None) -> NDArray[np.float32]:
        """Dose (z, y, x) on the coarser dose grid (`where.grid`), in air as well."""
        return self._calculate(exposures, report, self._launch)

    def released(self, exposures: list[Exposure]) -> NDArray[np.float64]:
        """Energy released in the whole dose grid, as dose times relative density times mm3: (primary, scatter)."""
        energy, _ = self._expose_on_device(exposures, lambda _: None, self._launch)
        every = ((energy.primary, self.where), (energy.far, self.scatter_grid), (energy.scatter, self.scatter_grid))
        near, far, scatter = (self._imparted_by(part, where) for part, where in every)
        return np.array([near + far, scatter])

    def _imparted_by(self, part: PartEnergy, where: DoseGrid) -> float:
        shape = (part.groups, *where.grid.shape)
        energy = self._device.run(partial(fetched, self._device, part.energy, shape))
        return imparted(energy.sum(axis=0), where)

    def kernel_seconds(self, exposures: list[Exposure]) -> dict[str, float]:
        """Device time of each part of one calculation, without transfers and without what the CPU draws."""
        seconds: dict[str, float] = {}

        def timed(part: str, launches: Sequence[Launch]) -> None:
            seconds[part] = seconds.get(part, 0.0) + self._device.seconds_of(launches)

        self._calculate(exposures, lambda _: None, timed)
        return seconds

    def _launch(self, _: str, launches: Sequence[Launch]) -> None:
        self._device.launch(launches)

    def _calculate(self, exposures: list[Exposure], report: Report, launch: Launcher) -> NDArray[np.float32]:
        if not exposures:
            return np.zeros(self.where.grid.shape, np.float32)
        energy, sight = self._expose_on_device(exposures, report, launch)
        report(0.5)
        coarse, fine = self._device.run(partial(self._swept, energy, sight, launch))
        report(1.0)
        return np.asarray(fine + refined(coarse, self.scatter_grid, self.where.grid), np.float32)

    def _expose_on_device(
        self, exposures: list[Exposure], report: Report, launch: Launcher
    ) -> tuple[ReleasedEnergy, Sight]:
        groups: list[Incidence] = []
        sad_mm = exposures[0].frame.sad_mm
        # Groups know their sources only: their energy lies on the device.
        joined = [join(groups, e.frame.source_mm, reach(sad_mm, self._group_deg), EMPTY, EMPTY) for e in exposures]
        energy = self._device.run(partial(self._room_for, len(groups) + len(wide_groups(groups, sad_mm)[0])))
        for group, (heads, exposure, weight) in zip(joined, self._heads(exposures, report), strict=True):
            group.count(exposure, weight)
            self._device.run(partial(self._release, energy, heads, groups.index(group), launch))
        wide, of = wide_groups(groups, sad_mm)
        for part, share in ((energy.primary, WEAK), (energy.scatter, WEAK), (energy.far, ALL)):
            self._device.run(partial(part.hand_over, [len(groups) + number for number in of], share, launch))
        return energy, Sight.of(groups, wide)

    def _room_for(self, groups: int) -> ReleasedEnergy:
        needed = bytes_needed(self.where.grid.shape, self.scatter_grid.grid.shape, groups)
        free = self._device.free_bytes()
        if needed > MEMORY_SHARE * free:
            raise DeviceError(
                f"this dose needs {needed / 2**30:.2f} GiB of device memory and {free / 2**30:.2f} GiB are free on "
                f"{self._device.name}; use a coarser dose grid, or the CPU"
            )
        return ReleasedEnergy(self._device, self._placed, groups)

    def _release(self, energy: ReleasedEnergy, heads: tuple[Head, Head], group: int, launch: Launcher) -> None:
        launch("released energy", energy.expose(*heads, group))

    def _swept(
        self, energy: ReleasedEnergy, sight: Sight, launch: Launcher
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Doses of the coarse and of the fine grid."""
        slots = Buffer(self._device, FLOAT * SLOTS * self.where.grid.size)
        fine, scatter, far = self._ways
        self._sweep(self._scatter, energy.scatter, energy.scatter.dose, scatter, slots, sight, launch)
        self._sweep(self._far, energy.far, energy.scatter.dose, far, slots, sight, launch)
        self._sweep(self._primary, energy.primary, energy.primary.dose, fine, slots, sight, launch)
        return (
            fetched(self._device, energy.scatter.dose, self.scatter_grid.grid.shape),
            fetched(self._device, energy.primary.dose, self.where.grid.shape),
        )

    def _sweep(
        self,
        part: Part,
        energy: PartEnergy,
        dose: Buffer,
        ways: list[AxisOrder],
        slots: Buffer,
        sight: Sight,
        launch: Launcher,
    ) -> None:
        weights = part.weights(sight.rays)
        sets = part.sets(weights, sight.edges)
        for order in ways:
            lines = SortedLines.of(order, *part.lines(weights, sets, order.chosen))
            ConeSweep(self._device, order, energy, dose, slots).run(
                lines, sight.sources_mm, part.exponent_per_mm, launch
            )


def bytes_needed(shape: tuple[int, int, int], scatter_shape: tuple[int, int, int], groups: int) -> int:
    """Device memory of a calculation on dose grids (z, y, x) beside what a CudaSuperposition always holds: energy as it
    is and turned, slots, dose, depth and scatter not yet pooled, hulls of the longest rows' ends; without the maps of
    one head."""
    fine, coarse = int(np.prod(shape)), int(np.prod(scatter_shape))
    rows = fine // min(shape) + coarse // min(scatter_shape)
    return FLOAT * (fine * (2 * groups + SLOTS + 3) + coarse * (4 * groups + 3)) + 2 * SHORT * HULL_ENDS * rows * groups
