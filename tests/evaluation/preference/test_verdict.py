"""The verdict: contributions that sum exactly, a newcomer who starts from the clinic, and plain words on its limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts.preference import Basis, FeatureValue, PlanFeatures, PreferenceVerdict
from appliance.evaluation.preference import NO_MODEL, assess_preference, learn
from appliance.evaluation.preference.model import Belief, Person
from appliance.evaluation.preference.verdict import FEW_OWN

from .conftest import Clinic
from .simulated import SITES, draw_plan


def test_without_a_model_there_is_no_number(made: Clinic) -> None:
    verdict = assess_preference(made.examples[0].plan, "Dr 0", None)
    assert verdict == NO_MODEL
    assert verdict.basis is Basis.NO_MODEL
    assert (verdict.probability, verdict.low, verdict.high, verdict.logit, verdict.attributions) == (
        None, None, None, None, (),
    )  # fmt: skip
    assert "nothing is predicted" in verdict.sentence


def test_contributions_sum_to_the_logit_exactly(made: Clinic) -> None:
    random = np.random.default_rng(41)
    for physician in ("Dr 0", "Dr 3", "somebody new", ""):
        for site in SITES:
            verdict = assess_preference(draw_plan(random, site), physician, made.model)
            assert verdict.base_logit is not None
            assert verdict.probability is not None
            total = math.fsum([verdict.base_logit, *(one.contribution for one in verdict.attributions)])
            assert total == verdict.logit
            assert verdict.probability == pytest.approx(1.0 / (1.0 + math.exp(-total)), rel=1e-14)
            assert verdict.low is not None
            assert verdict.high is not None
            assert 0.0 <= verdict.low <= verdict.probability <= verdict.high <= 1.0


def test_contributions_are_ordered_and_a_missing_organ_has_none(made: Clinic) -> None:
    plan = made.examples[0].plan
    without = PlanFeatures(
        plan.site,
        tuple(replace(f, value=None) if f.name == "gland.spared" else f for f in plan.features),
    )
    verdict = assess_preference(without, "Dr 0", made.model)
    sizes = [abs(one.contribution) for one in verdict.attributions]
    assert sizes == sorted(sizes, reverse=True)
    missing = next(one for one in verdict.attributions if one.feature == "gland.spared")
    assert (missing.value, missing.contribution, missing.personal) == (None, 0.0, 0.0)


def test_changing_one_feature_changes_its_contribution_alone(made: Clinic) -> None:
    plan = made.examples[0].plan
    worse = PlanFeatures(
        plan.site,
        tuple(FeatureValue(f.name, 2.5) if f.name == "target.short" else f for f in plan.features),
    )
    one, two = (assess_preference(p, "Dr 0", made.model) for p in (plan, worse))
    # uncertainty of the weights scales all contributions alike, so the ratios of the others stay
    first, second = ({a.feature: a.contribution for a in v.attributions} for v in (one, two))
    factor = two.base_logit / one.base_logit  # type: ignore[operator]
    others = [name for name in first if name != "target.short"]
    assert all(second[name] == pytest.approx(first[name] * factor, abs=1e-12) for name in others)
    assert second["target.short"] < first["target.short"] * factor


def test_a_newcomer_has_the_clinics_preference_and_nothing_personal(made: Clinic) -> None:
    plan = made.examples[0].plan
    verdict = assess_preference(plan, "Dr New", made.model)
    assert verdict.basis is Basis.CLINIC
    assert verdict.own_cases == 0
    assert all(one.personal == pytest.approx(0.0, abs=1e-12) for one in verdict.attributions)
    assert replace(verdict, physician="", sentence="") == replace(assess_preference(plan, "", made.model), sentence="")
    assert any("no decisions of this physician" in warning for warning in verdict.warnings)


def test_a_newcomer_moves_with_the_first_decisions(made: Clinic) -> None:
    random, person = np.random.default_rng(42), made.newcomers[1]
    plans = [draw_plan(random) for _ in range(200)]

    def error(after: int) -> float:
        belief = made.model.clinic.gaussian
        for example in decided[:after]:
            belief = learn(belief, example, made.model.typical)
        model = replace(made.model, persons=(*made.model.persons, Person(person.name, Belief.of(belief), after)))
        says = [assess_preference(plan, person.name, model).probability for plan in plans]
        return float(np.mean([abs((p or 0.0) - person.probability(q)) for p, q in zip(says, plans, strict=True)]))

    decided = [person.decide(draw_plan(random)) for _ in range(250)]
    assert error(250) < error(80) < error(0)
    assert error(250) < 0.7 * error(0)


def test_what_limits_the_verdict_is_said(made: Clinic) -> None:
    plan = made.examples[0].plan
    far = PlanFeatures("brain", tuple(replace(f, value=40.0) if f.name == "machine.minutes" else f
                                      for f in plan.features))  # fmt: skip
    verdict = assess_preference(far, "Dr 0", replace(made.model, calibrated=""))
    words = " | ".join(verdict.warnings)
    assert "not calibrated" in words
    assert "no decisions on the site 'brain'" in words
    assert "unlike any plan learned from: delivery time" in words
    assert made.model.person("Dr 0") is not None
    assert (verdict.own_cases or 0) >= FEW_OWN
    assert "clinic's preference dominates" not in words


def test_a_plan_like_those_learned_from_has_no_warning(made: Clinic) -> None:
    assert assess_preference(made.examples[0].plan, "Dr 0", made.model).warnings == ()


def test_it_reads_back_from_json(made: Clinic) -> None:
    verdict = assess_preference(made.examples[0].plan, "Dr 0", made.model)
    assert PreferenceVerdict.from_json(verdict.to_json()) == verdict
    assert len(verdict.digest) == 64
