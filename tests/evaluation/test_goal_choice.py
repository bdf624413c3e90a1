"""Which goals apply to a case, and when a person has to name them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.contracts import Plan
from appliance.errors import RefusedGoals
from appliance.evaluation import choose_goal_set, goal_set_for_site, goal_sets_for_site, goals_for_case


@pytest.mark.parametrize(
    ("structures", "chosen"),
    [
        (("PTV", "Core"), "tg119-c-shape"),
        (("PTV", "Rectum", "Bladder"), "tg119-prostate"),
        (("PTV", "SpinalCord", "Parotid_L", "Parotid_R"), "tg119-head-neck"),
        (("PTV_Central", "PTV_Superior", "PTV_Inferior"), "tg119-multi-target"),
        (("PTV_7000", "PTV_6300", "PTV_5600", "Brainstem", "SpinalCord"), "openkbp-head-neck"),
        (("PTV_7000", "SpinalCord"), "openkbp-head-neck"),
    ],
)
def test_structures_choose_the_goal_set(make_case, structures, chosen: str) -> None:
    assert choose_goal_set(make_case(*structures)).name == chosen


@pytest.mark.parametrize(
    "structures",
    [
        ("Rectum", "Bladder"),
        ("PTV",),
        ("PTV", "Heart"),
        ("PTV_7000", "PTV_5000", "SpinalCord"),
        ("PTV_5600", "SpinalCord"),
    ],
)
def test_no_set_is_guessed(make_case, structures) -> None:
    """No target, no organ in common, or a PTV that the set would leave without a dose."""
    with pytest.raises(RefusedGoals, match="name one with --site"):
        choose_goal_set(make_case(*structures))


def test_a_tie_is_for_a_person(make_case) -> None:
    two = [goal_set_for_site("c-shape"), replace(goal_set_for_site("c-shape-hard"), automatic=True)]
    with pytest.raises(RefusedGoals, match="c-shape and c-shape-hard fit this case equally well"):
        choose_goal_set(make_case("PTV", "Core"), among=two)


def test_the_cases_own_prescription_must_agree(make_case) -> None:
    agreeing = make_case("PTV", "Core", prescription=(("PTV", 50.0),))
    assert choose_goal_set(agreeing).name == "tg119-c-shape"
    with pytest.raises(RefusedGoals, match="no known goal set fits the structures and prescription"):
        choose_goal_set(make_case("PTV", "Core", prescription=(("PTV", 60.0),)))


def test_a_named_set_is_followed_and_says_what_it_overrides(make_case) -> None:
    case = make_case("PTV", "Core", prescription=(("PTV", 60.0),))
    case = replace(case, reference_plan=Plan("old", (), 30, "HFS"))
    notes = goals_for_case(goal_set_for_site("c-shape"), case).notes
    assert any("prescribes 60 Gy to PTV; the goal set asks for 50 Gy" in note for note in notes)
    assert any("30 fractions; the goal set asks for 25" in note for note in notes)


def test_absent_levels_leave_the_union_and_their_own_goals(make_case) -> None:
    case = make_case("PTV_7000", "PTV_5600", "Brainstem", "Parotid_L")
    adapted = goals_for_case(goal_set_for_site("openkbp"), case)
    assert [str(goal) for goal in adapted.goals] == [
        "PTV_7000 D99% >= 66.5 Gy",
        "PTV_5600+PTV_7000 D99% >= 53.2 Gy",
        "Brainstem D0.1cc <= 50 Gy",
        "Parotid_L Mean <= 26 Gy",
    ]
    assert adapted.prescription == (("PTV_7000", 70.0), ("PTV_5600", 56.0))
    assert "Left out, because the case has no such structure: SpinalCord D0.1cc <= 45 Gy" in adapted.notes


def test_adapting_twice_changes_nothing(make_case) -> None:
    case = make_case("PTV_7000", "PTV_5600", "Brainstem")
    once = goals_for_case(goal_set_for_site("openkbp"), case)
    assert goals_for_case(once, case) == once
    assert once.digest != goal_set_for_site("openkbp").digest


def test_a_set_that_fits_whole_keeps_its_digest(make_case) -> None:
    shipped = goal_set_for_site("c-shape")
    assert goals_for_case(shipped, make_case("PTV", "Core")) == shipped


def test_a_missing_target_is_refused_with_the_remedy(make_case) -> None:
    with pytest.raises(RefusedGoals) as refusal:
        goals_for_case(goal_set_for_site("head-neck"), make_case("PTV_7000", "SpinalCord"))
    assert "prescribes dose to PTV, which the structure set does not have (its targets: PTV_7000)" in str(refusal.value)
    assert "--site" in str(refusal.value)


def test_a_site_of_several_sets_is_decided_by_the_case(make_case):
    among = goal_sets_for_site("head-neck")
    assert {"tg119-head-neck", "openkbp-head-neck", "quantec-head-neck"} <= {goal_set.name for goal_set in among}
    phantom = make_case("PTV", "SpinalCord", "Parotid_L", "Parotid_R")
    patient = make_case("PTV_7000", "PTV_5600", "SpinalCord", "Parotid_L", "Parotid_R")
    assert choose_goal_set(phantom, among).name == "tg119-head-neck"
    assert choose_goal_set(patient, among).name == "openkbp-head-neck"
    assert [goal_set.name for goal_set in goal_sets_for_site("tg119-c-shape-hard")] == ["tg119-c-shape-hard"]
