"""An earlier plan brought to today: leaves that move as the target did, legal for the machine, and the same dose where
nothing moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config import PlanningConfig
from appliance.contracts import Case, Jaws, Plan, ReferenceStart, StructureKind
from appliance.errors import PlanningError
from appliance.planning import PhotonTps, check_plan, moving_leaves
from appliance.planning.geometry import isocentre_of, planned_gantry_deg, target_points_mm
from appliance.planning.moving_field import MovingField
from appliance.planning.moving_vector import FieldPath
from appliance.planning.old_beams import fluence_today, old_beams, shift_seen

from .cases import PAIRS, SMALL_GOALS, beam, cylinder_case, plan, point, segment, structure
from .machines import beam_for

CONFIG = PlanningConfig(segments_per_beam=4, dose_grid_mm=6.0, algorithm="pencil_beam")
STILL = (0.0, 0.0, 0.0)
OPEN = slice(26, 34)
"""The middle eight of 60 pairs, 5 mm high: from -20 to 20 mm along Y."""


def tips(*rows_mm: float, width_mm: float = 0.0) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of the middle pairs; the others are closed behind the left jaw."""
    left, right = np.full(PAIRS, -62.0), np.full(PAIRS, -61.5)
    left[OPEN] = rows_mm if len(rows_mm) > 1 else rows_mm[0]
    right[OPEN] = left[OPEN] + width_mm
    return tuple(left.tolist()), tuple(right.tolist())


def old_plan(*gantry_deg: float, rows_mm: tuple[float, ...] = (-10.0,), width_mm: float = 22.0) -> Plan:
    """One opening from each angle, at the isocentre of the image's middle."""
    jaws = Jaws(-50.0, 50.0, -20.0, 20.0)
    return plan(
        *(
            replace(
                beam(*segment(0, 40, *tips(*rows_mm, width_mm=width_mm), jaws), number=number),
                control_points=tuple(
                    replace(p, gantry_deg=angle) for p in segment(0, 40, *tips(*rows_mm, width_mm=width_mm), jaws)
                ),
            )
            for number, angle in enumerate(gantry_deg, start=1)
        ),
        fractions=SMALL_GOALS.fractions,
    )


@pytest.fixture(scope="module")
def bare() -> Case:
    return cylinder_case(8.0)


@pytest.fixture(scope="module")
def wide(bare) -> Case:
    """With a target ball of 40 mm in the middle, so that every field reaches further than the openings below."""
    grid = bare.image.grid
    x, y, z = grid.axes_mm()
    ball = x[None, None, :] ** 2 + y[None, :, None] ** 2 + z[:, None, None] ** 2 < 40.0**2
    target = structure(2, "PTV", StructureKind.TARGET, ball)
    return replace(bare, structures=tuple(target if s.tg263 == "PTV" else s for s in bare.structures))


def followed(case: Case, old: Plan, shift_mm: tuple[float, float, float] = STILL, **more: object) -> Plan:
    """The apertures as they stand at once, with the isocentre of the earlier plan."""
    config = CONFIG.model_copy(update=more)
    tps = PhotonTps(replace(case, reference_plan=old, target_shift_mm=shift_mm), SMALL_GOALS, config)
    found = tps.follow(ReferenceStart(old, shift_mm))
    assert found.way == "apertures", found.told
    return tps._delivery.plan()


def openings(made: Plan, gantry_deg: float) -> dict[int, tuple[float, float]]:
    """Of pairs that are open in the first aperture of a beam."""
    first = next(b for b in made.beams if b.gantry_deg == gantry_deg).control_points[0]
    pairs = enumerate(zip(first.leaf_a_mm, first.leaf_b_mm, strict=True))
    return {pair: (a, b) for pair, (a, b) in pairs if b - a > 2.0}


@pytest.mark.parametrize("way_mm", [5.0, -5.0, 3.0])
def test_leaves_move_with_a_target_that_moved_across_the_beam(wide, way_mm):
    """LPS x is to the patient's left: to the right of the beam from 0 degrees, to the left of that from 180, and along
    that from 90."""
    made = followed(wide, old_plan(0.0, 90.0, 180.0), (way_mm, 0.0, 0.0))
    for angle, sign in ((0.0, 1), (90.0, 0), (180.0, -1)):
        found = openings(made, angle)
        assert sorted(found) == list(range(OPEN.start, OPEN.stop))
        for left, right in found.values():
            assert left == pytest.approx(-10.0 + sign * way_mm, abs=0.011)
            assert right == pytest.approx(12.0 + sign * way_mm, abs=0.011)


def test_a_target_that_moved_towards_the_gantry_takes_other_pairs(wide):
    """By one pair's height, 5 mm; LPS z of a patient who lies head first on the back is IEC Y."""
    made = followed(wide, old_plan(0.0), (0.0, 0.0, 5.0))
    assert sorted(openings(made, 0.0)) == list(range(OPEN.start + 1, OPEN.stop + 1))


def test_a_pair_between_two_of_before_stands_between_them(wide):
    """2 mm of 5: six tenths of the same pair and four of the one below. Of the lowest pair six tenths are open, so it
    is; of the one above the highest four, so it is not."""
    rows = (-12.0, -11.0, -10.0, -9.0, -8.0, -7.0, -6.0, -5.0)
    found = openings(followed(wide, old_plan(0.0, rows_mm=rows), (0.0, 0.0, 2.0)), 0.0)
    assert sorted(found) == list(range(OPEN.start, OPEN.stop))
    assert found[OPEN.start][0] == pytest.approx(-12.0, abs=0.011)
    for pair in range(OPEN.start + 1, OPEN.stop):
        above = rows[pair - OPEN.start]
        assert found[pair][0] == pytest.approx(0.6 * above + 0.4 * (above - 1.0), abs=0.011)


def test_an_isocentre_that_moved_with_the_target_leaves_the_leaves(wide):
    """Planned without today's anatomy the isocentre is the targets' middle; where the target moved there, nothing
    changes in the beam's view."""
    old = old_plan(0.0, 90.0)
    tps = PhotonTps(replace(wide, reference_plan=old), SMALL_GOALS, CONFIG)
    tps.follow(ReferenceStart(old, tps.arrangement.isocentre_mm))
    made = tps._delivery.plan()
    for angle in (0.0, 90.0):
        assert set(openings(made, angle).values()) == {(-10.0, 12.0)}


@pytest.fixture(scope="module")
def planned(bare) -> tuple[PhotonTps, Plan]:
    tps = PhotonTps(bare, SMALL_GOALS, CONFIG)
    tps.optimise_fluence(tps.initial_objectives())
    tps.sequence(tps.initial_objectives())
    return tps, tps.finish()[0]


def test_where_nothing_moved_it_is_the_same_plan_with_the_same_dose(bare, planned):
    before, old = planned
    tps = PhotonTps(replace(bare, reference_plan=old, target_shift_mm=STILL), SMALL_GOALS, CONFIG)
    state = tps.follow(ReferenceStart(old, STILL)).state
    made, dose = tps.finish()
    assert [b.control_points for b in made.beams] == [b.control_points for b in old.beams]
    np.testing.assert_allclose(dose.dose_gy, before.finish()[1].dose_gy, atol=1e-4)
    assert state.mu == pytest.approx(old.mu, abs=0.01)


def test_what_was_followed_can_be_refined_put_away_and_taken_up(bare, planned):
    _, old = planned
    case = replace(bare, reference_plan=old, target_shift_mm=(3.0, -2.0, 1.0))
    tps = PhotonTps(case, SMALL_GOALS, CONFIG)
    tps.follow(ReferenceStart(old, case.target_shift_mm))
    kept = tps.working()
    tps.refine(tps.initial_objectives())
    assert check_plan(tps.finish()[0]).violations == ()
    again = PhotonTps(case, SMALL_GOALS, CONFIG)
    assert again.resume(kept).mu == pytest.approx(old.mu, rel=0.05)


@settings(max_examples=12, deadline=None)
@given(shift_mm=st.tuples(*[st.floats(-15.0, 15.0)] * 3))
def test_whatever_the_movement_the_plan_is_deliverable(planned, shift_mm):
    tps, old = planned
    tps.follow(ReferenceStart(old, shift_mm))
    assert check_plan(tps._delivery.plan()).violations == ()


@pytest.mark.parametrize("machine", ["agility160", "hd120", "dual_layer", "mr_ring160"])
def test_it_is_deliverable_by_other_collimators_too(bare, machine, tmp_path):
    config = CONFIG.model_copy(update={"machine": machine, "beam_model": beam_for(machine, tmp_path)})
    tps = PhotonTps(bare, SMALL_GOALS, config)
    tps.optimise_fluence(tps.initial_objectives())
    tps.sequence_quickly(tps.initial_objectives())
    old = tps._delivery.plan()
    for shift_mm in ((4.0, -7.0, 3.0), (-9.0, 2.0, -6.0), STILL):
        found = tps.follow(ReferenceStart(old, shift_mm))
        assert found.way == "apertures", found.told
        assert check_plan(tps._delivery.plan(), machine).violations == ()
    # Jaws are set by leaves that were rounded to 0.01 mm, and rounded themselves to 0.1 mm.
    for now, then in zip(tps._delivery.plan().beams, old.beams, strict=True):
        assert [(p.leaf_a_mm, p.lower_b_mm) for p in now.control_points] == [
            (p.leaf_a_mm, p.lower_b_mm) for p in then.control_points
        ]


def test_other_leaves_take_the_fluence(bare, planned):
    _, old = planned
    config = CONFIG.model_copy(update={"machine": "dual_layer", "beam_model": "couchside_6mv_fff"})
    tps = PhotonTps(replace(bare, reference_plan=old), SMALL_GOALS, config)
    found = tps.follow(ReferenceStart(old, STILL))
    assert found.way == "fluence"
    assert "leaves are others" in found.told
    with pytest.raises(PlanningError):
        tps.refine(tps.initial_objectives())
    assert tps.sequence_quickly(tps.initial_objectives()).mu > 0


def test_another_beam_quality_takes_the_fluence(wide):
    old = old_plan(0.0)
    free = replace(old, beams=tuple(replace(b, fluence_mode="FFF") for b in old.beams))
    tps = PhotonTps(replace(wide, reference_plan=free), SMALL_GOALS, CONFIG)
    found = tps.follow(ReferenceStart(free, STILL))
    assert (found.way, found.told.endswith("another quality than today's machine")) == ("fluence", True)


@pytest.mark.parametrize("technique", ["sliding_window", "vmat"])
def test_leaves_that_move_take_the_fluence_of_still_ones(bare, planned, technique):
    _, old = planned
    tps = PhotonTps(replace(bare, reference_plan=old), SMALL_GOALS, CONFIG.model_copy(update={"technique": technique}))
    assert tps.follow(ReferenceStart(old, STILL)).way == "fluence"


@pytest.mark.parametrize("technique", ["sliding_window", "vmat"])
def test_leaves_that_move_follow_those_that_moved_so(bare, technique, monkeypatch):
    """The same paths where nothing moved, to what limits of another mean meterset change; shifted paths stay legal."""
    monkeypatch.setattr(moving_leaves, "MOVING_BUDGET", 2)
    config = CONFIG.model_copy(update={"technique": technique, "beamlet_mm": 5.0})
    tps = PhotonTps(bare, SMALL_GOALS, config)
    tps.take_fluence(np.random.default_rng(1).uniform(0.0, 20.0, tps._fluence.beamlets.variables))
    tps._delivery.start(tps._fluence.beamlets, tps._fluence.values, lambda step, part: None)
    before, old = tps._delivery.paths, tps._delivery.plan()
    assert tps.follow(ReferenceStart(old, STILL)).way == "apertures"
    for now, then in zip(tps._delivery.paths, before, strict=True):
        np.testing.assert_allclose(now.left_mm, then.left_mm, atol=0.1)
        np.testing.assert_allclose(now.right_mm, then.right_mm, atol=0.1)
        # A start that nothing was optimised in has another dose than prescribed, and is scaled at once.
        np.testing.assert_allclose(now.mu / now.mu.sum(), then.mu / then.mu.sum(), atol=2e-3)
    for shift_mm in ((4.0, -7.0, 3.0), (-9.0, 2.0, -6.0)):
        tps.follow(ReferenceStart(old, shift_mm))
        assert check_plan(tps._delivery.plan()).violations == ()
    assert tps.refine(tps.initial_objectives()).mu > 0


def test_an_arc_follows_a_target_as_each_of_its_directions_sees_it(wide):
    """6 mm to the patient's left: seen in full from above, not at all from the side, mirrored from below."""
    tps = PhotonTps(wide, SMALL_GOALS, CONFIG.model_copy(update={"technique": "vmat", "beamlet_mm": 5.0}))
    field = tps._delivery.fields[0]
    old = _opened(tps, field)
    tps.follow(ReferenceStart(old, (6.0, 0.0, 0.0)))
    pair = OPEN.start + 4
    (path,) = tps._delivery.paths
    middles = (path.left_mm[:, pair] + path.right_mm[:, pair]) / 2
    wanted = 6.0 * np.cos(np.deg2rad(field.gantry_deg)) * np.cos(np.deg2rad(field.collimator_deg))
    np.testing.assert_allclose(middles, wanted, atol=0.15)


def _opened(tps: PhotonTps, field: MovingField) -> Plan:
    """An arc whose pairs all stand open by 20 mm around the middle, and never move."""
    shape = (field.intervals + 1, field.active.size)
    mu = np.full(field.intervals, 3.0)
    tps._delivery.paths = (FieldPath(np.full(shape, -10.0), np.full(shape, 10.0), mu),)
    return tps._delivery.plan()


def test_a_fluence_has_the_monitor_units_of_the_openings(wide):
    """A field of 20 mm by 40 mm with 40 MU that starts between beamlets: the area times MU is the same."""
    old = old_plan(0.0, rows_mm=(-8.75,), width_mm=20.0)
    tps = PhotonTps(replace(wide, reference_plan=old, target_shift_mm=STILL), SMALL_GOALS, CONFIG)
    beamlets = tps._fluence.beamlets
    values = fluence_today(old_beams(old), tps.arrangement.frames, beamlets, STILL)
    heights = np.diff(beamlets.boundaries_mm)[:, None] * beamlets.width_mm
    assert (beamlets.map_of(0, values) * heights).sum() == pytest.approx(40.0 * 20.0 * 40.0, rel=0.02)


def test_a_plan_from_other_directions_is_refused_and_nothing_is_changed(bare):
    tps = PhotonTps(bare, SMALL_GOALS, CONFIG)
    with pytest.raises(PlanningError, match="other directions"):
        tps.follow(ReferenceStart(old_plan(36.0), STILL))
    with pytest.raises(PlanningError):
        tps.fluence_values()


def test_a_plan_of_another_prescription_is_scaled_at_once(bare, planned):
    tps, old = planned
    half = replace(old, beams=tuple(_scaled(b, 0.5) for b in old.beams))
    state = tps.follow(ReferenceStart(half, STILL)).state
    assert state.goal_values[0] == pytest.approx(tps.follow(ReferenceStart(old, STILL)).state.goal_values[0], rel=0.1)


def _scaled(one, factor):
    points = tuple(replace(p, cumulative_mu=p.cumulative_mu * factor) for p in one.control_points)
    return replace(one, control_points=points)


def test_a_movement_that_nobody_knows_is_read_from_the_apertures(bare):
    """Openings of 22 mm by 40 mm around the isocentre, seen from two sides; the target's middle is at (5, -10, 0)."""
    old = old_plan(0.0, 90.0, rows_mm=(-11.0,))
    x, y, z = shift_seen(old_beams(old), target_points_mm(bare))
    middle = (target_points_mm(bare).min(axis=0) + target_points_mm(bare).max(axis=0)) / 2
    assert (x, y, z) == pytest.approx(tuple(middle), abs=0.3)


def test_a_small_one_is_none(bare):
    old = old_plan(0.0, 90.0, rows_mm=(-11.0,))
    there = tuple(((target_points_mm(bare).min(axis=0) + target_points_mm(bare).max(axis=0)) / 2 + 1.0).tolist())
    moved = replace(old, beams=tuple(replace(b, isocentre_mm=there) for b in old.beams))
    assert shift_seen(old_beams(moved), target_points_mm(bare)) == STILL


def test_todays_isocentre_is_where_the_table_shift_brings_the_old_one(bare):
    middle = isocentre_of(bare)
    assert isocentre_of(replace(bare, reference_plan=old_plan(0.0))) == middle
    assert isocentre_of(replace(bare, reference_plan=old_plan(0.0), target_shift_mm=STILL)) == (0.0, 0.0, 0.0)
    far = replace(old_plan(0.0), beams=(replace(old_plan(0.0).beams[0], isocentre_mm=(60.0, 0.0, 0.0)),))
    assert isocentre_of(replace(bare, reference_plan=far, target_shift_mm=STILL)) == middle


def test_arcs_give_no_directions_to_static_beams(bare):
    jaws = Jaws(-50.0, 50.0, -20.0, 20.0)
    arc = plan(beam(point(0, jaws, *tips(-10.0, width_mm=20.0)), point(80, jaws, *tips(-10.0, width_mm=20.0), 90.0)))
    assert len(planned_gantry_deg(replace(bare, reference_plan=arc), SMALL_GOALS, CONFIG)) == SMALL_GOALS.beams


def test_angles_of_collimator_and_couch_are_kept_where_the_machine_turns_so_far(wide):
    """A table turned by 90 degrees to a beam from above: the patient's length lies across it, and what moved to the
    left moved along IEC Y. Of an angle that the machine does not reach its own stays."""
    old = _turned(old_plan(0.0), collimator_deg=0.0, couch_deg=90.0)
    made = followed(wide, old, (5.0, 0.0, 0.0))
    assert {(p.collimator_deg, p.couch_deg) for b in made.beams for p in b.control_points} == {(0.0, 90.0)}
    assert made.beams[0].name.startswith("G000.0T090.0")
    pairs = sorted(openings(made, 0.0))
    assert pairs in ([*range(OPEN.start + 1, OPEN.stop + 1)], [*range(OPEN.start - 1, OPEN.stop - 1)])
    turned = followed(wide, _turned(old_plan(0.0), collimator_deg=30.0, couch_deg=0.0), STILL)
    assert turned.beams[0].control_points[0].collimator_deg == 30.0
    assert set(openings(turned, 0.0).values()) == {(-10.0, 12.0)}
    too_far = replace(wide, reference_plan=_turned(old_plan(0.0), collimator_deg=0.0, couch_deg=100.0))
    assert PhotonTps(too_far, SMALL_GOALS, CONFIG).arrangement.directions[0].couch_deg == 0.0


def _turned(old: Plan, **angles: float) -> Plan:
    return replace(
        old,
        beams=tuple(
            replace(one, control_points=tuple(replace(p, **angles) for p in one.control_points)) for one in old.beams
        ),
    )
