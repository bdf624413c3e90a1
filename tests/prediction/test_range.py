"""Patients that the dose network does not know: refused or warned of by name, and those that it knows left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.builtin.cases import CASES
from appliance.errors import ModelError
from appliance.prediction.facts import AnatomyFacts, Treatment
from appliance.prediction.range import judge_range, refused
from appliance.prediction.range_finding import RangeFinding, Severity
from appliance.prediction.range_model import RangeModel, load_range_model
from engines.errors import EngineError
from tests.prediction.anatomies import RANGE, SHAPE, Neck, ball, builtin, known


@pytest.fixture(scope="module")
def model() -> RangeModel:
    return known()


def found(change: Callable[[Neck], object], model: RangeModel) -> dict[str, RangeFinding]:
    neck = Neck()
    change(neck)
    return {finding.code: finding for finding in judge_range(neck.facts(), model)}


def test_a_usual_neck_is_left_alone(model: RangeModel) -> None:
    assert judge_range(Neck().facts(), model) == ()


# ---- structures ----------------------------------------------------------------------------------------------------


def empty_target(neck: Neck) -> None:
    neck.targets.append((63.0, np.zeros(SHAPE, bool)))


def no_target(neck: Neck) -> None:
    neck.targets = []


def nobody(neck: Neck) -> None:
    neck.possible = np.zeros(SHAPE, bool)


def nowhere(neck: Neck) -> None:
    neck.organs = {"Heart": neck.organs["Larynx"]}


def target_in_air(neck: Neck) -> None:
    neck.ct[neck.targets[0][1] | neck.targets[1][1]] = -950.0


def target_outside(neck: Neck) -> None:
    neck.possible &= ball((0, -25, 60), (500, 500, 60))


def exchanged(neck: Neck) -> None:
    right, left = neck.organs["Parotid_R"], neck.organs["Parotid_L"]
    neck.organs |= {"Parotid_R": left, "Parotid_L": right}


def upside_down(neck: Neck) -> None:
    neck.organs["Brainstem"], neck.organs["Esophagus"] = neck.organs["Esophagus"], neck.organs["Brainstem"]


def swollen_cord(neck: Neck) -> None:
    neck.organs["SpinalCord"] = ball((-30, 20, 0), (70, 40, 45))


def image_of(slice_mm: float) -> Callable[[Neck], object]:
    """The image that the anatomy was made from has other slices than the network's grid, and fine pixels."""
    spacing = (slice_mm, 1.0, 1.0)
    return lambda neck: setattr(neck, "treatment", replace(neck.treatment, image_spacing_mm=spacing))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (empty_target, "target.empty.63", "Contour it"),
        (no_target, "target.none", "goals"),
        (nobody, "body.empty", "external"),
        (nowhere, "organs.none", "head and neck only"),
        (target_in_air, "target.air", "air"),
        (target_outside, "target.outside", "outside"),
        (exchanged, "order.Parotid_L.Parotid_R", "left and right are exchanged"),
        (upside_down, "order.Brainstem.Esophagus", "head and feet are exchanged"),
        (swollen_cord, "measure.SpinalCord.volume_cc", "spinal cord"),
        (lambda neck: setattr(neck, "targets", [(-1.0, neck.targets[0][1])]), "target.prescription", "-1 Gy"),
        (lambda neck: setattr(neck, "targets", [(110.0, neck.targets[0][1])]), "prescription.highest", "110 Gy"),
        (lambda neck: neck.targets.append((30.0, ball((60, 20, 0), (9, 9, 9)))), "prescription.level.30", "too high"),
        (lambda neck: setattr(neck, "treatment", Treatment(fractions=5)), "fractions", "14.00 Gy"),
        (lambda neck: setattr(neck, "spacing_mm", (8.0, 4.0, 4.0)), "spacing.z", "8.00 mm"),
        (image_of(6.0), "image.spacing.z", "finer"),
    ],
)
def test_what_cannot_be_predicted_is_refused_with_a_reason(
    change: Callable[[Neck], object], code: str, words: str, model: RangeModel
) -> None:
    told = found(change, model)
    assert told[code].severity is Severity.REFUSE
    assert words in told[code].sentence
    assert told[code].sentence.endswith("No dose is predicted.")


def overlapping(neck: Neck) -> None:
    neck.targets[1] = (56.0, neck.targets[1][1] | ball((-10, -25, 20), (20, 20, 20)))


def air_in_external(neck: Neck) -> None:
    neck.possible |= ball((0, 0, 0), (96, 125, 125))
    neck.ct[ball((0, -95, 0), (90, 40, 90))] = -1000.0


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (overlapping, "target.overlap.70.56", "70 and 56 Gy share"),
        (air_in_external, "measure.ct.empty_share", "external contour"),
        (lambda neck: neck.ct.fill(0.0), "together.ct", "Hounsfield"),
        (lambda neck: setattr(neck, "targets", [(50.0, neck.targets[0][1])]), "prescription.highest", "50 Gy"),
        (lambda neck: neck.targets.append((60.0, ball((60, 20, 0), (9, 9, 9)))), "prescription.level.60", "86 %"),
        (lambda neck: setattr(neck, "treatment", Treatment(fractions=25)), "fractions", "2.80 Gy"),
        (lambda neck: setattr(neck, "treatment", Treatment(35, (0.0, 90.0, 180.0))), "beams.few", "3 beams"),
        (lambda neck: setattr(neck, "treatment", Treatment(35, coplanar=False)), "beams.couch", "one plane"),
        (lambda neck: setattr(neck, "spacing_mm", (4.5, 4.0, 4.0)), "spacing.z", "4.50 mm"),
        (image_of(4.0), "image.spacing.z", "4.00 mm"),
    ],
)
def test_what_is_doubtful_is_warned_of(
    change: Callable[[Neck], object], code: str, words: str, model: RangeModel
) -> None:
    told = found(change, model)
    assert told[code].severity is Severity.WARN
    assert words in told[code].sentence


def test_missing_organs_ct_and_unknown_structures_are_said(model: RangeModel) -> None:
    neck = Neck()
    neck.ct = None  # type: ignore[assignment]
    del neck.organs["Larynx"]
    neck.organs["Esophagus"] = np.zeros(SHAPE, bool)
    neck.organs["Lips"] = ball((0, -80, 0), (8, 8, 8))
    neck.treatment = replace(neck.treatment, arcs=True, others=("Thyroid",))
    told = judge_range(neck.facts(), model)
    assert {finding.code for finding in told} == {
        "organ.missing.Larynx", "organ.missing.Esophagus", "ct.missing", "beams.arc", "organs.others",
    }  # fmt: skip
    assert all(finding.severity is Severity.NOTE for finding in told)
    assert any("Lips, Thyroid" in finding.sentence for finding in told)


def test_a_target_drawn_around_a_higher_one_overlaps_nothing(model: RangeModel) -> None:
    neck = Neck()
    neck.targets[1] = (56.0, neck.targets[1][1] | neck.targets[0][1])
    assert neck.facts().overlaps == ()


def test_the_gravest_comes_first(model: RangeModel) -> None:
    neck = Neck()
    swollen_cord(neck)
    del neck.organs["Larynx"]
    told = judge_range(neck.facts(), model)
    rank = list(Severity)
    assert [rank.index(f.severity) for f in told] == sorted(rank.index(f.severity) for f in told)
    assert refused(told)


def test_masks_of_another_grid_are_refused() -> None:
    neck = Neck()
    neck.organs["Larynx"] = np.zeros((3, 3, 3), bool)
    with pytest.raises(EngineError, match="one grid"):
        neck.facts()


def test_cropping_to_where_dose_is_possible_changes_no_fact() -> None:
    neck = Neck()
    whole = neck.facts()
    grown = Neck()
    for name in ("possible", "ct"):
        setattr(grown, name, np.pad(getattr(neck, name), 3, constant_values=0 if name == "possible" else -1000))
    grown.organs = {name: np.pad(mask, 3) for name, mask in neck.organs.items()}
    grown.targets = [(gy, np.pad(mask, 3)) for gy, mask in neck.targets]
    assert grown.facts().values == pytest.approx(dict(whole.values), nan_ok=True)


# ---- other sites, and real patients --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(CASES))
def test_every_builtin_case_is_caught(name: str, model: RangeModel) -> None:
    """Three have no organ that the network knows and are refused; the mock head and neck, whose cord and parotids it
    does know, is warned of for its prescription, its water and its slab."""
    told = {finding.code: finding.severity for finding in judge_range(builtin(name), model)}
    if name == "head-neck":
        assert {"prescription.highest", "together.outline", "together.ct"} <= set(told)
        assert Severity.WARN in told.values()
    else:
        assert told["organs.none"] is Severity.REFUSE


SHARED = Path(__file__).parents[3] / "shared" / "openkbp"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the OpenKBP patients are not beside this checkout")
@pytest.mark.parametrize(
    ("patient", "code", "severity"),
    [
        ("train/pt_51", "together.outline", Severity.WARN),
        ("train/pt_103", "together.ct", Severity.WARN),
        ("train/pt_151", "measure.ct.air_share", Severity.WARN),
        ("valid/pt_208", "measure.ct.empty_share", Severity.WARN),
        ("valid/pt_215", "measure.SpinalCord.volume_cc", Severity.REFUSE),
        ("valid/pt_216", "measure.SpinalCord.volume_cc", Severity.REFUSE),
    ],
)
def test_the_stress_patients_are_caught(patient: str, code: str, severity: Severity, model: RangeModel) -> None:
    assert {f.code: f.severity for f in judge_range(packed_facts(patient), model)}[code] is severity


@pytest.mark.skipif(not SHARED.is_dir(), reason="the OpenKBP patients are not beside this checkout")
@pytest.mark.parametrize("patient", ["train/pt_34", "train/pt_66", "train/pt_193", "valid/pt_210", "valid/pt_240"])
def test_good_patients_are_not(patient: str, model: RangeModel) -> None:
    assert all(finding.severity is Severity.NOTE for finding in judge_range(packed_facts(patient), model))


def packed_facts(patient: str) -> AnatomyFacts:
    from models.dose.packed_facts import facts_of

    facts = facts_of(SHARED / f"{patient}.npz")
    assert facts is not None
    return facts


# ---- the file ------------------------------------------------------------------------------------------------------


def test_the_file_holds_no_patient(model: RangeModel) -> None:
    told = json.loads(RANGE.read_text("utf-8"))
    assert model.patients == 196
    assert all(len(fact["quantiles"]) == 5 and fact["cases"] >= 20 for fact in told["facts"].values())
    assert "pt_" not in RANGE.read_text("utf-8")


@pytest.mark.parametrize("spoil", [{"format": "x"}, {"facts": {}}, {"spacing_mm": 3}, {"presence": None}])
def test_a_spoilt_file_is_refused(spoil: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "range.json"
    path.write_text(json.dumps(json.loads(RANGE.read_text("utf-8")) | spoil), "utf-8")
    with pytest.raises(ModelError, match="range"):
        load_range_model(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_range_model(tmp_path / "none.json")
