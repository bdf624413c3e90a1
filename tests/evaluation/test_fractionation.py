"""A guideline is applied to the fractionation it was made for, and to no other; goals that cannot hold are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.contracts import Case, ClinicalGoal, Comparator, GoalSet, Metric
from appliance.contracts.goals import with_digest
from appliance.errors import ContradictoryGoals, RefusedGoals, UncoveredFractionation
from appliance.evaluation import choose_goal_set, goal_set_for_site, goals_for_case, load_goal_set
from appliance.evaluation.goal_conflicts import overlap_findings
from engines.grid import VoxelSet

PROSTATE = ("PTV", "Rectum", "Bladder", "PenileBulb")
LUNG = ("PTV", "Lung_L", "Lung_R", "Heart", "Esophagus", "SpinalCord")


def prescribed(case: Case, fractions: int) -> Case:
    return replace(case, fractions=fractions)


def named(name: str) -> GoalSet:
    return goal_set_for_site(name)


@pytest.mark.parametrize(
    ("structures", "dose_gy", "fractions", "chosen"),
    [
        (PROSTATE, 78.0, 39, "quantec-prostate"),
        (PROSTATE, 36.25, 5, "sbrt-prostate-5"),
        (LUNG, 60.0, 30, "quantec-lung"),
        (LUNG, 54.0, 3, "sbrt-lung-3"),
        (LUNG, 50.0, 5, "sbrt-lung-5"),
        (LUNG, 30.0, 1, "sbrt-lung-1"),
        (("PTV", "Brain", "Brainstem", "OpticChiasm"), 60.0, 30, "quantec-brain"),
        (("PTV", "Brain", "Brainstem", "OpticChiasm"), 27.0, 3, "sbrt-brain-3"),
        (("PTV", "Bag_Bowel", "Bowel_Small", "Rectum", "Bladder"), 45.0, 25, "quantec-pelvis"),
        (("PTV", "Parotid_L", "Parotid_R", "SpinalCord", "Larynx"), 66.0, 33, "quantec-head-neck"),
    ],
)
def test_a_prescribed_case_is_offered_the_guideline_for_it(
    make_case, structures, dose_gy: float, fractions: int, chosen: str
) -> None:
    case = prescribed(make_case(*structures, prescription=(("PTV", dose_gy),)), fractions)
    assert choose_goal_set(case).name == chosen


@pytest.mark.parametrize(("dose_gy", "fractions"), [(60.0, 20), (42.7, 7), (40.0, 4), (35.0, 10), (20.0, 5)])
def test_no_other_fractionation_is_covered(make_case, dose_gy: float, fractions: int) -> None:
    """Moderate hypofractionation, 7 or 4 fractions, palliation: refused with the case's own numbers."""
    case = prescribed(make_case(*PROSTATE, prescription=(("PTV", dose_gy),)), fractions)
    with pytest.raises(
        UncoveredFractionation, match=rf"in {fractions} fractions \({dose_gy / fractions:.2f} Gy each\)"
    ):
        choose_goal_set(case)


def test_a_course_of_the_same_dose_in_other_fractions_is_another_course(make_case) -> None:
    """50 Gy in 25 fractions are TG-119's; 50 Gy in 5 fractions must never be judged by them."""
    phantom = make_case("PTV", "SpinalCord", "Parotid_L", "Parotid_R", prescription=(("PTV", 50.0),))
    assert choose_goal_set(prescribed(phantom, 25)).name == "tg119-head-neck"
    assert choose_goal_set(prescribed(phantom, 5)).name != "tg119-head-neck"


def test_limits_for_five_fractions_are_not_applied_to_three(make_case) -> None:
    case = prescribed(make_case(*LUNG, prescription=(("PTV", 54.0),)), 3)
    with pytest.raises(
        UncoveredFractionation,
        match=r"54 Gy in 3 fractions \(18\.00 Gy each\)\. 'sbrt-lung-5' covers 5 fractions of 5 to 12 Gy",
    ):
        goals_for_case(named("sbrt-lung-5"), case)


def test_a_guideline_without_a_prescription_to_take_is_refused(make_case) -> None:
    with pytest.raises(RefusedGoals, match=r"prescribes nothing itself.*send the RTPLAN"):
        goals_for_case(named("quantec-prostate"), make_case(*PROSTATE))
    with pytest.raises(UncoveredFractionation, match="needs the number of fractions"):
        goals_for_case(named("quantec-prostate"), prescribed(make_case(*PROSTATE, prescription=(("PTV", 78.0),)), 0))


def test_target_templates_become_gy_of_the_prescription(make_case) -> None:
    case = make_case("PTV_7000", "PTV_5600", "SpinalCord", prescription=(("PTV_7000", 70.0), ("PTV_5600", 56.0)))
    adapted = goals_for_case(named("quantec-head-neck"), prescribed(case, 35))
    assert [str(goal) for goal in adapted.goals[:3]] == [
        "PTV_7000 D95% >= 70 Gy",
        "PTV_7000 D2% <= 74.9 Gy",
        "PTV_5600 D95% >= 56 Gy",
    ]
    assert adapted.goals[0].variation == pytest.approx(66.5)
    assert (adapted.fractions, adapted.prescription) == (35, (("PTV_7000", 70.0), ("PTV_5600", 56.0)))
    assert goals_for_case(adapted, prescribed(case, 35)) == adapted


def test_a_volume_of_the_prescription_dose_becomes_a_volume_in_gy(make_case) -> None:
    case = prescribed(make_case(*PROSTATE, prescription=(("PTV", 36.25),)), 5)
    adapted = goals_for_case(named("sbrt-prostate-5"), case)
    assert "Bladder V36.25Gy <= 5 cc" in [str(goal) for goal in adapted.goals]


def test_both_of_a_pair_are_judged_together_and_it_is_said(make_case) -> None:
    adapted = goals_for_case(named("quantec-lung"), prescribed(make_case(*LUNG, prescription=(("PTV", 60.0),)), 30))
    assert "Lung_L+Lung_R V20Gy <= 30 %" in [str(goal) for goal in adapted.goals]
    assert "Lungs are judged as Lung_L and Lung_R together" in adapted.notes


def test_every_goal_that_is_not_judged_is_named(make_case) -> None:
    whole = named("quantec-lung")
    case = prescribed(make_case("PTV", "Heart", prescription=(("PTV", 60.0),)), 30)
    adapted = goals_for_case(whole, case)
    left_out = [note for note in adapted.notes if note.startswith("Left out")]
    assert len(left_out) + len(adapted.goals) == len(whole.goals) + len(whole.target_goals)


def test_a_second_target_without_prescription_is_named(make_case) -> None:
    case = prescribed(make_case("PTV", "PTV_5600", "Heart", prescription=(("PTV", 60.0),)), 30)
    notes = goals_for_case(named("quantec-lung"), case).notes
    assert "PTV_5600 has no prescription in the received plan and is not judged" in notes


TWO = """
name = "two"
title = "Two goals"
site = "two"
fractions = 25

[[prescription]]
structure = "PTV"
dose_gy = 50.0

[[goal]]
structure = "PTV"
metric = "{low}"
comparator = ">="
limit = {low_limit}
unit = "{low_unit}"
priority = 1
source = "A test"

[[goal]]
structure = "PTV"
metric = "{high}"
comparator = "<="
limit = {high_limit}
unit = "{high_unit}"
priority = 1
source = "A test"
"""


@pytest.mark.parametrize(
    ("low", "low_limit", "low_unit", "high", "high_limit", "high_unit", "possible"),
    [
        ("D95%", 50, "Gy", "D95%", 49, "Gy", False),
        ("D95%", 50, "Gy", "D95%", 50, "Gy", True),
        ("D95%", 50, "Gy", "D50%", 48, "Gy", False),  # half the volume cannot have less than 95 % of it has at least
        ("D50%", 50, "Gy", "D95%", 48, "Gy", True),
        ("D95%", 50, "Gy", "Max", 49, "Gy", False),
        ("Min", 40, "Gy", "Mean", 39, "Gy", False),
        ("Mean", 40, "Gy", "Min", 39, "Gy", True),
        ("V50Gy", 95, "%", "V50Gy", 90, "%", False),
        ("V50Gy", 95, "%", "D2%", 49, "Gy", False),
        ("V50Gy", 95, "%", "D2%", 53, "Gy", True),
        ("D95%", 50, "Gy", "V55Gy", 10, "%", True),
        ("D95%", 50, "Gy", "V45Gy", 90, "%", False),
    ],
)
def test_goals_that_no_dose_can_meet_are_refused(
    tmp_path: Path, low, low_limit, low_unit, high, high_limit, high_unit, possible: bool
) -> None:
    facts = {"low": low, "low_limit": float(low_limit), "low_unit": low_unit}
    facts |= {"high": high, "high_limit": float(high_limit), "high_unit": high_unit}
    path = tmp_path / "two.toml"
    path.write_text(TWO.format(**facts), "utf-8")
    if possible:
        load_goal_set(path)
        return
    with pytest.raises(RefusedGoals, match="cannot both hold"):
        load_goal_set(path)


def test_a_contradiction_that_only_the_prescription_makes_is_refused(make_case) -> None:
    """A template of at least 95 % of the dose and one of at most 50 Gy fit 50 Gy, not 60 Gy."""
    whole = named("quantec-lung")
    ceiling = replace(whole.target_goals[1], limit=50.0, unit="Gy", relative="")
    capped = with_digest(replace(whole, target_goals=(whole.target_goals[0], ceiling)))
    fits = prescribed(make_case(*LUNG, prescription=(("PTV", 50.0),)), 25)
    assert goals_for_case(capped, fits).goals
    with pytest.raises(ContradictoryGoals, match="'PTV D95% >= 60 Gy' and 'PTV D2% <= 50 Gy' cannot both hold"):
        goals_for_case(capped, prescribed(make_case(*LUNG, prescription=(("PTV", 60.0),)), 30))


def test_an_organ_inside_its_target_is_explained_and_its_goal_kept(make_case) -> None:
    """The cord fills the target's own voxels here: 8 cc of 8 cc under 60 Gy, with a limit of 50 Gy."""
    case = prescribed(make_case("PTV", "SpinalCord", prescription=(("PTV", 60.0),)), 30)
    ptv = case.structure("PTV")
    assert ptv is not None
    moved = tuple(replace(s, voxels=ptv.voxels) if s.tg263 == "SpinalCord" else s for s in case.structures)
    inside = replace(case, structures=moved)
    adapted = goals_for_case(named("quantec-lung"), inside)
    (finding,) = overlap_findings(adapted, inside)
    assert finding.id == "goals.target-overlap"
    assert (
        "8.0 cc of SpinalCord (100 %) lie inside PTV: with 60 Gy to all of PTV, SpinalCord Max <= 50 Gy cannot hold"
        in (finding.evidence)
    )
    assert "SpinalCord Max <= 50 Gy" in [str(goal) for goal in adapted.goals]
    assert overlap_findings(goals_for_case(named("quantec-lung"), case), case) == ()


@pytest.mark.parametrize(
    ("metric", "limit", "unit", "ruled_out"),
    [("D3cc", 50, "Gy", True), ("D4cc", 50, "Gy", False), ("D3cc", 61, "Gy", False), ("D40%", 50, "Gy", True),
     ("D60%", 50, "Gy", False), ("Mean", 29, "Gy", True), ("Mean", 31, "Gy", False), ("V60Gy", 40, "%", True),
     ("V61Gy", 40, "%", False), ("V60Gy", 3, "cc", True), ("V60Gy", 5, "cc", False)],
)  # fmt: skip
def test_half_an_organ_in_the_target_rules_out_what_half_of_it_can(make_case, metric, limit, unit, ruled_out) -> None:
    """4 of 8 cc of the organ lie inside a target of 60 Gy: D3cc, D40%, V60Gy and a mean of 30 Gy are then given."""
    case = prescribed(make_case("PTV", "Heart", prescription=(("PTV", 60.0),)), 30)
    ptv, heart = case.structure("PTV"), case.structure("Heart")
    assert ptv is not None and heart is not None
    half = VoxelSet(ptv.voxels.index[:4], ptv.voxels.fraction[:4]).union(heart.voxels)
    assert half.volume_cc(case.image.grid.voxel_volume_cc) == pytest.approx(8.0)
    case = replace(
        case, structures=tuple(replace(s, voxels=half) if s.tg263 == "Heart" else s for s in case.structures)
    )
    base = goals_for_case(named("quantec-lung"), case)
    goal = ClinicalGoal("Heart", Metric.parse(metric), Comparator.AT_MOST, float(limit), unit, 2, "A test")
    assert bool(overlap_findings(replace(base, goals=(goal,)), case)) is ruled_out


TEMPLATE = """
name = "organs"
title = "Organs of any course"
site = "organs"
{covers}
[[target_goal]]
metric = "D95%"
comparator = ">="
limit = 100.0
unit = "%Rx"
priority = 1
source = "A test"
{more}
[[goal]]
structure = "Heart"
metric = "Mean"
comparator = "<="
limit = 26.0
unit = "Gy"
priority = 1
source = "A test"
"""
COVERS = "[covers]\nfraction_gy = [1.8, 2.0]\n"


@pytest.mark.parametrize(
    ("covers", "more", "told"),
    [
        ("", "", r"needs \[covers\] and \[\[target_goal\]\]"),
        ("fractions = 30\n" + COVERS, "", "no fractions of its own"),
        ("[covers]\nfraction_gy = [2.0, 1.8]\n", "", "the lowest and the highest dose"),
        ("[covers]\nfraction_gy = [1.8, 2.0]\nfractions = [0]\n", "", "whole numbers from 1 to 60"),
        (COVERS, "variation = 101.0", "is not weaker than the limit"),
        (COVERS, "doi = 'marks2010'", "doi: String should match pattern"),
        (COVERS, "points = [[95.0, 1.0], [90.0, 0.0]]", "points must ascend"),
    ],
)
def test_a_guideline_says_what_it_covers(tmp_path: Path, covers: str, more: str, told: str) -> None:
    path = tmp_path / "organs.toml"
    path.write_text(TEMPLATE.format(covers=covers, more=more), "utf-8")
    with pytest.raises(RefusedGoals, match=told):
        load_goal_set(path)
    path.write_text(TEMPLATE.format(covers=COVERS, more=""), "utf-8")
    assert load_goal_set(path).is_template
