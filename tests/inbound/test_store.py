"""The durable store: what acknowledged means, what a restart finds, what a full disk and a killed process leave."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pydicom
import pytest

from appliance.audit import AuditLog, verify
from appliance.config import NodeConfig
from appliance.errors import AuditError, NodeError, RefusedObject, StoreBusy
from appliance.inbound import Limits, ObjectStore, StorageNode
from appliance.inbound.catalogue import ACCEPTED_CLASSES
from appliance.inbound.partfile import PartFile
from appliance.inbound.subject import Announced

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
def opened(tmp_path):
    """Opens the store at tmp_path/store, with its log; `again` closes and opens it as a restart does."""
    root = tmp_path / "store"

    class Opened:
        def __init__(self):
            self.root = root
            self.open()

        def open(self):
            self.audit = AuditLog.open(root / "audit.sqlite")
            self.store = ObjectStore(root, self.audit)

        def close(self):
            self.store.close()
            self.audit.close()

        def again(self):
            self.close()
            self.open()

        def put(self, dataset, data):
            announced = Announced(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID))
            incoming = self.store.begin(announced, EXPLICIT, sender="TEST", keep_free_bytes=0)
            self.store.write(incoming, memoryview(data), keep_free_bytes=0)
            return self.store.accept(incoming)

        def events(self, event):
            return [row.data for row in self.audit.rows(event=event)]

    made = Opened()
    yield made
    made.close()


def test_stored_bytes_are_those_received_behind_a_header(opened, study, dataset_bytes):
    for dataset in [*study.whole(2), study.mr(), study.registration()]:
        data = dataset_bytes(dataset)
        received = opened.put(dataset, data).received
        stored = received.path.read_bytes()
        assert stored[128:132] == b"DICM"
        assert stored.endswith(data)
        assert pydicom.dcmread(received.path) == dataset
        assert received.sha256 == hashlib.sha256(stored).hexdigest()
        assert received.modality == ACCEPTED_CLASSES[dataset.SOPClassUID][0]
        assert dataset.SOPInstanceUID not in received.path.name


def test_received_and_log_hold_no_patient_data(opened, study, dataset_bytes):
    for dataset in study.whole(2):
        received = opened.put(dataset, dataset_bytes(dataset)).received
        shown = repr(received)
        log = json.dumps([row.data for row in opened.audit.rows()])
        for private in (study.patient_id, "Sample", "Synthia", "19500412"):
            assert private not in shown
            assert private not in log
        assert dataset.SOPInstanceUID not in log


def test_restart_finds_everything_in_order(opened, study, dataset_bytes):
    for dataset in study.whole():
        opened.put(dataset, dataset_bytes(dataset))
    before = opened.store.received()
    rows = len(list(opened.audit.rows()))
    opened.again()
    assert opened.store.received() == before
    assert len(list(opened.audit.rows())) == rows


def test_restart_sweeps_parts_and_checks_files_without_a_row(opened, study, dataset_bytes, file_bytes):
    known = study.ct(0)
    opened.put(known, dataset_bytes(known))
    opened.close()
    whole, broken = study.ct(1), study.ct(2)
    (opened.root / "incoming" / "x.part").write_bytes(b"half")
    (opened.root / "objects" / "aaaa.dcm").write_bytes(file_bytes(whole))
    (opened.root / "objects" / "bbbb.dcm").write_bytes(file_bytes(broken)[:-50])
    opened.open()
    assert {item.sop_instance_uid for item in opened.store.received()} == {known.SOPInstanceUID, whole.SOPInstanceUID}
    assert list((opened.root / "incoming").iterdir()) == []
    assert [row["object"] for row in opened.events("object.refused")] == ["bbbb"]
    assert [row.get("recovered", False) for row in opened.events("object.stored")] == [False, True]
    assert len(list((opened.root / "quarantine").glob("*.dcm"))) == 1
    before = opened.store.received()
    opened.again()
    assert opened.store.received() == before


def test_restart_takes_altered_objects_out_and_records_missing_ones_once(opened, study, dataset_bytes):
    images = study.series(3)
    paths = [opened.put(image, dataset_bytes(image)).received.path for image in images]
    opened.close()
    data = bytearray(paths[0].read_bytes())
    data[-1] ^= 1
    paths[0].write_bytes(data)
    paths[1].unlink()
    opened.open()
    for _ in range(2):
        assert [item.sop_instance_uid for item in opened.store.received()] == [images[2].SOPInstanceUID]
        assert [row["object"] for row in opened.events("object.altered")] == [paths[0].stem]
        assert [row["object"] for row in opened.events("object.missing")] == [paths[1].stem]
        opened.again()
    # Both can be sent again.
    for image in images[:2]:
        assert opened.put(image, dataset_bytes(image)).is_new
    opened.again()
    assert len(opened.store.received()) == 3


def test_same_object_on_many_associations_at_once_is_stored_once(opened, study, dataset_bytes):
    image = study.ct(0)
    data = dataset_bytes(image)
    results, barrier = [], threading.Barrier(8)

    def put():
        barrier.wait()
        results.append(opened.put(image, data).is_new)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert len(opened.events("object.stored")) == 1
    assert len(list((opened.root / "objects").iterdir())) == 1


def test_names_of_places_outside_the_store_are_refused(opened, study, dataset_bytes, tmp_path):
    image = study.ct(0)
    image.SOPInstanceUID = "../../x"
    before = sorted(path for path in tmp_path.rglob("*") if opened.root not in path.parents)
    with pytest.raises(RefusedObject) as refused:
        opened.put(image, dataset_bytes(image))
    assert refused.value.fields["rule"] == "uid.syntax"
    assert sorted(path for path in tmp_path.rglob("*") if opened.root not in path.parents) == before


def test_without_an_audit_row_nothing_is_acknowledged(opened, study, dataset_bytes):
    image = study.ct(0)
    opened.audit.close()
    with pytest.raises(AuditError):
        opened.put(image, dataset_bytes(image))
    assert list((opened.root / "objects").iterdir()) == []
    assert opened.store.received() == ()


def test_related_objects_of_another_patient_come_along(opened, study, new_study, dataset_bytes):
    images = study.series(2)
    other = new_study("OTHER-ID")
    stray = other.structure_set(images)
    bystander = new_study("THIRD-ID").ct(0)
    for dataset in (*images, stray, bystander):
        opened.put(dataset, dataset_bytes(dataset))
    patient = opened.store.received()[0].patient_key
    found = {item.sop_instance_uid for item in opened.store.case_objects(patient)}
    assert found == {*(str(image.SOPInstanceUID) for image in images), str(stray.SOPInstanceUID)}


def test_second_store_in_another_process_is_busy(opened):
    code = (
        "import sys; from pathlib import Path; from appliance.audit import AuditLog;"
        "from appliance.inbound import ObjectStore; from appliance.errors import StoreBusy\n"
        "root = Path(sys.argv[1])\n"
        "for make in (lambda: AuditLog.open(root / 'audit.sqlite'), lambda: ObjectStore(root, None)):\n"
        "    try: make()\n"
        "    except StoreBusy as busy: print(busy)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(opened.root)], capture_output=True, text=True, check=True)
    assert result.stdout.count("is in use by another Couchside process") == 2
    with pytest.raises(StoreBusy):
        ObjectStore(opened.root, opened.audit)


def test_port_in_use_is_a_sentence(opened):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = StorageNode(NodeConfig(port=port, store=opened.root), opened.store, print)
        with pytest.raises(NodeError, match=f"port {port} is in use by another program"):
            node.start()


def test_address_that_is_not_here_is_a_sentence(opened):
    node = StorageNode(NodeConfig(bind="203.0.113.7", port=0, store=opened.root), opened.store, print)
    with pytest.raises(NodeError, match="cannot be listened on"):
        node.start()


def test_short_and_failed_writes(tmp_path):
    """A write that the system cuts short goes on; one that fails for want of room leaves no file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    part = PartFile(tmp_path)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(NodeError, match="full"):
            part.write(bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    part.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """8 MiB of tmpfs, where this may be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        pytest.skip("a small file system can only be mounted by root")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    yield place
    subprocess.run([umount, "-l", str(place)], check=False)


def test_full_disk_refuses_before_it_is_full_and_goes_on_after(small_disk, running, raw, study, dataset_bytes):
    """The watermark of 4 MiB: refused with 0xA700, nothing half written, the same object taken once there is room."""
    node = running(small_disk / "store", minimum_free_mb=4)
    study.size = 512
    peer = raw(node.port)
    assert peer.associate() == 2
    statuses = []
    for index in range(12):
        image = study.ct(index)
        statuses.append(peer.store(dataset_bytes(image), image.SOPInstanceUID))
    taken = [status for status, _ in statuses].index(0xA700)
    assert 0 < taken < 12
    assert {status for status, _ in statuses[taken:]} == {0xA700}
    assert statuses[-1][1] == "disk space is short"
    assert len(node.store.received()) == taken == len(node.files("objects"))
    assert node.files("incoming") == [] == node.files("quarantine")
    for item in node.store.received():
        assert hashlib.sha256(item.path.read_bytes()).hexdigest() == item.sha256
    ballast = node.files("objects")[0]
    ballast.unlink()
    assert peer.store(dataset_bytes(image), image.SOPInstanceUID)[0] == 0


def test_full_disk_in_the_middle_of_an_object_leaves_nothing(small_disk, running, raw, study, dataset_bytes):
    """No watermark at all: the disk itself says no, within an object."""
    node = running(small_disk / "store")
    room = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_frsize - 300_000))
    study.size = 512
    image = study.ct(0)
    peer = raw(node.port)
    assert peer.associate() == 2
    assert peer.store(dataset_bytes(image), image.SOPInstanceUID)[0] == 0xA700
    assert node.files("objects") == [] == node.files("incoming")
    (small_disk / "ballast").unlink()
    assert peer.store(dataset_bytes(image), image.SOPInstanceUID)[0] == 0
    assert verify(node.root / "audit.sqlite").ok


_SERVER = """
import sys, time
from pathlib import Path
from appliance.audit import AuditLog
from appliance.config import NodeConfig
from appliance.inbound import ObjectStore, StorageNode
root = Path(sys.argv[1])
store = ObjectStore(root, AuditLog.open(root / "audit.sqlite"))
node = StorageNode(NodeConfig(port=0, store=root, minimum_free_mb=0), store, lambda received: None)
node.start()
print("PORT", node.port, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.3])
def test_kill_9_while_receiving_loses_nothing_acknowledged(tmp_path, raw, study, dataset_bytes, after_s):
    """A real process, killed in mid-stream: every object it said Success for is there, whole, after a restart."""
    root = tmp_path / "store"
    study.size = 128
    images = [(image, dataset_bytes(image)) for image in study.series(200)]
    process = subprocess.Popen([sys.executable, "-c", _SERVER, str(root)], stdout=subprocess.PIPE, text=True)
    acknowledged: list[str] = []
    try:
        port = next(line.split()[1] for line in process.stdout if line.startswith("PORT"))
        peer = raw(int(port))
        assert peer.associate() == 2
        threading.Timer(after_s, process.kill).start()
        try:
            for image, data in images:
                status, _ = peer.store(data, image.SOPInstanceUID)
                assert status == 0
                acknowledged.append(str(image.SOPInstanceUID))
        except (AssertionError, OSError):
            pass  # the node is gone
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert 0 < len(acknowledged) < 200
    with AuditLog.open(root / "audit.sqlite") as audit, ObjectStore(root, audit) as store:
        back = {item.sop_instance_uid: item for item in store.received()}
        assert set(acknowledged) <= back.keys()
        assert len(back) <= len(acknowledged) + 1
        sent = {str(image.SOPInstanceUID): data for image, data in images}
        for uid, item in back.items():
            assert item.path.read_bytes().endswith(sent[uid])
        assert list((root / "incoming").iterdir()) == []
        assert list((root / "quarantine").iterdir()) == []
    assert verify(root / "audit.sqlite").ok


def test_object_beyond_the_largest_size_is_refused_while_it_arrives(running, raw, study, dataset_bytes):
    node = running(limits=Limits(object_bytes=2000))
    image = study.ct(0)
    image.ImageComments = "x" * 4000
    peer = raw(node.port)
    assert peer.associate() == 2
    status, comment = peer.store(dataset_bytes(image), image.SOPInstanceUID, piece=500)
    assert status == 0xA701
    assert comment.startswith("object.too-large")
    assert node.files("incoming") == [] == node.files("objects")


@pytest.mark.parametrize(
    "body", [b"", b"\x01\x02\x03", bytes(300), os.urandom(2000)], ids=["empty", "3", "zeros", "random"]
)
def test_what_is_no_dataset_gets_a_failure_and_goes_to_quarantine(running, raw, body):
    node = running()
    peer = raw(node.port)
    assert peer.associate() == 2
    status, comment = peer.store(body, "1.2.3.4")
    assert status == 0xC000
    assert comment.startswith("structure.broken")
    [row] = node.events("object.refused")
    copy = node.root / "quarantine" / f"{row['quarantine']}.dcm"
    assert copy.read_bytes().endswith(body)
    # The association goes on.
    assert peer.store(body, "1.2.3.5")[0] == 0xC000


def test_uid_of_command_and_dataset_must_agree(running, raw, study, dataset_bytes):
    node = running()
    image = study.ct(0)
    peer = raw(node.port)
    assert peer.associate() == 2
    assert peer.store(dataset_bytes(image), "1.2.3.4")[0] == 0xA901
    assert peer.store(dataset_bytes(image), "../x")[0] == 0xC001
    assert peer.store(dataset_bytes(image), image.SOPInstanceUID, sop_class="1.2.840.10008.5.1.4.1.1.4")[0] == 0xA900
    assert node.store.received() == ()
    assert [path.name for path in node.root.parent.iterdir()] == ["store"]


def test_stop_ends_connections_and_frees_the_port(running, raw, study, dataset_bytes):
    node = running()
    port = node.port
    peer = raw(port)
    assert peer.associate() == 2
    start = time.monotonic()
    node.node.stop()
    assert time.monotonic() - start < 3
    assert peer.receive()[0] in (7, 0)
    with pytest.raises(OSError):
        raw(port)
