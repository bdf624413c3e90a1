"""Action levels: each verdict on either side of each level."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from appliance.case.today.levels import LEVELS, measures
from appliance.contracts.anatomy import Verdict
from engines.registration import Likeness, RegistrationQuality

GOOD = RegistrationQuality(
    least_jacobian=0.7,
    jacobian_1=0.9,
    jacobian_99=1.6,
    folded=0,
    inverse_median_mm=1.0,
    inverse_95_mm=3.0,
    body=Likeness(0.7, 0.97),
    organs={"Parotid_L": Likeness(0.4, 0.9), "PTV_7000": Likeness(0.7, 0.95)},
    surface_mean_mm=1.0,
    surface_95_mm=3.0,
    overlap=0.975,
    bending_per_mm2=5.5e-4,
    moved_median_mm=5.0,
    moved_95_mm=9.0,
    moved_most_mm=12.0,
    reached=1.0,
)


def verdicts(quality: RegistrationQuality) -> dict[str, Verdict]:
    return {one.key: one.verdict for one in measures(quality) if one.verdict is not Verdict.WITHIN}


def test_a_good_day_is_within_every_level():
    assert verdicts(GOOD) == {}
    assert {one.key for one in measures(GOOD)} == set(LEVELS)


@pytest.mark.parametrize(
    ("change", "key", "verdict"),
    [
        ({"folded": 1}, "folded", Verdict.STOP),
        ({"least_jacobian": 0.39}, "jacobian", Verdict.LOOK),
        ({"least_jacobian": 0.0}, "jacobian", Verdict.STOP),
        ({"inverse_median_mm": 3.0}, "inverse", Verdict.LOOK),
        ({"inverse_95_mm": 10.0}, "inverse-95", Verdict.STOP),
        ({"body": Likeness(0.7, 0.94)}, "similarity", Verdict.LOOK),
        ({"body": Likeness(0.7, 0.89)}, "similarity", Verdict.STOP),
        ({"organs": {"Parotid_L": Likeness(0.4, 0.2)}}, "organ-similarity", Verdict.LOOK),
        ({"organs": {"PTV_7000": Likeness(0.9, 0.84)}}, "target-similarity", Verdict.LOOK),
        ({"organs": {"CTV_High": Likeness(0.9, 0.5)}}, "target-similarity", Verdict.STOP),
        ({"surface_95_mm": 5.0}, "surface", Verdict.LOOK),
        ({"overlap": 0.85}, "overlap", Verdict.STOP),
        ({"bending_per_mm2": 2.1e-3}, "bending", Verdict.STOP),
        ({"moved_most_mm": 21.0}, "moved", Verdict.LOOK),
        ({"reached": 0.4}, "reached", Verdict.STOP),
    ],
)
def test_what_passes_a_level_is_told(change, key, verdict):
    assert verdicts(replace(GOOD, **change)) == {f"registration.{key}": verdict}


def test_what_could_not_be_measured_asks_for_a_look_and_has_no_value():
    found = {one.key: one for one in measures(replace(GOOD, body=Likeness(0.7, math.nan)))}
    assert found["registration.similarity"].value is None
    assert found["registration.similarity"].verdict is Verdict.LOOK


def test_an_organ_of_a_few_voxels_is_not_told_and_a_target_is():
    few = {"Cochlea_L": Likeness(math.nan, math.nan), "GTV": Likeness(math.nan, math.nan)}
    assert verdicts(replace(GOOD, organs=few)) == {"registration.target-similarity": Verdict.LOOK}


def test_without_a_backward_registration_nothing_is_said_of_consistency():
    found = measures(replace(GOOD, inverse_median_mm=math.nan, inverse_95_mm=math.nan))
    assert {one.key for one in found} == set(LEVELS) - {"registration.inverse", "registration.inverse-95"}


def test_every_level_says_where_it_comes_from_and_stops_beyond_where_one_looks():
    for level in LEVELS.values():
        assert level.source.startswith(("TG-132", "chosen"))
        if level.look_at is not None and level.stop_at is not None:
            assert level.stop_at <= level.look_at if level.is_low_bad else level.stop_at >= level.look_at
