"""Files that are damaged in any way are refused in a sentence; files that are written are whole or absent."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from appliance.contracts import Identity, SourceObject, Structure
from appliance.dicomio.files import new_dataset, save_durable, write_durable
from appliance.dicomio.read import read_dataset
from appliance.dicomio.structure_set import structure_set_dataset
from appliance.dicomio.values import clipped, ds, new_uid
from appliance.errors import DiskFull, RefusedObject, WriteFailed

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"


@given(st.floats(1e-9, 1e9), st.sampled_from([-1, 1]))
def test_decimal_strings_fit_and_hold_nine_digits(magnitude: float, sign: int) -> None:
    written = str(ds(sign * magnitude))
    assert len(written) <= 16
    assert float(written) == pytest.approx(sign * magnitude, rel=1e-9)


def test_decimal_strings_have_no_negative_zero() -> None:
    assert str(ds(-0.001, 2)) == "0.0"
    with pytest.raises(ValueError):
        ds(float("nan"))


def test_uids_are_fresh_and_legal() -> None:
    uids = {new_uid() for _ in range(100)}
    assert len(uids) == 100
    assert all(uid.startswith("2.25.") and len(uid) <= 64 and uid.replace(".", "").isdigit() for uid in uids)


def test_text_is_clipped_and_keeps_one_value() -> None:
    assert clipped("a\\b and more words", 9) == "a/b and m"


@pytest.fixture(scope="module")
def structure_bytes(
    structures: Sequence[Structure],
    identity: Identity,
    frame_uid: str,
    images: Sequence[SourceObject],
    tmp_path_factory: pytest.TempPathFactory,
) -> bytes:
    dataset = structure_set_dataset(
        structures, identity=identity, frame_of_reference_uid=frame_uid, images=images, label="cut"
    )
    return save_durable(dataset, tmp_path_factory.mktemp("rs") / "rs.dcm").path.read_bytes()


def top_level(dataset: Dataset) -> dict[str, object]:
    return {str(element.tag): element.value for element in dataset}


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=100, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_refused_or_is_whole_up_to_the_cut(
    share: float, structure_bytes: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A cut between two elements cannot be seen in a format without an end mark; any other cut must be."""
    path = tmp_path_factory.mktemp("cut") / "cut.dcm"
    path.write_bytes(structure_bytes)
    whole = top_level(read_dataset(path, what="RTSTRUCT"))
    path.write_bytes(structure_bytes[: int(len(structure_bytes) * share)])
    try:
        read = read_dataset(path, what="RTSTRUCT")
    except RefusedObject as refusal:
        assert "RTSTRUCT was refused" in str(refusal)
        return
    for tag, value in top_level(read).items():
        assert value == whole[tag]


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=100, deadline=None)
@given(position=st.integers(132), value=st.integers(0, 255))
def test_a_changed_byte_never_escapes_as_another_error(
    position: int, value: int, structure_bytes: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(structure_bytes)
    damaged[position % len(damaged)] = value
    path = tmp_path_factory.mktemp("damaged") / "x.dcm"
    path.write_bytes(bytes(damaged))
    try:
        read_dataset(path, what="RTSTRUCT")
    except RefusedObject as refusal:
        assert refusal.fields["rule"] in ("damaged", "truncated", "not-dicom", "no-sop")


def test_a_slice_without_all_its_pixels_is_refused(images: Sequence[SourceObject], tmp_path: Path) -> None:
    data = images[0].path.read_bytes()
    path = tmp_path / "short.dcm"
    path.write_bytes(data[:-10])
    with pytest.raises(RefusedObject, match="cut off") as refusal:
        read_dataset(path, what="CT slice 1")
    assert refusal.value.fields["rule"] == "truncated"
    pixel_element = 30 * 40 * 2 + 8
    path.write_bytes(data[:-pixel_element])
    with pytest.raises(RefusedObject, match="no pixel data"):
        read_dataset(path, what="CT slice 1")
    assert read_dataset(path, what="CT slice 1", pixels=False).Rows == 30


@settings(max_examples=50, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_inside_sequences_of_undefined_length_is_refused(
    share: float, structure_bytes: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("undefined")
    (folder / "whole.dcm").write_bytes(structure_bytes)
    dataset = read_dataset(folder / "whole.dcm", what="RTSTRUCT")
    only_sequences = Dataset()
    only_sequences.file_meta = dataset.file_meta
    only_sequences.SOPClassUID = dataset.SOPClassUID
    only_sequences.SOPInstanceUID = dataset.SOPInstanceUID
    only_sequences.ROIContourSequence = dataset.ROIContourSequence
    only_sequences["ROIContourSequence"].is_undefined_length = True
    for item in only_sequences.ROIContourSequence:
        item.is_undefined_length_sequence_item = True
    data = file_bytes(only_sequences)
    start = data.index(b"\x06\x30\x39\x00") + 8
    (folder / "cut.dcm").write_bytes(data[: start + int((len(data) - start) * share)])
    with pytest.raises(RefusedObject):
        read_dataset(folder / "cut.dcm", what="RTSTRUCT")


def file_bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_what_is_no_file_or_no_dicom_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedObject, match="cannot be read"):
        read_dataset(tmp_path / "absent.dcm", what="RTPLAN")
    (tmp_path / "text.dcm").write_text("hello " * 100)
    with pytest.raises(RefusedObject, match="not a DICOM file"):
        read_dataset(tmp_path / "text.dcm", what="RTPLAN")


def test_a_saved_object_has_the_digest_stated_and_leaves_no_other_file(identity: Identity, tmp_path: Path) -> None:
    dataset = new_dataset(RTSTRUCT, identity, modality="RTSTRUCT", series_instance_uid=new_uid())
    saved = save_durable(dataset, tmp_path / "new" / "rs.dcm")
    assert hashlib.sha256(saved.path.read_bytes()).hexdigest() == saved.sha256
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["rs.dcm"]
    assert saved.sop_instance_uid == dataset.SOPInstanceUID


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(WriteFailed, match="Permission denied"):
        write_durable(b"x", tmp_path / "rs.dcm")


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteFailed, match="could not be written"):
        write_durable(b"x", tmp_path / "file" / "rs.dcm")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_leaves_the_old_file_and_no_debris(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this container may not mount a file system")
    try:
        write_durable(b"old", tmp_path / "rs.dcm")
        with pytest.raises(DiskFull, match="no room"):
            write_durable(bytes(200_000), tmp_path / "rs.dcm")
        assert (tmp_path / "rs.dcm").read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == ["rs.dcm"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


WRITER = """
import sys
from pathlib import Path
from appliance.dicomio.files import write_durable
print("ready", flush=True)
while True:
    for letter in b"ab":
        write_durable(bytes([letter]) * 3_000_000, Path(sys.argv[1]))
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "RP.dcm"
    for delay_s in (0.0, 0.01, 0.03, 0.3, 3.0):
        if delay_s > 0.1 and path.exists():
            break  # the longer ones are for a machine so busy that nothing was written yet
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(delay_s)
            writer.kill()
        if path.exists():
            data = path.read_bytes()
            assert data in (b"a" * 3_000_000, b"b" * 3_000_000)
    assert path.exists()
