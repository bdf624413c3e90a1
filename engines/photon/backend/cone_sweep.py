"""Transport of released energy along cones on a device: several cones at once, each into a slot of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid
from engines.photon.backend.cone_energy import Launcher, PartEnergy
from engines.photon.backend.device import Buffer, Device, filled
from engines.photon.backend.parameters import CONE_GROUP, Launch, blocks, pack
from engines.photon.backend.points import FLOAT

SLOTS = 16
"""Cones that are swept at once. Chosen: a cone of a 100 x 100 x 100 grid has 10,000 lines inside it at a time, an H100
keeps 135,000 threads of this kernel's 64 registers. It decides the order of summation, so it is the same everywhere."""
SHORT, HULL_ENDS = 2, 2

Axes = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class AxisOrder:
    """A dose grid with its axes in one order (a, b, lane), and which of the cones go through it so."""

    axes: Axes
    shape: Axes
    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    chosen: NDArray[np.bool_]
    density: Buffer

    @staticmethod
    def of(
        device: Device, grid: Grid, density: NDArray[np.float32], axes: Axes, chosen: NDArray[np.bool_]
    ) -> AxisOrder:
        """density (z, y, x), above zero everywhere. Inside Device.run."""
        turned = np.ascontiguousarray(density.transpose(axes))
        a, b, c = (2 - axis for axis in axes)
        origin, spacing = grid.origin_mm, grid.spacing_mm
        return AxisOrder(
            axes, (turned.shape[0], turned.shape[1], turned.shape[2]), (origin[a], origin[b], origin[c]),
            (spacing[a], spacing[b], spacing[c]), chosen, filled(device, turned),
        )  # fmt: skip

    @property
    def is_turned(self) -> bool:
        return self.axes != (0, 1, 2)


@dataclass(frozen=True, eq=False)
class SortedLines:
    """Sets of lines through an order of axes: what each is called on the CPU (n,), directions (n, 3) along the order's
    axes and weights (n, groups, CONE_WEIGHTS). Sorted so that neighbours travel alike: they are swept at once, and what
    one reads of a slab the next finds in a cache."""

    numbers: NDArray[np.int32]
    directions: NDArray[np.float32]
    weights: NDArray[np.float32]

    @staticmethod
    def of(order: AxisOrder, xyz: NDArray[np.float64], weights: NDArray[np.float32]) -> SortedLines:
        """xyz (n, 3): directions in LPS."""
        unsorted = xyz[:, [2 - axis for axis in order.axes]]
        slab = (np.abs(unsorted[:, :2]) / order.spacing_mm[:2]).argmax(axis=1)
        travel = 2 * slab + (np.take_along_axis(unsorted, slab[:, None], axis=1)[:, 0] < 0)
        numbers = np.argsort(travel, kind="stable").astype(np.int32)
        directions = np.ascontiguousarray(unsorted[numbers], np.float32)
        return SortedLines(numbers, directions, np.ascontiguousarray(weights[numbers]))


def most_lines(order: AxisOrder, directions: NDArray[np.float32]) -> NDArray[np.int64]:
    """(sets,): at least as many lines as `starts_of` of collapsed_cone.h finds for each; one of room for rounding."""
    steep = np.abs(directions) / np.asarray(order.spacing_mm, np.float32)
    first = steep[:, 0] >= steep[:, 1]
    slab, row = np.where(first, steep[:, 0], steep[:, 1]), np.where(first, steep[:, 1], steep[:, 0])
    a, b, lanes = order.shape
    slabs, rows = np.where(first, a, b), np.where(first, b, a)
    aside = [np.floor(way / slab * (slabs - 1)).astype(np.int64) + 2 for way in (row, steep[:, 2])]
    return np.asarray((rows + aside[0]) * (lanes + aside[1]), np.int64)


class ConeSweep:
    """One part's energy of all groups through one order of axes. Made inside Device.run; its buffers are scratch that
    the launches refer to, and must live as long."""

    def __init__(self, device: Device, order: AxisOrder, released: PartEnergy, dose: Buffer, slots: Buffer) -> None:
        self._device, self._order, self._released, self._dose, self._slots = device, order, released, dose, slots
        rows, self._voxels = order.shape[0] * order.shape[1], int(np.prod(order.shape))
        self._hulls = [Buffer(device, SHORT * HULL_ENDS * rows * released.groups) for _ in range(2)]
        self._energy = Buffer(device, released.energy.nbytes) if order.is_turned else released.energy

    def run(self, own: SortedLines, sources_mm: NDArray[np.float64], exponent_per_mm: float, launch: Launcher) -> None:
        """Adds to the dose what all groups send along these lines; sources_mm (groups, 3) as x, y, z, exponent_per_mm
        of the part's first term."""
        order, device = self._order, self._device
        launch("turning and hulls", self._prepared())
        held = [filled(device, record.view(np.uint8)) for record in self._group_records(sources_mm)]
        held += [filled(device, own.weights), filled(device, own.directions), filled(device, own.numbers)]
        fields = {
            "density": order.density.address, "by_first": held[0].address, "by_second": held[1].address,
            "weights": held[2].address, "directions": held[3].address, "number": held[4].address,
            "slots": self._slots.address, "origin": order.origin_mm, "spacing": order.spacing_mm,
            "exponent": exponent_per_mm, "shape": order.shape, "group_count": self._released.groups,
        }  # fmt: skip
        device.clear(self._slots.address, self._slots.nbytes)
        lines, sweeps = most_lines(order, own.directions), []
        for first in range(0, len(lines), SLOTS):
            count = min(SLOTS, len(lines) - first)
            grid = (blocks(int(lines[first : first + count].max())), count, 1)
            sweeps.append(Launch("sweep_cones", grid, pack("sweep_cones", **fields, first=first, count=count)))
        launch("sweeps", sweeps)
        sums = {"slots": self._slots.address, "dose": self._dose.address, "shape": self._unturned()}
        made = pack("add_slots", **sums, slot_count=SLOTS, turned=int(order.is_turned))
        launch("sum of slots", (Launch("add_slots", (blocks(self._voxels), 1, 1), made),))
        device.synchronise()

    def _prepared(self) -> list[Launch]:
        order, groups, made = self._order, self._released.groups, []
        if order.is_turned:
            fields = {"in": self._released.energy.address, "out": self._energy.address, "shape": self._unturned()}
            turn = pack("turn_lanes", **fields, images=groups)
            made.append(Launch("turn_lanes", (blocks(self._voxels), groups, 1), turn))
        hulls = pack(
            "find_hulls", energy=self._energy.address, by_first=self._hulls[0].address,
            by_second=self._hulls[1].address, shape=order.shape, group_count=groups,
            least=self._released.least,
        )  # fmt: skip
        made.append(Launch("find_hulls", (blocks(order.shape[0] * order.shape[1]), groups, 1), hulls))
        return made

    def _unturned(self) -> Axes:
        a, b, c = self._order.shape
        return (a, c, b) if self._order.is_turned else (a, b, c)

    def _group_records(self, sources_mm: NDArray[np.float64]) -> list[NDArray[np.void]]:
        """CONE_GROUP (groups,) for lines that step along the first and along the second axis."""
        made = []
        x, y, z = (2 - axis for axis in self._order.axes)
        rows, image = self._order.shape[0] * self._order.shape[1], FLOAT * self._voxels
        for hulls, axes in zip(self._hulls, ((x, y, z), (y, x, z)), strict=True):
            records = np.zeros(self._released.groups, CONE_GROUP)
            number = np.arange(self._released.groups, dtype=np.uint64)
            records["source"] = sources_mm[:, axes]
            records["energy"] = self._energy.address + image * number
            records["hull"] = hulls.address + SHORT * HULL_ENDS * rows * number
            made.append(records)
        return made
