"""Real peers send to the node: DCMTK in every accepted encoding, and Orthanc pushing a study."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from appliance.inbound import assess

pytestmark = pytest.mark.peer


def _send(dcmtk, running, *arguments, check=True):
    return dcmtk("storescu", "-d", "-aec", "COUCHSIDE", *arguments[:-1], "127.0.0.1", str(running.port),
                 *map(str, arguments[-1]), check=check)  # fmt: skip


def test_echo(dcmtk, running):
    node = running()
    dcmtk("echoscu", "-aec", "COUCHSIDE", "127.0.0.1", str(node.port))


@pytest.mark.parametrize(
    ("syntax", "option"),
    [(ImplicitVRLittleEndian, "-xi"), (ExplicitVRLittleEndian, "-xe")],
    ids=["implicit", "explicit"],
)
def test_whole_study_is_stored_byte_for_byte(dcmtk, running, study, write, tmp_path, syntax, option):
    node = running()
    sent = study.whole()
    sent += [study.registration(), study.mr()]
    paths = write(tmp_path / "out", sent, syntax)
    _send(dcmtk, node, option, paths)
    stored = {item.sop_instance_uid: item for item in node.store.received()}
    assert stored.keys() == {str(dataset.SOPInstanceUID) for dataset in sent}
    for path in paths:
        there = pydicom.dcmread(path)
        item = stored[there.SOPInstanceUID]
        here = pydicom.dcmread(item.path)
        assert here.file_meta.TransferSyntaxUID == syntax
        assert here == there
        # The dataset is what DCMTK sent, to the byte: it re-encodes with explicit lengths as pydicom wrote.
        assert item.sha256 == hashlib.sha256(item.path.read_bytes()).hexdigest()
    assert len(node.stored) == len(sent)
    assert len(node.events("object.stored")) == len(sent)
    assert node.files("incoming") == []
    assert assess([item for item in node.store.received() if item.modality not in ("MR", "REG")]).complete


@pytest.mark.parametrize(
    ("compress", "option", "lossless"),
    [
        (("dcmcrle",), "-xr", True),
        (("dcmcjpeg", "+e1"), "-xs", True),
        (("dcmcjpeg", "+eb"), "-xy", False),
        (("dcmcjpeg", "+ee"), "-xx", False),
        (("dcmcjpls", "+el"), "-xt", True),
        (("dcmcjpls", "+en"), "-xu", False),
    ],
    ids=["rle", "jpeg-lossless-sv1", "jpeg-baseline", "jpeg-extended", "jpeg-ls", "jpeg-ls-near"],
)
def test_compressed_ct_is_kept_and_can_be_decoded(dcmtk, running, study, write, tmp_path, compress, option, lossless):
    node = running()
    study.size = 64
    image = study.ct(0)
    if compress[1:] in (("+eb",), ("+ee",)):
        image.PixelData = (np.arange(64 * 64) % 251).astype("u1").tobytes()
        image.BitsAllocated = image.BitsStored = 8
        image.HighBit = 7
    [plain] = write(tmp_path / "plain", [image])
    packed = tmp_path / "packed.dcm"
    dcmtk(*compress, "+un", str(plain), str(packed))
    _send(dcmtk, node, option, [packed])
    [item] = node.store.received()
    here = pydicom.dcmread(item.path)
    assert here.file_meta.TransferSyntaxUID == pydicom.dcmread(packed).file_meta.TransferSyntaxUID
    assert here.PixelData == pydicom.dcmread(packed).PixelData
    difference = np.abs(here.pixel_array.astype(int) - pydicom.dcmread(plain).pixel_array.astype(int)).max()
    assert difference == 0 if lossless else difference < 256


def test_jpeg_extended_of_12_bits_is_refused_as_nothing_here_decodes_it(dcmtk, running, study, write, tmp_path):
    node = running()
    study.size = 64
    [plain] = write(tmp_path / "plain", [study.ct(0)])
    dcmtk("dcmcjpeg", "+ee", "+un", str(plain), str(tmp_path / "packed.dcm"))
    result = _send(dcmtk, node, "-xx", [tmp_path / "packed.dcm"], check=False)
    assert "0xc008" in result.stdout + result.stderr
    assert node.store.received() == ()


@pytest.mark.parametrize(
    ("syntax", "option"), [(JPEG2000Lossless, "-xv"), (JPEG2000, "-xw")], ids=["lossless", "lossy"]
)
def test_jpeg2000_ct_is_kept_and_can_be_decoded(dcmtk, running, study, write, tmp_path, syntax, option):
    gdcm = pytest.importorskip("gdcm", reason="python-gdcm writes the JPEG 2000 image")
    node = running()
    study.size = 64
    [plain] = write(tmp_path / "plain", [study.ct(0)])
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(plain))
    assert reader.Read()
    wanted = gdcm.TransferSyntax.JPEG2000Lossless if option == "-xv" else gdcm.TransferSyntax.JPEG2000
    change.SetTransferSyntax(gdcm.TransferSyntax(wanted))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(tmp_path / "packed.dcm"))
    assert writer.Write()
    packed = pydicom.dcmread(tmp_path / "packed.dcm")
    packed.RescaleType = "HU"  # GDCM writes US, unspecified, which is rightly refused
    packed.save_as(tmp_path / "packed.dcm")
    _send(dcmtk, node, option, [tmp_path / "packed.dcm"])
    [item] = node.store.received()
    here = pydicom.dcmread(item.path)
    assert here.file_meta.TransferSyntaxUID == syntax
    assert np.abs(here.pixel_array.astype(int) - pydicom.dcmread(plain).pixel_array).max() <= (
        0 if option == "-xv" else 64
    )


def test_the_sender_is_told_why_and_the_rest_of_the_study_goes_on(dcmtk, running, study, write, tmp_path):
    node = running()
    good, bad, uncalibrated, cone_beam, last = study.series(5)
    bad.PatientPosition = "HFDR"
    uncalibrated.RescaleType = cone_beam.RescaleType = "US"
    cone_beam.Manufacturer = "ELEKTA"
    paths = write(tmp_path / "out", [good, bad, uncalibrated, cone_beam, last])
    result = _send(dcmtk, node, "--no-halt", paths, check=False)
    said = (result.stdout + result.stderr).lower()
    assert "0xc004" in said and "0xc006" in said
    taken = {str(one.SOPInstanceUID) for one in (good, cone_beam, last)}
    assert {item.sop_instance_uid for item in node.store.received()} == taken
    row, other = node.events("object.refused")
    assert (row["rule"], other["rule"]) == ("patient.position", "rescale.not-hounsfield")
    records = {path: json.loads(path.read_text()) for path in node.files("quarantine") if path.suffix == ".json"}
    [reason] = [path for path, record in records.items() if record["rule"] == "patient.position"]
    copy = reason.with_suffix(".dcm")
    assert pydicom.dcmread(copy).PatientPosition == "HFDR"
    for text in (reason.read_text(), json.dumps(row)):
        for private in (study.patient_id, study.patient_name, bad.SOPInstanceUID, bad.PatientBirthDate):
            assert str(private) not in text


def test_wrong_titles_are_rejected_and_recorded_once(dcmtk, running):
    node = running(allowed_calling_ae=("PLANNER",))
    for _ in range(3):
        wrong = dcmtk("echoscu", "-aec", "NOBODY", "127.0.0.1", str(node.port), check=False)
        assert wrong.returncode != 0
        assert "Called AE Title Not Recognized" in wrong.stdout + wrong.stderr
    stranger = dcmtk("echoscu", "-aec", "COUCHSIDE", "-aet", "STRANGER", "127.0.0.1", str(node.port), check=False)
    assert "Calling AE Title Not Recognized" in stranger.stdout + stranger.stderr
    dcmtk("echoscu", "-aec", "COUCHSIDE", "-aet", "PLANNER", "127.0.0.1", str(node.port))
    reasons = [row["reason"] for row in node.events("association.refused")]
    assert reasons == ["wrong called AE title", "unknown calling AE title"]


def test_orthanc_pushes_a_study(running, study, write, tmp_path, free_port):
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed (apt install orthanc)")
    node = running()
    configuration = {
        "StorageDirectory": str(tmp_path / "orthanc"), "IndexDirectory": str(tmp_path / "orthanc"),
        "HttpPort": free_port, "DicomServerEnabled": False, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "Plugins": [],
        "DicomModalities": {"couch": ["COUCHSIDE", "127.0.0.1", node.port]},
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(configuration))
    process = subprocess.Popen(
        ["Orthanc", str(tmp_path / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"TCP_NODELAY": "1", "PATH": "/usr/bin:/usr/sbin"},
    )  # fmt: skip
    try:
        base = f"http://127.0.0.1:{free_port}"
        _wait_for(base + "/system")
        sent = study.whole()
        for path in write(tmp_path / "out", sent):
            _post(base + "/instances", path.read_bytes())
        [study_id] = _get(base + "/studies")
        answer = _post(base + "/modalities/couch/store", study_id.encode())
        assert answer["FailedInstancesCount"] == 0
    finally:
        process.terminate()
        process.wait(20)
    assert {item.sop_instance_uid for item in node.store.received()} == {str(d.SOPInstanceUID) for d in sent}
    found = assess(node.store.received())
    assert found.complete
    assert [item.modality for item in found.chosen] == ["CT"] * 5 + ["RTSTRUCT", "RTPLAN", "RTDOSE"]


def _get(url: str) -> object:
    with urllib.request.urlopen(url, timeout=20) as response:
        return json.load(response)


def _post(url: str, body: bytes) -> dict:
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"), timeout=40) as response:
        return json.load(response)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            _get(url)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_sending_again_is_harmless_and_changing_is_refused(dcmtk, running, study, write, tmp_path):
    node = running()
    image = study.ct(0)
    [path] = write(tmp_path / "out", [image])
    _send(dcmtk, node, "-xe", [path])
    _send(dcmtk, node, "-xe", [path])
    [first] = node.store.received()
    before = first.path.read_bytes()
    image.RescaleIntercept = -1000
    [changed] = write(tmp_path / "out", [image])
    result = _send(dcmtk, node, "-xe", [changed], check=False)
    assert "0xc010" in (result.stdout + result.stderr).lower()
    assert first.path.read_bytes() == before
    assert [len(node.events(f"object.{what}")) for what in ("stored", "duplicate", "refused")] == [1, 1, 1]
    assert len(node.stored) == 1


def test_tls(dcmtk, running, tmp_path, tls_files):
    context, certificate = tls_files
    node = running(tls=context)
    dcmtk("echoscu", "-aec", "COUCHSIDE", "+tla", "+cf", str(certificate), "127.0.0.1", str(node.port))
    plain = dcmtk("echoscu", "-ta", "5", "-aec", "COUCHSIDE", "127.0.0.1", str(node.port), check=False)
    assert plain.returncode != 0


@pytest.fixture
def tls_files(dcmtk, tmp_path: Path):
    import ssl

    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
