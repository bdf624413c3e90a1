"""What must hold of any dose: energy, geometry, symmetry, scaling, linearity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.errors import EngineError
from engines.grid import Grid
from engines.photon.dose import Medium
from engines.photon.superposition.dose import SuperpositionDose
from engines.photon.superposition.incidence import Exposure
from engines.photon.superposition.model import Contamination, ExtraFocal
from engines.photon.superposition.terma import depth_tables

from .cases import axis, box, dose, point_source, rectangle, square

TANK = (150.0, 120.0, 150.0)
HEAD = ExtraFocal(0.08, 25.0, 125.0, 450.0)
DEEP = 20.0
"""A tank of 240 mm, its surface 100 mm before the isocentre."""


def depths_mm(medium: Medium) -> np.ndarray:
    return medium.grid.axes_mm()[1] - medium.grid.axes_mm()[1][0] + medium.grid.spacing_mm[1] / 2


@pytest.fixture(scope="module")
def water():
    return box(TANK, 5.0, middle_mm=DEEP)


@pytest.fixture(scope="module")
def ten(water):
    """10 x 10 cm."""
    return dose(water, square(50.0))


def escaping_share(half_mm: float) -> float:
    """Of the energy that a thin beam releases on the axis of a cube of water: what its point kernels carry out of it,
    straight from each depth to the side that a ray of each polar angle meets."""
    model = point_source()
    depth = np.arange(2.0, 2 * half_mm, 4.0)
    released = depth_tables(model)[depth.astype(int)]
    middle = np.deg2rad((model.kernel.polar_edges_deg[1:] + model.kernel.polar_edges_deg[:-1]) / 2)
    along = np.where(np.cos(middle) > 0, 2 * half_mm - depth[:, None], depth[:, None]) / np.abs(np.cos(middle))
    way = np.minimum(along, half_mm / np.sin(middle))
    out = 0.0
    parts = ((model.kernel.primary, 0.25), (model.kernel.scatter, 0.005))
    for energy, (weights, first_per_mm) in zip(released.T, parts, strict=True):
        for k, w in enumerate(weights.T):
            out += float(energy @ np.exp(-first_per_mm * 2**k * way) @ w)
    return out / float(released.sum())


def test_a_large_tank_takes_up_what_is_released_in_it_and_does_not_escape():
    tank = box((600.0, 600.0, 600.0), 15.0, middle_mm=500.0)
    engine = SuperpositionDose(point_source(), tank, spacing_mm=15.0)
    exposure = square(30.0)
    imparted = float((engine.on_dose_grid([exposure]) * engine.where.density).sum(dtype=float)) * 15.0**3
    released = float(engine.released([exposure]).sum())
    # Backwards through the surface, and what scatter of long range takes through the other sides.
    assert imparted / released == pytest.approx(1 - escaping_share(600.0), abs=0.005)


def test_depth_dose_builds_up_peaks_and_falls(water, ten):
    d, depth = axis(ten), depths_mm(water)
    peak = depth[d.argmax()]
    assert 7.0 < peak < 20.0
    assert d[0] < 0.85 * d.max()
    assert np.all(np.diff(d[depth > 25]) < 0)
    assert 0.60 < np.interp(100, depth, d) / d.max() < 0.72  # 10 x 10 cm at SSD 900, 6 MV: about 0.65


def test_primary_falls_with_the_square_of_the_distance():
    """The same tank with its surface 400 mm nearer or further; a field of the same size at the surface."""
    got = []
    for surface_mm in (-200.0, 200.0):
        tank = box((90.0, 60.0, 90.0), 5.0, middle_mm=surface_mm + 60.0)
        got.append(axis(dose(tank, square(40.0 * 1000 / (1000 + surface_mm))))[3])
    assert got[0] / got[1] == pytest.approx(((1200 + 17.5) / (800 + 17.5)) ** 2, rel=0.006)


def test_larger_fields_scatter_more_and_equal_4a_over_p_means_equal_dose(water, ten):
    """Sterling, Perry and Katz, Br J Radiol 37:544 (1964): a rectangle's dose is that of the square of side 4 A / P."""
    depth = depths_mm(water)
    at = [float(np.interp(100, depth, axis(d))) for d in (dose(water, square(20.0)), ten, dose(water, square(90.0)))]
    assert at[0] < at[1] < at[2]
    assert 1.05 < at[2] / at[1] < 1.25
    oblong = dose(water, rectangle(40.0, 66.666666))  # 8 x 13.33 cm
    assert float(np.interp(100, depth, axis(oblong))) == pytest.approx(at[1], rel=0.01)


def test_head_scatter_makes_output_grow_with_the_field(water):
    head = point_source(extra_focal=HEAD)
    small, large = ((axis(dose(water, square(h), model=head)) / axis(dose(water, square(h))))[4] for h in (20.0, 90.0))
    assert small < large < 1.01
    assert 0.01 < large - small < 0.08


def test_electrons_add_to_the_surface_and_fade(water, ten):
    electrons = point_source(contamination=Contamination(0.2, 0.08, 40.0))
    extra = axis(dose(water, square(50.0), model=electrons)) - axis(ten)
    depth = depths_mm(water)
    assert extra[0] > 0.05 * axis(ten).max()
    # The first voxel's centre is interpolated towards the air, where nothing is known.
    np.testing.assert_allclose(extra[2:8] / extra[1:7], np.exp(-0.08 * 5.0) * (1 - 0.0055 * 2), rtol=0.01)
    assert abs(extra[depth > 100]).max() < 1e-3 * extra[0]


def test_softening_takes_dose_from_off_axis_points_with_depth(water, ten):
    soft = dose(water, square(50.0), model=point_source(softening_per_deg=(0.02, 0.0, 0.0)))
    off = (soft / np.maximum(ten, 1e-6))[30, :, 30 + 7]
    on = (soft / np.maximum(ten, 1e-6))[30, :, 30]
    assert off[40] < off[5] < 1.0
    assert on[40] > off[40]


@pytest.mark.parametrize("angles", [{"gantry_deg": 90.0}, {"gantry_deg": 180.0}, {"gantry_deg": 270.0}])
def test_a_cube_looks_the_same_from_all_sides(angles):
    """To what the cones miss: their set is turned against the grid."""
    cube = box((80.0, 80.0, 80.0), 5.0)
    first = dose(cube, square(30.0))
    turned = dose(cube, square(30.0, **angles))
    # Gantry 90 comes from +x (patient left in HFS), 180 from +y.
    back = np.rot90(turned, round(angles["gantry_deg"] / 90), axes=(1, 2))
    inside = first > 0.5 * first.max()
    assert np.sqrt(np.mean((back - first)[inside] ** 2)) < 0.015 * first.max()
    # At edges lines keep to whole voxels of 5 mm.
    assert np.abs(back - first).max() < 0.08 * first.max()


@pytest.mark.parametrize("angles", [{"collimator_deg": 90.0}, {"couch_deg": 90.0}, {"collimator_deg": 180.0}])
def test_a_square_field_from_above_does_not_mind_its_own_turns(angles):
    cube = box((80.0, 80.0, 80.0), 5.0)
    np.testing.assert_allclose(dose(cube, square(30.0, **angles)), dose(cube, square(30.0)), atol=2e-5)


def test_left_and_right_mirror_each_other(ten):
    for mirrored in (ten[:, :, ::-1], ten[::-1]):
        assert np.sqrt(np.mean((ten - mirrored) ** 2)) < 0.01 * ten.max()
        assert np.abs(ten - mirrored).max() < 0.08 * ten.max()


def test_oconnor_dose_in_a_medium_of_half_density_is_that_of_half_the_size():
    """O'Connor, Phys Med Biol 1:352 (1957): with all lengths divided by the density doses are equal. The source lies so
    far away that divergence does not matter."""
    far = {"sad_mm": 100_000.0}
    dense = dose(box((60.0, 60.0, 60.0), 4.0), square(30.0, **far), spacing_mm=4.0)
    light = dose(box((120.0, 120.0, 120.0), 8.0, 0.5), square(60.0, **far), spacing_mm=8.0)
    np.testing.assert_allclose(light, dense, atol=0.012 * float(dense.max()))


def test_dose_is_linear_in_monitor_units_and_beams(water, ten):
    np.testing.assert_allclose(dose(water, square(50.0, weight=3.0)), 3 * ten, rtol=1e-4, atol=1e-5)
    other = square(30.0, gantry_deg=90.0)
    together, apart = dose(water, square(50.0), other), ten + dose(water, other)
    twice = dose(water, square(50.0, weight=2.0), other)
    np.testing.assert_allclose(twice - together, ten, atol=0.02 * float(ten.max()))
    # Which beams there are decides how finely cones are sampled: that shows in single voxels at edges, not on average.
    assert np.abs(together - apart).max() < 0.025 * apart.max()
    assert np.sqrt(np.mean((together - apart) ** 2)) < 0.001 * apart.max()
    thrice = dose(water, square(50.0, weight=3.0), other)
    np.testing.assert_allclose(thrice - twice, twice - together, atol=2e-5 * float(ten.max()))


def test_threads_give_the_same_dose(water, ten):
    assert np.array_equal(dose(water, square(50.0), threads=1), ten)


def test_empty_space_has_neither_dose_nor_weight():
    medium = box((80.0, 80.0, 80.0), 5.0)
    medium.density[:, :4] = 0.0
    medium.density[:, :, :4] = 0.0
    made = dose(medium, square(30.0))
    assert np.all(made[medium.density == 0] == 0)
    assert np.all(made[medium.density > 0] > 0)
    # The same matter in a larger, empty image gives the same dose.
    wide = Grid((-119.5 - 28.0, -77.5, -77.5), (5.0, 5.0, 5.0), (32, 32, 46))
    density = np.zeros(wide.shape, np.float32)
    density[:, :, 14:] = medium.density
    shifted = Medium(Grid((-77.5 - 70.0, -77.5, -77.5), wide.spacing_mm, wide.shape), density)
    np.testing.assert_allclose(dose(shifted, square(30.0))[:, :, 14:], made, atol=1e-4 * float(made.max()))


def leaking(exposure: Exposure) -> Exposure:
    return replace(exposure, draw=lambda raster: 0.985 * exposure.draw(raster) + np.float32(0.015))


@pytest.mark.parametrize(
    ("arc", "model", "bound"),
    [
        # Directions of incidence put together, and what that costs at worst.
        ([rectangle(25.0, 30.0, gantry_deg=g) for g in np.arange(0.0, 60.0, 3.0)], point_source(), 0.01),
        # With leakage and head scatter everywhere: weak energy goes by wide groups.
        (
            [leaking(square(25.0, gantry_deg=g)) for g in np.arange(0.0, 360.0, 15.0)],
            point_source(extra_focal=HEAD),
            0.015,
        ),
    ],
    ids=["a sixth, bare", "a full one, leaking"],
)
def test_an_arc_in_groups_is_the_sum_of_its_directions(arc, model, bound):
    medium = box((80.0, 80.0, 80.0), 5.0)
    medium.density[:, 10:16, 8:20] = 0.3
    single = sum(dose(medium, exposure, model=model) for exposure in arc)
    assert np.abs(dose(medium, *arc, model=model) - single).max() < bound * single.max()


def test_voxels_of_the_image_are_put_together_and_dose_comes_back_to_them():
    """1.5 mm voxels calculated at 3 mm: as calculated at 1.5 mm, but for half a voxel's blur at edges."""
    fine = box((45.0, 45.0, 45.0), 1.5)
    exact, coarse = dose(fine, square(20.0), spacing_mm=1.5), dose(fine, square(20.0), spacing_mm=3.0)
    assert coarse.shape == exact.shape
    x_mm = np.abs(fine.grid.axes_mm()[0])
    middle = x_mm < 14
    inside = np.ix_(middle, np.arange(60) > 8, middle)
    assert np.abs(coarse - exact)[inside].max() < 0.015 * exact.max()
    profile = [d[30, 30] / d[30, 30, 30] for d in (coarse, exact)]
    edges = [np.interp(0.5, p[60:29:-1], fine.grid.axes_mm()[0][60:29:-1]) for p in profile]
    assert edges[0] == pytest.approx(edges[1], abs=0.5)


def test_behind_and_in_lung_it_is_below_what_depth_scaling_says():
    """A pencil beam knows only radiological depth: in a narrow field electrons leave lung sideways."""
    medium = box((90.0, 120.0, 90.0), 3.0, middle_mm=20.0)
    medium.density[:, 17:44] = 0.25
    slab, plain = (
        axis(dose(medium, square(15.0))),
        axis(dose(box((90.0, 120.0, 90.0), 3.0, middle_mm=20.0), square(15.0))),
    )
    depth = 1.5 + 3.0 * np.arange(80)
    radiological = np.cumsum(axis(medium.density) * 3.0) - axis(medium.density) * 1.5
    distance = (900 + depth) ** 2
    scaled = np.interp(radiological, depth, plain * distance) / distance
    assert slab[30] < 0.93 * scaled[30]
    assert slab[60] == pytest.approx(scaled[60], rel=0.03)


def test_no_matter_or_no_number_is_refused():
    with pytest.raises(EngineError, match="finite"):
        SuperpositionDose(point_source(), box((20.0, 20.0, 20.0), 5.0, 0.0))
    with pytest.raises(EngineError, match="finite"):
        SuperpositionDose(point_source(), box((20.0, 20.0, 20.0), 5.0, float("nan")))
