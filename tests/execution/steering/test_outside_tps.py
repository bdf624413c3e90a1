"""A planning system outside of ours behind the interface: pyRadPlan where its environment is here, and what goes wrong
with a child process, by a stand-in that speaks the same messages."""

from __future__ import annotations

import importlib
import math
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from appliance.contracts import Objective, ObjectiveKind
from appliance.errors import PlanningError, PlanningSystemFailed, PlanningSystemHung
from appliance.evaluation import plan_scorer
from appliance.execution.policies.rules import RulesPolicy
from appliance.execution.steering.episode import PlanningEpisode, Terms, run_policy
from appliance.planning.regions import region

from ...planning.cases import cylinder_case
from .phantom import GOALS

BENCH = Path(__file__).resolve().parents[3] / "bench"
DTYPES = ("<f4", "<i8", "?")
ASKED_GY = 20.0 * 1.003
"""What the template asks of the phantom's target from below."""


@pytest.fixture(scope="module")
def outside():
    """bench/outside_tps.py; its folder is on the path for the import alone."""
    sys.path.append(str(BENCH))
    try:
        yield importlib.import_module("outside_tps")
    finally:
        sys.path.remove(str(BENCH))


@pytest.fixture(scope="module")
def wire(outside):
    return sys.modules["peer_wire"]


@pytest.fixture
def stand_in(outside):
    """By the way it behaves; closed at the end."""
    begun = []

    def begin(way: str, **effort: float):
        command = (sys.executable, str(Path(__file__).with_name("stand_in_tps.py")), str(BENCH), way)
        made = outside.PyRadPlanTps(cylinder_case(), GOALS, effort=outside.Effort(**effort), command=command)
        begun.append(made)
        return made

    yield begin
    for one in begun:
        one.close()


def test_it_stands_behind_the_interface_and_forgets_what_it_is_told_to(stand_in):
    tps = stand_in("good")
    template = tps.initial_objectives()
    first, second = tps.optimise_fluence(template), tps.optimise_fluence(template)
    tps.forget()
    third = tps.optimise_fluence(template)
    assert first.goal_values[0] == pytest.approx(0.9 * ASKED_GY)
    assert second.goal_values[0] == pytest.approx(ASKED_GY)
    assert third.goal_values == first.goal_values
    assert (first.iterations, second.iterations) == (tps.effort.first, tps.effort.further)
    assert second.hottest_gy == pytest.approx(ASKED_GY)
    assert tps.doses_at("PTV", (1.0, 99.0)) == pytest.approx((0.9 * ASKED_GY,) * 2)
    assert np.isnan(tps.doses_at("Nobody", (50.0,))).all()
    assert math.isnan(tps.modulation())
    assert tps.cpu_s == 0.75


def test_what_the_other_side_has_no_objective_for_is_left_out_by_name_and_refused(stand_in):
    tps = stand_in("good")
    assert {one.kind for one in tps.left_out} == {ObjectiveKind.FALLOFF}
    every = (*tps.initial_objectives(), *tps.offered_objectives())
    assert ObjectiveKind.FALLOFF not in {one.kind for one in every}
    with pytest.raises(PlanningError, match="no objective 'falloff'"):
        tps.optimise_fluence((*every, *tps.left_out))
    with pytest.raises(PlanningError, match="no objective has any voxel"):
        tps.optimise_fluence((Objective("Nobody", ObjectiveKind.DVH_MAX, 5.0, 1.0),))


def test_a_region_that_is_spoken_of_later_is_handed_over_then(stand_in):
    tps = stand_in("good")
    template = tps.initial_objectives()
    tps.optimise_fluence(template)
    tps.optimise_fluence((*template, Objective("Core", ObjectiveKind.SQUARED_UNDERDOSE, 7.0, 1.0)))
    assert tps.doses_at("Core", (50.0,)) == pytest.approx((7.0,))


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("ends", "it ended at 'optimise': numpy: cannot allocate the matrix"),
        ("half", "exit code 3"),
        ("chats", "is no message: it begins with b'Iter'"),
        ("small", "no dose of"),
        ("nan", "no dose of"),
        ("words", "no numbers"),
    ],
)
def test_a_child_that_fails_is_named_with_the_reason(stand_in, way, reason):
    tps = stand_in(way)
    with pytest.raises(PlanningSystemFailed) as failed:
        tps.optimise_fluence(tps.initial_objectives())
    assert reason in str(failed.value)


def test_a_child_that_does_not_say_what_objectives_it_has_is_refused(stand_in):
    with pytest.raises(PlanningSystemFailed, match="what objectives it has"):
        stand_in("mute")


def test_a_child_that_hangs_is_given_up_in_time_and_ended(stand_in):
    tps = stand_in("hangs", call_s=0.3)
    begun = time.monotonic()
    with pytest.raises(PlanningSystemHung, match=r"no answer to 'optimise' within 0\.3 s"):
        tps.optimise_fluence(tps.initial_objectives())
    assert time.monotonic() - begun < 30
    with pytest.raises(PlanningSystemFailed, match="it has ended before"):
        tps.optimise_fluence(tps.initial_objectives())


def test_a_child_that_takes_nothing_in_is_given_up_in_time(outside):
    """More than a pipe holds, to a process that never reads."""
    child = outside.Child((sys.executable, "-c", "import time; time.sleep(600)"))
    with pytest.raises(PlanningSystemHung):
        child.ask({"ask": "case"}, {"hu": np.zeros(1 << 20)}, 0.3)


def test_a_command_that_is_not_there_is_named(outside, tmp_path):
    with pytest.raises(PlanningSystemFailed, match="cannot be run: No such file"):
        outside.Child((str(tmp_path / "none"),))


def test_only_one_position_of_the_patient_is_told(outside):
    with pytest.raises(PlanningError, match="head first and supine"):
        outside.PyRadPlanTps(replace(cylinder_case(), patient_position="FFS"), GOALS, command=("false",))


def test_coarse_voxels_keep_means_places_and_volumes(outside):
    case = cylinder_case()
    regions = outside.CoarseRegions(case, 8.0)
    fine, coarse = case.image.grid, regions.grid
    assert coarse.spacing_mm == (8.0, 8.0, 8.0)
    assert coarse.origin_mm == tuple(at + 2.0 for at in fine.origin_mm)
    assert regions.averaged(case.image.hu, -1000.0)[0, 0, 0] == case.image.hu[:2, :2, :2].mean()
    (inside, volume), (outside_it, _) = regions.get("PTV"), regions.get("External!PTV")
    assert volume.sum() == pytest.approx(region(case, "PTV").volume_cc(fine.voxel_volume_cc), rel=0.1)
    share = regions.averaged(region(case, "PTV").dense(fine.shape), 0.0).ravel()
    np.testing.assert_array_equal(inside, np.flatnonzero(share >= 0.5))
    assert (share[np.intersect1d(inside, outside_it)] == 0.5).all()


@settings(max_examples=30)
@given(
    st.dictionaries(st.text(), some.arrays(st.sampled_from(DTYPES), some.array_shapes(max_side=4)), max_size=3),
    st.dictionaries(st.text(), st.integers() | st.text() | st.booleans(), max_size=3),
)  # fmt: skip
def test_a_message_arrives_as_it_was_sent(wire, arrays, message):
    message.pop("arrays", None)
    said, found = wire.unpacked(reader(wire.packed(message, arrays)))
    assert said == message
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize(
    "data",
    [
        b"Traceback (most recent call last)",
        b"CTPS\xff\xff\xff\xff",
        b"CTPS\x00\x00\x00\x02[]",
        b"CTPS\x00\x00\x00\x02{]",
        b'CTPS\x00\x00\x00\x0d{"arrays":{}}',
        b'CTPS\x00\x00\x00\x10{"arrays":["a"]}' + struct.pack(">I", 4) + b"none",
    ],
)
def test_what_is_no_message_is_refused(wire, data):
    with pytest.raises(wire.NotAMessage):
        wire.unpacked(reader(data))


def reader(data: bytes):
    left = bytearray(data)

    def read(size: int) -> bytes:
        part = bytes(left[:size])
        del left[:size]
        return part

    return read


@pytest.fixture(scope="module")
def pyradplan(outside):
    if not outside.PEER_PYTHON.exists():
        pytest.skip("pyRadPlan's own environment is not here (bash bench/peer_pyradplan_env.sh makes it)")
    with outside.PyRadPlanTps(cylinder_case(), GOALS, effort=outside.Effort(grid_mm=8.0)) as tps:
        yield tps


@pytest.mark.slow  # twenty seconds of imports, compilation and the peer's matrix
def test_pyradplan_does_what_objectives_say(pyradplan):
    """A mean dose asked for with a heavy weight is nearly reached; the same from its own beginning again."""
    template = pyradplan.initial_objectives()
    pyradplan.forget()
    first = pyradplan.optimise_fluence(template)
    assert first.goal_values[0] > 15.0
    heavy = replace(template[0], structure="Core", kind=ObjectiveKind.MEAN_DOSE, dose_gy=2.0, weight=1e5)
    assert pyradplan.optimise_fluence((*template, heavy)).goal_values[2] == pytest.approx(2.0, abs=0.3)
    pyradplan.forget()
    assert pyradplan.optimise_fluence(template) == first


@pytest.mark.slow  # twenty seconds of imports, compilation and the peer's matrix
def test_the_planner_by_rules_steers_pyradplan(pyradplan):
    terms = Terms(calls=5)
    episode = PlanningEpisode(pyradplan, GOALS, plan_scorer(GOALS), terms=terms)
    best = run_policy(episode, RulesPolicy(terms))
    assert best.points >= episode.steps[0].points
    assert any(step.setting != episode.steps[0].setting for step in episode.steps)
