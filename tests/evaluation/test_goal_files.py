"""Goal-set files: what ships is complete and true to its sources, and a wrong file is refused by key."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.contracts import MetricKind
from appliance.errors import RefusedGoals
from appliance.evaluation import goal_set_for_site, list_goal_sets, load_goal_set

VALID = """
name = "clinic-prostate"
title = "Prostate, our clinic"
site = "prostate"
fractions = 20

[[prescription]]
structure = "PTV"
dose_gy = 60.0

[[goal]]
structure = "PTV"
metric = "D95%"
comparator = ">="
limit = 57.0
unit = "Gy"
priority = 1
source = "Protocol 12"
"""


@pytest.fixture
def write(tmp_path: Path) -> object:
    def write_text(text: str) -> Path:
        path = tmp_path / "goals.toml"
        path.write_text(text, "utf-8")
        return path

    return write_text


def test_what_ships() -> None:
    complete = [one for one in list_goal_sets() if not one.is_template]
    assert [(one.name, one.site, one.beams, one.fractions) for one in complete] == [
        ("openkbp-head-neck", "openkbp", 9, 35),
        ("tg119-c-shape", "c-shape", 9, 25),
        ("tg119-c-shape-hard", "c-shape-hard", 9, 25),
        ("tg119-head-neck", "head-neck", 9, 25),
        ("tg119-multi-target", "multi-target", 7, 25),
        ("tg119-prostate", "prostate", 7, 42),
    ]


@pytest.mark.parametrize(
    ("site", "goals"),
    [
        ("c-shape", ["PTV D95% >= 50 Gy", "PTV D10% <= 55 Gy", "Core D10% <= 25 Gy"]),
        ("c-shape-hard", ["PTV D95% >= 50 Gy", "PTV D10% <= 55 Gy", "Core D10% <= 10 Gy"]),
        (
            "multi-target",
            [
                "PTV_Central D99% >= 50 Gy",
                "PTV_Central D10% <= 53 Gy",
                "PTV_Superior D99% >= 25 Gy",
                "PTV_Superior D10% <= 35 Gy",
                "PTV_Inferior D99% >= 12.5 Gy",
                "PTV_Inferior D10% <= 25 Gy",
            ],
        ),
        (
            "prostate",
            [
                "PTV D95% >= 75.6 Gy",
                "PTV D5% <= 83 Gy",
                "Rectum D30% <= 70 Gy",
                "Rectum D10% <= 75 Gy",
                "Bladder D30% <= 70 Gy",
                "Bladder D10% <= 75 Gy",
            ],
        ),
        (
            "head-neck",
            [
                "PTV D90% >= 50 Gy",
                "PTV D99% >= 46.5 Gy",
                "PTV D20% <= 55 Gy",
                "SpinalCord Max <= 40 Gy",
                "Parotid_L D50% <= 20 Gy",
                "Parotid_R D50% <= 20 Gy",
            ],
        ),
        (
            "openkbp",
            [
                "PTV_7000 D99% >= 66.5 Gy",
                "PTV_6300+PTV_7000 D99% >= 59.85 Gy",
                "PTV_5600+PTV_6300+PTV_7000 D99% >= 53.2 Gy",
                "Brainstem D0.1cc <= 50 Gy",
                "SpinalCord D0.1cc <= 45 Gy",
                "Bone_Mandible D0.1cc <= 73.5 Gy",
                "Parotid_R Mean <= 26 Gy",
                "Parotid_L Mean <= 26 Gy",
                "Esophagus Mean <= 45 Gy",
                "Larynx Mean <= 45 Gy",
            ],
        ),
    ],
)
def test_shipped_goals_as_their_sources_state_them(site: str, goals: list[str]) -> None:
    goal_set = goal_set_for_site(site)
    assert [str(goal) for goal in goal_set.goals] == goals
    assert all(goal.approximate == goal_set.name.startswith("tg119") for goal in goal_set.goals)
    assert goal_set_for_site(goal_set.name) is goal_set


def test_targets_of_openkbp_are_95_percent_of_the_prescription() -> None:
    goal_set = goal_set_for_site("openkbp")
    prescribed = dict(goal_set.prescription)
    for goal in goal_set.goals:
        own = goal.structure.split("+", maxsplit=1)[0]
        if own in prescribed:
            assert goal.limit == pytest.approx(0.95 * prescribed[own])
    assert goal_set.optional_targets == ("PTV_6300", "PTV_5600")


def test_unknown_site_names_the_known_ones() -> None:
    with pytest.raises(RefusedGoals, match="no goal set for the site 'knee'; use one of brain, c-shape, "):
        goal_set_for_site("knee")


def test_a_clinics_own_file(write) -> None:
    goal_set = load_goal_set(write(VALID))
    assert (goal_set.name, goal_set.beams, goal_set.hot_spot_percent) == ("clinic-prostate", 9, 110.0)
    assert goal_set.goals[0].metric.kind is MetricKind.DOSE_AT_PERCENT
    assert len(goal_set.digest) == 64


def test_digest_sees_a_limit_and_not_a_comment(write) -> None:
    plain = load_goal_set(write(VALID)).digest
    assert load_goal_set(write("# reviewed\n" + VALID)).digest == plain
    assert load_goal_set(write(VALID.replace("57.0", "57.1"))).digest != plain


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("priority = 1", "prority = 1", "goal.1"),
        ("fractions = 20", "fractions = 20\nfraction_dose = 3", "fraction_dose: Extra inputs are not permitted"),
        ('source = "Protocol 12"', "", "goal.1.source: Field required"),
        ("57.0", "5700.0", "limits are in Gy, not cGy"),
        ("dose_gy = 60.0", "dose_gy = 6000.0", "prescription.1.dose_gy"),
        ('"D95%"', '"D95"', "'D95' is not a known metric"),
        ('"D95%"', '"D195%"', "more than 100 %"),
        ('"D95%"', '"V57Gy"', "V57Gy cannot be given in Gy; use % or cc"),
        ('unit = "Gy"', 'unit = "%"', "D95% cannot be given in %; use Gy"),
        ('">="', '">"', "comparator"),
        ("limit = 57.0", "limit = nan", "goal.1.limit"),
        ("fractions = 20", "fractions = 0", "fractions"),
        ("dose_gy = 60.0", "dose_gy = 60.0\noptional = true", "at least one must be required"),
        ('structure = "PTV"\ndose_gy', 'structure = "CTV"\ndose_gy', "the goal on PTV needs a prescription for PTV"),
        ('structure = "PTV"\nmetric', 'structure = "PTV + Rectum"\nmetric', "goal.1.structure"),
        ("[[goal]]", "[[goal]", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_key(write, old: str, new: str, reason: str) -> None:
    assert old in VALID
    with pytest.raises(RefusedGoals) as refusal:
        load_goal_set(write(VALID.replace(old, new, 1)))
    assert reason in str(refusal.value)
    assert "goals.toml" in str(refusal.value)


def test_a_goal_given_twice_is_refused(write) -> None:
    with pytest.raises(RefusedGoals, match="a goal is given twice"):
        load_goal_set(write(VALID + VALID[VALID.index("[[goal]]") :]))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedGoals, match="cannot be read"):
        load_goal_set(tmp_path / "none.toml")


def test_binary_rubbish_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "goals.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RefusedGoals, match="not valid TOML"):
        load_goal_set(path)
