"""Energy that beams release in the collapsed cone's dose grids, on a device: kept by direction of incidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid
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
from engines.photon.superposition.sweep import NOTHING
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


@dataclass(frozen=True, eq=False)
class Place:
    """A grid with its density on a device, 0 where there is no matter. Made inside Device.run."""

    grid: Grid
    lattice: np.void
    density: Buffer

    @staticmethod
    def of(device: Device, matter: Medium) -> Place:
        return Place(matter.grid, lattice_record(matter.grid), filled(device, matter.density))


class DeviceMatter:
    """The fine and the coarse grid, the coarse one's density above 0 everywhere, and the model's depth tables. Made
    inside Device.run."""

    def __init__(
        self, device: Device, fine: Medium, coarse: Medium, scatter: DoseGrid, tables: NDArray[np.float32]
    ) -> None:
        self.fine, self.coarse, self.scatter = Place.of(device, fine), Place.of(device, coarse), scatter
        self.tables, self.scatter_density = filled(device, tables), filled(device, scatter.density)


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

    def hand_over(self, wide: list[int], share: float, launch: Launcher) -> None:
        """What is below a share of the maximum of one of the first groups goes to the wide ones, whose numbers are
        given. Then `least` is known: energy
        below it is not carried. The same rules as on the CPU; what lies within rounding of one may be judged
        differently there."""
        if wide:
            least = np.float32(share) * self._greatest(launch)[: len(wide)]
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
    """What each direction of incidence releases: primary near fields on the fine grid, scatter and what primary is far
    from fields on the coarse one. Their doses begin with what electrons from the heads leave. One thread adds to a
    voxel, exposure after exposure: sums have a fixed order. Made and used inside Device.run."""

    def __init__(self, device: Device, matter: DeviceMatter, groups: int) -> None:
        self._device, self._matter = device, matter
        fine, coarse = matter.fine.grid, matter.coarse.grid
        self.primary = PartEnergy(device, fine.shape, groups)
        self.scatter, self.far = (PartEnergy(device, coarse.shape, groups) for _ in range(2))
        self._pending, *self._depths = (Buffer(device, FLOAT * size) for size in (fine.size, fine.size, coarse.size))
        device.clear(self._pending.address, self._pending.nbytes)
        self._source: NDArray[np.float32] | None = None
        self._under_way: list[Any] = []

    def expose(self, near: Head, far: Head, group: int) -> list[Launch]:
        """What one exposure releases, added to a group. The launches may still be under way when the next head is
        drawn; its maps are kept until the next call, which waits for it."""
        device, matter = self._device, self._matter
        device.synchronise()
        source = near.frame.source_mm.astype(np.float32)
        if self._source is None or not np.array_equal(source, self._source):
            for depth in self._depths:
                device.clear(depth.address, depth.nbytes)  # depths of another source
            self._source = source
        self._under_way = []
        fine = (self.primary.of(group), self._pending.address, self.primary.dose.address)
        coarse = (self.far.of(group), self.scatter.of(group), self.scatter.dose.address)
        return [
            self._release(near, matter.fine, self._depths[0], source, fine),
            self._pool(group),
            self._release(far, matter.coarse, self._depths[1], source, coarse),
        ]

    def _release(
        self, head: Head, place: Place, depth: Buffer, source: NDArray[np.float32], into: tuple[int, int, int]
    ) -> Launch:
        """into: addresses of primary, scatter and electrons."""
        maps = Buffer(self._device, head.maps.nbytes)
        self._device.upload(maps.address, head.maps)
        self._under_way += [maps, head.maps]
        primary, scatter, electrons = into
        fields = {
            "density": place.density.address, "maps": maps.address, "table": self._matter.tables.address,
            "depth": depth.address, "primary": primary, "scatter": scatter, "electrons": electrons,
            "lattice": place.lattice, "head": head_record(head), "source": source,
        }  # fmt: skip
        return Launch("release_energy", (blocks(place.grid.size), 1, 1), pack("release_energy", **fields))

    def _pool(self, group: int) -> Launch:
        matter, where = self._matter, self._matter.scatter
        fields = {
            "fine": self._pending.address, "density": matter.fine.density.address,
            "coarse_density": matter.scatter_density.address, "energy": self.scatter.of(group),
            "fine_shape": matter.fine.grid.shape, "shape": where.grid.shape, "first": where.first,
            "factor": where.factors,
        }  # fmt: skip
        return Launch("pool_energy", (blocks(self.scatter.voxels), 1, 1), pack("pool_energy", **fields))
