"""DVH of a sphere and a cylinder, rasterised from contours, in a linear dose: compared with their exact curves.

The convention takes the dose at voxel centres, so a gradient exactly along an axis of the grid makes a curve of steps,
a slab of voxels each. There the error is half a slab's share of the volume; it is tested at the middle of the steps,
and everywhere on phantoms whose slabs are thin enough."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.dvh import DoseVolume, cumulative_dvh
from engines.grid import Grid, VoxelSet
from engines.grid.rasterise import rasterise

Array = NDArray[np.float64]

MIDDLE_GY, SPREAD_GY = 40.0, 20.0
"""Dose at the centre, and from there to the surface along the gradient."""
MOST_PERCENT = 0.5
CORNERS = 720


def circle(radius_mm: float) -> Array:
    """A polygon of the circle's own area: what is tested is not how round a contour is drawn."""
    angle = np.arange(CORNERS) * 2 * np.pi / CORNERS
    radius_mm *= np.sqrt((2 * np.pi / CORNERS) / np.sin(2 * np.pi / CORNERS))
    return np.stack([radius_mm * np.cos(angle), radius_mm * np.sin(angle)], axis=1)


def grid_around(half_mm: float, pixel_mm: float, slice_mm: float) -> Grid:
    """Voxel borders at the centre."""
    count, slices = (2 * (int(np.ceil(half_mm / step)) + 1) for step in (pixel_mm, slice_mm))
    first, lowest = -(count - 1) / 2 * pixel_mm, -(slices - 1) / 2 * slice_mm
    return Grid((first, first, lowest), (pixel_mm, pixel_mm, slice_mm), (slices, count, count))


def sphere(radius_mm: float, grid: Grid) -> VoxelSet:
    planes = [float(z) for z in grid.axes_mm()[2] if abs(z) < radius_mm]
    return rasterise({z: [circle(np.sqrt(radius_mm**2 - z * z))] for z in planes}, grid)


def cylinder(radius_mm: float, half_mm: float, grid: Grid) -> VoxelSet:
    return rasterise({float(z): [circle(radius_mm)] for z in grid.axes_mm()[2] if abs(z) < half_mm}, grid)


def share_of_sphere(at: Array) -> Array:
    """Share of a unit sphere's volume beyond the plane at distance `at` from its centre: the cap of height 1 - at."""
    at = np.clip(at, -1, 1)
    return (2 - 3 * at + at**3) / 4


def share_across_cylinder(at: Array) -> Array:
    """The same of a unit circle, for a gradient across the axis: its segment."""
    at = np.clip(at, -1, 1)
    return (np.arccos(at) - at * np.sqrt(1 - at**2)) / np.pi


def share_along_cylinder(at: Array) -> Array:
    return (1 - np.clip(at, -1, 1)) / 2


def linear_dose(voxels: VoxelSet, grid: Grid, direction: tuple[float, float, float], reach_mm: float) -> Array:
    unit = np.asarray(direction) / np.linalg.norm(direction)
    return MIDDLE_GY + SPREAD_GY / reach_mm * (grid.centres_mm(voxels.index).astype(np.float64) @ unit)


def worst_percent(dose_gy: Array, voxels: VoxelSet, exact: Callable[[Array], Array]) -> tuple[float, float]:
    """Largest difference of the curve at its edges, and of D(v) taken back to a volume, in percent of the volume."""
    edge_gy, percent = cumulative_dvh(dose_gy, voxels.fraction)
    curve = np.abs(percent - 100 * exact((edge_gy - MIDDLE_GY) / SPREAD_GY)).max()
    volume, asked = DoseVolume.of(dose_gy, voxels.fraction), np.linspace(0.5, 99.5, 199)
    found_gy = np.array([volume.dose_at_percent(p) for p in asked])
    return float(curve), float(np.abs(100 * exact((found_gy - MIDDLE_GY) / SPREAD_GY) - asked).max())


@pytest.mark.parametrize("direction", [(1, 0.7, 0.5), (0.2, 0.3, 1), (-0.9, 1.3, 0.4), (0.6, -1, 0.25)])
@pytest.mark.parametrize("pixel_mm", [1.0, 2.0])
def test_sphere_as_small_as_a_gland_in_a_slanting_gradient(direction, pixel_mm: float) -> None:
    """25 mm radius, slices of 3 mm as in a clinic: 65 cc."""
    grid = grid_around(25.0, pixel_mm, 3.0)
    voxels = sphere(25.0, grid)
    assert voxels.volume_cc(grid.voxel_volume_cc) == pytest.approx(4 / 3 * np.pi * 2.5**3, rel=1e-3)
    found = worst_percent(linear_dose(voxels, grid, direction, 25.0), voxels, share_of_sphere)
    assert max(found) < MOST_PERCENT, found


@pytest.mark.parametrize("direction", [(1, 0.41, 0), (-0.63, 1, 0)])
def test_cylinder_with_the_gradient_across(direction) -> None:
    grid = grid_around(30.0, 1.0, 3.0)
    voxels = cylinder(25.0, 30.0, grid)
    found = worst_percent(linear_dose(voxels, grid, direction, 25.0), voxels, share_across_cylinder)
    assert max(found) < MOST_PERCENT, found


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_large_sphere_along_each_axis_of_the_grid(direction) -> None:
    """160 mm across with voxels of 1 mm: half a slab is 0.47 % of the volume at most."""
    grid = grid_around(80.0, 1.0, 1.0)
    voxels = sphere(80.0, grid)
    found = worst_percent(linear_dose(voxels, grid, direction, 80.0), voxels, share_of_sphere)
    assert max(found) < MOST_PERCENT, found


def test_long_cylinder_along_its_axis() -> None:
    """An oesophagus or a cord: 240 mm of 2 mm slices, half a slice is 0.42 %."""
    grid = grid_around(120.0, 2.0, 2.0)
    voxels = cylinder(12.0, 120.0, grid)
    found = worst_percent(linear_dose(voxels, grid, (0, 0, 1), 120.0), voxels, share_along_cylinder)
    assert max(found) < MOST_PERCENT, found


@pytest.mark.parametrize("slice_mm", [2.0, 3.0])
def test_the_steps_of_a_gradient_along_an_axis_lie_on_the_curve_with_their_middles(slice_mm: float) -> None:
    """Where a level lies midway between two slices, the volume beyond it is exact; elsewhere half a slice off at
    most."""
    grid = grid_around(25.0, 2.0, slice_mm)
    voxels = sphere(25.0, grid)
    volume = DoseVolume.of(linear_dose(voxels, grid, (0, 0, 1), 25.0), voxels.fraction)
    borders = grid.axes_mm()[2] - slice_mm / 2
    at = borders[np.abs(borders) < 25.0] / 25.0
    found = [volume.volume_at_dose(MIDDLE_GY + SPREAD_GY * a) / volume.total * 100 for a in at]
    np.testing.assert_allclose(found, 100 * share_of_sphere(at), atol=MOST_PERCENT)
    half_slice = 100 * 0.75 * (slice_mm / 2) / 25.0
    assert worst_percent(volume.dose_gy.astype(np.float64), voxels, share_of_sphere)[0] < half_slice + 0.1
