"""Today's anatomy in a session: found, kept, confirmed, and found again after a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.approval import is_signed
from appliance.contracts import ExportSet, Structure
from appliance.contracts.anatomy import AnatomyReport, Verdict
from appliance.contracts.contour_edit import AddPolygon
from appliance.contracts.derived import DerivedRule
from appliance.contracts.origin import Origin
from appliance.contracts.progress import Progress
from appliance.errors import ApprovalError, ArtefactAltered, IllegalTransition, NotAcknowledged, RefusedContourEdit
from appliance.session import Session, State
from appliance.session_anatomy import STRUCTURES_FILE, anatomy_of
from appliance.session_contours import confirmation_bytes
from appliance.session_headless import read_pair
from engines.grid import Margins

from .conftest import PASSPHRASE, PHYSICIAN, Desk
from .small_case import SHIFT_MM, write_small_pair

HALF_SLICE_MM = 2.5
"""Contours lie on slices, so a structure ends half a slice too early or too late where the shift is no whole slice."""


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_pair(tmp_path_factory.mktemp("pair")).folder


def opened(desk: Desk, pair: Path, **changed: object) -> Session:
    found = read_pair(pair / "reference", pair / "today")
    session = Session.open("s-1", found.chosen[0].patient_key, replace(desk.stages, **changed), desk.workplace)  # type: ignore[arg-type]
    session.receive(found.chosen, {"last_object_utc": "2026-01-01T00:00:00.000000Z"}, found.notes, found.reference)
    session.run()
    return session


def centre_mm(structure: Structure, session: Session) -> np.ndarray:
    grid = session.case()[0].image.grid
    return np.average(grid.centres_mm(structure.voxels.index), axis=0, weights=structure.voxels.fraction)


def test_contours_are_found_where_the_anatomy_lies_today(desk: Desk, pair: Path) -> None:
    session = opened(desk, pair)
    assert session.state is State.CONTOUR_REVIEW, session.standing.facts
    case, _ = session.case()
    for name, at in (("PTV", (0.0, -10.0, 0.0)), ("Core", (0.0, 25.0, 0.0))):
        structure = case.structure(name)
        assert structure is not None
        off_mm = np.abs(centre_mm(structure, session) - np.add(at, SHIFT_MM))
        assert (off_mm < (0.8, 0.8, HALF_SLICE_MM)).all(), (name, off_mm)
    report = AnatomyReport.from_json(session.files.load("today/anatomy.json"))
    shift = report.table_shift  # the patient lies to the left, front and head of the plan
    assert (shift.lateral_mm, shift.longitudinal_mm, shift.vertical_mm) == pytest.approx(
        (-5, -5, -5), abs=1.5
    )  # on voxels of 5 mm


def test_nothing_is_planned_before_a_person_has_confirmed_and_signed(desk: Desk, pair: Path) -> None:
    session = opened(desk, pair)
    with pytest.raises(IllegalTransition):
        session.approve(PHYSICIAN, PASSPHRASE)
    with pytest.raises(ApprovalError):
        session.confirm_contours(PHYSICIAN, "not the passphrase")
    assert desk.rows("approval.refused")
    assert session.state is State.CONTOUR_REVIEW
    digest, sha = session.case()[0].digest, session.standing.artefacts[STRUCTURES_FILE]
    session.confirm_contours(PHYSICIAN, PASSPHRASE, "looked at")
    facts = session.standing.facts
    statement = confirmation_bytes("s-1", digest, sha, "looked at")
    key = desk.identities.find(PHYSICIAN).public_key
    assert is_signed(statement, str(facts["contours_signature"]), key)
    session.run()
    assert session.state is State.IN_REVIEW, session.standing.facts
    assert desk.states()[:3] == ["assembling", "contour review", "predicting"]


def test_a_restart_finds_the_same_contours_and_rules_without_looking_again(desk: Desk, pair: Path) -> None:
    find, rule = desk.stages.find_anatomy, DerivedRule("PTV", "Core", Margins.all_round(5.0))

    def recognising(*given: object) -> object:
        found, reference = find(*given)  # type: ignore[arg-type]
        return replace(found, report=replace(found.report, recognised=(rule,))), reference

    before = opened(desk, pair, find_anatomy=recognising).case()[0]

    def again(*_: object) -> None:
        raise AssertionError("today's anatomy was found twice")

    session = desk.reopen(replace(desk.stages, find_anatomy=again))
    assert session.state is State.CONTOUR_REVIEW
    assert session.case()[0].digest == before.digest
    with pytest.raises(RefusedContourEdit, match="PTV follows from Core"):
        session.edit_contours("Dr Test", [square("PTV", 2.5)])
    assert set(session.edit_contours("Dr Test", [square("Core", 2.5)]).names) == {"Core", "PTV"}


def test_contours_changed_on_the_disk_are_not_planned_on(desk: Desk, pair: Path) -> None:
    session = opened(desk, pair)
    path = session.files.folder / STRUCTURES_FILE
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ArtefactAltered):
        desk.reopen().confirm_contours(PHYSICIAN, PASSPHRASE)


def test_a_measure_beyond_its_limit_needs_a_reason(desk: Desk, pair: Path) -> None:
    find = desk.stages.find_anatomy

    def stopped(*given: object) -> object:
        found, before = find(*given)  # type: ignore[arg-type]
        return replace(found, report=replace(found.report, verdict=Verdict.STOP)), before

    session = opened(desk, pair, find_anatomy=stopped)
    assert session.state is State.CONTOUR_REVIEW
    with pytest.raises(NotAcknowledged):
        session.confirm_contours(PHYSICIAN, PASSPHRASE)
    session.confirm_contours(PHYSICIAN, PASSPHRASE, "compared by hand")
    assert session.standing.facts["confirmed_because"] == "compared by hand"


def test_without_review_the_plan_says_that_nobody_confirmed(desk: Desk, pair: Path) -> None:
    session = opened(desk, pair, contours_to_confirm=lambda *_: "")
    assert session.state is State.IN_REVIEW, session.standing.facts
    assert any("Nobody has confirmed today's contours" in note for note in session.standing.notes)


def test_received_contours_are_kept_as_they_are(desk: Desk, tmp_path: Path) -> None:
    drawn = write_small_pair(tmp_path / "drawn", drawn=True).folder
    session = opened(desk, drawn, contours_to_confirm=lambda *_: "")
    assert session.state is State.IN_REVIEW, session.standing.facts
    anatomy = anatomy_of(session.files)
    assert anatomy is not None
    assert anatomy.structure_set is None
    assert not session.files.has(STRUCTURES_FILE)
    assert {change.structure for change in anatomy.report.changes} == {"PTV", "Core"}


def square(structure: str, z_mm: float, half_mm: float = 6.0) -> AddPolygon:
    """Beside the organ, at its height, on the patient's left."""
    x, y = 30.0, 20.0
    left, right, front, back = x - half_mm, x + half_mm, y - half_mm, y + half_mm
    return AddPolygon(structure, z_mm, ((left, front), (right, front), (right, back), (left, back)))


def volume_cc(session: Session, name: str) -> float:
    case, _ = session.case()
    structure = case.structure(name)
    assert structure is not None
    return structure.voxels.volume_cc(case.image.grid.voxel_volume_cc)


def test_an_edit_is_in_the_case_once_it_is_confirmed_and_says_who_made_it(desk: Desk, pair: Path) -> None:
    session = opened(desk, pair)
    before, digest = volume_cc(session, "Core"), session.case()[0].digest
    change = session.edit_contours("Dr Test", [square("Core", 2.5)])
    assert change.names == ("Core",)
    (effect,) = session.contour_effect(change)
    assert effect["volume_cc"] == pytest.approx(before + 12 * 12 * 5 / 1000, abs=0.02)
    assert desk.rows("session.contour_edit")[0].data["edit"]["kind"] == "polygon add"  # type: ignore[index,call-overload]
    with pytest.raises(ApprovalError):
        session.confirm_contours(PHYSICIAN, "not the passphrase")
    session.confirm_contours(PHYSICIAN, PASSPHRASE, "edited")
    assert volume_cc(session, "Core") == pytest.approx(before + 0.72, abs=0.03)
    case, _ = session.case()
    assert case.digest != digest
    core = case.structure("Core")
    assert core is not None
    assert core.origin is not None
    assert (core.origin.kind, core.origin.by) == (Origin.EDITED, "Dr Test")
    assert "Contours were edited: Core" in session.standing.notes


def test_an_undone_edit_leaves_no_trace_in_the_case_and_a_restart_knows_it(desk: Desk, pair: Path) -> None:
    session = opened(desk, pair)
    before, digest = volume_cc(session, "Core"), session.case()[0].digest
    session.edit_contours("Dr Test", [square("Core", 2.5)])
    session.edit_contours("Dr Test", [square("PTV", 2.5)])
    session.undo_contours("Dr Test")
    again = desk.reopen()
    again.redo_contours("Dr Test")
    with pytest.raises(RefusedContourEdit):
        again.redo_contours("Dr Test")
    again.undo_contours("Dr Test")
    again.undo_contours("Dr Test")
    with pytest.raises(RefusedContourEdit):
        again.undo_contours("Dr Test")
    again.confirm_contours(PHYSICIAN, PASSPHRASE, "as found")
    assert volume_cc(again, "Core") == before
    assert again.case()[0].digest == digest


def test_edits_that_cannot_be_made_change_nothing(desk: Desk, pair: Path) -> None:
    session = opened(desk, pair)
    with pytest.raises(RefusedContourEdit):
        session.edit_contours("Dr Test", [square("Core", 2.5), square("Nobody", 2.5)])
    assert not desk.rows("session.contour_edit")
    session.confirm_contours(PHYSICIAN, PASSPHRASE, "as found")
    assert "contours_edited" not in session.standing.facts


def test_contours_edited_in_review_are_confirmed_and_planned_on_again(desk: Desk, pair: Path) -> None:
    def sent(export_set: ExportSet, progress: Progress) -> tuple[str, ...]:
        return (*desk.stages.send(export_set, progress), "The peer does not take it")

    session = opened(desk, pair, send=sent)
    held, _ = session.case()
    session.confirm_contours(PHYSICIAN, PASSPHRASE, "as found")
    assert session.case()[0] is held
    session.run()
    assert session.state is State.IN_REVIEW, session.standing.facts
    session.edit_contours("Dr Test", [square("Core", 2.5)])
    assert session.state is State.CONTOUR_REVIEW
    assert not session.can_run
    assert {name.split("/")[0] for name in session.standing.artefacts} == {
        "received.json", "reference.json", "goals.toml", "today"}  # fmt: skip
    session.confirm_contours(PHYSICIAN, PASSPHRASE, "edited")
    session.run()
    assert session.state is State.IN_REVIEW, session.standing.facts
    assert session.standing.facts["contours_edited"] == 1
    session.approve(PHYSICIAN, PASSPHRASE)
    session.run()
    assert session.state is State.EXPORTED, session.standing.facts
    assert [path.name for path in desk.sent[0]] == ["RP.dcm", "RD.dcm", "RS.dcm", "REG.dcm", "DEFORM.dcm"]
    assert "does not take it" in session.standing.notes[-1]
