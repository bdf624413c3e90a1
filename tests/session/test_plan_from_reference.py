"""The planning stage where a plan is adapted, with the real planning system on a small cylinder: its apertures, or its
dose where there is no more of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.contracts import Case, Planned
from appliance.contracts.progress import silent
from appliance.planning import check_plan
from appliance.session_plan import planned

from ..planning.cases import cylinder_case
from .test_plan import GOALS, config

NO_TIME = {"policy": "rules", "budget_s": 0.01}


@pytest.fixture(scope="module")
def case() -> Case:
    return cylinder_case(6.0)


@pytest.fixture(scope="module")
def old(case) -> Planned:
    return planned(config(policy="rules", beams=0), case, GOALS, None, silent)


@pytest.fixture(scope="module")
def adapted(case, old) -> Case:
    return replace(case, reference_plan=old.plan, target_shift_mm=(0.0, 0.0, 0.0))


def plan(case: Case, **changes: object) -> Planned:
    return planned(config(**({"beams": 0} | changes)), case, GOALS, None, silent)


def test_it_begins_at_the_plan_that_is_adapted(adapted, old):
    made = plan(adapted, **NO_TIME)
    assert made.facts.start == "apertures"
    assert made.story.steps[0].by == "reference"
    assert made.story.steps[0].score == pytest.approx(old.story.steps[-1].score, abs=0.5)
    assert made.plan.mu == pytest.approx(old.plan.mu, rel=0.02)
    assert any("the received plan's apertures, moved with the target by 0.0 mm" in note for note in made.notes)


def test_planned_to_its_end_it_is_no_worse_and_can_be_revised(adapted, old):
    made = plan(adapted, policy="rules")
    assert check_plan(made.plan).violations == ()
    assert made.story.steps[-1].goals_met >= old.story.steps[-1].goals_met
    assert made.working is not None


@pytest.mark.parametrize("changes", [{"start": "goals"}, {"policy": "template"}], ids=["goals", "template"])
def test_without_it_where_that_is_asked_for(adapted, changes):
    made = plan(adapted, **(NO_TIME | changes))
    assert made.facts.start == "goals"
    assert made.story.steps[0].by == "template"


def test_other_beams_are_planned_from_the_goals_and_it_is_said(adapted):
    made = plan(adapted, **NO_TIME, beams=3)
    assert made.facts.start == "goals"
    assert any("cannot be followed" in note and "other directions" in note for note in made.notes)


def test_a_reference_dose_alone_is_imitated(case, old):
    made = plan(replace(case, reference_dose_gy=old.dose.dose_gy), **NO_TIME)
    assert made.facts.start == "dose"
    assert any("imitates the reference dose" in note for note in made.notes)


@pytest.mark.parametrize(("factor", "start"), [(1.0, "goals"), (0.5, "reference")], ids=["not asked", "half the dose"])
def test_unless_it_is_not_wanted_or_of_another_prescription(case, old, factor, start):
    made = plan(replace(case, reference_dose_gy=old.dose.dose_gy * factor), **NO_TIME, start=start)
    assert made.facts.start == "goals"
    assert any("the reference dose gives PTV" in note for note in made.notes) is (factor != 1.0)
