"""The fitted model: it finds the weights that were put in, its probability is true, and its file cannot be altered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.contracts.preference import Decision
from appliance.errors import PreferenceRefused
from appliance.evaluation.preference import PreferenceModel, assess_preference, fit_model, read_model
from appliance.evaluation.preference.evidence import choices_of, row_of
from appliance.evaluation.preference.fit import FEWEST_DECISIONS
from engines.statistics import expected_calibration_error

from .conftest import Clinic
from .simulated import SITES, Physician, clinic, draw_plan


def met(made: Clinic) -> np.ndarray:
    """Which weights the drawn plans can tell about."""
    rows = np.array([row_of(example.plan, made.model.typical) for example in made.examples])
    return np.asarray(np.ptp(rows, axis=0) > 0) | (np.arange(rows.shape[1]) == 0)


def test_known_weights_are_recovered(made: Clinic) -> None:
    known = met(made)
    for physician in made.physicians:
        belief = made.model.belief(physician.name)
        true, found = physician.weights[known], belief.mean[known]
        assert np.corrcoef(true, found)[0, 1] > 0.75
        assert np.mean(np.abs(true - found) < 2.58 * np.sqrt(np.diag(belief.covariance)[known])) > 0.9


def test_more_decisions_lead_closer_to_the_weights() -> None:
    random = np.random.default_rng(21)
    people = clinic(random, 4)

    def error(each: int) -> float:
        examples = [p.decide(draw_plan(random, list(SITES)[i % 3])) for p in people for i in range(each)]
        model = fit_model(examples, made_by="test")
        plans = [draw_plan(random) for _ in range(60)]
        return float(np.mean([abs(model_says(model, p, plan) - p.probability(plan)) for p in people for plan in plans]))

    few, many = error(25), error(250)
    assert many < 0.6 * few
    assert many < 0.08


def model_says(model: PreferenceModel, physician: Physician, plan: object) -> float:
    verdict = assess_preference(plan, physician.name, model)  # type: ignore[arg-type]
    return verdict.probability if verdict.probability is not None else np.nan


def test_the_probability_is_calibrated_on_decisions_it_never_saw(made: Clinic) -> None:
    random, sites = np.random.default_rng(77), list(SITES)
    asked = [(p, draw_plan(random, sites[i % 3])) for p in made.physicians for i in range(400)]
    said = np.array([model_says(made.model, p, plan) for p, plan in asked])
    happened = np.array([p.random.random() < p.probability(plan) for p, plan in asked], np.bool_)
    assert expected_calibration_error(said, happened) < 0.06
    assert made.model.held_out is not None
    assert made.model.held_out.calibration_error < 0.08
    assert made.model.held_out.auc is not None
    assert made.model.held_out.auc > 0.8
    assert "temperature" in made.model.calibrated


def test_the_credible_interval_holds_the_true_probability(made: Clinic) -> None:
    random, inside = np.random.default_rng(78), []
    for physician in made.physicians:
        for _ in range(80):
            plan = draw_plan(random)
            verdict = assess_preference(plan, physician.name, made.model)
            assert verdict.low is not None
            assert verdict.high is not None
            inside.append(verdict.low <= physician.probability(plan) <= verdict.high)
    assert 0.85 < np.mean(inside) <= 1.0


def test_missing_organs_bring_no_bias(made: Clinic) -> None:
    """Patients who lack an organ class are predicted as well on average as those who have them all."""
    random, away = np.random.default_rng(79), {True: [], False: []}  # type: ignore[var-annotated]
    for physician in made.physicians:
        for _ in range(300):
            plan = draw_plan(random)
            lacks = any(plan.value(f"{name}.spared") is None for name in SITES["head-neck"])
            away[lacks].append(model_says(made.model, physician, plan) - physician.probability(plan))
    assert abs(np.mean(away[True])) < 0.03
    assert abs(np.mean(away[True]) - np.mean(away[False])) < 0.03


def test_comparisons_teach_as_well(made: Clinic) -> None:
    random = np.random.default_rng(31)
    person = made.newcomers[0]
    reviews = list(made.examples)[:90]
    pairs = [person.prefer(draw_plan(random), draw_plan(random)) for _ in range(150)]
    model = fit_model([*reviews, *pairs], made_by="test")
    plans = [draw_plan(random) for _ in range(300)]
    true = np.array([person.worth(plan) for plan in plans])
    found = np.array([model.belief(person.name).linear(row_of(plan, model.typical))[0] for plan in plans])
    assert np.corrcoef(true, found)[0, 1] > 0.85


def test_reasons_sharpen_the_weights(made: Clinic) -> None:
    random, errors = np.random.default_rng(32), {True: [], False: []}  # type: ignore[var-annotated]
    people = clinic(np.random.default_rng(8), 4)
    plans = [draw_plan(random) for _ in range(100)]
    examples = [p.decide(draw_plan(random)) for p in people for _ in range(30)]
    for named in (True, False):
        model = fit_model([e if named else replace(e, reasons=()) for e in examples], made_by="test")
        for p in people:
            errors[named] += [abs(model_says(model, p, plan) - p.probability(plan)) for plan in plans]
    assert np.mean(errors[True]) < np.mean(errors[False])


def test_the_scheduled_plan_chosen_is_a_refusal_and_a_comparison(made: Clinic) -> None:
    random = np.random.default_rng(33)
    example = made.physicians[0].decide(draw_plan(random))
    chosen = replace(example, decision=Decision.CHOSE_SCHEDULED, other=draw_plan(random), reasons=())
    choices = choices_of(chosen, made.model.typical)
    assert [weight for _, weight in choices] == [1.0, 0.5]
    assert np.all(choices[0][0][0] == 0.0)
    assert choices[1][0][0][0] == 0.0


def test_the_order_of_decisions_does_not_matter(made: Clinic) -> None:
    again = fit_model(list(reversed(made.examples)), made_by="test")
    assert replace(again, created_utc=made.model.created_utc) == made.model


def test_one_id_for_two_decisions_is_refused(made: Clinic) -> None:
    first, second = made.examples[0], made.examples[1]
    with pytest.raises(PreferenceRefused, match="two different decisions"):
        fit_model([*made.examples, replace(second, id=first.id)], made_by="test")


def test_the_same_decision_twice_counts_once(made: Clinic) -> None:
    again = fit_model([*made.examples, made.examples[0]], made_by="test")
    assert again.learned_from == made.model.learned_from


def test_too_few_decisions_are_refused(made: Clinic) -> None:
    with pytest.raises(PreferenceRefused, match="too few"):
        fit_model(made.examples[: FEWEST_DECISIONS - 1], made_by="test")
    approved = [example for example in made.examples if example.decision is Decision.APPROVED]
    with pytest.raises(PreferenceRefused, match="0 refusals"):
        fit_model(approved, made_by="test")


def test_features_of_another_form_are_refused(made: Clinic) -> None:
    with pytest.raises(PreferenceRefused, match="compute them again"):
        assess_preference(replace(made.examples[0].plan, schema="older"), "", made.model)


def test_the_file_reads_back_and_an_altered_one_is_refused(made: Clinic) -> None:
    data = made.model.to_bytes()
    assert PreferenceModel.from_bytes(data, "it") == made.model
    document = json.loads(data)
    assert document["digest"] == made.model.digest
    document["model"]["temperature"] = 3.0
    with pytest.raises(PreferenceRefused, match="altered"):
        PreferenceModel.from_bytes(json.dumps(document).encode(), "it")
    with pytest.raises(PreferenceRefused, match="damaged"):
        PreferenceModel.from_bytes(data[:-40], "it")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PreferenceRefused, match=r"gone\.json cannot be read"):
        read_model(tmp_path / "gone.json")


def test_decisions_about_one_case_alone_cannot_be_tested_and_are_not_acceptable(made: Clinic) -> None:
    model = fit_model([replace(example, case_digest="one") for example in made.examples[:90]], made_by="test")
    assert model.held_out is None
    assert model.calibrated == ""
    assert not model.changes.acceptable
    assert len(model.persons) == 1


def test_a_physician_who_approves_everything_is_learned_beside_the_others(made: Clinic) -> None:
    kind = [replace(e, id=f"kind {e.id}", physician="Dr Kind", decision=Decision.APPROVED, reasons=())
            for e in made.examples[:60]]  # fmt: skip
    model = fit_model([*made.examples, *kind], made_by="test")
    plan = next(e.plan for e in made.examples if e.decision is Decision.REJECTED)
    kind_says = assess_preference(plan, "Dr Kind", model).probability
    others = assess_preference(plan, "", model).probability
    assert kind_says is not None
    assert others is not None
    assert others < kind_says < 1.0
