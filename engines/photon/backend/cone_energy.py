"""Energy that beams release in the collapsed cone's dose grids, on a device: kept by direction of incidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.photon.backend.device import Buffer, Device, fetched, filled
from engines.photon.backend.parameters import (
    HEAD,
    Launch,
    blocks,
    frame_record,
    lattice_record,
    pack,
    packed,
    raster_record,
)
from engines.photon.backend.points import FLOAT
from engines.photon.dose import Medium
from engines.photon.superposition.coarse import DoseGrid
from engines.photon.superposition.sweep import NOTHING, WEAK
from engines.photon.superposition.terma import DEPTH_STEP_MM, Head

Launcher = Callable[[str, Sequence[Launch]], None]
"""Launches a named part of the work: a benchmark also takes its time."""


def head_record(head: Head) -> np.void:
    """HEAD of parameters.py."""
    extra, electrons = head.model.extra_focal, head.model.contamination
    fields = {
        "frame": frame_record(head.frame),
        "raster": raster_record(head.raster),
        "softening": head.model.softening_per_deg,
        "extra_distance": extra.distance_mm if extra else 0.0,
        "electrons_per_mm": electrons.attenuation_per_mm if electrons else 0.0,
        "table_step": DEPTH_STEP_MM,
        "table_last": len(head.tables) - 1,
    }
    return packed(HEAD, fields)


class DeviceMatter:
    """The dose grid with its density, 0 where there is no matter, the density of scatter's grid, above 0 everywhere,
    and the model's depth tables. Made inside Device.run."""

    def __init__(self, device: Device, matter: Medium, scatter: DoseGrid, tables: NDArray[np.float32]) -> None:
        self.lattice, self.voxels, self.scatter = lattice_record(matter.grid), matter.grid.size, scatter
        self.shape, self.tables = matter.grid.shape, filled(device, tables)
        self.density, self.scatter_density = filled(device, matter.density), filled(device, scatter.density)


class PartEnergy:
    """`energy` (groups, z, y, x) of one part's grid, and the dose (z, y, x) that comes of it. Made and used inside
    Device.run."""

    def __init__(self, device: Device, shape: tuple[int, int, int], groups: int) -> None:
        self._device, self.groups, self.voxels = device, groups, int(np.prod(shape))
        self.energy = Buffer(device, FLOAT * groups * self.voxels)
        self.dose = Buffer(device, FLOAT * self.voxels)
        for buffer in (self.energy, self.dose):
            device.clear(buffer.address, buffer.nbytes)
        self.least = 0.0

    def of(self, group: int) -> int:
        """Address of a group's energy."""
        return self.energy.at(FLOAT * self.voxels * group)

    def hand_over(self, wide: list[int], launch: Launcher) -> None:
        """Weak energy of the first groups goes to the wide ones, whose numbers are given. Then `least` is known: energy
        below it is not carried. The same rules as on the CPU; what lies within rounding of one may be judged
        differently there."""
        if wide:
            least = np.float32(WEAK) * self._greatest(launch)[: len(wide)]
            held = filled(self._device, least), filled(self._device, np.asarray(wide, np.int32))
            fields = {
                "energy": self.energy.address, "least": held[0].address, "wide": held[1].address,
                "voxels": self.voxels, "group_count": len(wide),
            }  # fmt: skip
            launch("weak energy", (Launch("hand_over", (blocks(self.voxels), 1, 1), pack("hand_over", **fields)),))
        self.least = NOTHING * float(self._greatest(launch).max())

    def _greatest(self, launch: Launcher) -> NDArray[np.float32]:
        """(groups,)."""
        out = Buffer(self._device, FLOAT * self.groups)
        fields = {"energy": self.energy.address, "greatest": out.address, "voxels": self.voxels}
        launch("weak energy", (Launch("find_greatest", (self.groups, 1, 1), pack("find_greatest", **fields)),))
        return fetched(self._device, out, (self.groups,))


class ReleasedEnergy:
    """Primary and scatter of each direction of incidence; the primary's dose begins with what electrons from the heads
    leave. One thread adds to a voxel, exposure after exposure: sums have a fixed order. Made and used inside
    Device.run."""

    def __init__(self, device: Device, matter: DeviceMatter, groups: int) -> None:
        self._device, self._matter = device, matter
        self.primary = PartEnergy(device, matter.shape, groups)
        self.scatter = PartEnergy(device, matter.scatter.grid.shape, groups)
        self._fine, self._depth = (Buffer(device, FLOAT * matter.voxels) for _ in range(2))
        device.clear(self._fine.address, self._fine.nbytes)
        self._source: NDArray[np.float32] | None = None
        self._under_way: tuple[Any, ...] = ()

    def expose(self, head: Head, group: int) -> tuple[Launch, Launch]:
        """What one head releases, added to a group. The launches may still be under way when the next head is drawn;
        its maps are kept until the next call, which waits for it."""
        device, matter = self._device, self._matter
        device.synchronise()
        source = head.frame.source_mm.astype(np.float32)
        if self._source is None or not np.array_equal(source, self._source):
            device.clear(self._depth.address, self._depth.nbytes)  # depths of another source
            self._source = source
        maps = Buffer(device, head.maps.nbytes)
        device.upload(maps.address, head.maps)
        self._under_way = (maps, head.maps)
        fields = {
            "density": matter.density.address, "maps": maps.address, "table": matter.tables.address,
            "depth": self._depth.address, "primary": self.primary.of(group), "scatter": self._fine.address,
            "electrons": self.primary.dose.address, "lattice": matter.lattice, "head": head_record(head),
            "source": source,
        }  # fmt: skip
        release = Launch("release_energy", (blocks(matter.voxels), 1, 1), pack("release_energy", **fields))
        return release, self._pool(group)

    def _pool(self, group: int) -> Launch:
        matter, where = self._matter, self._matter.scatter
        fields = {
            "fine": self._fine.address, "density": matter.density.address,
            "coarse_density": matter.scatter_density.address, "energy": self.scatter.of(group),
            "fine_shape": matter.shape, "shape": where.grid.shape, "first": where.first, "factor": where.factors,
        }  # fmt: skip
        return Launch("pool_energy", (blocks(self.scatter.voxels), 1, 1), pack("pool_energy", **fields))
