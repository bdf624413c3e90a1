"""The whole way with Orthanc as the PACS: it pushes a case, a person approves at the terminal, it gets the plan."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from appliance.audit import verify
from appliance.contracts import SECOND_DOSE_FILE
from appliance.contracts.export_set import RECORD_FILES

from ..export.peers import Orthanc, tool
from ..session.small_case import SmallCase, write_small_case
from .served import PASSPHRASE, Served

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallCase:
    return write_small_case(tmp_path_factory.mktemp("small") / "case")


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    with Orthanc(tmp_path).running() as running:
        yield running


def call(orthanc: Orthanc, method: str, path: str, data: bytes) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{orthanc._http_port}{path}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def couchside(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)


def test_orthanc_pushes_a_case_and_receives_the_approved_plan(
    tmp_path: Path, small: SmallCase, orthanc: Orthanc
) -> None:
    served = Served.prepare(tmp_path, small, "ORTHANC", orthanc.dicom_port)
    served.start()
    try:
        pushed = {call(orthanc, "POST", "/instances", path.read_bytes())["ID"] for path in small.files}
        node = json.dumps({"AET": "COUCHSIDE", "Host": "127.0.0.1", "Port": served.port()}).encode()
        call(orthanc, "PUT", "/modalities/couchside", node)
        call(orthanc, "POST", "/modalities/couchside/store", json.dumps(sorted(pushed)).encode())
        served.wait(lambda: served.state() == "in review")
        session = served.session_id()
        # The small case is twelve slices high: the pencil beam counts scatter that is not there, so the two disagree.
        told = ("--acknowledge", "a test", "--passphrase-stdin", "--store", str(served.store), "--json")
        refused = couchside("approve", session, *told, stdin="not the passphrase\n")
        assert (refused.returncode, json.loads(refused.stderr)["key"]) == (7, "approval")
        approved = couchside("approve", session, *told, stdin=f"{PASSPHRASE}\n")
        assert approved.returncode == 0, approved.stderr
        served.wait(lambda: served.state() == "exported", 60)
    finally:
        code = served.end()
    assert code == 0
    _compare(served, orthanc, pushed, tmp_path)
    assert verify(served.store / "audit.sqlite").ok


def _compare(served: Served, orthanc: Orthanc, pushed: set[str], folder: Path) -> None:
    """Every exported object is in Orthanc, equal element by element, except the second dose and the record, which are
    kept. All are valid DICOM to an independent checker."""
    written = sorted((next((served.store / "sessions").iterdir()) / "export").glob("*.dcm"))
    exported = [path for path in written if path.name not in (SECOND_DOSE_FILE, *RECORD_FILES)]
    arrived = {}
    for identifier in set(orthanc.get("/instances")) - pushed:
        path = folder / f"{identifier}.dcm"
        path.write_bytes(orthanc.raw(f"/instances/{identifier}/file"))
        dataset = pydicom.dcmread(path)
        arrived[dataset.SOPInstanceUID] = dataset
    assert len(arrived) == len(exported) == 3
    assert len(written) == 6
    for path in written:
        sent = pydicom.dcmread(path)
        assert path not in exported or arrived[sent.SOPInstanceUID] == sent
        checked = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in checked.stdout + checked.stderr, (path.name, checked.stderr)
    plan = next(dataset for dataset in arrived.values() if dataset.Modality == "RTPLAN")
    assert plan.ApprovalStatus == "APPROVED"
    assert plan.ReviewerName == "Dr Test"
