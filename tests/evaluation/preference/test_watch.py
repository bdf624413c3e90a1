"""Drift and bias are found where they are, and seldom where they are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from appliance.contracts.preference import PreferenceExample
from appliance.evaluation.preference import WatchReport, assess_preference, watch
from appliance.evaluation.preference.watch import EVERYBODY

from .conftest import Clinic
from .simulated import SITES, Physician, draw_plan


def decisions(person: Physician, count: int, seed: int, site: str = "head-neck") -> list[PreferenceExample]:
    random = np.random.default_rng(seed)
    return [person.decide(draw_plan(random, site), reasons=False) for _ in range(count)]


def test_the_alarm_rings_for_nothing_about_as_seldom_as_stated(made: Clinic) -> None:
    """The stated rate is 5 % of sequences of 200; with 60 sequences up to 9 are within chance."""
    alarms = 0
    for run in range(60):
        report = watch(made.model, decisions(made.physicians[run % 6], made.model.drift_horizon, run))
        alarms += bool(report.drift[0].alarm_at)
    assert alarms <= 9


def test_a_physician_who_turned_round_raises_the_alarm(made: Clinic) -> None:
    person = made.physicians[2]
    turned = replace(person, weights=-0.6 * person.weights)
    new = decisions(turned, 120, 91)
    report = watch(made.model, [*made.examples, *new])
    assert report.decisions == 120
    drifted = {check.whose: check.alarm_at for check in report.drift}
    assert drifted[EVERYBODY]
    assert drifted[person.name]
    assert any("have not followed this model" in warning for warning in report.warnings)
    verdict = assess_preference(new[0].plan, person.name, made.model, report)
    assert set(report.warnings) <= set(verdict.warnings)


def test_a_stricter_physician_is_flagged_and_the_others_are_not(made: Clinic) -> None:
    strict = replace(
        made.physicians[1], weights=made.physicians[1].weights - np.eye(len(made.physicians[1].weights))[0] * 2
    )
    new = [*decisions(strict, 100, 92), *decisions(made.physicians[3], 100, 93)]
    flagged = {check.group: check.flagged for check in watch(made.model, new).groups if check.kind == "physician"}
    assert "less often than predicted" in flagged[strict.name]
    assert flagged[made.physicians[3].name] == ""


def test_a_site_that_is_judged_otherwise_is_flagged(made: Clinic) -> None:
    one = made.physicians[0]
    kinder = replace(one, weights=one.weights + np.eye(len(one.weights))[0] * 2.5)
    new = [*decisions(kinder, 120, 94, "lung"), *decisions(one, 120, 95, "prostate")]
    flagged = {check.group: check.flagged for check in watch(made.model, new).groups if check.kind == "site"}
    assert "more often than predicted" in flagged["lung"]
    assert flagged["prostate"] == ""


def test_nothing_decided_since_is_nothing_found(made: Clinic) -> None:
    report = watch(made.model, made.examples)
    assert (report.decisions, report.warnings, report.groups) == (0, (), ())
    assert WatchReport.from_json(report.to_json()) == report
    assert set(SITES) == {site for site, _ in made.model.sites}
