"""Whole-grid doses are those of the points one by one, whatever way the beam comes and wherever the source lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import EngineError
from engines.grid import Grid
from engines.photon.dose import BeamDose, Medium, box_corners_mm, projected_extent
from engines.photon.frame import BeamFrame, beam_frame
from engines.photon.grid_dose import GridDose

from .water import centred_grid, rectangle, water

SAME = 3e-4
"""Share of the maximum. Both are float32, which places a ray to about 1e-4 of a voxel; in a medium of random densities
between 0 and 2 that is 1e-4 of the dose at most (in water it is 1e-6)."""


def beam(model, medium: Medium, frame: BeamFrame, *, threads: int = 2) -> BeamDose:
    extent = projected_extent([frame], box_corners_mm(medium.grid))
    bounded = tuple(float(np.clip(e, -300, 300)) for e in extent)
    return BeamDose(
        model, medium, frame, rectangle((-30, 25), (-20, 35)), points_extent_mm=bounded,
        field_extent_mm=(-30, 25, -20, 35), pitch_mm=2.5, threads=threads,
    )  # fmt: skip


def whole(medium: Medium, wanted, one: BeamDose, *, scale: float = 1.0):
    grid_dose = GridDose(medium, wanted)
    dose = grid_dose.empty()
    grid_dose.add(one, dose, scale=scale)
    return grid_dose.on_grid(dose)


def rough(grid: Grid, seed: int = 3) -> Medium:
    """Density without any order, empty in two corners: every border of a voxel matters."""
    density = np.random.default_rng(seed).uniform(0, 2, grid.shape).astype(np.float32)
    density[:, :2, :5] = 0
    density[-1] = 0
    return Medium(grid, density)


def assert_point_by_point(model, medium: Medium, frame: BeamFrame, wanted) -> None:
    one = beam(model, medium, frame)
    index = np.flatnonzero(wanted)
    expected = np.zeros(medium.grid.size, np.float32)
    expected[index] = one.at(medium.grid.centres_mm(index))
    got = whole(medium, wanted, one)
    assert np.abs(got.reshape(-1) - expected).max() <= SAME * float(np.abs(expected).max())
    assert expected.max() > 0


@settings(max_examples=40, deadline=None)
@given(gantry=st.floats(0, 360), couch=st.floats(-90, 90), collimator=st.floats(0, 360), seed=st.integers(0, 99))
def test_any_direction_gives_the_dose_of_the_points(model, gantry, couch, collimator, seed):
    grid = Grid((-33.0, -26.0, -30.0), (3.0, 2.0, 2.6), (21, 29, 24))
    frame = beam_frame((4.0, -3.0, 2.0), gantry, couch_deg=couch, collimator_deg=collimator)
    wanted = np.random.default_rng(seed).uniform(size=grid.shape) < 0.6
    assert_point_by_point(model, rough(grid, seed), frame, wanted)


@pytest.mark.parametrize(
    ("gantry", "couch"), [(0, 0), (90, 0), (180, 0), (270, 0), (45, 0), (135, 0), (0, 45), (45, 45)]
)
def test_axes_and_diagonals_through_a_cubic_lattice(model, gantry, couch):
    """Rays along voxel faces and exactly through edges, where rounding could take the neighbour's density."""
    grid = centred_grid((24, 24, 24), (3.0, 3.0, 3.0))
    medium = rough(grid)
    assert_point_by_point(model, medium, beam_frame((0, 0, 0), gantry, couch_deg=couch), np.ones(grid.shape, bool))


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 9.0), (6.0, 1.5, 1.5), (1.2, 7.0, 2.0)])
def test_flat_and_long_voxels(model, spacing_mm):
    count = tuple(int(60 / s) + 2 for s in spacing_mm)
    medium = rough(centred_grid(count, spacing_mm))
    for gantry, couch in ((20, 0), (70, 15), (310, 60)):
        frame = beam_frame((0, 0, 0), gantry, couch_deg=couch)
        assert_point_by_point(model, medium, frame, np.ones(medium.grid.shape, bool))


def test_a_source_within_the_lattice_falls_back_to_points(model):
    """No machine has it; rows of voxels then share no way."""
    grid = centred_grid((10, 60, 10), (10.0, 40.0, 10.0))
    near = replace(model, sad_mm=500.0)
    frame = beam_frame((0, 0, 0), 0, sad_mm=500.0)
    assert_point_by_point(near, water(grid, 0.01), frame, np.ones(grid.shape, bool))


def test_only_wanted_voxels_are_touched_and_doses_add_up(model):
    grid = centred_grid((20, 21, 22), (3.0, 3.0, 3.0))
    medium, frame = rough(grid), beam_frame((0, 0, 0), 33)
    wanted = np.zeros(grid.shape, bool)
    wanted[5:9, 4:17, 3:18] = True
    wanted[7, 8, 9] = False
    one = beam(model, medium, frame)
    grid_dose = GridDose(medium, wanted)
    dose = grid_dose.empty()
    grid_dose.add(one, dose, scale=2.0)
    once = dose.copy()
    grid_dose.add(one, dose, scale=2.0)
    np.testing.assert_array_equal(dose, 2 * once)
    placed = grid_dose.on_grid(once)
    assert not placed[~wanted].any()
    np.testing.assert_allclose(placed, 2 * whole(medium, wanted, one), rtol=1e-6)


def test_threads_do_not_change_the_dose(model):
    grid = centred_grid((20, 20, 20), (3.0, 3.0, 3.0))
    medium, frame, everywhere = rough(grid), beam_frame((0, 0, 0), 52), np.ones(grid.shape, bool)
    one, two = (whole(medium, everywhere, beam(model, medium, frame, threads=n)) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_another_shape_is_refused(model):
    grid = centred_grid((6, 6, 6), (3.0, 3.0, 3.0))
    medium = water(grid)
    with pytest.raises(EngineError, match="wanted voxels must be"):
        GridDose(medium, np.ones((6, 6, 5), bool))
    with pytest.raises(EngineError, match="dose must be"):
        GridDose(medium, np.ones(grid.shape, bool)).add(
            beam(model, medium, beam_frame((0, 0, 0), 0)), np.zeros((6, 6, 5), np.float32)
        )
