"""What is learned from past sessions: real sessions, decided, and read back from the log and the files."""

from __future__ import annotations

import os

import numpy as np
import pytest
from typer.testing import CliRunner

from appliance.cli.app import app
from appliance.contracts.preference import Decision, PreferenceVerdict
from appliance.evaluation.preference import fit_model, judge_preference
from appliance.evaluation.preference.store import PreferenceStore
from appliance.session import Session, State
from appliance.session_decisions import examples_from_sessions

from ..evaluation.preference.simulated import clinic, draw_plan
from .conftest import PASSPHRASE, PHYSICIAN, Desk

USER = "uid 1000"
PEOPLE = {USER: PHYSICIAN}


def reviewed(desk: Desk, name: str) -> Session:
    session = Session.open(name, desk.received[0].patient_key, desk.stages, desk.workplace)
    session.receive(desk.received, {"last_object_utc": "2026-01-01T00:00:00.000000Z"})
    session.run()
    assert session.state is State.IN_REVIEW, session.standing.facts
    return session


def test_approvals_and_refusals_become_examples(desk: Desk) -> None:
    approved, rejected, passed_over = (reviewed(desk, name) for name in ("s-1", "s-2", "s-3"))
    approved.approve(PHYSICIAN, PASSPHRASE)
    rejected.reject(USER, "[other] core too hot")
    passed_over.choose_scheduled(USER, "no benefit")
    found = examples_from_sessions(desk.store, PEOPLE)
    assert (found.skipped, found.strangers) == ((), ())
    first, second, third = found.examples
    assert [one.decision for one in found.examples] == [
        Decision.APPROVED, Decision.REJECTED, Decision.CHOSE_SCHEDULED,
    ]  # fmt: skip
    assert {one.physician for one in found.examples} == {PHYSICIAN}
    assert [one.session_id for one in found.examples] == ["s-1", "s-2", "s-3"]
    assert (first.reasons, second.reasons, third.reasons) == ((), ("other",), ("scheduled",))
    assert first.case_digest == approved.standing.facts["case_digest"]
    assert len({one.id for one in found.examples}) == 3
    evaluation = approved.files.evaluation()
    assert first.plan.evaluation_digest == evaluation.digest
    core = next(goal for goal in evaluation.goals if goal.structure == "Core")
    assert not core.met
    assert first.plan.value("other.over") == pytest.approx((core.value / core.limit - 1.0) / 0.1)
    assert first.shown is None  # no model is active, so nobody was shown a number
    assert third.other is None  # the small case has no scheduled plan


def test_nothing_of_the_patient_is_in_an_example(desk: Desk) -> None:
    reviewed(desk, "s-1").approve(PHYSICIAN, PASSPHRASE)
    (example,) = examples_from_sessions(desk.store, {}).examples
    text = example.to_json().decode()
    assert "SMALL-1" not in text
    assert "Small^Case" not in text


def test_decisions_of_unknown_users_are_named_and_not_guessed(desk: Desk) -> None:
    reviewed(desk, "s-1").reject(USER, "cord")
    found = examples_from_sessions(desk.store, {})
    assert (found.examples, found.strangers) == ((), (USER,))
    left_out = examples_from_sessions(desk.store, {USER: ""})
    assert (left_out.examples, left_out.strangers) == ((), ())
    assert left_out.skipped == (("s-1", f"several persons decide as {USER}"),)


def test_a_demo_approval_teaches_nothing(desk: Desk) -> None:
    desk.identities.create("DEMO physician", "demo", "demo", demo=True)
    reviewed(desk, "s-1").approve("DEMO physician", "demo")
    found = examples_from_sessions(desk.store, {})
    assert found.examples == ()
    assert found.skipped == (("s-1", "decided by a demo identity"),)


def test_an_altered_evaluation_is_skipped_with_its_reason(desk: Desk) -> None:
    session = reviewed(desk, "s-1")
    session.reject(USER, "cord")
    path = session.files.folder / "evaluation.json"
    os.chmod(path, 0o600)
    path.write_bytes(path.read_bytes().replace(b'"met":true', b'"met":false', 1))
    found = examples_from_sessions(desk.store, PEOPLE)
    assert found.examples == ()
    assert "not the one that was recorded" in found.skipped[0][1]


def test_a_session_under_way_is_no_decision(desk: Desk) -> None:
    reviewed(desk, "s-1")
    found = examples_from_sessions(desk.store, PEOPLE)
    assert (found.examples, found.skipped) == ((), ())


def test_a_session_is_judged_by_the_active_model_and_explained(desk: Desk) -> None:
    session = reviewed(desk, "s-1")
    evaluation = session.files.evaluation()
    folder = desk.store / "preference"
    assert judge_preference(folder, evaluation).probability is None
    random = np.random.default_rng(5)
    people = clinic(random, 3)
    model = fit_model([p.decide(draw_plan(random)) for p in people for _ in range(60)], made_by="test")
    store = PreferenceStore(folder)
    store.activate(store.propose(model, "test"), "Dr Chief (physician)")
    verdict = judge_preference(folder, evaluation, None, "Dr 1")
    assert verdict.own_cases == 60
    assert verdict.probability is not None
    told = CliRunner().invoke(
        app, ["preference", "explain", "s-1", "--physician", "Dr 1", "--store", str(desk.store), "--json"]
    )
    assert PreferenceVerdict.from_json(told.stdout.encode()) == verdict
    (folder / f"{model.digest}.json").write_bytes(b"{}")
    broken = judge_preference(folder, evaluation, None, "Dr 1")
    assert broken.probability is None
    assert "no preference model" in broken.sentence
