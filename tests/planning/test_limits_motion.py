"""What happens between control points: each broken limit of motion is found and named, on every shipped machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.contracts import Beam, ControlPoint, Jaws, Plan
from appliance.planning import check_plan, load_machine
from appliance.planning.machine import Machine, machine_names

from .cases import SQUARE, beam, leaves, legal_plan, plan, point


def arc(*stops: tuple[float, float], shapes=None, jaws: Jaws = SQUARE) -> Plan:
    """One beam through (cumulative MU, gantry angle), all of one shape unless shapes gives (a, b) of each."""
    own = shapes or [(-30.0, 20.0)] * len(stops)
    return plan(
        beam(*(point(mu, jaws, *leaves(*tips), gantry=angle) for (mu, angle), tips in zip(stops, own, strict=True)))
    )


def violations(made: Plan, machine: str = "millennium120") -> tuple[str, ...]:
    facts = check_plan(made, machine)
    assert facts.deliverable is (not facts.violations)
    return facts.violations


def turning(count: int = 10, step_deg: float = 2.0, mu_deg: float = 1.0, start_deg: float = 181.0):
    return [(i * step_deg * mu_deg, (start_deg + i * step_deg) % 360) for i in range(count)]


def test_a_plain_arc_is_legal_and_its_small_intervals_are_no_segments():
    assert violations(arc(*turning(mu_deg=0.2))) == ()


@pytest.mark.parametrize(
    ("made", "where", "words"),
    [
        # 0.05 MU/deg and 70 MU/deg against 0.1..60
        (arc(*turning(mu_deg=0.05)), 1, "0.05 MU per degree are outside 0.1..60"),
        (arc(*turning(5, mu_deg=70.0)), 1, "70 MU per degree are outside"),
        # 90 mm at 25 mm/s need 3.6 s; 1 MU at 20 MU/min is over in 3 s
        (
            arc((0, 0), (20, 2), (21, 4), shapes=[(-60, 20), (-60, 20), (30, 60)]), 2,
            "the leaves need 3.60 s, but at the lowest dose rate of 20 MU/min 1.000 MU take only 3.00 s",
        ),
        # from 170 over 180 to 190: a C-arm stops at 180
        (arc((0, 170), (20, 178), (40, 186), (60, 194)), 2, "beyond its mechanical range of -180..180 degrees"),
        (arc((0, 0), (40, 180)), 1, "half a turn in one step"),
    ],
)  # fmt: skip
def test_each_limit_of_motion_names_its_control_point(made, where, words):
    found = violations(made)
    assert any(v.startswith(f"beam 1, control point {where}:") and words in v for v in found), found


def test_an_arc_up_to_180_from_either_side_is_legal():
    assert violations(arc((0, 180), (10, 182), (20, 184))) == ()
    assert violations(arc((0, 176), (10, 178), (20, 180))) == ()
    whole = [(i * 2.0, (180.0 + 2.0 * i) % 360) for i in range(181)]
    assert violations(arc(*whole)) == ()
    assert violations(arc(*((mu, (360.0 - angle) % 360) for mu, angle in whole))) == ()


def test_the_gantrys_mass_counts_between_intervals_but_not_at_the_ends():
    """1 MU/deg lets the gantry turn at 6 deg/s. One interval of 1200 MU in 20 deg holds it to 1/6 deg/s: braking to it
    over the 1 deg before takes longer, and with 0.1 MU in that degree the dose rate falls below 20 MU/min."""
    slow = arc((0, 0), (20, 20), (20.1, 21), (1020, 41))
    assert any("control point 2" in v and "gantry needs" in v for v in violations(replace_most(slow))), violations(slow)
    # the same intervals at the arc's start and end: run-up and stop are the dose servo's business
    assert not any("gantry needs" in v for v in violations(arc((0, 0), (0.2, 2), (2.2, 4), (2.4, 6))))


def replace_most(made: Plan) -> Plan:
    """Within one beam's meterset: the last interval at most 999 MU in all."""
    first = made.beams[0]
    last = replace(first.control_points[-1], cumulative_mu=999.0)
    return replace(made, beams=(replace(first, control_points=(*first.control_points[:-1], last)),))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: replace(b, control_points=b.control_points[:1]), "fewer than two control points"),
        (lambda b: replace(b, leaf_axis="Y"), "leaves travel along Y"),
        (lambda b: replace(b, isocentre_mm=(0.0, float("nan"), 0.0)), "isocentre is not a number"),
        (lambda b: replace(b, dose_rate_mu_min=float("nan")), "nan MU/min"),
        (lambda b: replace(b, sad_mm=float("nan")), "source-axis distance of nan"),
        (lambda b: with_point(b, 2, leaf_a_mm=(0.0,)), "control point 2: its leaf positions do not fit"),
        (lambda b: with_point(b, 1, couch_deg=float("inf")), "control point 1: a position or meterset is not a number"),
        (lambda b: with_point(b, 3, collimator_deg=178.0), "control point 3: the collimator at 178 degrees is outside"),
        (lambda b: with_point(b, 0, cumulative_mu=1.0), "control point 0: its meterset does not start at 0"),
        (lambda b: with_all(b, cumulative_mu=0.0), "it delivers no monitor units"),
    ],
)
def test_what_is_no_beam_is_said_and_named(change: Callable[[Beam], Beam], words: str):
    made = legal_plan()
    found = violations(replace(made, beams=(change(made.beams[0]), made.beams[1])))
    assert any(words in v and v.startswith("beam 1") for v in found), found


def with_point(made: Beam, number: int, **changes: object) -> Beam:
    points = list(made.control_points)
    points[number] = replace(points[number], **changes)
    return replace(made, control_points=tuple(points))


def with_all(made: Beam, **changes: object) -> Beam:
    return replace(made, control_points=tuple(replace(p, **changes) for p in made.control_points))


def test_a_broken_beam_leaves_the_other_beams_checked():
    made = legal_plan()
    first, second = made.beams
    bad_jaw = with_all(second, jaws=Jaws(-50, 50, -50, 250))
    found = violations(replace(made, beams=(replace(first, control_points=first.control_points[:1]), bad_jaw)))
    assert any(v.startswith("beam 1") for v in found)
    assert any("beam 2, control point 0: jaw y2" in v for v in found)


def test_facts_of_a_legal_plan_state_seconds_and_complexity():
    """Beam 1: 50 + 30 MU at 10 MU/s, and 20 mm at 25 mm/s from rest to rest at 500 mm/s2; beam 2: 80 MU."""
    facts = check_plan(legal_plan())
    assert facts.beam_seconds == pytest.approx((8.85, 8.0))
    assert facts.beam_on_seconds == pytest.approx((8.0, 8.0))
    # leaves in line, so MCS is the mean opening over the widest: 1.0 of beam 2; beam 1 opens 50 then 45 of 65 mm
    assert facts.mcs == pytest.approx((80 * (50 / 80 * 50 / 65 + 30 / 80 * 45 / 65) + 80 * 1.0) / 160)
    assert facts.leaf_travel_mm == pytest.approx((80 * 17.5 + 80 * 0.0) / 160)


# --- every shipped machine ------------------------------------------------------------------------------------------


def square_on(machine: Machine, half_mm: float = 40.0, mu: float = 60.0, gantry_deg: float = 30.0) -> Beam:
    """A square field of two control points that any machine can deliver: leaves outside it closed at its edge."""
    jaws = machine.jaws
    edges = {}
    for axis in ("x", "y"):
        low, high = getattr(jaws, f"{axis}1_mm"), getattr(jaws, f"{axis}2_mm")
        edges |= {f"{axis}1_mm": float(np.clip(-half_mm, *low)), f"{axis}2_mm": float(np.clip(half_mm, *high))}
    layers = []
    for borders in (machine.mlc.boundaries_mm, machine.mlc.lower_boundaries_mm):
        inside = (borders[:-1] < half_mm) & (borders[1:] > -half_mm)
        a = np.where(inside, -half_mm, -half_mm)
        b = np.where(inside, half_mm, -half_mm + machine.mlc.minimum_gap_mm)
        layers += [tuple(map(float, a)), tuple(map(float, b))]
    points = tuple(ControlPoint(m, gantry_deg, 0.0, 0.0, Jaws(**edges), *layers) for m in (0.0, mu))
    return Beam(
        number=1, name="S", machine=machine.treatment_machine, energy_mv=machine.energy_mv,
        fluence_mode=machine.fluence_mode, isocentre_mm=(0.0, 0.0, 0.0), sad_mm=machine.sad_mm, dose_rate_mu_min=0.0,
        leaf_boundaries_mm=tuple(map(float, machine.mlc.boundaries_mm)), control_points=points,
        lower_boundaries_mm=tuple(map(float, machine.mlc.lower_boundaries_mm)), leaf_axis=machine.mlc.leaf_axis,
        jaw_axes=machine.jaw_axes,
    )  # fmt: skip


@pytest.mark.parametrize("name", machine_names())
def test_every_machine_delivers_a_square_and_refuses_a_leaf_beyond_its_bank(name):
    machine = load_machine(name)
    square = square_on(machine)
    assert violations(plan(square), name) == ()
    low, high = machine.mlc.bank_a_mm
    layer = "lower_a_mm" if machine.mlc.lower_blocks else "leaf_a_mm"
    for beyond in (low - 0.5, high + 0.5):
        tips = list(getattr(square.control_points[1], layer))
        tips[3] = beyond
        found = violations(plan(with_point(square, 1, **{layer: tuple(tips)})), name)
        expected = "of the lower layer" if machine.mlc.lower_blocks else "pair 4"
        assert any("control point 1: a leaf is outside" in v and expected in v for v in found), found


def test_a_machine_without_jaws_takes_no_jaw_position_of_its_own():
    square = square_on(load_machine("dual_layer"))
    assert violations(plan(with_all(square, jaws=Jaws(-200, 200, -140, 140))), "dual_layer") == ()
    claimed = replace(with_all(square, jaws=Jaws(-50, 50, -140, 140)), jaw_axes="X")
    assert any("jaw x1 at -50 mm" in v for v in violations(plan(claimed), "dual_layer"))


def test_a_collimator_that_does_not_turn_and_a_couch_that_does_not():
    square = square_on(load_machine("mr_ring160"))
    found = violations(plan(with_all(square, collimator_deg=90.0, couch_deg=5.0)), "mr_ring160")
    assert any("collimator at 90 degrees is outside 0..0" in v for v in found)
    assert any("couch at 5 degrees is outside 0..0" in v for v in found)


@settings(max_examples=60, deadline=None)
@given(
    moves=st.lists(st.tuples(st.floats(0.5, 8), st.floats(0.2, 4), st.floats(-1, 1)), min_size=1, max_size=12),
    start=st.floats(0, 359),
)
def test_times_of_any_legal_arc_keep_every_limit(moves, start):
    """If check_plan finds nothing, leaf speed, dose rate and MU per degree over the stated seconds are legal."""
    machine = load_machine("millennium120")
    stops, shapes, mu, angle, shift = [(0.0, start)], [(-30.0, 20.0)], 0.0, start, 0.0
    for step_mu, turn, leaf in moves:
        mu, angle, shift = mu + step_mu, angle + turn, float(np.clip(shift + 20 * leaf, -40, 40))
        stops.append((mu, angle % 360))
        shapes.append((-30.0 + shift, 20.0 + shift))
    made = arc(*stops, shapes=shapes)
    facts = check_plan(made)
    if facts.deliverable:
        assert facts.beam_seconds[0] >= mu / 10.0 - 1e-9
        assert facts.beam_seconds[0] >= sum(turn for _, turn, _ in moves) / machine.gantry.speed_deg_s - 1e-9
        travel = sum(abs(b[0] - a[0]) for a, b in pairwise(shapes))
        assert facts.beam_seconds[0] >= travel / machine.mlc.leaf_speed_mm_s - 1e-9
    else:
        assert all(v.startswith("beam 1, control point") for v in facts.violations)
