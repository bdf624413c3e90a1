"""Nothing learned activates itself: candidates, named persons, refusals, roll-back, and a log that shows every
change."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.audit import verify
from appliance.contracts.preference import Basis
from appliance.errors import PreferenceRefused
from appliance.evaluation.preference import fit_model, updated
from appliance.evaluation.preference.store import ACTIVATED, CANDIDATE, ROLLED_BACK, PreferenceStore

from .conftest import Clinic
from .simulated import draw_plan

WHO = "Dr Chief (physician)"


@pytest.fixture
def store(tmp_path: Path) -> PreferenceStore:
    return PreferenceStore(tmp_path / "preference")


def second(made: Clinic, store: PreferenceStore) -> str:
    random, person = np.random.default_rng(61), made.newcomers[0]
    new = [person.decide(draw_plan(random)) for _ in range(40)]
    store.record(new, "test")
    active = store.active()
    assert active is not None
    return store.propose(updated(active, store.examples(), made_by="test"), "test")


def test_an_empty_store_predicts_nothing(made: Clinic, store: PreferenceStore) -> None:
    assert store.active() is None
    assert store.history() == ()
    assert store.examples() == ()
    assert store.verdict(made.examples[0].plan, "Dr 0").basis is Basis.NO_MODEL
    assert not store.folder.exists()


def test_decisions_are_kept_once_and_read_back(made: Clinic, store: PreferenceStore) -> None:
    assert store.record(made.examples[:30], "test") == 30
    assert store.record(made.examples[:40], "test") == 10
    assert store.examples() == tuple(made.examples[:40])


def test_a_candidate_decides_nothing_until_a_named_person_activates_it(made: Clinic, store: PreferenceStore) -> None:
    digest = store.propose(made.model, "test")
    assert store.active() is None
    store.activate(digest[:12], WHO)
    assert store.active() == made.model
    verdict = store.verdict(made.examples[0].plan, "Dr 0")
    assert verdict.basis is Basis.PERSONAL
    assert verdict.model_digest == digest
    events = [(step.event, step.actor) for step in store.history()]
    assert events == [(CANDIDATE, "test"), (ACTIVATED, WHO)]
    assert verify(store.log).ok


def test_rolling_back_leads_to_the_model_before_and_then_to_none(made: Clinic, store: PreferenceStore) -> None:
    store.record(made.examples, "test")
    first = store.propose(made.model, "test")
    store.activate(first, WHO)
    later = second(made, store)
    store.activate(later, WHO)
    assert store.active_digest() == later
    assert store.roll_back(WHO, "odd verdicts") == first
    assert store.active() == made.model
    assert store.roll_back(WHO, "all of it") == ""
    assert store.active() is None
    assert [step.event for step in store.history()][-2:] == [ROLLED_BACK, ROLLED_BACK]
    with pytest.raises(PreferenceRefused, match="nothing to go back from"):
        store.roll_back(WHO, "again")


def test_a_candidate_compared_with_another_model_is_refused(made: Clinic, store: PreferenceStore) -> None:
    store.record(made.examples, "test")
    store.activate(store.propose(made.model, "test"), WHO)
    stale = store.propose(fit_model(made.examples[:400], made_by="test"), "test")
    with pytest.raises(PreferenceRefused, match="fit it again"):
        store.activate(stale, WHO)


def test_a_missed_criterion_needs_a_reason(made: Clinic, store: PreferenceStore) -> None:
    failed = replace(made.model.changes.protocol[0], passed=False)
    worse = replace(made.model, changes=replace(made.model.changes, protocol=(failed,)))
    digest = store.propose(worse, "test")
    with pytest.raises(PreferenceRefused, match="criterion is missed"):
        store.activate(digest, WHO)
    store.activate(digest, WHO, despite="a trial on two physicians")
    assert store.history()[-1].why == "a trial on two physicians"


@pytest.mark.parametrize("digest", ["", "ffff", "not one"])
def test_an_unknown_candidate_is_refused(made: Clinic, store: PreferenceStore, digest: str) -> None:
    store.propose(made.model, "test")
    with pytest.raises(PreferenceRefused, match="candidates begin with"):
        store.activate(digest, WHO)


def test_an_altered_or_lost_model_file_predicts_nothing(made: Clinic, store: PreferenceStore) -> None:
    digest = store.propose(made.model, "test")
    store.activate(digest, WHO)
    file = store.folder / f"{digest}.json"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"made_by":"test"', b'"made_by":"Test"'))
    with pytest.raises(PreferenceRefused, match="altered"):
        store.verdict(made.examples[0].plan, "Dr 0")
    other = replace(made.model, made_by="somebody")
    file.write_bytes(other.to_bytes())
    with pytest.raises(PreferenceRefused, match="another model than its name"):
        store.active()
    file.unlink()
    with pytest.raises(PreferenceRefused, match="cannot be read"):
        store.active()


def test_an_activation_cannot_be_written_into_the_log_unseen(made: Clinic, store: PreferenceStore) -> None:
    store.propose(made.model, "test")
    with sqlite3.connect(store.log) as connection, pytest.raises(sqlite3.Error):
        connection.execute("UPDATE audit SET actor = 'Dr Nobody'")


def test_the_last_watch_stands_beside_the_verdict(made: Clinic, store: PreferenceStore) -> None:
    assert store.watch("test") is None
    store.record(made.examples, "test")
    store.activate(store.propose(made.model, "test"), WHO)
    turned = replace(made.physicians[2], weights=-0.6 * made.physicians[2].weights)
    random = np.random.default_rng(62)
    store.record([turned.decide(draw_plan(random)) for _ in range(120)], "test")
    report = store.watch("test")
    assert report is not None
    assert report.warnings
    verdict = store.verdict(made.examples[0].plan, "Dr 0")
    assert set(report.warnings) <= set(verdict.warnings)
    store.roll_back(WHO, "drift")
    assert store.verdict(made.examples[0].plan, "Dr 0").warnings == ()
