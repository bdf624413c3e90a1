"""Dose of deliverable plans: calibration, transmission, moving leaves, patient positions, refusals."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.contracts import ControlPoint, Image, Jaws, Plan
from appliance.errors import ModelError, UnsupportedPlan
from appliance.planning import calculate_dose
from appliance.planning.beam_models import load_calibrated
from appliance.planning.final_dose import FinalDose
from engines.grid import Grid, VoxelSet
from engines.photon.beam_model import save_beam_model

from .cases import PAIRS, PENCIL, SQUARE, beam, leaves, plan, point, segment, water_box

OPEN = leaves(-60.0, 60.0)
MIDDLE = 31


def dose_of(made: Plan, image: Image | None = None, **options) -> NDArray[np.float32]:
    return calculate_dose(made, image or water_box(), None, **(PENCIL | options)).dose_gy


def open_field(mu: float = 100.0, jaws: Jaws = SQUARE) -> Plan:
    return plan(beam(*segment(0, mu, *OPEN, jaws)))


def on_axis(dose: NDArray[np.float32], depth_mm: float) -> float:
    depths = 1.5 + 3.0 * np.arange(dose.shape[1])
    return float(np.interp(depth_mm, depths, dose[MIDDLE, :, MIDDLE]))


def test_one_monitor_unit_is_one_centigray_at_reference_conditions():
    # 10 x 10 cm2 at SSD 1000 with the isocentre on the surface, 15 mm deep: 100 MU are 1 Gy.
    image = water_box()
    at_15_mm = image.grid.origin_mm[1] + 3.0 * 4.5
    assert at_15_mm == pytest.approx(15.0)  # half way between voxels 4 and 5
    assert on_axis(dose_of(open_field()), 15.0) == pytest.approx(1.0, rel=2e-3)


def test_without_leaves_the_jaws_make_the_same_field():
    jaws_only = plan(beam(point(0, SQUARE), point(100, SQUARE), borders_mm=()))
    expected = dose_of(open_field())
    np.testing.assert_allclose(dose_of(jaws_only), expected, atol=1e-4 * float(expected.max()))


def test_dose_is_proportional_to_mu_and_fractions():
    one = dose_of(open_field(100.0))
    np.testing.assert_allclose(dose_of(open_field(37.0)), 0.37 * one, atol=1e-6)
    np.testing.assert_allclose(dose_of(replace(open_field(), fractions=5)), 5 * one, atol=1e-5)


def test_the_dose_is_bound_to_its_plan():
    made = calculate_dose(open_field(), water_box(), None, **PENCIL)
    assert made.plan_digest == open_field().digest
    assert made.beam_model == "couchside_6mv"
    assert made.dose_gy.shape == water_box().grid.shape
    assert made.dose_gy.dtype == np.float32


@pytest.fixture
def model_with(tmp_path):
    """A copy of the shipped beam model with another collimation, as a file."""

    def make(name: str, **collimation: float) -> str:
        model, _ = load_calibrated("generic_6mv")
        path = tmp_path / f"{name}.json"
        save_beam_model(replace(model, name=name, collimation=replace(model.collimation, **collimation)), path)
        return str(path)

    return make


CLOSED = leaves(-58.25, -57.75)


def test_closed_leaves_let_their_transmission_through():
    closed = plan(beam(*segment(0, 100.0, *CLOSED)))
    share = on_axis(dose_of(closed), 50.0) / on_axis(dose_of(open_field()), 50.0)
    # 1.6 % through the leaves inside the jaws; a little more from the 0.1 % that pass the jaws all around.
    assert 0.016 < share < 0.0165


def test_dose_under_leaves_grows_with_their_transmission(model_with):
    closed = plan(beam(*segment(0, 100.0, *CLOSED)))
    doses = [
        on_axis(dose_of(closed, beam_model=model_with(f"t{i}", leaf_transmission=t, jaw_transmission=0.0)), 50.0)
        for i, t in enumerate((0.0, 0.01, 0.03))
    ]
    assert doses[0] == pytest.approx(0.0, abs=1e-6)
    assert doses[2] == pytest.approx(3 * doses[1], rel=1e-4)


def test_dose_under_the_jaws_grows_with_theirs(model_with):
    aside = plan(beam(*segment(0, 100.0, *leaves(-200, -130), Jaws(-180.0, -140.0, -20.0, 20.0))))
    doses = [
        on_axis(dose_of(aside, beam_model=model_with(f"j{i}", jaw_transmission=t)), 50.0)
        for i, t in enumerate((0.0, 0.001, 0.002))
    ]
    through = doses[1] - doses[0]
    assert doses[2] - doses[1] == pytest.approx(through, rel=1e-3)
    # The jaws' 0.1 % of a field as wide as the raster: about 1/1000 of an open field.
    assert through == pytest.approx(0.001 * on_axis(dose_of(open_field()), 50.0), rel=0.15)


def test_the_dosimetric_leaf_gap_widens_the_field(model_with):
    narrow = plan(beam(*segment(0, 100.0, *leaves(-5.0, 5.0))))
    widths = []
    for i, offset in enumerate((0.0, 2.0)):
        black = model_with(f"o{i}", leaf_offset_mm=offset, leaf_transmission=0.0, jaw_transmission=0.0)
        widths.append(float(dose_of(narrow, beam_model=black)[MIDDLE, 16].sum(dtype=float)))
    assert widths[1] / widths[0] == pytest.approx(14.0 / 10.0, rel=0.01)


def test_two_segments_are_the_sum_of_each():
    first, second = leaves(-40.0, 0.0), leaves(-5.0, 45.0)
    both = dose_of(plan(beam(*segment(0, 60, *first), *segment(60, 40, *second))))
    apart = dose_of(plan(beam(*segment(0, 60, *first)))) + dose_of(plan(beam(*segment(0, 40, *second))))
    np.testing.assert_allclose(both, apart, atol=1e-5 * float(both.max()))


def test_each_beam_alone_adds_up_to_the_plan():
    turned = tuple(replace(p, gantry_deg=90.0) for p in segment(0, 70, *OPEN))
    made = plan(beam(*segment(0, 60, *OPEN)), beam(*turned, number=2))
    result = calculate_dose(made, water_box(), None, per_beam=True, **PENCIL)
    assert len(result.beam_dose_gy) == 2
    np.testing.assert_allclose(sum(result.beam_dose_gy), result.dose_gy, atol=1e-5)
    np.testing.assert_allclose(result.beam_dose_gy[0], dose_of(plan(made.beams[0])), atol=1e-5)
    assert calculate_dose(made, water_box(), None, **PENCIL).beam_dose_gy == ()


def sliding(start: tuple[float, float], end: tuple[float, float], mu: float) -> Plan:
    return plan(beam(point(0, SQUARE, *leaves(*start)), point(mu, SQUARE, *leaves(*end))))


def test_a_sliding_gap_is_the_average_of_its_positions():
    swept = dose_of(sliding((-40.0, -30.0), (30.0, 40.0), 100.0))
    # 0.25 mm steps, four times finer than the planner's own.
    places = -40.0 + 70.0 * (np.arange(280) + 0.5) / 280
    points: list[ControlPoint] = []
    for i, place in enumerate(places):
        points += segment(i * 100 / 280, 100 / 280, *leaves(place, place + 10.0))
    stepped = dose_of(plan(beam(*points)))
    np.testing.assert_allclose(swept, stepped, atol=0.003 * float(stepped.max()))


def test_one_leaf_bank_that_moves_draws_a_wedge():
    # Bank B moves from -50 to 50 while A waits at -60: fluence falls linearly from 1 at -50 to 0 at +50.
    swept = dose_of(sliding((-60.0, -50.0), (-60.0, 50.0), 100.0))[MIDDLE, 10]
    half = swept[MIDDLE] / on_axis(dose_of(open_field()), 1.5 + 30.0)
    assert half == pytest.approx(0.5, abs=0.02)
    inner = swept[MIDDLE - 9 : MIDDLE + 10]  # 36 mm on either side
    assert np.all(np.diff(inner) < 0)
    drops = -np.diff(inner)
    assert drops.std() < 0.1 * drops.mean()


def test_leaves_that_move_between_segments_without_dose_do_not_count():
    straight = plan(beam(*segment(0, 60, *leaves(-40, 0)), *segment(60, 40, *leaves(-5, 45))))
    wait = point(60, SQUARE, *leaves(-50, 50))
    points = straight.beams[0].control_points
    detour = plan(beam(*points[:2], wait, *points[2:]))
    np.testing.assert_array_equal(dose_of(detour), dose_of(straight))


def turned(angle: str, degrees: float) -> Plan:
    first, second = segment(0, 100, *OPEN)
    return plan(beam(first, replace(second, **{angle: degrees})))


@pytest.mark.parametrize(
    ("angle", "words"),
    [("collimator_deg", "its collimator moves"), ("couch_deg", "its couch moves")],
)
def test_moving_collimators_and_couches_are_refused_in_a_sentence(angle, words):
    with pytest.raises(UnsupportedPlan) as refused:
        dose_of(turned(angle, 12.0))
    start = "This plan cannot be computed by this release: beam 1, control point 1: "
    assert refused.value.sentence.startswith(start + words)


def test_an_arc_is_the_sum_of_its_still_parts():
    """12 degrees clockwise from 354: the gantry passes 0 and stands at the middles of six steps of 2 degrees."""
    first, second = segment(0, 90, *OPEN)
    arc = dose_of(plan(beam(replace(first, gantry_deg=354.0), replace(second, gantry_deg=6.0))))
    still = sum(
        dose_of(plan(beam(*(replace(p, gantry_deg=angle % 360.0) for p in segment(0, 15, *OPEN)))))
        for angle in (355.0, 357.0, 359.0, 1.0, 3.0, 5.0)
    )
    np.testing.assert_allclose(arc, still, atol=1e-5 * float(still.max()))


def test_rounding_of_an_angle_through_zero_is_no_arc():
    assert dose_of(turned("gantry_deg", 359.98)).max() > 0


def test_another_energy_is_refused():
    made = open_field()
    with pytest.raises(UnsupportedPlan, match=r"10 MV STANDARD.*6 MV STANDARD.*choose the beam model"):
        dose_of(replace(made, beams=(replace(made.beams[0], energy_mv=10.0),)))
    with pytest.raises(UnsupportedPlan, match="FFF"):
        dose_of(replace(made, beams=(replace(made.beams[0], fluence_mode="FFF"),)))


def test_beams_and_plans_without_dose_are_refused():
    with pytest.raises(UnsupportedPlan, match="delivers no monitor units"):
        dose_of(plan(beam(point(0, SQUARE, *OPEN), point(0, SQUARE, *OPEN))))
    with pytest.raises(UnsupportedPlan, match="no beam"):
        dose_of(plan())


def test_an_unknown_or_uncalibrated_beam_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no beam model 'cobalt' \(known: .*generic_6mv\)"):
        dose_of(open_field(), beam_model="cobalt")
    path = tmp_path / "raw.json"
    save_beam_model(replace(load_calibrated("generic_6mv")[0], reference=None), path)
    with pytest.raises(ModelError, match="no output calibration"):
        dose_of(open_field(), beam_model=str(path))


def test_outside_the_outline_there_is_neither_dose_nor_matter():
    image = water_box()
    inside = np.zeros(image.grid.shape, bool)
    inside[:, 20:, :] = True
    outline = VoxelSet.from_dense(inside.astype(np.float32))
    dose = calculate_dose(open_field(), image, outline, **PENCIL).dose_gy
    assert not dose[:, :20].any()
    # The water in front is gone: the dose just inside builds up again, from contaminant electrons' half of it.
    assert dose[MIDDLE, 20, MIDDLE] < 0.6 * dose[MIDDLE, 24, MIDDLE]


def test_the_same_anatomy_again_gives_the_same_dose():
    """Depths kept from the first plan serve the next: also for another gantry and for the first one again."""
    final = FinalDose(water_box(), None, **PENCIL)
    side = plan(beam(*(replace(p, gantry_deg=270.0) for p in segment(0, 80, *leaves(-20, 30)))))
    for made in (open_field(), side, open_field(50.0), side):
        assert np.array_equal(final.calculate(made).dose_gy, dose_of(made))


def test_progress_is_told_and_may_end_the_work():
    told: list[float] = []
    dose_of(open_field(), progress=lambda step, part: told.append(part))
    assert told[-1] == 1.0
    assert all(b >= a for a, b in pairwise(told))

    def stop(step: str, part: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dose_of(open_field(), progress=stop)


# --- the same set-up in another patient position ---------------------------------------------------------------------

# LPS axes that turn round against head first supine, as indices into arrays (z, y, x): 2 is x, 1 is y, 0 is z.
REVERSED = {"HFS": (), "HFP": (2, 1), "FFS": (2, 0), "FFP": (1, 0)}


@pytest.mark.parametrize("position", ["HFP", "FFS", "FFP"])
def test_the_same_set_up_described_in_another_patient_position(position):
    """The machine and what lies on the couch stay as they are; only the patient's own axes turn round."""
    grid = Grid((-58.0, -40.0, -30.0), (4.0, 4.0, 4.0), (21, 25, 31))
    hu = np.random.default_rng(3).integers(-700, 300, grid.shape).astype(np.int16)
    isocentre = np.array([6.0, -4.0, 10.0])
    a = tuple(float(-25 + (i * 7) % 11) for i in range(PAIRS))
    b = tuple(float(15 + (i * 5) % 13) for i in range(PAIRS))
    points = tuple(
        replace(p, gantry_deg=40.0, collimator_deg=15.0, couch_deg=10.0) for p in segment(0, 100, a, b, SQUARE)
    )
    expected = dose_of(plan(beam(*points, isocentre_mm=tuple(isocentre))), Image(grid, hu))

    axes = REVERSED[position]
    sign = np.ones(3)
    sign[[2 - axis for axis in axes]] = -1
    low = np.array(grid.origin_mm)
    high = low + np.array(grid.spacing_mm) * (np.array(grid.shape[::-1]) - 1)
    origin = np.where(sign < 0, -high, low)
    other = Image(Grid(tuple(origin), grid.spacing_mm, grid.shape), np.ascontiguousarray(np.flip(hu, axes)))
    made = plan(beam(*points, isocentre_mm=tuple(isocentre * sign)), position=position)
    got = np.flip(dose_of(made, other), axes)
    np.testing.assert_allclose(got, expected, atol=2e-4 * float(expected.max()))
    wrong = np.flip(dose_of(replace(made, patient_position="HFS"), other), axes)
    assert np.abs(wrong - expected).max() > 0.1 * expected.max()
