"""How much of the patient today's image shows: targets, organs, and the body to its skin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.case.today.match import HALF, DayReference, external_of
from appliance.case.today.modality import DayImage
from appliance.case.today.rules import finding, refusal
from appliance.contracts import Finding, Structure, StructureKind
from engines.calibration import circle_seen
from engines.grid import Grid, VoxelSet, box_within, extended_grid, placed, voxels_placed
from engines.grid.voxels import Box
from engines.registration import DisplacementField, found_in_fixed

MOST_POINTS = 20_000
"""Of a structure, that are looked for in today's image (chosen: a share is then known to a third of a percent)."""

MISSED_BELOW, WHOLE_ABOVE = 0.95, 0.998
"""Shares of a target in the image: below the first the image is refused, below the second it is flagged (chosen: the
second allows for the voxels at the rim, the first for a set-up that cuts a slice off a long target)."""

ORGAN_WHOLE_ABOVE = 0.98
"""Share of an organ below which it is flagged as cut (chosen)."""

LEAST_CUT_CC = 5.0
"""Of the body beyond the field of view, below which it counts as whole (chosen: registration leaves some)."""

LEAST_BODY_SHARE = 0.02
"""Of the reference's body in today's image, below which the two show different regions (chosen)."""

BOX_MM = 15.0
"""Round the places found for a sample of the body's voxels (chosen: gaps of the sample, and air for a calibration)."""

ALONG_MM = 30.0
"""Beyond a target the case goes on along the patient as far as the reference does (chosen: for the scatter)."""


@dataclass(frozen=True, eq=False)
class SeenRegion:
    """within: voxels (z, y, x) of today's `grid` that it shows. larger: that grid, extended where the reference's body
    goes on beyond it, else the same. cut_cc: of the reference's body between today's first and last slice that today
    does not show, 0 where it is whole. shares: of each structure of the reference that today shows, 0..1.
    body_box: first and one past the last index (z, y, x) on `larger` of what holds the reference's body, BOX_MM wider
    on every side."""

    grid: Grid
    within: NDArray[np.bool_]
    larger: Grid
    cut_cc: float
    shares: Mapping[str, float]
    findings: tuple[Finding, ...]
    body_box: Box

    @property
    def body_box_here(self) -> Box:
        """body_box as far as it lies in `grid`, in its indices."""
        starts = [part.start for part in box_within(self.grid, self.larger)]
        lower = [max(0, low - start) for low, start in zip(self.body_box[0], starts, strict=True)]
        upper = [
            min(count, high - start)
            for high, start, count in zip(self.body_box[1], starts, self.grid.shape, strict=True)
        ]
        return (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2])

    @property
    def extends(self) -> bool:
        return self.cut_cc > 0 or self.larger.shape != self.grid.shape

    @property
    def filled(self) -> NDArray[np.bool_]:
        """(z, y, x) on `larger`: what today's image does not show."""
        return ~np.asarray(placed(self.within, self.grid, self.larger, outside=False), np.bool_)

    def outline(self, body: VoxelSet, reference: DayReference, to_reference: DisplacementField) -> VoxelSet:
        """Today's body on `larger`: `body`, given on `grid`, and the reference's where today's image does not show."""
        if not self.extends:
            return body
        before = external_of(reference)
        there = to_reference.pulled(before, reference.series.image.grid, self.larger, outside=0.0)
        here = voxels_placed(body, self.grid, self.larger).dense(self.larger.shape)
        return VoxelSet.from_dense(np.where(self.filled, there >= HALF, here).astype(np.float32))


def seen_region(reference: DayReference, today: DayImage, to_reference: DisplacementField) -> SeenRegion:
    """to_reference: the registration so far, rigid or deformable. Raises InconsistentCase `day.no-overlap`,
    `day.misses-target`."""
    grid, where = today.series.image.grid, reference.series.image.grid
    circle = circle_seen(today.series.image.hu, grid)
    within = np.ones(grid.shape, np.bool_) if circle is None else np.broadcast_to(circle, grid.shape).copy()
    shares: dict[str, float] = {}
    cut_cc, larger = 0.0, grid
    reach: list[tuple[NDArray[np.float64], Structure]] = []
    for item in reference.structures.structures:
        if item.kind not in (StructureKind.EXTERNAL, StructureKind.TARGET, StructureKind.ORGAN):
            continue
        points, weight = _points(item.voxels, where)
        found = found_in_fixed(to_reference, points)
        there = shown(found, grid, within)
        shares[item.tg263] = float(weight[there].sum() / max(weight.sum(), 1e-9))
        reach.append((found, item))
        if item.kind is StructureKind.EXTERNAL:
            level = _between_ends(found, grid)
            share = float(weight[level & ~there].sum() / max(weight.sum(), 1e-9))
            cut_cc = share * item.voxels.volume_cc(where.voxel_volume_cc)
    cut_cc = cut_cc if cut_cc >= LEAST_CUT_CC else 0.0
    larger = _larger(grid, reach, cut_cc > 0)
    findings = _judged(reference, shares, cut_cc)
    body = next(points for points, item in reach if item.kind is StructureKind.EXTERNAL)
    return SeenRegion(grid, within, larger, cut_cc, shares, findings, _box_of(body, larger))


def slices_of(box: Box) -> tuple[slice, slice, slice]:
    z, y, x = (slice(low, high) for low, high in zip(*box, strict=True))
    return z, y, x


def _box_of(points_mm: NDArray[np.float64], grid: Grid) -> Box:
    origin, spacing, last = np.asarray(grid.origin_mm), np.asarray(grid.spacing_mm), np.asarray(grid.shape[::-1])
    first = np.clip(np.floor((points_mm.min(axis=0) - BOX_MM - origin) / spacing), 0, last - 1)
    past = np.clip(np.ceil((points_mm.max(axis=0) + BOX_MM - origin) / spacing) + 1, first + 1, last)
    lower, upper = first[::-1].astype(int).tolist(), past[::-1].astype(int).tolist()
    return (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2])


def _points(voxels: VoxelSet, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    step = max(1, voxels.index.size // MOST_POINTS)
    index = voxels.index[::step]
    return grid.centres_mm(index).astype(np.float64), voxels.fraction[::step]


def shown(points_mm: NDArray[np.float64], grid: Grid, within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each point (n, 3) lies in a voxel of `within`, (z, y, x) on `grid`."""
    index = np.rint((points_mm - np.asarray(grid.origin_mm)) / np.asarray(grid.spacing_mm)).astype(np.int64)
    last = np.asarray(grid.shape[::-1])
    inside = np.all((index >= 0) & (index < last), axis=1)
    x, y, z = np.where(inside[:, None], index, 0).T
    return np.asarray(inside & within[z, y, x], np.bool_)


def _between_ends(points_mm: NDArray[np.float64], grid: Grid) -> NDArray[np.bool_]:
    half = grid.spacing_mm[2] / 2
    low, high = grid.origin_mm[2] - half, grid.origin_mm[2] + grid.spacing_mm[2] * (grid.shape[0] - 0.5)
    return np.asarray((points_mm[:, 2] >= low) & (points_mm[:, 2] <= high))


def _larger(grid: Grid, reach: list[tuple[NDArray[np.float64], Structure]], is_cut: bool) -> Grid:
    body = next(points for points, item in reach if item.kind is StructureKind.EXTERNAL)
    targets = [points for points, item in reach if item.kind is StructureKind.TARGET]
    half = np.asarray(grid.spacing_mm) / 2
    lower = np.asarray(grid.origin_mm) - half
    upper = lower + np.asarray(grid.spacing_mm) * np.asarray(grid.shape[::-1])
    if targets:
        ends = np.concatenate(targets)[:, 2]
        lower[2] = min(lower[2], max(ends.min() - ALONG_MM, body[:, 2].min()))
        upper[2] = max(upper[2], min(ends.max() + ALONG_MM, body[:, 2].max()))
    if is_cut:
        level = body[(body[:, 2] >= lower[2]) & (body[:, 2] <= upper[2])]
        lower[:2] = np.minimum(lower[:2], level[:, :2].min(axis=0) - half[:2])
        upper[:2] = np.maximum(upper[:2], level[:, :2].max(axis=0) + half[:2])
    return extended_grid(
        grid, (float(lower[0]), float(lower[1]), float(lower[2])), (float(upper[0]), float(upper[1]), float(upper[2]))
    )


def _judged(reference: DayReference, shares: Mapping[str, float], cut_cc: float) -> tuple[Finding, ...]:
    kinds = {item.tg263: item.kind for item in reference.structures.structures}
    body = next(share for name, share in shares.items() if kinds[name] is StructureKind.EXTERNAL)
    if body < LEAST_BODY_SHARE:
        raise refusal("day.no-overlap", f"{body:.0%} of the reference's body lie within it")
    targets = {name: share for name, share in shares.items() if kinds[name] is StructureKind.TARGET}
    missed = [f"{name} ({share:.0%} of it are there)" for name, share in targets.items() if share < MISSED_BELOW]
    if missed:
        raise refusal("day.misses-target", f"it does not hold {', '.join(missed)}")
    findings = []
    cut = [f"{name} ({share:.1%})" for name, share in targets.items() if share < WHOLE_ABOVE]
    if cut:
        findings.append(finding("day.cuts-target", f"Not the whole target lies in it: {', '.join(cut)}"))
    organs = {name: share for name, share in shares.items() if kinds[name] is StructureKind.ORGAN}
    cut = [f"{name} ({share:.0%})" for name, share in organs.items() if share < ORGAN_WHOLE_ABOVE]
    if cut:
        findings.append(finding("day.cuts-organ", f"Of these organs only a part lies in it: {', '.join(cut)}"))
    if cut_cc > 0:
        words = f"{cut_cc:.0f} cm³ of the body lie beside its field of view, and were taken from the reference"
        findings.append(finding("day.truncated", words))
    return tuple(findings)
