"""Simulated days of OpenKBP patients with known truth, and what a registration of them is worth.

Shared by registration.py and registration_levels.py. The reference is the patient's CT; today is that CT read through a
motion in closed form (appliance/builtin/daily_scenarios.py) on a grid shifted by 0.4 voxels, with 20 HU of noise, or
as a cone-beam CT would show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

from appliance.builtin.daily import AIR_HU, Anatomy, ConeBeam, cone_beam, today_of, with_noise, with_pocket
from appliance.builtin.daily_motion import Motion
from appliance.builtin.daily_scenarios import motion_of
from appliance.builtin.packed import read_packed
from engines.grid import Grid, VoxelSet
from engines.overlap import dice
from engines.registration import DisplacementField, Intensities, Scan, sampled

OPENKBP = Path(__file__).resolve().parents[2] / "shared" / "openkbp"
NOISE_HU = 20.0
GRID_SHIFT = 0.4
FINER = 2
"""Outlines are compared on voxels half as large: OpenKBP's are up to 4 mm."""
IMAGES = ("CT", "cone beam", "truncated", "gas came")


@dataclass(frozen=True, eq=False)
class SimulatedDay:
    """reference and today as registration gets them; anatomy: of today, with its true masks; motion: the truth."""

    reference: Anatomy
    anatomy: Anatomy
    motion: Motion
    moving: Scan
    fixed: Scan


def patient(number: int) -> Anatomy:
    """Targets as the challenge takes them: each together with those of higher dose, so that none is a thin shell."""
    found = [path for part in ("train", "valid") if (path := OPENKBP / part / f"pt_{number}.npz").is_file()]
    if not found:
        raise SystemExit(f"OpenKBP patient {number} is not in {OPENKBP}")
    packed = read_packed(found[0])
    masks, together = dict(packed.masks), None
    for name in sorted((name for name in masks if name.startswith("PTV")), reverse=True):
        together = masks[name] if together is None else together | masks[name]
        masks[name] = together
    return Anatomy(packed.grid, packed.hu.astype(np.float32), masks)


def target_of(anatomy: Anatomy) -> str:
    """The target of the highest dose."""
    return sorted(name for name in anatomy.masks if name.startswith("PTV"))[-1]


def simulated(reference: Anatomy, scenario: str, image: str, seed: int) -> SimulatedDay:
    grid = reference.grid
    origin = [first + GRID_SHIFT * step for first, step in zip(grid.origin_mm, grid.spacing_mm, strict=True)]
    motion = motion_of(reference, scenario, target_of(reference), seed)
    anatomy = today_of(reference, motion, Grid((origin[0], origin[1], origin[2]), grid.spacing_mm, grid.shape))
    return SimulatedDay(
        reference,
        anatomy,
        motion,
        Scan(reference.hu, grid, reference.masks["External"]),
        shown(anatomy, image, seed),
    )


def shown(anatomy: Anatomy, image: str, seed: int) -> Scan:
    """Today's anatomy as an imager shows it, one of IMAGES."""
    body = anatomy.masks["External"]
    if image in ("cone beam", "truncated"):
        x_mm, _, _ = anatomy.grid.axes_mm()
        half = 0.5 * float(np.ptp(x_mm))
        hu = cone_beam(anatomy, ConeBeam(field_mm=0.7 * half if image == "truncated" else 0.0), seed)
        return Scan(np.where(body | np.isnan(hu), hu, AIR_HU), anatomy.grid, body & np.isfinite(hu), Intensities.SHADED)
    hu = with_noise(anatomy.hu, NOISE_HU, seed)
    if image == "gas came":
        middle = anatomy.grid.centres_mm(np.flatnonzero(anatomy.masks[target_of(anatomy)])).mean(axis=0)
        hu = with_pocket(hu, anatomy.grid, tuple(middle.tolist()), 12.0, -900.0)
    return Scan(np.where(body, hu, AIR_HU), anatomy.grid, body)


def carried(reference: Anatomy, field: DisplacementField, grid: Grid) -> dict[str, VoxelSet]:
    """The reference's structures on today's grid, by the field."""
    found = {}
    for name, mask in reference.masks.items():
        dense = field.pulled(mask.astype(np.float32), reference.grid, grid, outside=0.0) >= 0.5
        if name != "External" and dense.any():
            found[name] = VoxelSet.from_dense(dense.astype(np.float32))
    return found


@dataclass(frozen=True)
class Truth:
    """tre_median_mm, tre_95_mm: error of the field at the voxels of today's body whose true place the reference shows.
    dice, surface_95_mm: of each structure, carried by the field and by
    the truth (surface: 95th percentile, both ways). folded: voxels of the field
    inside the body with a Jacobian of 0 or less."""

    tre_median_mm: float
    tre_95_mm: float
    dice: dict[str, float]
    surface_95_mm: dict[str, float]
    folded: int


def truth_of(day: SimulatedDay, field: DisplacementField, thinning: int = 5) -> Truth:
    grid, own = day.anatomy.grid, day.reference.grid
    points = grid.centres_mm(np.flatnonzero(day.fixed.body)[::thinning]).astype(np.float64)
    there = day.motion.apply(points)
    index = (there - np.asarray(own.origin_mm)) / np.asarray(own.spacing_mm)
    known = np.all((index >= 0) & (index <= np.asarray(own.shape[::-1]) - 1), axis=1)
    error = np.linalg.norm(field.apply(points) - there, axis=1)[known]
    overlaps, distances = {}, {}
    for name, mask in day.reference.masks.items():
        # A structure that the reference's image cuts off has no true shape there.
        if name == "External" or mask[[0, -1]].any() or not day.anatomy.masks[name].any():
            continue
        fine = _finer(day.anatomy.masks[name], grid)
        carried, truth = (_share(mask, own, points) >= 0.5 for points in (field.apply(fine), day.motion.apply(fine)))
        overlaps[name] = dice(carried, truth)
        if carried.any() and truth.any():
            distances[name] = surface_95_mm(carried, truth, [step / FINER for step in grid.spacing_mm])
    body = DisplacementField(grid, np.zeros((*grid.shape, 3), np.float32)).pulled(
        day.fixed.body.astype(np.float32), grid, field.grid, outside=0.0
    )
    folded = int((field.jacobian()[body > 0.5] <= 0).sum())
    return Truth(float(np.median(error)), float(np.percentile(error, 95)), overlaps, distances, folded)


def _finer(mask: np.ndarray, grid: Grid, margin: int = 4) -> np.ndarray:
    """Points (z, y, x, 3) of voxels FINER times as small around a structure."""
    axes = []
    for axis, along in enumerate(grid.axes_mm()):
        held = np.nonzero(mask.any(axis=tuple(other for other in range(3) if other != 2 - axis)))[0]
        low, high = max(held[0] - margin, 0), min(held[-1] + margin, along.size - 1)
        axes.append(np.arange(along[low], along[high], grid.spacing_mm[axis] / FINER))
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
    return np.stack([x, y, z], axis=-1)


def _share(mask: np.ndarray, grid: Grid, points: np.ndarray) -> np.ndarray:
    return sampled(mask.astype(np.float32), grid, points.reshape(-1, 3), outside=0.0).reshape(points.shape[:3])


def surface_95_mm(one: np.ndarray, other: np.ndarray, spacing_mm: list[float]) -> float:
    """spacing_mm: x, y, z. 95th percentile of the distances of both outlines' voxels to the other outline."""
    edges = [mask & ~binary_erosion(mask) for mask in (one, other)]
    found = [
        distance_transform_edt(~target, sampling=spacing_mm[::-1])[edge]
        for edge, target in ((edges[0], edges[1]), (edges[1], edges[0]))
    ]
    return float(np.percentile(np.concatenate(found), 95))
