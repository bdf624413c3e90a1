"""Collisions of the gantry with patient and couch, each distance worked out beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import Outcome, Severity, StructureKind
from appliance.contracts.machine_view import MachineSolids, MachineView
from appliance.evaluation.deliverability import assess_deliverability
from engines.grid import VoxelSet

from .room import GRID, beam, plan, point, ring, room, slab, static, structure

HEAD = MachineSolids("head", 400.0, 415.0, 530.0, 75.0, 30.0, 10.0)
BORE = MachineSolids("bore", 475.0, 0.0, 530.0, 75.0, 30.0, 10.0)


def judged(made, case, solids=HEAD):
    view = MachineView("m", "a machine", solids, ((),) * len(made.beams))
    return assess_deliverability(made, view, case, 50.0)


def nearest(assessed, what, number=1):
    return next(one for one in assessed.clearance.nearest if (one.what, one.beam) == (what, number))


def finding(assessed, key):
    return next(one for one in assessed.findings if one.id == key)


def test_every_beam_says_how_near_patient_and_couch_come(make_case):
    """Radius 150 mm around the isocentre: 415 - 150 = 265 mm from any side. Couch top from 150 to 225 mm below: from
    below 190 mm; from the side its corner lies 265 mm out: 415 - 265 = 150 mm."""
    made = judged(plan(static(0), static(90, number=2), static(180, number=3)), room(make_case(), ring(150.0)))
    assert [nearest(made, "patient", n).distance_mm for n in (1, 2, 3)] == pytest.approx([265.0] * 3, abs=0.01)
    assert nearest(made, "couch", 2).distance_mm == pytest.approx(150.0)
    assert nearest(made, "couch", 3).distance_mm == pytest.approx(190.0)
    assert nearest(made, "patient", 2).point_mm[0] == pytest.approx(150.0, abs=0.1)
    assert all(one.outcome is Outcome.PASSED for one in made.findings if one.id.startswith("clearance"))
    # the corner of the couch is nearest when seen along its own direction: hypot(265, 225) = 347.6 mm out
    assert made.clearance.whole_turn_mm == pytest.approx(415 - np.hypot(265, 225), abs=0.3)
    assert len(made.clearance.profile_mm) == 180


def test_an_arc_is_judged_between_its_control_points_too(make_case):
    """The isocentre 170 mm to the right: the couch's left corner then lies 435 mm out and 225 mm down, 489.7 mm away:
    the head reaches 74.7 mm into it when it looks along that way, at gantry 90 + atan(225 / 435) = 117.35 degrees. The
    arc has control points at 80 and 160 only."""
    made = judged(
        plan(beam(point(0, 80), point(100, 160), isocentre=(-170.0, 0.0, 0.0))), room(make_case(), ring(150.0))
    )
    hit = nearest(made, "couch")
    assert hit.distance_mm == pytest.approx(415 - np.hypot(435, 225), abs=0.3)
    assert hit.gantry_deg == pytest.approx(117.35, abs=1.1)
    assert hit.control_point == 0
    found = finding(made, "clearance.couch")
    assert found.stops and "beam 1, gantry 118 degrees" in found.evidence and "75 mm into the couch" in found.evidence
    assert made.clearance.collisions == (hit,)


def test_a_beam_that_comes_too_near_warns(make_case):
    """Centre 250 mm to the left, radius 150: at gantry 90 the gap is 415 - 400 = 15 mm, less than the margin of 30."""
    made = judged(plan(static(90)), room(make_case(), ring(150.0, (250.0, 0.0))))
    found = finding(made, "clearance.patient")
    assert found.warns and found.severity is Severity.WARN and "within 15 mm of the patient" in found.evidence


def test_a_turned_couch_brings_the_legs_under_the_head(make_case):
    """The patient ends 405 mm (half a slice beyond 400 - rounded) below; with the couch at 90 degrees the feet are on
    the side of gantry 90, 402.5 mm out: 12.5 mm; without the turn nothing is nearer than 265 mm."""
    case = room(make_case(), ring(150.0))
    turned = judged(plan(static(90, couch=90.0)), case)
    assert nearest(turned, "patient").distance_mm == pytest.approx(415 - 402.5, abs=0.01)
    assert nearest(judged(plan(static(90)), case), "patient").distance_mm == pytest.approx(265.0, abs=0.01)
    assert nearest(turned, "couch").distance_mm < 0


def test_a_contoured_couch_is_looked_at_and_gives_the_slab_its_middle(make_case):
    """A couch from x = -200 to 300 (middle 50), 160 to 260 mm below. The slab is 530 mm wide around 50, so it ends at
    315, and goes down to 260: from the left 415 - 315 = 100 mm, from below 415 - 260 = 155 mm."""
    couch = structure(2, "CouchSurface", StructureKind.SUPPORT, slab((-200, 160), (300, 260)))
    made = judged(plan(static(90), static(180, number=2)), room(make_case(), ring(150.0), couch))
    assert nearest(made, "couch", 1).distance_mm == pytest.approx(100.0)
    assert nearest(made, "couch", 2).distance_mm == pytest.approx(155.0)
    assert nearest(made, "CouchSurface", 1).distance_mm == pytest.approx(115.0)


def test_in_a_bore_only_the_distance_from_its_axis_counts(make_case):
    """The patient at 150 of 475 mm, the couch's corner at hypot(265, 225); 200 mm off the axis it is outside."""
    case = room(make_case(), ring(150.0))
    made = judged(plan(static(33)), case, BORE)
    assert nearest(made, "patient").distance_mm == pytest.approx(325.0, abs=0.01)
    assert nearest(made, "couch").distance_mm == pytest.approx(475 - np.hypot(265, 225))
    off = judged(plan(static(33, isocentre=(-200.0, 0.0, 0.0))), case, BORE)
    assert nearest(off, "couch").distance_mm == pytest.approx(475 - np.hypot(465, 225))
    assert finding(off, "clearance.couch").stops


def test_what_the_image_cuts_off_within_reach_is_said(make_case):
    """The patient goes on past the upper end of the image, 500 mm from its middle. An isocentre 350 mm up has 150 mm to
    the end, and a head of 400 mm reaches further; from the middle it does not, but a bore has no end."""
    case = room(make_case(), ring(150.0, z_mm=(-402.5, 497.5)))
    near = judged(plan(static(0, isocentre=(0.0, 0.0, 350.0))), case)
    assert finding(near, "clearance.unseen").severity is Severity.INFO  # every image ends somewhere
    assert "150 mm superior of the isocentre, and the head reaches 400 mm" in near.clearance.unseen[0]
    assert judged(plan(static(0)), case).clearance.unseen == ()
    assert "the bore goes on" in judged(plan(static(0)), case, BORE).clearance.unseen[0]
    wide = room(make_case(), ring(299.0))
    cut = judged(plan(static(0)), wide)
    assert [limit for limit in cut.clearance.unseen if limit.endswith("side")] == [
        "the image cuts the patient off at its right, left, anterior, posterior side"
    ]
    assert finding(cut, "clearance.unseen").warns
    turned = judged(plan(static(0, isocentre=(0.0, 0.0, 350.0), couch=30.0)), case)
    assert finding(turned, "clearance.unseen").warns


def test_without_solids_or_patient_nothing_is_claimed(make_case):
    empty = room(make_case(), ())
    nobody = replace(empty, structures=())
    asked = ((None, HEAD, "outline"), (empty, HEAD, "outline"), (nobody, HEAD, "outline"))
    for case, solids, words in (*asked, (room(make_case(), ring(150.0)), None, "how large")):
        made = judged(plan(static(0)), case, solids)
        assert not made.clearance.judged and made.clearance.nearest == () and made.clearance.whole_turn_mm is None
        found = finding(made, "clearance.patient")
        assert found.outcome is Outcome.NOT_TESTED and words in found.evidence


def test_unconfirmed_sizes_are_named(make_case):
    solids = replace(HEAD, unconfirmed=("clearance.face_mm",))
    assert (
        any("clearance.face_mm" in limit for limit in judged(plan(static(0)), None, solids).clearance.limits) is False
    )
    assert any("clearance.face_mm" in one for one in judged(plan(static(0)), room(make_case(), ring(99)), solids)
               .clearance.limits)  # fmt: skip


def test_a_patient_without_contours_is_taken_from_his_voxels(make_case):
    """A box of voxels to x = 100 mm: its outermost centres lie at 97.5, so the gap from the left is 415 - 97.5."""
    dense = np.zeros(GRID.shape, np.float32)
    dense[40:160, 40:80, 40:80] = 1
    case = room(make_case(), ring(100.0))
    body = replace(case.structures[0], contours=(), voxels=VoxelSet.from_dense(dense))
    made = judged(plan(static(90)), replace(case, structures=(body,)))
    assert nearest(made, "patient").distance_mm == pytest.approx(415 - 97.5)


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
def test_the_couch_lies_under_the_patient_in_every_position(make_case, position):
    """Under the patient is where gantry 180 looks from: 415 - 225 mm, whichever way he lies."""
    case = replace(room(make_case(), ring(150.0)), patient_position=position)
    made = judged(plan(static(180)), case)
    assert nearest(made, "couch").distance_mm == pytest.approx(190.0)
