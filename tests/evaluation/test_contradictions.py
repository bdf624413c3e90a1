"""Goals that exclude each other on one structure, by hand; and dose arrays that prove that others do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contracts import ClinicalGoal, Comparator, Metric
from appliance.evaluation.contradictions import contradictions, contradictory
from engines.dvh import DoseVolume, dose_metric

VOLUME_CC = 200.0


def goal(text: str, structure: str = "PTV") -> ClinicalGoal:
    metric, comparator, limit, unit = text.split()
    return ClinicalGoal(structure, Metric.parse(metric), Comparator(comparator), float(limit), unit, 1, "source")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("D95% >= 50 Gy", "Max <= 45 Gy"),
        ("D95% >= 50 Gy", "D50% <= 49 Gy"),
        ("Min >= 30 Gy", "Mean <= 29 Gy"),
        ("Mean >= 30 Gy", "Max <= 29 Gy"),
        ("Mean >= 30 Gy", "Mean <= 29 Gy"),
        ("D90% >= 50 Gy", "Mean <= 44 Gy"),
        ("V20Gy >= 50 %", "V20Gy <= 40 %"),
        ("V20Gy <= 40 %", "D50% >= 25 Gy"),
        ("CV20Gy >= 150 cc", "V20Gy >= 60 cc"),
        ("CV20Gy >= 75 %", "D30% >= 20 Gy"),
        ("D100cc >= 50 Gy", "D10cc <= 40 Gy"),
    ],
)
def test_excluded(one: str, other: str) -> None:
    assert contradictory(goal(one), goal(other), VOLUME_CC)
    assert contradictory(goal(other), goal(one), VOLUME_CC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("D95% >= 50 Gy", "Max <= 50 Gy"),
        ("D95% >= 50 Gy", "D98% <= 45 Gy"),
        ("D90% >= 50 Gy", "Mean <= 45 Gy"),
        ("V20Gy <= 40 %", "D40% >= 25 Gy"),
        ("V20Gy >= 50 %", "V30Gy <= 40 %"),
        ("CV20Gy >= 150 cc", "V20Gy >= 50 cc"),
        ("D95% >= 50 Gy", "D95% >= 45 Gy"),
        ("D250cc >= 50 Gy", "Max <= 40 Gy"),
        ("Mean <= 26 Gy", "D0.1cc <= 70 Gy"),
    ],
)
def test_not_excluded(one: str, other: str) -> None:
    assert not contradictory(goal(one), goal(other), VOLUME_CC)
    assert not contradictory(goal(other), goal(one), VOLUME_CC)


def test_other_structures_and_unknown_volumes_do_not_count() -> None:
    high, low = goal("D95% >= 50 Gy"), goal("Max <= 45 Gy")
    elsewhere = goal("Max <= 45 Gy", "Core")
    assert contradictions([high, low, elsewhere], {"PTV": 10.0, "Core": 10.0}) == [(high, low)]
    assert contradictions([high, low], {}) == []


texts = st.tuples(
    st.sampled_from(["D95% {} Gy", "D50% {} Gy", "D2% {} Gy", "Mean {} Gy", "Max {} Gy", "Min {} Gy", "V20Gy {} %"]),
    st.sampled_from(["<=", ">="]),
    st.integers(1, 60),
).map(lambda parts: parts[0].format(f"{parts[1]} {parts[2]}"))


@given(texts, texts, st.lists(st.floats(0, 60, width=32), min_size=200, max_size=200))
def test_what_a_dose_meets_is_no_contradiction(one: str, other: str, dose_gy: list[float]) -> None:
    first, second = goal(one), goal(other)
    volume = DoseVolume.of(np.float32(dose_gy), np.ones(200, np.float32))
    values = [dose_metric(g.metric.kind, g.metric.argument, volume, unit=g.unit) for g in (first, second)]
    if first.met_by(values[0]) and second.met_by(values[1]):
        # D between two voxels' middles is an average of both: V and D agree within a voxel, 0.5 % here.
        assert not contradictory(first, second, VOLUME_CC) or {"V", "D"} <= {one[0], other[0]}
