"""The collapsed cone on a GPU: heads are drawn on the CPU and go up, the dose of the dose grid comes down;
between, everything stays on the device."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import DeviceError
from engines.photon.backend.cone_energy import DeviceMatter, ReleasedEnergy
from engines.photon.backend.cone_sweep import HULL_ENDS, SHORT, SLOTS, AxisOrder, ConeSweep, Launcher
from engines.photon.backend.device import Buffer, Device, fetched
from engines.photon.backend.parameters import Launch
from engines.photon.backend.points import FLOAT
from engines.photon.dose import Medium
from engines.photon.superposition.dose import (
    SETS,
    Exposure,
    Incidence,
    Report,
    SuperpositionDose,
    join,
    reach,
    take_over,
    wide_groups,
)
from engines.photon.superposition.model import SuperpositionModel
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
        where = self.where
        self._placed = DeviceMatter(self._device, self._matter, self._tables)
        self._ways: list[tuple[NDArray[np.bool_], AxisOrder]] = []
        for chosen, axes in self._orders():
            directions = np.tile(self._cones.directions[chosen], (SETS, 1))
            if len(directions):
                order = AxisOrder.of(self._device, where.grid, where.density, axes, directions)
                self._ways.append((chosen, order))

    def on_dose_grid(self, exposures: list[Exposure], report: Report = lambda _: None) -> NDArray[np.float32]:
        """Dose (z, y, x) on the coarser dose grid (`where.grid`), in air as well."""
        return self._calculate(exposures, report, self._launch)

    def released(self, exposures: list[Exposure]) -> NDArray[np.float64]:
        """Energy released in the whole dose grid, as dose times relative density times mm3: (primary, scatter)."""
        energy, _ = self._expose_on_device(exposures, lambda _: None, self._launch)
        shape = (energy.groups, 2, *self.where.grid.shape)
        parts = self._device.run(lambda: fetched(self._device, energy.energy, shape))
        volume = float(np.prod(self.where.grid.spacing_mm))
        return np.asarray((parts * self.where.density).sum(axis=(0, 2, 3, 4), dtype=np.float64) * volume)

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
        energy, groups = self._expose_on_device(exposures, report, launch)
        report(0.5)
        weights, sources_mm = self._weights(groups)
        dose = self._device.run(partial(self._swept, energy, weights, sources_mm, launch))
        report(1.0)
        return dose

    def _expose_on_device(
        self, exposures: list[Exposure], report: Report, launch: Launcher
    ) -> tuple[ReleasedEnergy, list[Incidence]]:
        groups: list[Incidence] = []
        # Groups know their sources only: their energy lies on the device.
        joined = [join(groups, e.frame.source_mm, reach(e.frame.sad_mm, self._group_deg), (0, 0, 0)) for e in exposures]
        wide, of = wide_groups(groups, exposures[0].frame.sad_mm)
        energy = self._device.run(partial(self._room_for, len(groups) + len(wide)))
        for group, (head, exposure, weight) in zip(joined, self._heads(exposures, report), strict=True):
            group.count(exposure, weight)
            self._device.run(partial(self._release, energy, head, groups.index(group), launch))
        take_over(groups, wide, of)
        self._device.run(partial(energy.hand_over, [len(groups) + number for number in of], launch))
        return energy, groups + wide

    def _room_for(self, groups: int) -> ReleasedEnergy:
        needed, free = bytes_needed(self.where.grid.shape, groups), self._device.free_bytes()
        if needed > MEMORY_SHARE * free:
            raise DeviceError(
                f"this dose needs {needed / 2**30:.2f} GiB of device memory and {free / 2**30:.2f} GiB are free on "
                f"{self._device.name}; use a coarser dose grid, or the CPU"
            )
        return ReleasedEnergy(self._device, self._placed, groups)

    def _release(self, energy: ReleasedEnergy, head: Head, group: int, launch: Launcher) -> None:
        launch("released energy", (energy.expose(head, group),))

    def _swept(
        self,
        energy: ReleasedEnergy,
        weights: NDArray[np.float32],
        sources_mm: NDArray[np.float64],
        launch: Launcher,
    ) -> NDArray[np.float32]:
        kernel = self._model.kernel
        exponents = (kernel.primary_exponent_per_mm, kernel.scatter_exponent_per_mm)
        slots = Buffer(self._device, FLOAT * SLOTS * self.where.grid.size)
        for chosen, order in self._ways:
            own = np.ascontiguousarray(np.tile(weights[chosen], (SETS, 1, 1)))
            ConeSweep(self._device, order, energy, slots).run(own, sources_mm, exponents, launch)
        return fetched(self._device, energy.dose, self.where.grid.shape)


def bytes_needed(shape: tuple[int, int, int], groups: int) -> int:
    """Device memory of a calculation on a dose grid (z, y, x) beside what a CudaSuperposition always holds: energy as
    it is and turned, slots, dose and depth, hulls of the longest rows' ends; without the maps of one head."""
    voxels = int(np.prod(shape))
    rows = voxels // min(shape)
    return FLOAT * voxels * (4 * groups + SLOTS + 2) + 2 * SHORT * HULL_ENDS * rows * groups
