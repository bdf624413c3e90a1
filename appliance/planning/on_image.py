"""Does the image show what the beams pass through? Isocentres beside it, and beams through a cut body."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, ControlPoint, Image, Plan
from appliance.contracts.collimation import positions_of, row_boundaries_mm, single_layer
from appliance.planning.pieces import check_axes, frame_at
from engines.grid import Grid, VoxelSet

BODY_HU = -500
"""Without an outline, what is denser than this at the border of the image is body (chosen between air, -1000, and soft
tissue, 0; lung at a border counts as cut too where it is inflated less than half)."""
RAYS_ALONG = 5
"""Rays across the opening of each leaf pair, ends included (chosen: an end of the field is never missed)."""
ROWS_WITHOUT_LEAVES = 10
"""Rows of rays through a field that jaws alone make (chosen)."""
UPSTREAM_MM, STEP_MM = 400.0, 5.0
"""How far before the isocentre plane a ray is followed, and in which steps (chosen: no body is thicker there, no
cut narrower)."""
MOST_MISSING_SHARE = 0.02
"""Share of a field that may enter through tissue that the image does not show. Chosen: the ends of long fields touch
the border of many images, and 2 % of a field changes the dose at its edge alone."""


@dataclass(frozen=True)
class Missing:
    """A beam that passes through tissue the image does not show. share: of its field, at the worst control point."""

    beam: int
    control_point: int
    share: float

    @property
    def is_serious(self) -> bool:
        return self.share > MOST_MISSING_SHARE

    @property
    def sentence(self) -> str:
        return (
            f"beam {self.beam}, control point {self.control_point}: {100 * self.share:.0f} % of its field passes where "
            "the image cuts the body off, so the tissue there is not known"
        )


def misplaced_isocentres(plan: Plan, grid: Grid) -> tuple[str, ...]:
    """Sentences on isocentres outside the image (its voxels' outer borders)."""
    low = np.asarray(grid.origin_mm) - np.asarray(grid.spacing_mm) / 2
    high = low + np.asarray(grid.spacing_mm) * grid.shape[::-1]
    return tuple(
        f"beam {beam.number}: its isocentre ({x:.1f}, {y:.1f}, {z:.1f}) mm lies outside the image"
        for beam in plan.beams
        for x, y, z in (beam.isocentre_mm,)
        if not (np.all(np.asarray(beam.isocentre_mm) >= low) and np.all(np.asarray(beam.isocentre_mm) <= high))
    )


def missing_anatomy(plan: Plan, image: Image, external: VoxelSet | None) -> tuple[Missing, ...]:
    """The worst control point of each beam of which any ray passes where the body is cut off.

    The body is taken to go on beyond the image as it is at the border. Rays through the open field of each control
    point are followed to the isocentre plane; what is missing behind it changes scatter and exit dose alone. Raises
    UnsupportedPlan for a beam whose couch or collimator turns."""
    body = image.hu > BODY_HU if external is None else external.mask(image.grid.shape)
    found = []
    for beam in plan.beams:
        check_axes(beam)
        shares = [_share(beam, point, plan, image.grid, body) for point in _delivering(beam)]
        worst = int(np.argmax(shares)) if shares else 0
        if shares and shares[worst] > 0:
            found.append(Missing(beam.number, beam.control_points.index(_delivering(beam)[worst]), shares[worst]))
    return tuple(found)


def source_mm(beam: Beam, patient_position: str) -> tuple[float, float, float]:
    """The source at the beam's first control point, LPS."""
    x, y, z = frame_at(beam, beam.gantry_deg, patient_position).source_mm
    return float(x), float(y), float(z)


def _delivering(beam: Beam) -> list[ControlPoint]:
    """Control points next to dose."""
    pairs = pairwise(beam.control_points)
    return list(dict.fromkeys(p for a, b in pairs if b.cumulative_mu > a.cumulative_mu for p in (a, b)))


def _share(beam: Beam, point: ControlPoint, plan: Plan, grid: Grid, body: NDArray[np.bool_]) -> float:
    """Part of the field whose rays pass, before the isocentre plane, where the body would go on outside the image: at
    a place outside it whose nearest border voxel is body."""
    u, v, weight = _rays(beam, point)
    if not u.size:
        return 0.0
    frame = frame_at(beam, point.gantry_deg, plan.patient_position)
    through = np.asarray(frame.isocentre_mm) + u[:, None] * frame.ex + v[:, None] * frame.ey
    back = np.arange(0.0, UPSTREAM_MM, STEP_MM) / frame.sad_mm
    towards = frame.source_mm - through
    places = through[:, None, :] + back[:, None] * towards[:, None, :]
    voxel = np.rint((places - grid.origin_mm) / grid.spacing_mm).astype(int)
    inside = np.clip(voxel, 0, np.asarray(grid.shape[::-1]) - 1)
    outside = np.any(voxel != inside, axis=2)
    cut = np.any(outside & body[inside[..., 2], inside[..., 1], inside[..., 0]], axis=1)
    return float(weight[cut].sum() / weight.sum())


def _rays(beam: Beam, point: ControlPoint) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(u, v) on the isocentre plane, in the axes of `frame_at`, and the area that each ray stands for, of the open
    field."""
    left, right, (x1, x2, y1, y2) = single_layer(beam, positions_of(beam, point))
    borders = row_boundaries_mm(beam)
    if not beam.leaf_boundaries_mm:
        borders = np.linspace(y1, y2, ROWS_WITHOUT_LEAVES + 1)
        left, right = np.repeat(left, ROWS_WITHOUT_LEAVES), np.repeat(right, ROWS_WITHOUT_LEAVES)
    start, end = np.maximum(left, x1), np.minimum(right, x2)
    low, high = np.maximum(borders[:-1], y1), np.minimum(borders[1:], y2)
    is_open = (end > start) & (high > low)
    start, end, low, high = start[is_open], end[is_open], low[is_open], high[is_open]
    u = np.linspace(start, end, RAYS_ALONG).T
    v = np.broadcast_to((0.5 * (low + high))[:, None], u.shape)
    area = np.broadcast_to(((end - start) * (high - low) / RAYS_ALONG)[:, None], u.shape)
    return u.ravel(), v.ravel(), area.ravel()
