"""Transport of one part of the released energy, primary or scatter, along its own cones through its own grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.photon import _kernels
from engines.photon.superposition.coarse import DoseGrid
from engines.photon.superposition.cones import Cones, cone_weights
from engines.photon.superposition.incidence import Sight
from engines.photon.superposition.model import ExponentialKernel

NOTHING = 1e-5
"""Energy below this share of the largest is not carried: tails of the source's Gaussian (chosen)."""
WEAK = 0.03
"""What a group releases below this share of its own maximum (leakage, head scatter beside the field) counts with the
direction of a wide group (chosen: cones then read few groups outside the fields; error in docs/superposition.md)."""

MOST_LINES = 4
"""Sets of parallel lines for the cones that carry most energy: lines keep to whole voxels, so that at a
field's edge single voxels are off by what a few forward cones do (measured in docs/superposition.md)."""

Volume = NDArray[np.float32]
Axes = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Part:
    """part: 0 primary, 1 scatter. where: the grid that its energy is carried through."""

    kernel: ExponentialKernel
    part: int
    where: DoseGrid
    cones: Cones

    @property
    def exponent_per_mm(self) -> float:
        return (self.kernel.primary_exponent_per_mm, self.kernel.scatter_exponent_per_mm)[self.part]

    def weights(self, rays: NDArray[np.float64]) -> NDArray[np.float32]:
        """(cones, groups, CONE_WEIGHTS) for sample rays (groups, samples, 3)."""
        return cone_weights(self.kernel, self.part, self.cones, rays)

    def sets(self, weights: NDArray[np.float32], edges: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(cones,): sets of lines of each, by its share of what groups with edges release, were they equal: one up to
        the mean share, MOST_LINES at most. Sets begin elsewhere in a voxel. As directions alone decide, dose is linear
        in the monitor units of each beam."""
        carried = np.maximum(weights[:, edges, 3::3].sum(axis=(1, 2), dtype=np.float64), 0.0)
        return np.asarray(np.clip(np.ceil(carried / carried.mean()), 1, MOST_LINES), np.int64)

    def lines(
        self, weights: NDArray[np.float32], sets: NDArray[np.int64], chosen: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Directions (lines, 3), x y z, and weights (lines, groups, CONE_WEIGHTS) of the chosen cones' sets."""
        times = sets[chosen]
        own = np.repeat(weights[chosen], times, axis=0)
        own[..., 3:] /= np.repeat(times, times)[:, None, None]
        return np.repeat(self.cones.directions[chosen], times, axis=0), own

    def orders(self) -> tuple[tuple[NDArray[np.bool_], Axes], ...]:
        """Which cones go through the grid with its axes in which order. Lines step along the steepest axis; where that
        is x, through arrays turned so that their lanes run along y: neighbouring lines then always lie side by side in
        memory."""
        along_x = (np.abs(self.cones.directions) / self.where.grid.spacing_mm).argmax(axis=1) == 0
        return (~along_x, (0, 1, 2)), (along_x, (0, 2, 1))


def transport(part: Part, energy: list[Volume], sight: Sight, threads: int) -> Volume:
    """Dose (z, y, x) of the energy (z, y, x) that each group releases on the part's grid. The list is emptied on the
    way, as a large grid's arrays are held only once."""
    where, weights = part.where, part.weights(sight.rays)
    sets = part.sets(weights, sight.edges)
    dose = np.zeros(where.grid.shape, np.float32)
    least = NOTHING * max((float(one.max()) for one in energy), default=0.0)
    for chosen, axes in part.orders():
        if not chosen.any():
            continue
        turned = np.zeros([dose.shape[a] for a in axes], np.float32)
        for number, one in enumerate(energy):
            energy[number] = np.ascontiguousarray(one.transpose(axes))
        xyz = [2 - a for a in axes]
        directions, own = part.lines(weights, sets, chosen)
        _kernels.transport(
            np.ascontiguousarray(where.density.transpose(axes)),
            [where.grid.origin_mm[a] for a in xyz],
            [where.grid.spacing_mm[a] for a in xyz],
            energy,
            np.stack([_hull(one > least) for one in energy]),
            np.ascontiguousarray(sight.sources_mm[:, xyz], np.float32),
            np.ascontiguousarray(directions[:, xyz], np.float32),
            own,
            part.exponent_per_mm,
            turned,
            threads,
        )
        dose += turned.transpose(np.argsort(axes))
    energy.clear()
    return dose


def weak_apart(energy: Sequence[Volume], wide_of: Sequence[int], share: float = WEAK) -> Iterator[Volume]:
    """Each group's energy without its weak parts, then what the wide groups have taken over: group i hands over to
    number wide_of[i] what is below a share of its maximum; without wide groups all is as it was."""
    if not wide_of:
        yield from energy
        return
    wide = [np.zeros_like(energy[0]) for _ in range(max(wide_of) + 1)]
    for own, number in zip(energy, wide_of, strict=True):
        weak = own <= share * own.max()
        np.add(wide[number], own, out=wide[number], where=weak)
        own[weak] = 0.0
        yield own
    yield from wide


def _hull(some: NDArray[np.bool_]) -> NDArray[np.int16]:
    """(a, b, 2): first lane with energy and one past the last; an empty row gives 0, 0."""
    lanes = some.shape[-1]
    any_lane = some.any(axis=-1)
    first, last = some.argmax(axis=-1), lanes - some[..., ::-1].argmax(axis=-1)
    return np.ascontiguousarray(np.stack([first, np.where(any_lane, last, first)], axis=-1), np.int16)
