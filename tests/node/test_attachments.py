"""Notes and an earlier course laid beside a patient reach the session that is assembled next, as its own copies."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from appliance.audit import AuditLog
from appliance.contracts import Attachments, PriorStated
from appliance.errors import ArtefactAltered, NodeError, RefusedObject
from appliance.inbound import dicom_files
from appliance.node import Node, ask

from .conftest import House


def patient_id_of(house: House) -> str:
    return str(pydicom.dcmread(house.small.files[0]).PatientID)


def attach(house: House, patient_id: str, notes: list[Path], prior: list[Path] | None = None, clear: str = "") -> None:
    paths = {"notes": [str(path) for path in notes], "prior": [str(path) for path in prior or []]}
    ask(house.store, {"command": "attach", "patient_id": patient_id, "clear": clear, **paths})


def reviewed(house: House, node: Node) -> Attachments:
    house.push(node)
    session = house.wait_for("in review")
    return node.session(str(session["session"])).files.attachments()


def test_what_is_attached_is_copied_to_the_patients_next_session_and_to_no_other(house: House, tmp_path: Path) -> None:
    mine, others, earlier = tmp_path / "Doe^Jane.txt", tmp_path / "other.txt", tmp_path / "dose.dcm"
    mine.write_text("No pacemaker.")
    others.write_text("Pacemaker.")
    earlier.write_bytes(b"an earlier dose")
    with house.node() as node:
        attach(house, patient_id_of(house), [mine], [earlier])
        attach(house, "somebody else", [others])
        found = reviewed(house, node)
    assert [path.read_text() for path in found.notes] == ["No pacemaker."]
    assert [path.read_bytes() for path in found.prior] == [b"an earlier dose"]
    with AuditLog.open(house.store / "audit.sqlite") as log:
        rows = [row for row in log.rows() if row.event == "attachments.added"]
    assert len(rows) == 2
    assert "Doe" not in str([row.data for row in rows])


def test_what_a_person_says_of_the_earlier_course_reaches_the_session(house: House, tmp_path: Path) -> None:
    earlier = tmp_path / "dose.dcm"
    earlier.write_bytes(b"an earlier dose")
    request = {"command": "attach", "patient_id": patient_id_of(house), "notes": [], "prior": [str(earlier)]}
    with house.node() as node:
        ask(house.store, {**request, "prior_fractions": 10, "days_since": 700.5})
        with pytest.raises(NodeError, match="must be numbers"):
            ask(house.store, {**request, "prior_fractions": -1})
        found = reviewed(house, node)
    assert found.stated == PriorStated(10, 700.5)


def test_what_was_cleared_is_gone_for_later_cases(house: House, tmp_path: Path) -> None:
    wrong, right = tmp_path / "wrong.txt", tmp_path / "right.txt"
    wrong.write_text("Of somebody else.")
    right.write_text("No pacemaker.")
    with house.node() as node:
        attach(house, patient_id_of(house), [wrong])
        attach(house, patient_id_of(house), [right], clear="yes")
        found = reviewed(house, node)
    assert [path.read_text() for path in found.notes] == ["No pacemaker."]


def test_a_copy_that_was_altered_is_noticed(house: House, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("No pacemaker.")
    with house.node() as node:
        attach(house, patient_id_of(house), [note])
        (copy,) = reviewed(house, node).notes
        copy.write_text("Pacemaker.")
        session = node.session(str(house.sessions()[0]["session"]))
        with pytest.raises(ArtefactAltered, match=r"attached/notes/.* is not the one"):
            session.files.attachments()


@pytest.mark.parametrize("name", ["picture.jpg", "missing.txt"])
def test_a_file_that_is_no_note_is_refused_and_nothing_is_kept(house: House, tmp_path: Path, name: str) -> None:
    good = tmp_path / "note.txt"
    good.write_text("No pacemaker.")
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8")
    with house.node(), pytest.raises(RefusedObject, match=r"neither text nor PDF|cannot be read"):
        attach(house, patient_id_of(house), [good, tmp_path / name])
    assert not list((house.store / "attachments").rglob("*.txt"))


def test_a_patient_must_be_named(house: House, tmp_path: Path) -> None:
    with house.node(), pytest.raises(NodeError, match="patient ID"):
        attach(house, "", [])


def test_a_folder_without_any_dicom_is_no_earlier_course(house: House, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("the dose is on the other disk")
    with pytest.raises(RefusedObject, match="holds no DICOM object"):
        dicom_files(tmp_path)
    assert dicom_files(house.small.folder)
