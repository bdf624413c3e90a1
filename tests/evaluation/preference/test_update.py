"""One decision at a time leads to where all of them together lead, within the stated tolerance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts.preference import Decision
from appliance.errors import PreferenceRefused
from appliance.evaluation.preference import learn, updated
from appliance.evaluation.preference.evidence import evidence_of, row_of
from appliance.evaluation.preference.predict import predict
from appliance.evaluation.preference.update import AGREES_WITHIN
from engines.preference import posterior

from .conftest import Clinic
from .simulated import SITES, draw_plan


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("count", [20, 150])
def test_on_line_and_all_at_once_agree(made: Clinic, who: int, count: int) -> None:
    random, sites = np.random.default_rng([51, who, count]), list(SITES)
    person, typical = made.newcomers[who], made.model.typical
    decided = [person.decide(draw_plan(random, sites[i % 3])) for i in range(count)]
    prior = made.model.clinic.gaussian
    whole, step = posterior(prior, evidence_of(decided, typical)), prior
    for example in decided:
        step = learn(step, example, typical)
    rows = [row_of(draw_plan(random, sites[i % 3]), typical) for i in range(300)]
    apart = [abs(predict(step, row).calibrated(1.0)[0] - predict(whole, row).calibrated(1.0)[0]) for row in rows]
    assert max(apart) < AGREES_WITHIN
    assert np.mean(apart) < AGREES_WITHIN / 4
    assert np.allclose(np.diag(step.covariance), np.diag(whole.covariance), rtol=0.15)


def test_an_update_is_a_candidate_tested_on_each_decision_before_it_is_learned(made: Clinic) -> None:
    random, person = np.random.default_rng(52), made.newcomers[0]
    new = [person.decide(draw_plan(random)) for _ in range(60)]
    candidate = updated(made.model, [*made.examples, *new], made_by="test")
    assert candidate.previous == made.model.digest
    assert candidate.clinic == made.model.clinic
    assert candidate.decisions == made.model.decisions + 60
    learned = candidate.person(person.name)
    assert learned is not None
    assert learned.decisions == 60
    assert candidate.person("Dr 0") == made.model.person("Dr 0")
    assert candidate.held_out is not None
    assert candidate.held_out.decisions == 60
    names = [check.name for check in candidate.changes.protocol]
    assert names[-1] == "not worse than the active model"
    assert candidate.changes.protocol[-1].passed


def test_nothing_new_is_no_update(made: Clinic) -> None:
    with pytest.raises(PreferenceRefused, match="nothing is to be learned"):
        updated(made.model, made.examples, made_by="test")


def test_a_decision_without_a_reason_that_can_be_learned_leaves_the_belief(made: Clinic) -> None:
    example = replace(made.examples[0], decision=Decision.ASKED, reasons=(), other=None)
    belief = made.model.clinic.gaussian
    after = learn(belief, example, made.model.typical)
    assert np.allclose(after.mean, belief.mean)
    assert np.allclose(after.covariance, belief.covariance)
