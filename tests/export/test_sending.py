"""Sending against real peers: what arrives, and what is said when it does not."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import SpatialRegistrationStorage
from pynetdicom import AE

from appliance.config import PeerConfig
from appliance.contracts import ExportSet
from appliance.dicomio.files import save_durable
from appliance.dicomio.registration import (
    RegisteredImage,
    deformable_registration_dataset,
    spatial_registration_dataset,
)
from appliance.dicomio.values import new_uid
from appliance.errors import ExportError, NotApproved, ReadBackMismatch
from appliance.export import read_back, send, write_export_set, write_unapproved_set
from appliance.export.sending import REGISTRATIONS, Outcome, judge
from engines.registration import DisplacementField, RigidTransform

from .conftest import Approved, read_dose, read_plan
from .peers import (
    EXPLICIT,
    RT_DOSE,
    RT_PLAN,
    RT_STRUCTURES,
    VERIFICATION,
    Orthanc,
    ScriptedPeer,
    free_port,
    listens,
    storescp,
)

ORDER = [RT_STRUCTURES, RT_PLAN, RT_DOSE]


@pytest.fixture(scope="module")
def export_set(approved: Approved, tmp_path_factory: pytest.TempPathFactory) -> ExportSet:
    folder = tmp_path_factory.mktemp("set") / "export"
    return write_export_set(approved.case, approved.plan, approved.dose, approved.approval, folder)


@pytest.fixture(scope="module")
def with_registrations(
    export_set: ExportSet, approved: Approved, tmp_path_factory: pytest.TempPathFactory
) -> ExportSet:
    """And how the case's image lies to one of another frame of reference."""
    folder, today = tmp_path_factory.mktemp("today"), RegisteredImage.of(approved.case)
    sides = {"fixed": today, "moving": replace(today, frame_of_reference_uid=new_uid(), images=())}
    field = DisplacementField.of_rigid(RigidTransform.of((1.0, 2.0, 3.0)), approved.case.image.grid)
    written = [
        save_durable(spatial_registration_dataset(RigidTransform.of((1.0, 2.0, 3.0)), **sides), folder / "REG.dcm"),
        save_durable(deformable_registration_dataset(field, **sides), folder / "DEFORM.dcm"),
    ]
    paths, hashes = zip(*((one.path, one.sha256) for one in written), strict=True)
    return replace(export_set, registrations=paths, registration_sha256=hashes)


def peer_at(port: int, *, ae_title: str = "SCRIPTED", attempts: int = 3, retry_s: float = 0.05) -> PeerConfig:
    return PeerConfig(ae_title=ae_title, port=port, attempts=attempts, retry_s=retry_s)


def unchanged(export_set: ExportSet) -> bool:
    digests = tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in export_set.files)
    return digests == export_set.sha256


@pytest.mark.peer
def test_orthanc_holds_the_set_and_its_files_read_back(
    with_registrations: ExportSet, approved: Approved, tmp_path: Path
) -> None:
    export_set = with_registrations
    with Orthanc(tmp_path).running() as orthanc:
        peer = peer_at(orthanc.dicom_port, ae_title="ORTHANC")
        assert send(export_set, peer, calling_ae="COUCHSIDE") == ()
        assert send(export_set, peer, calling_ae="COUCHSIDE") == ()
        instances = orthanc.get("/instances?expand")
        found = {entry["MainDicomTags"]["SOPInstanceUID"]: entry["ID"] for entry in instances}
        beside = {str(dcmread(path).SOPInstanceUID): path for path in export_set.registrations}
        assert sorted(found) == sorted((*export_set.sop_instance_uids, *beside))
        for uid, path in beside.items():
            assert dcmread(BytesIO(orthanc.raw(f"/instances/{found[uid]}/file"))) == dcmread(path)
        assert len(orthanc.get("/patients")) == len(orthanc.get("/studies")) == 1
        for path, uid in zip(export_set.files, export_set.sop_instance_uids, strict=True):
            (tmp_path / path.name).write_bytes(orthanc.raw(f"/instances/{found[uid]}/file"))
    files = tuple(tmp_path / path.name for path in export_set.files)
    arrived = ExportSet(
        plan=files[0],
        doses=(files[1],),
        structures=files[2],
        sop_instance_uids=export_set.sop_instance_uids,
        sha256=tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in files),
        approved=True,
    )
    read_back(arrived, approved.case, approved.plan, approved.dose, read_plan=read_plan, read_dose=read_dose)


@pytest.mark.peer
def test_orthanc_that_knows_another_ae_title_refuses_for_good(export_set: ExportSet, tmp_path: Path) -> None:
    with Orthanc(tmp_path).running() as orthanc:
        before = time.monotonic()
        with pytest.raises(ExportError, match=r"WRONG \(127.*Called AE title not recognised.*Nothing was lost"):
            send(export_set, peer_at(orthanc.dicom_port, ae_title="WRONG", retry_s=30), calling_ae="COUCHSIDE")
        assert time.monotonic() - before < 10
        assert orthanc.get("/instances") == []


@pytest.mark.peer
@pytest.mark.parametrize("option", ["+xi", "+xe"])
def test_storescp_receives_what_was_written_whatever_syntax_it_prefers(
    option: str, export_set: ExportSet, tmp_path: Path
) -> None:
    port = free_port()
    with storescp(tmp_path / "in", port, option):
        send(export_set, peer_at(port, ae_title="STORESCP"), calling_ae="COUCHSIDE")
    received = {dataset.SOPInstanceUID: dataset for dataset in map(dcmread, (tmp_path / "in").iterdir())}
    assert sorted(received) == sorted(export_set.sop_instance_uids)
    for path, uid in zip(export_set.files, export_set.sop_instance_uids, strict=True):
        assert received[uid] == dcmread(path)


@pytest.mark.peer
def test_storescp_that_is_down_and_comes_up_gets_everything(export_set: ExportSet, tmp_path: Path) -> None:
    port = free_port()
    told: list[str] = []
    failed: list[BaseException] = []

    def sending() -> None:
        try:
            peer = peer_at(port, ae_title="STORESCP", attempts=10, retry_s=0.4)
            send(export_set, peer, calling_ae="COUCHSIDE", progress=lambda step, _: told.append(step))
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=sending)
    thread.start()
    while not any("Waiting to send again" in step for step in told):
        time.sleep(0.05)
    with storescp(tmp_path / "in", port):
        thread.join(30)
    assert not thread.is_alive()
    assert failed == []
    assert len(list((tmp_path / "in").iterdir())) == 3
    assert any("it does not answer" in step for step in told)
    assert told[-1] == "Sent"


@pytest.mark.peer
def test_storescp_that_refuses_every_association_is_named(export_set: ExportSet, tmp_path: Path) -> None:
    port = free_port()
    with storescp(tmp_path / "in", port, "--refuse"), pytest.raises(ExportError, match=f"STORESCP .*{port}"):
        send(export_set, peer_at(port, ae_title="STORESCP"), calling_ae="COUCHSIDE")
    assert list((tmp_path / "in").iterdir()) == []
    assert unchanged(export_set)


def test_structures_go_first_and_doses_last_after_an_echo(export_set: ExportSet) -> None:
    peer = ScriptedPeer()
    steps: list[tuple[str, float]] = []
    with peer.running() as port:
        send(export_set, peer_at(port), calling_ae="COUCHSIDE", progress=lambda *step: steps.append(step))
    assert peer.calls == ORDER
    assert peer.echoes == 1
    fractions = [fraction for _, fraction in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize("passing", [0xA7FF, None])
def test_what_may_pass_is_tried_again_from_the_object_it_struck(passing: int | None, export_set: ExportSet) -> None:
    peer = ScriptedPeer(0x0000, passing, passing)
    with peer.running() as port:
        send(export_set, peer_at(port), calling_ae="COUCHSIDE")
    assert peer.calls == [RT_STRUCTURES, RT_PLAN, RT_PLAN, RT_PLAN, RT_DOSE]


def test_it_gives_up_after_the_attempts_allowed_and_says_so(export_set: ExportSet) -> None:
    peer = ScriptedPeer(*[0xA700] * 9)
    with peer.running() as port, pytest.raises(ExportError) as failure:
        send(export_set, peer_at(port, attempts=3), calling_ae="COUCHSIDE")
    assert peer.calls == [RT_STRUCTURES] * 3
    for part in ("3 attempts", "SCRIPTED", "RT Structure Set RS.dcm", "0xA700", "Nothing was lost"):
        assert part in str(failure.value)
    assert unchanged(export_set)


@pytest.mark.parametrize("final", [0xA900, 0xC123, 0x0122])
def test_what_cannot_pass_fails_at_once(final: int, export_set: ExportSet) -> None:
    peer = ScriptedPeer(0x0000, final)
    with peer.running() as port, pytest.raises(ExportError, match=rf"refused the RT Plan RP\.dcm.*0x{final:04X}"):
        send(export_set, peer_at(port, retry_s=30), calling_ae="COUCHSIDE")
    assert peer.calls == [RT_STRUCTURES, RT_PLAN]


@pytest.mark.parametrize("stored", [0x0111, 0xB007])
def test_a_duplicate_or_a_warning_is_stored(stored: int, export_set: ExportSet) -> None:
    peer = ScriptedPeer(stored, stored, stored)
    with peer.running() as port:
        send(export_set, peer_at(port), calling_ae="COUCHSIDE")
    assert peer.calls == ORDER


def test_a_peer_that_takes_no_registrations_gets_the_plan_and_it_is_said(with_registrations: ExportSet) -> None:
    peer = ScriptedPeer()
    with peer.running() as port:
        notes = send(with_registrations, peer_at(port), calling_ae="COUCHSIDE")
    assert peer.calls == ORDER
    assert [note.split(":")[0] for note in notes] == [
        "The plan was sent without the Spatial Registration REG.dcm",
        "The plan was sent without the Deformable Spatial Registration DEFORM.dcm",
    ]
    assert all("SCRIPTED" in note and "does not take objects such as" in note for note in notes)


@pytest.mark.parametrize(("answer", "words"), [(0xC123, "0xC123"), (0xA700, "0xA700"), (None, "broke off")])
def test_a_registration_that_is_refused_is_not_tried_again(
    answer: int | None, words: str, with_registrations: ExportSet
) -> None:
    peer = ScriptedPeer(0, 0, 0, answer, takes=(*ORDER, *REGISTRATIONS))
    with peer.running() as port:
        notes = send(with_registrations, peer_at(port, retry_s=30), calling_ae="COUCHSIDE")
    assert "REG.dcm" in notes[0] and words in notes[0]
    assert len(notes) == (1 if answer == 0xC123 else 2)
    assert peer.calls[: len(ORDER) + 1] == [*ORDER, SpatialRegistrationStorage]


def test_registrations_stay_at_home_where_the_configuration_says_so(with_registrations: ExportSet) -> None:
    peer = ScriptedPeer(takes=(*ORDER, *REGISTRATIONS))
    with peer.running() as port:
        at_home = peer_at(port).model_copy(update={"send_registrations": False})
        assert send(with_registrations, at_home, calling_ae="COUCHSIDE") == ()
    assert peer.calls == ORDER


def test_every_status_has_exactly_one_meaning() -> None:
    again = {status for status in range(0x10000) if judge(status) is Outcome.TRY_AGAIN}
    stored = {status for status in range(0x10000) if judge(status) is Outcome.STORED}
    assert again == set(range(0xA700, 0xA800))
    assert stored == {0x0000, 0x0111} | set(range(0xB000, 0xC000))


def test_a_peer_that_takes_no_doses_is_told_before_it_is_asked(export_set: ExportSet) -> None:
    peer = ScriptedPeer(takes=(RT_STRUCTURES, RT_PLAN))
    with peer.running() as port, pytest.raises(ExportError, match=r"does not take objects such as the RT Dose RD\.dcm"):
        send(export_set, peer_at(port, retry_s=30), calling_ae="COUCHSIDE")
    assert peer.calls == [RT_STRUCTURES, RT_PLAN]


def test_a_peer_without_implicit_syntax_is_not_served_wrongly(export_set: ExportSet) -> None:
    peer = ScriptedPeer(syntax=EXPLICIT)
    with peer.running() as port, pytest.raises(ExportError, match="takes no RT objects in implicit VR"):
        send(export_set, peer_at(port, retry_s=30), calling_ae="COUCHSIDE")
    assert peer.calls == []


def test_a_sender_that_is_not_allowed_is_told_at_once(export_set: ExportSet) -> None:
    peer = ScriptedPeer()
    peer.require_calling("OTHER")
    with peer.running() as port, pytest.raises(ExportError, match=r"refused the association from 'COUCHSIDE'"):
        send(export_set, peer_at(port, retry_s=30), calling_ae="COUCHSIDE")


def test_a_busy_peer_is_tried_again(export_set: ExportSet) -> None:
    peer = ScriptedPeer()
    peer.limit_associations(1)
    with peer.running() as port:
        holder = AE()
        holder.add_requested_context(VERIFICATION)
        held = holder.associate("127.0.0.1", port)
        threading.Timer(0.5, held.release).start()
        steps: list[str] = []
        peer_config = peer_at(port, attempts=20, retry_s=0.1)
        send(export_set, peer_config, calling_ae="COUCHSIDE", progress=lambda step, _: steps.append(step))
    assert peer.calls == ORDER
    assert any("busy" in step for step in steps)


def test_nobody_there_is_said_with_address_and_remedy(export_set: ExportSet) -> None:
    port = free_port()
    assert not listens(port)
    with pytest.raises(ExportError, match=rf"SCRIPTED \(127.0.0.1:{port}\).*does not answer.*Check that the peer runs"):
        send(export_set, peer_at(port, attempts=2), calling_ae="COUCHSIDE")
    assert unchanged(export_set)


def test_something_else_on_the_port_does_not_hang(export_set: ExportSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that accepts and never speaks; the timeout is shortened, the path is the real one."""
    monkeypatch.setattr("appliance.export.sending.CONNECT_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        before = time.monotonic()
        with pytest.raises(ExportError, match="2 attempts"):
            send(export_set, peer_at(port, attempts=2), calling_ae="COUCHSIDE")
        assert time.monotonic() - before < 10


def test_a_file_changed_since_it_was_read_back_is_not_sent(approved: Approved, tmp_path: Path) -> None:
    export_set = write_export_set(approved.case, approved.plan, approved.dose, approved.approval, tmp_path / "export")
    dataset = dcmread(export_set.plan)
    dataset.FractionGroupSequence[0].NumberOfFractionsPlanned = 26
    dataset.save_as(export_set.plan)
    peer = ScriptedPeer()
    with peer.running() as port, pytest.raises(ReadBackMismatch, match=r"RP\.dcm was changed"):
        send(export_set, peer_at(port), calling_ae="COUCHSIDE")
    assert peer.calls == []


@pytest.mark.parametrize("claims_approval", [False, True])
def test_a_plan_that_nobody_approved_is_not_sent(claims_approval: bool, approved: Approved, tmp_path: Path) -> None:
    """Also where the set's record says otherwise: the plan's own file counts."""
    export_set = write_unapproved_set(approved.case, approved.plan, approved.dose, tmp_path / "export")
    read_back(export_set, approved.case, approved.plan, approved.dose, read_plan=read_plan, read_dose=read_dose)
    assert dcmread(export_set.plan).ApprovalStatus == "UNAPPROVED"
    peer = ScriptedPeer()
    with peer.running() as port, pytest.raises(NotApproved, match="looking at only"):
        send(replace(export_set, approved=claims_approval), peer_at(port), calling_ae="COUCHSIDE")
    assert peer.calls == []


def test_the_caller_can_give_up_while_it_waits(export_set: ExportSet) -> None:
    class GivenUpError(Exception):
        pass

    def progress(step: str, _: float) -> None:
        if "Waiting" in step:
            raise GivenUpError

    with pytest.raises(GivenUpError):
        send(export_set, peer_at(free_port(), retry_s=600), calling_ae="COUCHSIDE", progress=progress)
