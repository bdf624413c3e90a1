"""A legal plan passes; breaking each limit of the machine in turn is found and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from appliance.contracts import Beam, ControlPoint, Jaws, Plan
from appliance.planning import check_plan, load_machine
from appliance.planning.delivery import delivery_time_s
from appliance.planning.machine import MACHINES

from .cases import PAIRS, SQUARE, beam, leaves, legal_plan, plan, point, segment


def test_a_legal_plan_is_deliverable():
    facts = check_plan(legal_plan())
    assert facts.violations == ()
    assert facts.deliverable
    assert (facts.beams, facts.segments, facts.control_points) == (2, 3, 6)
    assert facts.mu == pytest.approx(160.0)


def with_beam(**changes: object) -> Plan:
    made = legal_plan()
    return replace(made, beams=(replace(made.beams[0], **changes), *made.beams[1:]))


def with_points(change: Callable[[ControlPoint], ControlPoint]) -> Plan:
    made = legal_plan()
    first: Beam = made.beams[0]
    return replace(made, beams=(replace(first, control_points=tuple(map(change, first.control_points))),))


def with_jaws(**edges: float) -> Plan:
    return with_points(lambda p: replace(p, jaws=replace(p.jaws, **edges)))


def with_leaf(a: float, b: float, pair: int = 7) -> Plan:
    def change(p: ControlPoint) -> ControlPoint:
        left, right = list(p.leaf_a_mm), list(p.leaf_b_mm)
        left[pair], right[pair] = a, b
        return replace(p, leaf_a_mm=tuple(left), leaf_b_mm=tuple(right))

    return with_points(change)


def with_mu(*cumulative: float) -> Plan:
    first = legal_plan().beams[0]
    points = tuple(replace(p, cumulative_mu=mu) for p, mu in zip(first.control_points, cumulative, strict=True))
    return plan(replace(first, control_points=points))


@pytest.mark.parametrize(
    ("tampered", "words"),
    [
        (plan(), "the plan has no beam"),
        (with_beam(leaf_boundaries_mm=tuple(range(-150, 151, 5))), "leaves are not those of"),
        (with_beam(energy_mv=10.0), "10 MV STANDARD is not what millennium120 delivers"),
        (with_beam(fluence_mode="FFF"), "6 MV FFF is not what"),
        (with_beam(sad_mm=1200.0), "source-axis distance"),
        (with_beam(dose_rate_mu_min=1400.0), "1400 MU/min"),
        (with_mu(0, 500, 500, 1000), "1000 MU exceed 999 MU"),
        (with_mu(0, 50, 50, 50.4), "segment of 0.40 MU is below 1 MU"),
        (with_mu(0, 50, 30, 80), "meterset"),
        (with_mu(0, float("nan"), 50, 80), "not a number"),
        (with_jaws(x1_mm=-200.5), "jaw x1 at -200.5 mm is outside -200..20 mm"),
        (with_jaws(x2_mm=201.0), "jaw x2"),
        (with_jaws(x1_mm=25.0), "jaw x1 at 25 mm"),
        (with_jaws(y1_mm=-201.0), "jaw y1"),
        (with_jaws(y2_mm=float("nan")), "jaw y2|not a number"),
        (with_jaws(y1_mm=-4.0, y2_mm=4.0), "jaw opening is below 10 mm"),
        (with_jaws(x1_mm=10.0, x2_mm=5.0), "jaw opening is below"),
        (with_leaf(-200.1, 20.0), "a leaf is outside -200..200 mm"),
        (with_leaf(-30.0, 200.2), "a leaf is outside"),
        (with_leaf(float("nan"), 20.0), "not a number"),
        (with_leaf(10.0, 10.4), "leaf gap of 0.40 mm is below 0.5 mm"),
        (with_leaf(10.0, 8.0), "leaf gap of -2.00 mm"),
        (with_leaf(-170.0, 20.0), "bank A spans"),
        (with_leaf(-10.0, 190.0), "bank B spans"),
    ],
)
def test_each_broken_limit_is_named(tampered, words):
    facts = check_plan(tampered)
    assert not facts.deliverable
    assert any(words_found(words, violation) for violation in facts.violations), facts.violations


def words_found(words: str, violation: str) -> bool:
    return any(part in violation for part in words.split("|"))


def test_a_violation_says_where_it_is():
    made = legal_plan()
    first, second = made.beams
    broken = replace(second.control_points[1], jaws=Jaws(-50, 50, -50, 250))
    tampered = replace(made, beams=(first, replace(second, control_points=(second.control_points[0], broken))))
    assert check_plan(tampered).violations == ("beam 2, control point 1: jaw y2 at 250 mm is outside -100..200 mm",)


@pytest.mark.parametrize(("gap", "fine"), [(0.5, True), (0.49, True), (0.48, False)])
def test_a_gap_may_miss_its_limit_by_the_rounding_of_two_leaves_only(gap, fine):
    assert check_plan(with_leaf(10.0, 10.0 + gap)).deliverable is fine


@pytest.fixture
def machine_with(tmp_path):
    def make(old: str, new: str) -> str:
        text = (MACHINES / "millennium120.toml").read_text("utf-8")
        assert old in text
        path = tmp_path / "changed.toml"
        path.write_text(text.replace(old, new), "utf-8")
        return str(path)

    return make


def interdigitated() -> Plan:
    a, b = list((-30.0,) * PAIRS), list((20.0,) * PAIRS)
    a[10], b[10] = 25.0, 40.0  # tip A of pair 10 beyond tip B of pairs 9 and 11
    return plan(beam(*segment(0, 50, tuple(a), tuple(b))))


def test_interdigitation_only_where_the_machine_allows_it(machine_with):
    assert check_plan(interdigitated()).deliverable
    forbids = machine_with("interdigitation = true", "interdigitation = false")
    assert any("interdigitate" in v for v in check_plan(interdigitated(), forbids).violations)
    assert check_plan(legal_plan(), forbids).deliverable


def test_jaws_move_between_segments_only_where_the_machine_tracks(machine_with):
    wide, narrow = SQUARE, Jaws(-50.0, 50.0, -40.0, 50.0)
    moved = plan(beam(*segment(0, 50, *leaves(-30, 20), wide), *segment(50, 30, *leaves(-30, 20), narrow)))
    assert check_plan(moved).deliverable
    fixed = machine_with("tracking = true", "tracking = false")
    assert any("jaws move" in v for v in check_plan(moved, fixed).violations)
    assert check_plan(legal_plan(), fixed).deliverable


def test_a_jaw_only_beam_needs_no_leaves():
    made = plan(beam(point(0, SQUARE), point(100, SQUARE), borders_mm=()))
    assert check_plan(made).deliverable


# --- delivery time -------------------------------------------------------------------------------------------------


def test_delivery_time_by_hand():
    # Beam 1: 50 MU at 600 MU/min = 5 s; leaves 20 mm at 25 mm/s = 0.8 s and 25/500 s more from and
    # to rest; 30 MU = 3 s. Gantry 90 deg at 6 deg/s = 15 s
    # and 3 s more to get up to speed at 2 deg/s2 and down again. Beam 2: 80 MU = 8 s.
    assert delivery_time_s(legal_plan(), load_machine("millennium120")) == pytest.approx(5 + 0.85 + 3 + 18 + 8)


def test_a_slower_dose_rate_of_the_beam_counts_and_a_faster_one_does_not():
    machine = load_machine("millennium120")
    one = plan(beam(*segment(0, 60, *leaves(-30, 20))))
    times = [
        delivery_time_s(plan(replace(one.beams[0], dose_rate_mu_min=rate)), machine) for rate in (300.0, 600.0, 1200.0)
    ]
    assert times == pytest.approx([12.0, 6.0, 6.0])


def test_leaves_that_move_with_the_beam_on_take_the_longer_of_both():
    machine = load_machine("millennium120")
    slow_leaf = plan(beam(point(0, SQUARE, *leaves(-50, -40)), point(10, SQUARE, *leaves(40, 50))))
    assert delivery_time_s(slow_leaf, machine) == pytest.approx(90 / 25)
    slow_dose = plan(beam(point(0, SQUARE, *leaves(-50, -40)), point(100, SQUARE, *leaves(40, 50))))
    assert delivery_time_s(slow_dose, machine) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("angles", "degrees"),
    [((350, 10), 20), ((10, 350), 20), ((0, 180), 180), ((180, 270), 90), ((160, 200), 320), ((90, 270), 180)],
)
def test_a_c_arm_turns_through_zero_and_never_through_180(angles, degrees):
    machine = load_machine("millennium120")
    beams = [
        beam(*(replace(p, gantry_deg=float(angle)) for p in segment(0, 60, *leaves(-30, 20))), number=i)
        for i, angle in enumerate(angles, 1)
    ]
    assert delivery_time_s(plan(*beams), machine) == pytest.approx(12 + degrees / 6 + 3)
