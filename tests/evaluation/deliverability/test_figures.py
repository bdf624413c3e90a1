"""Complexity figures of beams and plans, each worked out beside it; seconds and solids from a machine file."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from pydantic import TypeAdapter

from appliance.contracts import Evaluation, Outcome, PlanFacts
from appliance.contracts.deliverability import FIGURES, ComplexityFigures, Deliverability
from appliance.contracts.machine_view import MachineView
from appliance.errors import EvaluationError
from appliance.evaluation.deliverability import assess_deliverability, peers_among
from appliance.planning import check_plan, machine_names, machine_view

from .room import beam, plan, point, ring, room, static

TWO_SEGMENTS = beam(
    point(0, 0), point(60, 0), point(60, 0, tips=(-10, 10)), point(100, 0, tips=(-10, 10))
)  # fmt: skip


def blind(made, *seconds) -> MachineView:
    return MachineView("m", "a machine", None, seconds or ((),) * len(made.beams))


def test_figures_of_two_segments_by_hand():
    """Four pairs of 10 mm: 60 MU through 40 x 40 mm, 40 MU through 20 x 40 mm. MCS 0.6 1 + 0.4 0.5 = 0.8; all leaves
    move 10 mm: LTMCS 0.8 (1 - 10/1000). Areas 1600 and 800: mean 1280, PM 1 - 1280 / 1600. Sides 2 x 40 and 2 x 20: EM
    80/1600 = 40/800 = 0.05. Perimeters 160 and 120: PI (0.6 160^2 / 1600 + 0.4 120^2 / 800) / 4 pi. Gaps: 0.6 40 + 0.4
    20 = 32; under 20 mm none (20 is not under 20). 100 MU of 25 fractions of 2 Gy: 50 MU/Gy."""
    made = assess_deliverability(plan(TWO_SEGMENTS), blind(plan(TWO_SEGMENTS)), None, 50.0).plan
    assert (made.mcs, made.ltmcs, made.leaf_travel_mm) == pytest.approx((0.8, 0.792, 10.0))
    assert (made.mean_area_mm2, made.modulation, made.edge_per_mm) == pytest.approx((1280.0, 0.2, 0.05))
    assert made.irregularity == pytest.approx((0.6 * 16 + 0.4 * 18) / (4 * 3.141592653589793))
    assert (made.mean_gap_mm, made.small_20mm, made.mu_per_gy) == pytest.approx((32.0, 0.0, 50.0))
    assert (made.control_arcs, made.mu_per_control_arc, made.mu_per_deg) == (2, 50.0, None)
    narrow = plan(beam(point(0, 0, tips=(-4, 4)), point(10, 0, tips=(-4, 4))))
    small = assess_deliverability(narrow, blind(narrow), None, 50.0).plan
    assert (small.small_2mm, small.small_5mm, small.small_10mm, small.small_20mm) == (0.0, 0.0, 1.0, 1.0)


def test_a_plan_weighs_beams_by_monitor_units_and_adds_what_is_a_sum():
    """Beam 1 as above; beam 2 is an arc of 4 degrees with 300 MU in two control arcs. MU per control arc: 400 / 4."""
    arc = beam(point(0, 10), point(100, 12), point(300, 14), number=2)
    made = assess_deliverability(plan(TWO_SEGMENTS, arc), blind(plan(TWO_SEGMENTS, arc)), None, 50.0)
    assert made.plan.mcs == pytest.approx((100 * 0.8 + 300 * 1.0) / 400)
    assert (made.plan.mu, made.plan.mu_per_gy, made.plan.arc_deg) == pytest.approx((400.0, 200.0, 4.0))
    assert made.plan.mu_per_control_arc == pytest.approx(100.0)
    # only the arc has a figure per degree
    assert made.plan.mu_per_deg == made.beams[1].figures.mu_per_deg == pytest.approx(75.0)
    assert [one.figures.mu for one in made.beams] == [100.0, 300.0]


def test_leaves_along_y_and_two_layers_are_judged_as_the_apertures_they_make():
    """The same 40 x 40 mm: by leaves along Y; and by two layers of which each opens 60 mm, shifted by 10 mm either
    way."""
    one = assess_deliverability(plan(static(0)), blind(plan(static(0))), None, 50.0).plan
    along_y = plan(replace(static(0), leaf_axis="Y"))
    assert assess_deliverability(along_y, blind(along_y), None, 50.0).plan == one
    points = tuple(
        replace(
            here, leaf_a_mm=(-40.0,) * 4, leaf_b_mm=(20.0,) * 4, lower_a_mm=(-20.0,) * 4, lower_b_mm=(40.0,) * 4
        )
        for here in static(0).control_points
    )  # fmt: skip
    layered = plan(replace(static(0), control_points=points, lower_boundaries_mm=static(0).leaf_boundaries_mm))
    assert assess_deliverability(layered, blind(layered), None, 50.0).plan == one


@pytest.mark.parametrize("name", machine_names())
def test_seconds_and_solids_come_from_the_machine_file(name):
    """A beam that the machine itself could deliver: times agree with the plan check; every shipped file has solids."""
    machine = machine_view(plan(), name)
    assert machine.solids is not None and machine.solids.unconfirmed
    made = plan(replace(static(0), leaf_boundaries_mm=(), control_points=tuple(
        replace(here, leaf_a_mm=(), leaf_b_mm=()) for here in static(0).control_points)))  # fmt: skip
    view, facts = machine_view(made, name), check_plan(made, name)
    judged = assess_deliverability(made, view, None, 50.0)
    assert judged.time_s == pytest.approx(facts.delivery_time_s) and judged.time_s > 0
    assert judged.plan.dose_rate_mu_min == pytest.approx(100 / facts.beam_seconds[0] * 60)


def test_a_beam_that_the_machine_cannot_deliver_has_no_times_and_says_so():
    foreign = plan(replace(static(0), leaf_axis="Y"))
    judged = assess_deliverability(foreign, machine_view(foreign), None, 50.0)
    assert judged.time_s == 0 and judged.plan.dose_rate_mu_min is None and "beam 1" in judged.notes[0]
    closed = plan(beam(point(0, 0, tips=(0, 0)), point(10, 0, tips=(0, 0))))
    judged = assess_deliverability(closed, blind(closed), None, 50.0)
    assert judged.plan.mcs is None and any("no open aperture" in note for note in judged.notes)


def test_peers_tell_the_share_of_simpler_plans():
    """Own MCS 0.8 (higher is simpler), peers 0.6, 0.8, 0.9, 0.95: two simpler, one equal: (2 + 0.5) / 4 = 62.5 %."""
    made = plan(TWO_SEGMENTS)
    peers = [ComplexityFigures(mu=1, control_arcs=1, arc_deg=0, mcs=mcs) for mcs in (0.6, 0.8, 0.9, 0.95)]
    peers[1] = replace(peers[1], mcs=assess_deliverability(made, blind(made), None, 50.0).plan.mcs)
    judged = assess_deliverability(made, blind(made), None, 50.0, peers=peers)
    assert [(rank.key, rank.percentile, rank.peers) for rank in judged.peers] == [("mcs", 62.5, 4)]
    assert judged.findings[-1].outcome is Outcome.NOT_TESTED and "4 earlier plans" in judged.findings[-1].evidence
    crowd = [replace(peers[0], mcs=0.9 + i / 1000) for i in range(20)]
    found = assess_deliverability(made, blind(made), None, 50.0, peers=crowd).findings[-1]
    assert found.outcome is Outcome.FOUND and "100 % of 20 earlier plans are simpler" in found.evidence
    assert "author's choice" in found.source


def test_peers_are_earlier_plans_of_the_same_machine_and_technique():
    made = plan(TWO_SEGMENTS)
    own = assess_deliverability(made, blind(made), None, 50.0)
    facts = PlanFacts(mu=1.0, beams=1, control_points=2, segments=1, deliverable=True)

    def earlier(judged):
        return Evaluation((), (), (), facts, 0.0, "p", "d", "g", "h", deliverability=judged)

    others = [own, replace(own, machine="other"), replace(own, technique="VMAT"), None]
    assert peers_among(map(earlier, others), own.machine, own.technique) == (own.plan,)


@pytest.mark.parametrize(
    ("made", "view"),
    [
        (plan(), blind(plan())),
        (plan(static(0)), blind(plan())),
        (plan(beam(point(0, 0))), blind(plan(static(0)))),
        (plan(beam(point(0, 0), replace(point(10, 0), leaf_a_mm=(0.0,)))), blind(plan(static(0)))),
    ],
    ids=["no beam", "times of another plan", "no monitor units", "leaves that do not fit"],
)
def test_what_is_no_delivery_is_refused(made, view):
    with pytest.raises(EvaluationError):
        assess_deliverability(made, view, None, 50.0)


def test_every_figure_has_a_name_and_a_source_and_goes_through_json(make_case):
    named = {info.key for info in FIGURES}
    assert named | {"mu", "control_arcs", "arc_deg"} == {field.name for field in fields(ComplexityFigures)}
    assert all(info.source for info in FIGURES)
    made = plan(TWO_SEGMENTS)
    judged = assess_deliverability(made, machine_view(made), room(make_case(), ring(150.0)), 50.0)
    adapter = TypeAdapter(Deliverability)
    assert adapter.validate_json(adapter.dump_json(judged)) == judged
