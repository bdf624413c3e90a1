"""Deviations and the MPPG 5.b table on curves made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.commissioning.agreement import Comparison, Region, compare, distance_to_agreement_mm
from appliance.commissioning.curves import Curve, Kind, Slab
from appliance.commissioning.description import ReferenceConditions
from appliance.commissioning.table import Outcome, Verdict, changes, mppg_table
from tests.commissioning.curves_by_hand import depth_dose, profile

REFERENCE = ReferenceConditions(ssd_mm=1000.0, depth_mm=100.0, field_mm=100.0, gy_per_mu=0.01)


def row(table: tuple[Verdict, ...], test: str, region: Region, words: str = "") -> Verdict:
    return next(r for r in table if r.test == test and r.region == region and words in r.objective)


def off_by(curve: Curve, percent: float) -> Comparison:
    return compare(curve, curve.values, curve.values * (1 + percent / 100), sad_mm=1000.0)


@pytest.mark.parametrize(
    ("percent", "outcome"),
    [(1.9, Outcome.PASSED), (-1.9, Outcome.PASSED), (2.1, Outcome.FAILED), (-2.1, Outcome.FAILED)],
)
def test_a_depth_dose_may_be_off_by_two_percent(percent: float, outcome: Outcome) -> None:
    table = mppg_table([off_by(depth_dose(), percent)], REFERENCE, None)
    found = row(table, "5.3", Region.HIGH_DOSE)
    assert found.outcome is outcome
    assert found.worst == pytest.approx(percent)


@pytest.mark.parametrize(("percent", "outcome"), [(0.49, Outcome.PASSED), (0.51, Outcome.FAILED)])
def test_the_reference_dose_may_be_off_by_half_a_percent(percent: float, outcome: Outcome) -> None:
    assert mppg_table([], REFERENCE, percent)[0].outcome is outcome


def test_a_deviation_that_is_no_number_fails() -> None:
    assert mppg_table([], REFERENCE, float("nan"))[0].outcome is Outcome.FAILED


def test_what_is_not_in_the_data_is_not_tested() -> None:
    table = mppg_table([], REFERENCE, None)
    assert {r.outcome for r in table} == {Outcome.NOT_TESTED}
    with_depths = mppg_table([off_by(depth_dose(), 0.0)], REFERENCE, None)
    assert [r.test for r in with_depths if r.outcome is Outcome.PASSED] == ["5.3"]


def test_several_changes_allow_five_percent() -> None:
    one, several = profile(100.0), profile(200.0)
    assert changes(one, REFERENCE) == 1
    assert changes(several, REFERENCE) == 2
    table = mppg_table([off_by(one, 3.0), off_by(several, 3.0)], REFERENCE, None)
    assert row(table, "5.6", Region.HIGH_DOSE, "one change").outcome is Outcome.FAILED
    assert row(table, "5.6", Region.HIGH_DOSE, "several").outcome is Outcome.PASSED


@pytest.mark.parametrize(("shift_mm", "outcome"), [(1.9, Outcome.PASSED), (-2.1, Outcome.FAILED)])
def test_an_edge_may_lie_two_millimetres_off(shift_mm: float, outcome: Outcome) -> None:
    measured, modelled = profile(), profile(shift_mm=shift_mm)
    comparison = compare(measured, measured.values, modelled.values, sad_mm=1000.0)
    found = row(mppg_table([comparison], REFERENCE, None), "5.6", Region.PENUMBRA)
    assert found.outcome is outcome
    assert found.worst == pytest.approx(shift_mm, abs=0.11)


@pytest.mark.parametrize(("added", "outcome"), [(2.9, Outcome.PASSED), (3.1, Outcome.FAILED)])
def test_the_tail_may_be_off_by_three_percent_of_the_maximum(added: float, outcome: Outcome) -> None:
    measured = profile()
    tail = np.abs(measured.positions_mm) > 66.0
    modelled = measured.values + np.where(tail, added, 0.0)
    comparison = compare(measured, measured.values, modelled, sad_mm=1000.0)
    found = row(mppg_table([comparison], REFERENCE, None), "5.6", Region.TAIL)
    assert found.outcome is outcome
    assert found.worst == pytest.approx(added)


def test_the_tail_ends_fifty_millimetres_outside() -> None:
    at = np.array([-110.0, -104.0, 0.0, 64.0, 66.0, 104.0, 106.0])
    curve = replace(profile(), positions_mm=at, values=np.ones(7))
    regions = compare(curve, curve.values, curve.values, sad_mm=1000.0).regions
    assert [r.value for r in regions] == [
        "beyond", "low-dose tail", "high dose", "penumbra", "low-dose tail", "low-dose tail", "beyond",
    ]  # fmt: skip


@pytest.mark.parametrize(("percent", "outcome"), [(2.9, Outcome.PASSED), (3.1, Outcome.FAILED)])
def test_distal_to_lung_three_percent(percent: float, outcome: Outcome) -> None:
    point = Curve(
        Kind.DENSITY_CORRECTION, 100.0, 100.0, 1000.0, 200.0, "Z", np.array([200.0]), np.array([1.12]),
        slab=Slab(50.0, 130.0, 0.3),
    )  # fmt: skip
    table = mppg_table([off_by(point, percent)], REFERENCE, None)
    assert row(table, "6.2", Region.HIGH_DOSE).outcome is outcome
    bone = replace(point, slab=Slab(50.0, 130.0, 1.8))
    assert row(mppg_table([off_by(bone, percent)], REFERENCE, None), "6.2", Region.HIGH_DOSE).outcome == "not tested"


def test_distance_to_agreement_by_hand() -> None:
    """A fall from 100 at 0 mm to 0 at 10 mm: 50 lies at 5 mm, 2 mm from a point at 3 mm; 200 lies nowhere."""
    positions, doses = np.array([-10.0, 0.0, 10.0]), np.array([100.0, 100.0, 0.0])
    assert distance_to_agreement_mm(positions, doses, 3.0, 50.0) == pytest.approx(2.0)
    assert distance_to_agreement_mm(positions, doses, -4.0, 100.0) == pytest.approx(0.0)
    assert distance_to_agreement_mm(positions, doses, 3.0, 200.0) == pytest.approx(20.0)
