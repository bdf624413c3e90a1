"""Beamlets, segments and the plan built of them: transposes, gradients, and legality of whatever comes out."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.config import PlanningConfig
from appliance.planning import check_plan
from appliance.planning.beamlets import Beamlets
from appliance.planning.build_plan import PlanHead, build_plan
from appliance.planning.geometry import arrange, target_points_mm
from appliance.planning.machine import MACHINES, load_machine
from appliance.planning.pieces import pieces
from appliance.planning.segments import BeamSegments, SegmentVector, prune, scaled, sequence_beam
from appliance.planning.step_and_shoot import apertures_of
from engines.photon.aperture import ApertureFluence
from engines.photon.beam_model import Collimation
from engines.photon.dose import projected_extent
from engines.photon.raster import Raster, raster_for

from .cases import SMALL_GOALS, cylinder_case


@pytest.fixture(scope="module")
def machine():
    return load_machine("millennium120")


@pytest.fixture(scope="module")
def arrangement(machine):
    return arrange(cylinder_case(), SMALL_GOALS, machine, PlanningConfig())


@pytest.fixture(scope="module")
def raster(arrangement) -> Raster:
    extent = projected_extent(arrangement.frames, target_points_mm(cylinder_case()))
    return raster_for((-90, 90, -60, 60), extent, 2.5, reach_mm=60.0)


@pytest.fixture(scope="module")
def beamlets(arrangement, machine, raster) -> Beamlets:
    return Beamlets(arrangement, machine, raster, target_points_mm(cylinder_case()), 5.0)


def test_five_beams_about_the_middle_of_the_target(arrangement):
    assert sorted(arrangement.gantry_deg) == [0, 72, 144, 216, 288]
    np.testing.assert_allclose(arrangement.isocentre_mm, (5, -10, 0), atol=4.0)  # to one voxel


def test_draw_and_collect_are_transposes(beamlets):
    rng = np.random.default_rng(2)
    values = rng.uniform(-1, 1, beamlets.variables)
    gradient = rng.uniform(-1, 1, beamlets.draw(values).shape).astype(np.float32)
    left = float(np.vdot(beamlets.draw(values).astype(float), gradient))
    assert left == pytest.approx(float(values @ beamlets.collect(gradient)), rel=1e-5, abs=1e-4)


def test_a_beamlet_covers_its_own_area(beamlets, raster):
    # 5 mm along the leaf; 5 mm high in the middle of the collimator.
    for number in range(0, beamlets.variables, 17):
        one = np.zeros(beamlets.variables)
        one[number] = 2.0
        assert beamlets.draw(one).sum(dtype=float) * raster.pitch_mm**2 == pytest.approx(2.0 * 25.0, rel=1e-6)


def test_beamlets_reach_over_the_whole_target(beamlets, arrangement):
    fluence = beamlets.draw(np.ones(beamlets.variables))
    for number, frame in enumerate(arrangement.frames):
        u, v = frame.project(target_points_mm(cylinder_case()))
        i = np.rint((u - beamlets.raster.u0_mm) / beamlets.raster.pitch_mm).astype(int)
        j = np.rint((v - beamlets.raster.v0_mm) / beamlets.raster.pitch_mm).astype(int)
        assert fluence[number, j, i].min() == 1.0


@pytest.mark.parametrize(("half_mm", "share"), [(40, 1), (100, 1), (115, 2), (180, 2)])
def test_fields_wider_than_a_bank_spans_may_have_more_apertures(arrangement, machine, half_mm, share):
    """A line of target points from end to end, with 6 mm of beamlets beside it: of 212 mm for 100; a bank spans 150."""
    raster = raster_for((-200, 200, -60, 60), (-200, 200, -60, 60), 2.5, reach_mm=30.0)
    first = arrangement.frames[0]
    along = np.linspace(-half_mm, half_mm, 200)
    points = (np.array(first.isocentre_mm) + along[:, None] * first.ex).astype(np.float32)
    wide = Beamlets(arrangement, machine, raster, points, 2.0)
    assert wide.field_mm(0) == pytest.approx(2 * half_mm + 2 * 6, abs=2 * 2.0)
    assert apertures_of(wide, 0, machine, 15) == 15 * share


def test_the_map_of_a_beam_holds_its_values(beamlets):
    values = np.arange(1.0, beamlets.variables + 1)
    maps = [beamlets.map_of(b, values) for b in range(5)]
    assert sorted(np.concatenate([m[m > 0] for m in maps]).tolist()) == values.tolist()


def bumpy(beamlets: Beamlets, seed: int):
    return np.random.default_rng(seed).gamma(2.0, 5.0, beamlets.variables)


def segments_for(beamlets, machine, seed: int = 0, number: int = 6) -> tuple[BeamSegments, ...]:
    values = bumpy(beamlets, seed)
    return tuple(sequence_beam(beamlets, b, values, machine, number) for b in range(5))


def test_packing_and_unpacking_gives_the_same_segments(beamlets, machine):
    beams = segments_for(beamlets, machine)
    vector = SegmentVector(beams, machine, 1.0)
    start, lower, upper = vector.pack()
    assert np.all(start[np.isfinite(upper)] <= upper[np.isfinite(upper)] + 1e-9)
    for got, expected in zip(vector.unpack(np.clip(start, lower, upper)), beams, strict=True):
        np.testing.assert_allclose(got.apertures.left_mm, expected.apertures.left_mm, atol=1e-9)
        np.testing.assert_allclose(got.apertures.right_mm, expected.apertures.right_mm, atol=1e-9)
        np.testing.assert_allclose(got.apertures.jaws_mm, expected.apertures.jaws_mm, atol=1e-9)
        np.testing.assert_allclose(got.apertures.mu, np.maximum(expected.apertures.mu, 1.0), rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_gradient_in_the_packed_vector_against_finite_differences(beamlets, machine, raster, seed):

    drawer = ApertureFluence(raster, machine.mlc.boundaries_mm, Collimation(0.016, 0.001, 0.7))
    vector = SegmentVector(segments_for(beamlets, machine, seed), machine, 1.0)
    start, lower, upper = vector.pack()
    rng = np.random.default_rng(seed)
    # Off the bounds and off the pixels' borders, where the merit has kinks.
    room = np.minimum(np.maximum(start - lower, 0), np.maximum(upper - start, 0))
    x = np.clip(start, lower, upper) + 0.137 * np.sign(upper - start) * np.minimum(room + 0.1, 0.4)
    x = np.clip(x, lower + 1e-3, np.where(np.isfinite(upper), upper - 1e-3, np.inf))
    slopes = rng.normal(size=(5, raster.nv, raster.nu)).astype(np.float32)

    def merit(at) -> float:
        fluence = [drawer.forward(b.apertures) for b in vector.unpack(at)]
        return float(sum(np.vdot(f.astype(float), s) for f, s in zip(fluence, slopes, strict=True)))

    beams = vector.unpack(x)
    gradient = vector.gradient(beams, [drawer.adjoint(b.apertures, s) for b, s in zip(beams, slopes, strict=True)])
    step = 2e-4
    worst, scale = [], float(np.abs(gradient).max())
    for k in rng.choice(x.size, 60, replace=False):
        up, down = x.copy(), x.copy()
        up[k] += step
        down[k] -= step
        worst.append(abs((merit(up) - merit(down)) / (2 * step) - gradient[k]) / scale)
    # One in sixty may stand on a kink: a pixel's border, a leaf held by its window, two leaves outermost together.
    assert np.sort(worst)[-4] < 0.01, np.sort(worst)[-6:]


def test_scaling_and_pruning(beamlets, machine):
    beam = segments_for(beamlets, machine)[0]
    np.testing.assert_allclose(scaled(beam, 1.5).apertures.mu, 1.5 * beam.apertures.mu)
    threshold = float(np.median(beam.apertures.mu))
    kept = prune(beam, threshold)
    assert 0 < len(kept.apertures.mu) < len(beam.apertures.mu)
    assert kept.apertures.mu.min() >= threshold
    assert kept.is_open.any(axis=1).all()


# --- the plan -------------------------------------------------------------------------------------------------------


def plan_of(arrangement, beams, machine):
    return build_plan(arrangement, beams, machine, head=PlanHead("TEST", 5, "HFS"))


@pytest.mark.parametrize("seed", range(8))
def test_built_plans_are_legal_with_closed_pairs_behind_a_jaw(beamlets, arrangement, machine, seed):
    beams = tuple(prune(b, 1.0) for b in segments_for(beamlets, machine, seed))
    made = plan_of(arrangement, beams, machine)
    facts = check_plan(made)
    assert facts.violations == ()
    assert facts.segments == sum(len(b.apertures.mu) for b in beams)
    for beam in made.beams:
        for mu, shape in beam.segments():
            a, b = np.array(shape.leaf_a_mm), np.array(shape.leaf_b_mm)
            parked = b - a < 4.0  # open pairs are at least 5 mm wide
            hidden = (b < shape.jaws.x1_mm - 1) | (a > shape.jaws.x2_mm + 1)
            assert np.all(hidden[parked])
            assert not np.any(hidden[~parked])
            assert mu >= 1.0


def told_by(beam, made):
    (only,) = pieces(beam, made)
    return only.apertures


def test_a_plan_delivers_the_fluence_that_was_optimised(beamlets, arrangement, machine, raster):
    beams = segments_for(beamlets, machine, 3)
    made = plan_of(arrangement, beams, machine)
    drawer = ApertureFluence(raster, machine.mlc.boundaries_mm, Collimation(0.016, 0.001, 0.7))
    assert [b.gantry_deg for b in made.beams] == list(arrangement.gantry_deg)
    for beam, segments in zip(made.beams, beams, strict=True):
        planned, told = drawer.forward(segments.apertures), drawer.forward(told_by(beam, made))
        # Jaws are rounded outwards to 0.1 mm: at most 0.1 mm by 1.6 % of a pixel; leaves to 0.01 mm of 2.5 mm.
        assert np.abs(told - planned).max() < 0.01 * float(planned.max())
        assert beam.mu == pytest.approx(float(segments.apertures.mu.sum()), abs=0.001 * len(segments.apertures.mu))


def test_meterset_grows_and_shapes_hold_still_while_the_beam_is_on(beamlets, arrangement, machine):
    for beam in plan_of(arrangement, segments_for(beamlets, machine, 1), machine).beams:
        points = beam.control_points
        assert points[0].cumulative_mu == 0.0
        for before, after in zip(points[::2], points[1::2], strict=True):
            assert after.cumulative_mu > before.cumulative_mu
            assert (before.jaws, before.leaf_a_mm, before.leaf_b_mm) == (after.jaws, after.leaf_a_mm, after.leaf_b_mm)
        for before, after in zip(points[1:-1:2], points[2::2], strict=True):
            assert after.cumulative_mu == before.cumulative_mu


def test_a_beam_without_a_segment_is_left_out(beamlets, arrangement, machine):
    beams = list(segments_for(beamlets, machine))
    beams[1] = prune(beams[1], 1e9)
    made = plan_of(arrangement, tuple(beams), machine)
    assert [b.number for b in made.beams] == [1, 2, 3, 4]
    assert [b.gantry_deg for b in made.beams] == [a for i, a in enumerate(arrangement.gantry_deg) if i != 1]


def test_a_beam_beyond_the_largest_meterset_is_split_at_its_angle(beamlets, arrangement, machine):
    beams = segments_for(beamlets, machine)
    heavy = scaled(beams[0], 2500.0 / float(beams[0].apertures.mu.sum()))
    made = plan_of(arrangement, (heavy, *beams[1:]), machine)
    parts = [b for b in made.beams if b.gantry_deg == arrangement.gantry_deg[0]]
    assert len(parts) == 3
    assert len({b.name for b in parts}) == 3
    assert all(b.mu <= machine.dose_rate.maximum_beam_mu for b in parts)
    assert sum(b.mu for b in parts) == pytest.approx(2500.0, abs=0.5)
    assert [b.number for b in made.beams] == list(range(1, len(made.beams) + 1))
    drawer = ApertureFluence(beamlets.raster, machine.mlc.boundaries_mm, Collimation(0.016, 0.001, 0.7))
    together = sum(drawer.forward(told_by(b, made)) for b in parts)
    assert np.abs(together - drawer.forward(heavy.apertures)).max() < 0.01 * float(together.max())


def test_beams_come_in_the_order_of_a_gantry_that_cannot_cross_180(machine):
    nine = arrange(cylinder_case(), SMALL_GOALS, machine, PlanningConfig(beams=9))
    assert nine.gantry_deg == (200.0, 240.0, 280.0, 320.0, 0.0, 40.0, 80.0, 120.0, 160.0)
    two = arrange(cylinder_case(), SMALL_GOALS, machine, PlanningConfig(beams=2))
    assert two.gantry_deg == (0.0, 180.0)


def test_without_jaw_tracking_the_jaws_of_a_beam_stand_still(beamlets, arrangement, tmp_path):
    path = tmp_path / "fixed.toml"
    path.write_text((MACHINES / "millennium120.toml").read_text("utf-8").replace("tracking = true", "tracking = false"))
    fixed = load_machine(str(path))
    beams = tuple(prune(b, 1.0) for b in segments_for(beamlets, fixed, 5))
    made = plan_of(arrangement, beams, fixed)
    assert check_plan(made, str(path)).violations == ()
    assert all(len({p.jaws for p in b.control_points}) == 1 for b in made.beams)


def test_without_fluence_there_is_no_segment(beamlets, machine):
    none = sequence_beam(beamlets, 0, np.zeros(beamlets.variables), machine, 5)
    assert len(none.apertures.mu) == 0


@pytest.mark.parametrize("half_mm", [70.0, 100.0, 140.0, 185.0])
@pytest.mark.parametrize("seed", range(3))
def test_targets_wider_than_a_bank_can_span_still_give_legal_plans(arrangement, machine, half_mm, seed):
    """The leaves of one bank reach no further apart than bank_span_max_mm: such fields are delivered from two sides."""
    y, z = np.meshgrid(np.arange(-20.0, 21, 5), np.arange(-40.0, 41, 5))
    x = np.arange(-half_mm, half_mm + 1, 5)
    ring = np.array([[a, b, c] for a in x for b, c in zip(y.ravel(), z.ravel(), strict=True)])
    points = (ring + np.array(arrangement.isocentre_mm)).astype(np.float32)
    raster = raster_for((-250, 250, -80, 80), projected_extent(arrangement.frames, points), 2.5, reach_mm=60.0)
    wide = Beamlets(arrangement, machine, raster, points, 5.0)
    beams = tuple(prune(b, 1.0) for b in segments_for(wide, machine, seed, number=10))
    vector = SegmentVector(beams, machine, 1.05)
    start, lower, upper = vector.pack()
    # Whatever the optimiser does within its bounds stays legal too.
    moved = np.clip(start + np.random.default_rng(seed).normal(0, 0.6, start.size), lower, upper)
    for now in (beams, vector.unpack(moved)):
        assert check_plan(plan_of(arrangement, now, machine)).violations == ()
