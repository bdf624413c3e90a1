"""What a session judges beyond the goals: each part where it belongs, and one that cannot be had hides no other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.contracts import Attachments, Evaluation, Outcome
from appliance.contracts.notes import FactKind
from appliance.errors import ModelError, NotAcknowledged
from appliance.session import Session, State

from .conftest import PASSPHRASE, PHYSICIAN, Desk

PARTS = ("explanations", "robustness", "deliverability", "outcomes", "prior_course", "clinical_notes", "preference")


def reviewed(desk: Desk, notes: dict[str, str] | None = None, prior: tuple[Path, ...] = ()) -> Session:
    folder = desk.store.parent / "laid-beside"
    folder.mkdir(exist_ok=True)
    paths = []
    for name, words in (notes or {}).items():
        (folder / name).write_text(words, "utf-8")
        paths.append(folder / name)
    attached = Attachments(tuple(paths), prior)
    session = desk.session(replace(desk.stages, attachments=lambda _: attached))
    session.run()
    assert session.state is State.IN_REVIEW
    return session


def card_of(session: Session) -> dict[str, object]:
    return json.loads((session.files.folder / "scorecard.json").read_bytes())  # type: ignore[no-any-return]


def test_every_part_has_its_place_and_says_where_it_has_nothing(desk: Desk) -> None:
    session = reviewed(desk)
    card, evaluation = card_of(session), session.files.evaluation()
    assert set(PARTS) <= set(card)
    assert card["clinical_notes"] is None and card["prior_course"] is None
    assert evaluation.deliverability is not None
    assert evaluation.preference is not None and evaluation.preference.probability is None
    assert Evaluation.from_json(evaluation.to_json()).digest == evaluation.digest


def test_a_pregnancy_in_a_note_needs_a_reason_before_anybody_approves(desk: Desk) -> None:
    session = reviewed(desk, {"note.txt": "She is pregnant. No pacemaker."})
    notes = session.files.evaluation().clinical_notes
    assert notes is not None
    assert {fact.kind for fact in notes.facts} == {FactKind.PREGNANCY, FactKind.CARDIAC_DEVICE}
    assert "regnan" in str(session.standing.summary()["to_acknowledge"])
    with pytest.raises(NotAcknowledged, match=r"[Pp]regnan"):
        session.approve(PHYSICIAN, PASSPHRASE)
    approval = session.approve(PHYSICIAN, PASSPHRASE, "the test was repeated and is negative")
    assert "negative" in approval.acknowledged
    assert "quote" not in json.dumps(card_of(session))


def test_what_was_laid_beside_is_judged_from_the_sessions_own_copy(desk: Desk) -> None:
    session = reviewed(desk, {"Doe^Jane.txt": "No pacemaker."})
    [copy] = session.files.attachments().notes
    assert copy.is_relative_to(session.files.folder)
    assert desk.rows("session.transition")[-1].data["to"] == "in review"


def test_an_earlier_course_that_cannot_be_read_is_a_finding_beside_all_else(desk: Desk) -> None:
    broken = desk.store.parent / "earlier.dcm"
    broken.write_bytes(b"no DICOM at all")
    session = reviewed(desk, prior=(broken,))
    evaluation = session.files.evaluation()
    assert "prior.not_summed" in {finding.id for finding in evaluation.findings}
    assert evaluation.prior_course is None
    assert evaluation.deliverability is not None
    assert "earlier course" in (session.files.folder / "report.html").read_text("utf-8")


def test_a_part_that_fails_says_so_and_the_others_stand(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ModelError("the file of outcome models is gone")

    monkeypatch.setattr("appliance.session_deepen.outcomes_of", missing)
    evaluation = reviewed(desk).files.evaluation()
    [found] = [finding for finding in evaluation.findings if finding.id == "evaluation.outcomes"]
    assert found.outcome is Outcome.NOT_TESTED
    assert "outcome models is gone" in found.evidence
    assert evaluation.outcomes == () and evaluation.deliverability is not None
