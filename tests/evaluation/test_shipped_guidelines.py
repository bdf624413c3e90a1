"""What ships is signed, sourced row by row, and says what the papers' tables say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.contracts import ClinicalGoal, GoalSet
from appliance.evaluation import goal_set_for_site, list_goal_sets
from appliance.evaluation.goal_files import parse_goal_set
from appliance.evaluation.goal_schema import Covers, GoalFile, _Goal
from appliance.evaluation.guidelines.manifest import Manifest, read_manifest
from appliance.evaluation.guidelines.shipped import project_keys, shipped_packages
from appliance.evaluation.retrieval import shipped_passages

ROOT = Path(__file__).resolve().parents[2]
GUIDELINES = ROOT / "models" / "guidelines"
NAMES = {
    name
    for kind in ("EXTERNAL", "TARGET", "ORGAN", "SUPPORT")
    for name in tomllib.loads((ROOT / "models" / "nomenclature" / "tg263.toml").read_text("utf-8"))[kind]
}
SITES = ("head-neck", "prostate", "lung", "brain", "pelvis")


def every_goal() -> Iterator[tuple[GoalSet, ClinicalGoal]]:
    for goal_set in list_goal_sets():
        for goal in (*goal_set.target_goals, *goal_set.goals):
            yield goal_set, goal


def rows(name: str) -> dict[tuple[str, str], ClinicalGoal]:
    return {(goal.structure, str(goal.metric)): goal for goal in goal_set_for_site(name).goals}


def test_every_package_is_signed_with_the_projects_key() -> None:
    assert [(one.manifest.name, one.signer) for one in shipped_packages()] == [
        (name, project_keys()[0].signer) for name in ("openkbp", "quantec", "sbrt", "tg119")
    ]


def test_no_private_key_ships() -> None:
    assert not [path for path in GUIDELINES.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()]


def test_every_site_has_conventional_limits_and_those_of_one_three_and_five_fractions() -> None:
    for site in SITES:
        names = {one.name for one in list_goal_sets() if site in one.also_for}
        assert {f"quantec-{site}", *(f"sbrt-{site}-{count}" for count in (1, 3, 5))} <= names


def test_every_row_has_a_source_with_paper_year_and_place() -> None:
    for goal_set, goal in every_goal():
        assert any(str(year) in goal.source for year in range(1990, 2027)) or goal.source.startswith("RTOG"), goal
        if goal_set.is_template and goal.structure:
            assert goal.doi, f"{goal_set.name}: {goal} has no DOI"
            assert any(word in goal.source for word in ("Table", "abstract", "conclusions")), goal
            assert goal.endpoint, f"{goal_set.name}: {goal} does not say what it protects from"


def test_every_name_is_one_of_tg263() -> None:
    unknown = {part for _, goal in every_goal() for part in goal.structure.split("+") if part} - NAMES
    assert unknown <= {"PTV_7000", "PTV_6300", "PTV_5600"}, unknown


def test_every_passage_that_is_referred_to_exists() -> None:
    known = {passage.id for passage in shipped_passages()}
    wanted = {goal.passage for _, goal in every_goal() if goal.passage}
    assert wanted <= known, f"no such passage: {', '.join(sorted(wanted - known))}"


def test_limits_are_those_of_the_passages_which_somebody_else_wrote_down() -> None:
    """Goals and passages were taken from the papers separately, so a slip of one shows against the other."""
    passages = {passage.id: passage for passage in shipped_passages()}
    compared, differing = 0, []
    for goal_set, goal in every_goal():
        if not goal.passage or not goal.structure or goal.relative:
            continue
        told = [
            limit.limit
            for limit in passages[goal.passage].limits
            if _family(limit.metric) == _family(str(goal.metric))
            and (not limit.fractions or not goal_set.fraction_counts or limit.fractions in goal_set.fraction_counts)
        ]
        compared += bool(told)
        if told and goal.limit not in told:
            differing.append(f"{goal_set.name}: {goal}, passage {goal.passage}: {told}")
    assert not differing, differing
    assert compared > 200


def _family(metric: str) -> str:
    """The reports give maxima of a point or of a hundredth of a cc."""
    return "Max" if metric in ("Max", "D0.03cc", "D0.035cc") else metric


# Marks et al., Int J Radiat Oncol Biol Phys 76(3 Suppl):S10, 2010, Table 1.
QUANTEC = [
    ("head-neck", "SpinalCord", "Max", 50),
    ("head-neck", "Brainstem", "Max", 54),
    ("head-neck", "Brainstem", "D1cc", 59),
    ("head-neck", "OpticChiasm", "Max", 55),
    ("head-neck", "Cochlea_L", "Mean", 45),
    ("head-neck", "Parotid_R", "Mean", 25),
    ("head-neck", "Musc_Constrict", "Mean", 50),
    ("head-neck", "Larynx", "Max", 66),
    ("head-neck", "Larynx", "Mean", 44),
    ("head-neck", "Larynx", "V50Gy", 27),
    ("brain", "Brain", "Max", 60),
    ("lung", "Lungs", "V20Gy", 30),
    ("lung", "Lungs", "Mean", 20),
    ("lung", "Esophagus", "Mean", 34),
    ("lung", "Esophagus", "V35Gy", 50),
    ("lung", "Esophagus", "V50Gy", 40),
    ("lung", "Esophagus", "V70Gy", 20),
    ("lung", "Heart", "Mean", 26),
    ("lung", "Heart", "V30Gy", 46),
    ("lung", "Heart", "V25Gy", 10),
    ("prostate", "Rectum", "V50Gy", 50),
    ("prostate", "Rectum", "V60Gy", 35),
    ("prostate", "Rectum", "V65Gy", 25),
    ("prostate", "Rectum", "V70Gy", 20),
    ("prostate", "Rectum", "V75Gy", 15),
    ("prostate", "Bladder", "V65Gy", 50),
    ("prostate", "Bladder", "V70Gy", 35),
    ("prostate", "Bladder", "V75Gy", 25),
    ("prostate", "Bladder", "V80Gy", 15),
    ("prostate", "PenileBulb", "Mean", 50),
    ("pelvis", "Bowel_Small", "V15Gy", 120),
    ("pelvis", "Bag_Bowel", "V45Gy", 195),
    ("pelvis", "Bladder", "Max", 65),
]


@pytest.mark.parametrize(("site", "organ", "metric", "limit"), QUANTEC)
def test_quantec_says_what_its_table_says(site: str, organ: str, metric: str, limit: float) -> None:
    goal = rows(f"quantec-{site}")[organ, metric]
    assert (goal.limit, goal.comparator.value) == (limit, "<=")
    assert goal.doi == "10.1016/j.ijrobp.2009.07.1754"


# Benedict et al., Med Phys 37:4078, 2010, Table III: volume (cc), then threshold and maximum for 1, 3 and 5 fractions.
TG101 = [
    ("brain", "OpticChiasm", 0.2, (8, 15.3, 23), None),
    ("head-neck", "Cochlea_L", None, None, (9, 17.1, 25)),
    ("head-neck", "Brainstem", 0.5, (10, 18, 23), (15, 23.1, 31)),
    ("lung", "SpinalCord", 0.35, (10, 18, 23), None),
    ("lung", "SpinalCord", 1.2, (7, 12.3, 14.5), None),
    ("pelvis", "CaudaEquina", 5, (14, 21.9, 30), (16, 24, 32)),
    ("pelvis", "SacralPlex", 5, (14.4, 22.5, 30), (16, 24, 32)),
    ("lung", "Esophagus", 5, (11.9, 17.7, 19.5), (15.4, 25.2, 35)),
    ("lung", "BrachialPlex_L", 3, (14, 20.4, 27), (17.5, 24, 30.5)),
    ("lung", "Heart", 15, (16, 24, 32), (22, 30, 38)),
    ("lung", "GreatVes", 10, (31, 39, 47), (37, 45, 53)),
    ("lung", "Trachea", 4, (10.5, 15, 16.5), (20.2, 30, 40)),
    ("lung", "Chestwall", 1, (22, 28.8, 35), (30, 36.9, 43)),
    ("lung", "Skin", 10, (23, 30, 36.5), (26, 33, 39.5)),
    ("pelvis", "Rectum", 20, (14.3, 24, 25), (18.4, 28.2, 38)),
    ("pelvis", "Colon_Sigmoid", 20, (14.3, 24, 25), (18.4, 28.2, 38)),
    ("pelvis", "Bowel_Small", 5, (11.9, 17.7, 19.5), (15.4, 25.2, 35)),
    ("pelvis", "Bladder", 15, (11.4, 16.8, 18.3), (18.4, 28.2, 38)),
    ("prostate", "PenileBulb", 3, (14, 21.9, 30), (34, 42, 50)),
    ("prostate", "Femur_Head_L", 10, (14, 21.9, 30), None),
]


@pytest.mark.parametrize(("site", "organ", "cc", "threshold_gy", "maximum_gy"), TG101)
def test_tg101_says_what_its_table_says(site, organ, cc, threshold_gy, maximum_gy) -> None:
    for index, count in enumerate((1, 3, 5)):
        goals = rows(f"sbrt-{site}-{count}")
        if threshold_gy is not None:
            assert goals[organ, f"D{cc:g}cc"].limit == threshold_gy[index]
        if maximum_gy is not None:
            assert goals[organ, "D0.035cc"].limit == maximum_gy[index]


def test_tg101_lungs_keep_their_critical_volumes() -> None:
    for count, basic_gy, pneumonitis_gy in ((1, 7, 7.4), (3, 11.6, 12.4), (5, 12.5, 13.5)):
        goals = rows(f"sbrt-lung-{count}")
        basic, pneumonitis = goals["Lungs", f"CV{basic_gy:g}Gy"], goals["Lungs", f"CV{pneumonitis_gy:g}Gy"]
        assert (basic.limit, pneumonitis.limit, basic.comparator.value) == (1500, 1000, ">=")


def test_hytec_ranges_are_limit_and_acceptable_variation() -> None:
    """Sahgal 2021, Table 3 (cord); Milano 2021 (optic pathway: 10, 20, 25 Gy, no range)."""
    for count, low_gy, high_gy, optic_gy in ((1, 12.4, 14.0, 10), (3, 20.3, 23.1, 20), (5, 25.3, 28.8, 25)):
        cord = rows(f"sbrt-lung-{count}")["SpinalCord", "D0.035cc"]
        optic = rows(f"sbrt-brain-{count}")["OpticChiasm", "D0.035cc"]
        assert (cord.limit, cord.variation) == (low_gy, high_gy)
        assert (optic.limit, optic.variation) == (optic_gy, None)


def test_a_limit_of_the_same_organ_grows_with_the_number_of_fractions() -> None:
    """Physics, whatever the table: more fractions of a smaller dose are tolerated better in total."""
    for site in SITES:
        one, three, five = (rows(f"sbrt-{site}-{count}") for count in (1, 3, 5))
        for key in one.keys() & three.keys() & five.keys():
            if one[key].unit == "Gy":
                assert one[key].limit < three[key].limit < five[key].limit, key


PAGE = (ROOT / "docs" / "evaluation" / "guidelines.md").read_text("utf-8")


def test_the_examples_of_the_documentation_are_read() -> None:
    manifest, goals = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert read_manifest(manifest.encode(), "example").version == "1.2.0"
    goal_set = parse_goal_set(goals.encode(), "example")
    assert (goal_set.fraction_gy, len(goal_set.goals), len(goal_set.target_goals)) == ((1.8, 2.0), 1, 1)


def test_the_documentation_names_the_packages_that_ship() -> None:
    named = re.findall(r"^\| `([a-z0-9]+)` ([0-9.]+) \|", PAGE, re.MULTILINE)
    assert sorted(named) == sorted((one.manifest.name, one.manifest.version) for one in shipped_packages())


def test_every_key_of_a_goal_file_is_documented() -> None:
    keys = {*GoalFile.model_fields, *_Goal.model_fields, *Covers.model_fields, *Manifest.model_fields} - {
        "from_package"
    }
    assert {key for key in keys if key not in PAGE} <= {"approximate"}
