"""Bixel plans from oblique angles through an uneven medium, against the formula written out in slow NumPy: fluence and
kernels on 0.5 mm in double precision, depth by small steps through the voxels. Nothing of the engine is in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid import Grid
from engines.photon.beam_model import BeamModel
from engines.photon.bixels import bixel_fluence
from engines.photon.dose import BeamDose, Medium, box_corners_mm, projected_extent
from engines.photon.frame import beam_frame
from engines.photon.grid_dose import GridDose
from engines.photon.raster import raster_for

ISOCENTRE_MM = (3.0, -4.0, 2.0)
WIDTH_MM, FINE_MM = 5.0, 0.5
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fields:
    """centres (n, 2) in mm, weights (n,)."""

    centres_mm: Array
    weights: Array


def pseudo_random(seed: int) -> Fields:
    """12 x 10 bixels around the axis, a third of them closed."""
    x, z = np.meshgrid((np.arange(12) - 5.5) * WIDTH_MM, (np.arange(10) - 4.5) * WIDTH_MM)
    weights = np.maximum(0, np.random.default_rng(seed).uniform(-0.5, 1, x.size))
    return Fields(np.stack([x.ravel(), z.ravel()], axis=1), weights)


def uneven() -> Medium:
    """A box of 21 x 16.5 x 18 cm in air: water with lung, bone and an air cavity, each off the middle."""
    grid = Grid((-111.0, -87.0, -90.0), (3.0, 2.5, 3.0), (61, 71, 75))
    z, y, x = np.meshgrid(*(axis for axis in grid.axes_mm()[::-1]), indexing="ij")
    density = np.where((np.abs(x) < 105) & (np.abs(y) < 82.5), 1.0, 0.001)
    density[(np.hypot(x + 40, y + 10) < 30) & (np.abs(z) < 70)] = 0.26
    density[np.hypot(x - 35, y - 30) < 12] = 1.45
    density[np.sqrt((x - 20) ** 2 + (y + 40) ** 2 + z**2) < 15] = 0.001
    return Medium(grid, density.astype(np.float32))


def rotation(gantry_deg: float) -> Array:
    """The references' own: r = isocentre + R (x, 0, z), source at isocentre + R (0, -SAD, 0)."""
    c, s = np.cos(np.deg2rad(gantry_deg)), np.sin(np.deg2rad(gantry_deg))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def depth_by_steps(medium: Medium, source: Array, points: Array, step_mm: float = 0.05) -> Array:
    out = np.zeros(len(points))
    for number, point in enumerate(points):
        way = source - point
        length = float(np.linalg.norm(way))
        t = np.arange(step_mm / 2, 320.0, step_mm) / length
        index = np.floor((point + t[:, None] * way - medium.grid.origin_mm) / medium.grid.spacing_mm + 0.5).astype(int)
        i = index[np.all((index >= 0) & (index < medium.grid.shape[::-1]), axis=1)]
        out[number] = medium.density[i[:, 2], i[:, 1], i[:, 0]].sum(dtype=np.float64) * step_mm
    return out


def blurred(model: BeamModel, fields: Fields, ssd_mm: float) -> tuple[Array, Array]:
    """(axis in mm, maps (3, n, n) in v, u): fluence * profile * penumbra * kernels on FINE_MM, cyclic on 64 cm."""
    n = 1280
    axis = (np.arange(n) - n // 2 + 0.5) * FINE_MM
    fluence = np.zeros((n, n))
    for (u, v), weight in zip(fields.centres_mm, fields.weights, strict=True):
        fluence[np.ix_(np.abs(axis - v) < WIDTH_MM / 2, np.abs(axis - u) < WIDTH_MM / 2)] += weight
    fluence *= np.interp(np.hypot(axis[:, None], axis), model.profile_radius_mm, model.profile_relative)
    table = min(model.kernels, key=lambda k: abs(k.ssd_mm - ssd_mm))
    offset = np.fft.fftfreq(n, 1 / n) * FINE_MM
    radius = np.hypot(offset[:, None], offset)
    sigma = model.penumbra_fwhm_mm / 2.354820045
    gauss = np.exp(-(radius**2) / (2 * sigma**2))
    spectrum = np.fft.fft2(fluence) * np.fft.fft2(gauss / gauss.sum())
    maps = [
        np.fft.ifft2(spectrum * np.fft.fft2(np.interp(radius, table.radius_mm, values, right=0))).real * FINE_MM**2
        for values in table.values
    ]
    return axis, np.stack(maps)


def by_hand(model: BeamModel, medium: Medium, gantry_deg: float, fields: Fields, points: Array) -> Array:
    turn, iso = rotation(gantry_deg), np.array(ISOCENTRE_MM)
    source = iso + turn @ np.array([0, -model.sad_mm, 0])
    x, y, z = ((points - iso) @ turn).T
    along = y + model.sad_mm
    on_axis = source + np.arange(0, 1000, 0.1)[:, None] * (turn @ np.array([0, 1.0, 0]))
    index = np.floor((on_axis - medium.grid.origin_mm) / medium.grid.spacing_mm + 0.5).astype(int)
    inside = np.all((index >= 0) & (index < medium.grid.shape[::-1]), axis=1)
    dense = np.zeros(len(index), bool)
    dense[inside] = medium.density[index[inside, 2], index[inside, 1], index[inside, 0]] > 0.2
    axis, maps = blurred(model, fields, float(np.argmax(dense)) * 0.1)
    d, m = depth_by_steps(medium, source, points), model.attenuation_per_mm
    s = (x * model.sad_mm / along - axis[0]) / FINE_MM
    t = (z * model.sad_mm / along - axis[0]) / FINE_MM
    i, j = np.floor(s).astype(int), np.floor(t).astype(int)
    p, q = s - i, t - j
    total = np.zeros(len(points))
    for beta, k in zip(model.betas_per_mm, maps, strict=True):
        there = (k[j, i] * (1 - p) + k[j, i + 1] * p) * (1 - q) + (k[j + 1, i] * (1 - p) + k[j + 1, i + 1] * p) * q
        total += beta / (beta - m) * (np.exp(-m * d) - np.exp(-beta * d)) * there
    return total * model.sad_mm**2 / ((points - source) ** 2).sum(axis=1)


@pytest.fixture(scope="module")
def medium() -> Medium:
    return uneven()


def test_pseudo_random_fluence_from_two_angles_through_an_uneven_medium(model, medium):
    """Gamma of 1 % and 1 mm for 99 % of the voxels over 10 % dose follows: here the dose alone is inside 1 %."""
    plan = {35.0: pseudo_random(1), 250.0: pseudo_random(2)}
    wanted = medium.density > 0.2
    grid_dose = GridDose(medium, wanted)
    dose = grid_dose.empty()
    for gantry_deg, fields in plan.items():
        frame = beam_frame(ISOCENTRE_MM, gantry_deg, sad_mm=model.sad_mm)
        fluence, extent = bixel_fluence(fields.centres_mm, fields.weights, width_mm=WIDTH_MM)
        points_extent = projected_extent([frame], box_corners_mm(grid_dose.grid))
        grid_dose.add(
            BeamDose(model, medium, frame, fluence, points_extent_mm=points_extent, field_extent_mm=extent), dose
        )
    whole = grid_dose.on_grid(dose).reshape(-1)
    judged = np.flatnonzero(whole > 0.1 * whole.max())
    chosen = np.random.default_rng(4).choice(judged, 500, replace=False)
    points = medium.grid.centres_mm(chosen).astype(np.float64)
    expected = sum(by_hand(model, medium, gantry, fields, points) for gantry, fields in plan.items())
    difference = np.abs(whole[chosen] - expected) / float(whole.max())
    assert np.quantile(difference, 0.99) <= 0.005
    assert difference.max() <= 0.01
    assert expected.max() > 0.5 * whole.max()


def test_bixels_are_drawn_with_their_edges(model):
    fluence, extent = bixel_fluence(np.array([[0.0, 0.0], [5.0, 0.0]]), np.array([1.0, 0.5]), width_mm=5.0)
    assert extent == (-2.5, 7.5, -2.5, 2.5)
    raster = raster_for((-20, 20, -20, 20), extent, 1.0, reach_mm=20.0)
    drawn = fluence(raster)
    assert drawn.sum() == pytest.approx(25 * 1.5, rel=1e-6)
    assert drawn.max() == 1.0


@pytest.mark.parametrize(
    ("centres", "weights", "width_mm"),
    [([[0, 0]], [1, 2], 5.0), ([0, 0], [1], 5.0), ([[0, np.nan]], [1], 5.0), ([[0, 0]], [np.inf], 5.0),
     ([[0, 0]], [1], 0.0), (np.zeros((0, 2)), [], 5.0)],
)  # fmt: skip
def test_what_is_no_bixel_plan_is_refused(centres, weights, width_mm):
    with pytest.raises(EngineError, match="bixel"):
        bixel_fluence(np.array(centres, float), np.array(weights, float), width_mm=width_mm)
