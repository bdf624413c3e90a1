"""Outcome models on cases: which organs they are about, when they give no number, and how two plans rank."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from appliance.contracts import GoalSet, StructureKind
from appliance.contracts.outcomes import RANKING_ONLY, OutcomeEstimate
from appliance.errors import EvaluationError, ModelError
from appliance.evaluation.outcomes import assess_outcomes, read_parameters, shipped_parameters
from appliance.evaluation.outcomes.organs import without
from engines.grid import VoxelSet
from engines.radiobiology import eqd2, lkb_probability

from .conftest import GRID, structure

ROW = """
[[ntcp]]
id = "x"
structures = ["Rectum"]
endpoint = "an endpoint"
model = "lkb"
td50_gy = 76.9
m = 0.13
dose = "physical"
fraction_gy = [1.6, 3.2]
authors = "Someone A"
journal = "Journal"
volume = "1"
page = "2"
year = 2010
doi = "10.1016/j.x"
checked = "the paper"
"""
TCP = "tcp = []\n"


def goals(site="prostate", fractions=35, dose_gy=70.0, also_for=()):
    return GoalSet("s", "S", site, fractions, (("PTV", dose_gy),), (), "d", also_for=also_for)


def dose_of(value):
    return np.full(GRID.shape, value, np.float32)


def by_id(estimates):
    return {item.id: item for item in estimates}


def test_every_shipped_row_has_a_primary_source_with_a_doi():
    parameters = shipped_parameters()
    assert len(parameters.ntcp) >= 20
    for row in (*parameters.ntcp, *parameters.tcp):
        assert row.doi.startswith("10.")
        assert row.authors and row.journal and row.volume and row.page and row.checked


@pytest.mark.parametrize("key", ["doi", "authors", "journal", "volume", "page", "year", "checked"])
def test_a_row_without_its_source_is_refused(key):
    text = "\n".join(line for line in ROW.splitlines() if not line.startswith(f"{key} "))
    assert read_parameters((TCP + ROW).encode()).ntcp[0].id == "x"
    with pytest.raises(ModelError, match=key):
        read_parameters((TCP + text).encode())


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('doi = "10.1016/j.x"', 'doi = "see the paper"', "doi"),
        ('dose = "physical"', 'dose = "eqd2"', "alpha_beta"),
        ("m = 0.13", "slope_per_gy = 0.1", "steepness"),
        ("m = 0.13", "m = 0.13\nci95 = { td50_gy = [80.0, 90.0] }", "does not hold"),
        ("m = 0.13", "m = 0.13\nci95 = { gamma = [80.0, 90.0] }", "gamma"),
        ("m = 0.13", "m = 0.13\nslope = 2", "slope"),
        ("[1.6, 3.2]", "[3.2, 1.6]", "fraction_gy"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(old, new, match):
    with pytest.raises(ModelError, match=match):
        read_parameters((TCP + ROW.replace(old, new)).encode())


def test_the_burman_rows_give_the_five_percent_doses_of_emami():
    # Emami et al., Int J Radiat Oncol Biol Phys 21:109 (1991), TD5/5 of the whole organ; Burman fitted to those
    five_percent_gy = {
        "bladder-contraction": 65,
        "brain-necrosis": 45,
        "brainstem-necrosis": 50,
        "chiasm-blindness": 50,
        "optic-nerve-blindness": 50,
        "lens-cataract": 10,
        "heart-pericarditis": 40,
        "femoral-head-necrosis": 52,
        "oesophagus-stricture": 55,
        "small-bowel-obstruction": 40,
    }
    rows = {row.id: row for row in shipped_parameters().ntcp}
    for name, dose_gy in five_percent_gy.items():
        row = rows[name]
        assert row.td50_gy * (1 - 1.645 * row.m) == pytest.approx(dose_gy, abs=0.8), name


def test_a_uniform_dose_gives_the_curve_itself_with_its_published_band(make_case):
    case = make_case("PTV", "Rectum")
    estimates = by_id(assess_outcomes(case, goals(), dose_of(70.0), 35))
    late = estimates["rectum-late-quantec"]
    assert late.probability == pytest.approx(float(lkb_probability(70.0, 76.9, 0.13)), abs=2e-4)
    assert late.equivalent_gy == pytest.approx(70.0, abs=1e-3)
    assert 0 < late.low < late.probability < late.high < 1
    assert "95 %" in late.band and "td50_gy, m, n" in late.band
    assert late.label == RANKING_ONLY == "for ranking plans only, not a prognosis"
    assert late.structure == "Rectum" and late.kind == "NTCP" and "Michalski" in late.source


def test_fraction_size_counts_voxel_by_voxel(make_case):
    case = make_case("PTV", "Rectum")
    late = by_id(assess_outcomes(case, goals(fractions=25, dose_gy=70.0), dose_of(70.0), 25))["rectum-late-quantec"]
    equivalent_gy = float(eqd2(70.0, 25, 3.0))
    assert equivalent_gy == pytest.approx(81.2)
    assert late.equivalent_gy == pytest.approx(equivalent_gy, abs=1e-2)
    assert late.probability == pytest.approx(float(lkb_probability(equivalent_gy, 76.9, 0.13)), abs=2e-4)


def test_other_fractionation_than_the_data_cover_gets_a_sentence(make_case):
    case = make_case("PTV", "Rectum")
    estimates = by_id(assess_outcomes(case, goals(fractions=5, dose_gy=36.25), dose_of(36.25), 5))
    for item in estimates.values():
        assert item.probability is None and item.low is None
    assert "7.25 Gy a fraction" in estimates["rectum-late-quantec"].sentence
    unknown = by_id(assess_outcomes(case, goals(), dose_of(70.0), 0))["rectum-late-quantec"]
    assert unknown.probability is None and "fractions is not known" in unknown.sentence


def test_a_model_without_published_uncertainty_refuses_a_band(make_case):
    case = make_case("PTV", "Bladder")
    bladder = by_id(assess_outcomes(case, goals(), dose_of(70.0), 35, scheduled_gy=dose_of(72.0)))
    one = bladder["bladder-contraction"]
    assert one.probability is not None and one.low is None and one.high is None
    assert one.band.startswith("no band")
    assert one.versus_scheduled.difference < 0
    assert one.versus_scheduled.probability_lower is None


def test_each_parotid_is_judged_by_itself_and_laterality_stays(make_case):
    case = make_case("PTV", "Parotid_L", "Parotid_R")
    left, right = case.structure("Parotid_L"), case.structure("Parotid_R")
    moved = VoxelSet(np.array([0, 1], np.int32), np.ones(2, np.float32))
    case = replace(case, structures=(*(s for s in case.structures if s is not right), replace(right, voxels=moved)))
    dose_gy = dose_of(20.0)
    dose_gy.reshape(-1)[left.voxels.index] = 40.0
    found = {(e.id, e.structure): e for e in assess_outcomes(case, goals("head-neck"), dose_gy, 35)}
    assert found["parotid-flow-1y", "Parotid_L"].equivalent_gy == pytest.approx(40, abs=1e-3)
    assert found["parotid-flow-1y", "Parotid_R"].equivalent_gy == pytest.approx(20, abs=1e-3)


def test_a_lung_alone_is_not_both_lungs(make_case):
    case = make_case("PTV", "Lung_L")
    one = by_id(assess_outcomes(case, goals("lung"), dose_of(10.0), 35))["lung-pneumonitis-quantec"]
    assert one.probability is None and "Lung_R is missing" in one.sentence


def test_both_lungs_count_without_the_tumour(make_case):
    case = make_case("PTV", "Lung_L", "Lung_R", "GTV")
    gtv = replace(case.structure("GTV"), kind=StructureKind.TARGET)
    right = VoxelSet(np.arange(100, 120, dtype=np.int32), np.ones(20, np.float32))
    others = [s for s in case.structures if s.tg263 not in ("GTV", "Lung_R")]
    case = replace(case, structures=(*others, gtv, replace(structure("Lung_R", 9), voxels=right)))
    dose_gy = dose_of(12.0)
    dose_gy.reshape(-1)[gtv.voxels.index] = 60.0
    one = by_id(assess_outcomes(case, goals("lung"), dose_gy, 35))["lung-pneumonitis-quantec"]
    assert one.structure == "Lung_L+Lung_R"
    assert one.equivalent_gy == pytest.approx(12.0, abs=1e-3)
    assert "without GTV" in one.dose_basis


def test_taking_out_a_target_leaves_what_it_does_not_fill():
    organ = VoxelSet(np.array([1, 2, 3], np.int32), np.array([1.0, 1.0, 0.5], np.float32))
    target = VoxelSet(np.array([2, 3], np.int32), np.array([1.0, 0.25], np.float32))
    rest = without(organ, [target])
    assert rest.index.tolist() == [1, 3]
    assert rest.fraction.tolist() == [1.0, 0.5]


def test_an_organ_that_the_goals_name_and_the_case_lacks_gets_a_sentence(make_case):
    from appliance.contracts import ClinicalGoal, Comparator, Metric

    goal = ClinicalGoal("Rectum", Metric.parse("Mean"), Comparator.AT_MOST, 40, "Gy", 1, "source")
    case = make_case("PTV", "Bladder")
    estimates = by_id(assess_outcomes(case, replace(goals(), goals=(goal,)), dose_of(70.0), 35))
    assert "has no Rectum" in estimates["rectum-late-quantec"].sentence
    assert "larynx-oedema" not in estimates


def test_a_dose_grid_that_ends_inside_an_organ_gives_no_number(make_case):
    case = make_case("PTV", "Rectum")
    dose_gy = dose_of(70.0)
    dose_gy.reshape(-1)[case.structure("Rectum").voxels.index[0]] = np.nan
    one = by_id(assess_outcomes(case, goals(), dose_gy, 35))["rectum-late-quantec"]
    assert one.probability is None and "does not cover Rectum" in one.sentence
    with pytest.raises(EvaluationError):
        assess_outcomes(case, goals(), np.zeros((2, 2, 2), np.float32), 35)


def test_two_plans_are_compared_with_common_parameters(make_case):
    case = make_case("PTV", "Rectum")
    adapted, scheduled = dose_of(69.0), dose_of(70.0)
    both = by_id(assess_outcomes(case, goals(), adapted, 35, scheduled_gy=scheduled))["rectum-late-quantec"]
    difference = both.versus_scheduled
    assert difference.difference == pytest.approx(both.probability - difference.scheduled)
    assert difference.low < difference.difference < difference.high <= 0
    # A lower dose everywhere is lower with every parameter set, however wide the bands themselves overlap.
    assert difference.probability_lower == 1.0
    assert both.high > difference.scheduled
    same = by_id(assess_outcomes(case, goals(), scheduled, 35, scheduled_gy=scheduled))["rectum-late-quantec"]
    assert same.versus_scheduled.difference == 0 and same.versus_scheduled.probability_lower == 0.5


def test_whether_hot_or_broad_is_worse_depends_on_n_and_the_probability_says_so(make_case):
    case = make_case("PTV", "Larynx")
    index = case.structure("Larynx").voxels.index
    hot, broad = dose_of(0.0), dose_of(0.0)
    hot.reshape(-1)[index[: index.size // 2]] = 70.0
    broad.reshape(-1)[index] = 38.0
    one = by_id(assess_outcomes(case, goals("head-neck"), hot, 35, scheduled_gy=broad))["larynx-oedema"]
    assert 0.05 < one.versus_scheduled.probability_lower < 0.95


def test_tumour_control_follows_site_dose_and_time(make_case):
    case = make_case("PTV", "Rectum")
    control = by_id(assess_outcomes(case, goals(), dose_of(76.0), 38))["prostate-control"]
    bed_gy = 76.0 * (1 + 2 / 3.1)
    survivors = 3e6 * np.exp(-0.15 * bed_gy + np.log(2) / 42 * 51)
    assert control.kind == "TCP" and control.structure == "PTV"
    assert "51 days" in control.dose_basis
    assert control.probability == pytest.approx(np.exp(-survivors), rel=1e-3)
    assert control.low < control.probability < control.high
    assert "prostate-control" not in by_id(assess_outcomes(case, goals("lung"), dose_of(76.0), 38))


def test_estimates_survive_json(make_case):
    case = make_case("PTV", "Rectum", "Bladder")
    estimates = assess_outcomes(case, goals(), dose_of(70.0), 35, scheduled_gy=dose_of(71.0))
    adapter = TypeAdapter(tuple[OutcomeEstimate, ...])
    assert adapter.validate_json(adapter.dump_json(estimates)) == estimates
