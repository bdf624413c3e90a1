"""Energy that beams release in the collapsed cone's dose grid, on a device: kept by direction of incidence."""

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
from engines.photon.superposition.dose import NOTHING, WEAK
from engines.photon.superposition.terma import DEPTH_STEP_MM, Head


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
    """The dose grid with its density, 0 where there is no matter, and the model's depth tables. Made inside
    Device.run."""

    def __init__(self, device: Device, matter: Medium, tables: NDArray[np.float32]) -> None:
        self.lattice, self.voxels = lattice_record(matter.grid), matter.grid.size
        self.density, self.tables = filled(device, matter.density), filled(device, tables)


class ReleasedEnergy:
    """`energy` (groups, 2, z, y, x): primary and scatter of each direction of incidence; `dose` (z, y, x) begins with
    what electrons from the heads leave. One thread adds to a voxel, exposure after exposure: sums have a fixed order.
    Made and used inside Device.run."""

    def __init__(self, device: Device, matter: DeviceMatter, groups: int) -> None:
        self._device, self._matter, self.groups = device, matter, groups
        self.energy = Buffer(device, FLOAT * 2 * groups * matter.voxels)
        self.dose, self._depth = (Buffer(device, FLOAT * matter.voxels) for _ in range(2))
        for buffer in (self.energy, self.dose):
            device.clear(buffer.address, buffer.nbytes)
        self._source: NDArray[np.float32] | None = None
        self._under_way: tuple[Any, ...] = ()
        self.least = 0.0

    def expose(self, head: Head, group: int) -> Launch:
        """What one head releases, added to a group. The launch may still be under way when the next head is drawn;
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
            "depth": self._depth.address, "energy": self.energy.at(FLOAT * 2 * matter.voxels * group),
            "electrons": self.dose.address, "lattice": matter.lattice, "head": head_record(head), "source": source,
        }  # fmt: skip
        return Launch("release_energy", (blocks(matter.voxels), 1, 1), pack("release_energy", **fields))

    def hand_over(self, wide: list[int], launch: Callable[[str, Sequence[Launch]], None]) -> None:
        """Weak energy of the first groups goes to the wide ones, whose numbers are given. Then `least` is known: energy
        below it is not carried. The same rules as on the CPU; what lies within rounding of one may be judged
        differently there."""
        matter, narrow = self._matter, len(wide)
        if narrow:
            least = np.float32(WEAK) * self._greatest(launch)[:narrow, 0]
            held = filled(self._device, least), filled(self._device, np.asarray(wide, np.int32))
            fields = {
                "energy": self.energy.address, "least": held[0].address, "wide": held[1].address,
                "voxels": matter.voxels, "group_count": narrow,
            }  # fmt: skip
            launch("weak energy", (Launch("hand_over", (blocks(matter.voxels), 1, 1), pack("hand_over", **fields)),))
        primary, scatter = self._greatest(launch).max(axis=0)
        self.least = NOTHING * float(primary + scatter)

    def _greatest(self, launch: Callable[[str, Sequence[Launch]], None]) -> NDArray[np.float32]:
        """(groups, 2)."""
        out = Buffer(self._device, FLOAT * 2 * self.groups)
        fields = {"energy": self.energy.address, "greatest": out.address, "voxels": self._matter.voxels}
        launch("weak energy", (Launch("find_greatest", (2 * self.groups, 1, 1), pack("find_greatest", **fields)),))
        return fetched(self._device, out, (self.groups, 2))
