"""Two doses of one plan: what differs by a known amount is found by that amount, and the limits are the reports'."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.checking import compare_doses, unavailable
from appliance.contracts import CalculatedDose, Case, SecondCheck, StructureKind
from appliance.errors import EvaluationError
from appliance.planning import calculate_dose

from ..planning.cases import PENCIL, cylinder_case, legal_plan

PLAN = legal_plan()


@pytest.fixture(scope="module")
def case() -> Case:
    return cylinder_case(4.0)


@pytest.fixture(scope="module")
def dose(case: Case) -> CalculatedDose:
    return calculate_dose(PLAN, case.image, case.external.voxels, per_beam=True, **PENCIL)


def second(
    dose: CalculatedDose, dose_gy: NDArray[np.floating], beams: tuple[NDArray[np.floating], ...] = ()
) -> CalculatedDose:
    made = tuple(np.asarray(beam, np.float32) for beam in beams)
    return replace(dose, dose_gy=np.asarray(dose_gy, np.float32), algorithm="another", beam_dose_gy=made)


def scaled(case: Case, dose: CalculatedDose, factor: float) -> SecondCheck:
    beams = tuple(beam * factor for beam in dose.beam_dose_gy)
    return compare_doses(PLAN, dose, second(dose, dose.dose_gy * factor, beams), case.structures)


def test_a_dose_agrees_with_itself(case: Case, dose: CalculatedDose) -> None:
    found = scaled(case, dose, 1.0)
    assert found.agrees and found.available
    assert (found.gamma_pass_percent, found.point_difference_percent) == (100.0, 0.0)
    assert all(target.mean_percent == 0 and target.median_percent == 0 for target in found.targets)
    assert {item.structure for item in found.structures} == {"External", "PTV", "Core"}
    assert all(item.difference_gy == 0 for item in found.structures)


@pytest.mark.parametrize("factor", [0.97, 1.02, 1.049])
def test_a_common_factor_is_found_everywhere(case: Case, dose: CalculatedDose, factor: float) -> None:
    found = scaled(case, dose, factor)
    percent = 100 * (factor - 1)
    assert found.point_difference_percent == pytest.approx(percent, abs=1e-3)
    for target in found.targets:
        assert (target.mean_percent, target.median_percent) == pytest.approx((percent, percent), abs=1e-3)
    assert sum(beam.difference_percent for beam in found.beams) == pytest.approx(percent / factor, abs=1e-3)
    for item in found.structures:
        assert item.secondary_gy == pytest.approx(item.primary_gy * factor, rel=1e-5)


@pytest.mark.parametrize(("factor", "agrees"), [(1.049, True), (1.06, False), (0.952, True), (0.94, False)])
def test_more_than_five_percent_do_not_agree_whatever_gamma_says(
    case: Case, dose: CalculatedDose, factor: float, agrees: bool
) -> None:
    """The dose is steep or low nearly everywhere, so gamma alone would let much pass."""
    found = scaled(case, dose, factor)
    reasons = [sentence for sentence in found.sentences if "MPPG 11.a" in sentence]
    assert bool(reasons) is not agrees
    if not agrees:
        assert not found.agrees and found.sentences[0] and "more than 5 %" in " ".join(reasons)


@pytest.mark.parametrize(
    ("spoilt_percent", "agrees", "words"),
    [
        (3.0, True, "TG-218 asks for 95 %"),
        (7.0, False, "tolerance limit of 95 %"),
        (15.0, False, "action limit of 90 %"),
    ],
)
def test_the_limits_of_the_passing_rate(
    case: Case, dose: CalculatedDose, spoilt_percent: float, agrees: bool, words: str
) -> None:
    """A share of the judged voxels, far from check point and targets, is wrong by 30 % of the maximum."""
    external, whole = case.external.voxels.mask(dose.grid.shape), dose.dose_gy
    judged = external & (whole >= 0.1 * whole.max())
    kept = np.zeros(dose.grid.shape, np.bool_)
    for structure in case.structures:
        if structure.kind is not StructureKind.EXTERNAL:
            kept |= structure.voxels.mask(dose.grid.shape, 0.01)
    at = np.flatnonzero(judged & ~kept)
    worst = at[np.argsort(-np.abs(dose.grid.centres_mm(at)).max(axis=1), kind="stable")]
    other = whole.copy()
    count = round(spoilt_percent / 100 * np.count_nonzero(judged))
    other.reshape(-1)[worst[:count]] += 0.3 * whole.max()
    found = compare_doses(PLAN, dose, second(dose, other), case.structures)
    assert abs(100 - found.gamma_pass_percent - spoilt_percent) < 1.5
    assert found.agrees is agrees
    assert words in found.sentences[0]


def test_one_beam_of_two_is_named_by_its_own_difference(case: Case, dose: CalculatedDose) -> None:
    first, other = dose.beam_dose_gy
    found = compare_doses(PLAN, dose, second(dose, first * 1.04 + other, (first * 1.04, other)), case.structures)
    one, two = found.beams
    assert one.secondary_gy == pytest.approx(1.04 * one.primary_gy, rel=1e-4)
    assert one.difference_percent > 1.0 and two.difference_percent == 0.0


def test_without_structures_the_whole_grid_is_compared(dose: CalculatedDose) -> None:
    found = compare_doses(PLAN, dose, second(dose, dose.dose_gy))
    assert found.agrees and found.targets == () and found.structures == ()


def test_nothing_to_compare_is_an_error_not_an_agreement(case: Case, dose: CalculatedDose) -> None:
    with pytest.raises(EvaluationError, match="cannot be compared"):
        compare_doses(PLAN, dose, second(dose, np.zeros_like(dose.dose_gy)), case.structures)


def test_where_there_was_no_second_calculation_nothing_agrees(dose: CalculatedDose) -> None:
    found = unavailable(PLAN, dose, "no data")
    assert not found.available and not found.agrees
    assert "no data" in found.sentences[0]
