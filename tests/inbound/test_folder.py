"""Headless reading: the rules of the network for files, with the file named."""

from __future__ import annotations

import hashlib
import shutil

import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from appliance.errors import IncompleteCase, RefusedObject
from appliance.inbound import assess, read_folder, scan_folder


def test_whole_study_with_bystanders(study, write, tmp_path, dcmtk):
    write(tmp_path / "in" / "deep" / "er", study.whole(), ImplicitVRLittleEndian)
    (tmp_path / "in" / "README.txt").write_text("not DICOM")
    (tmp_path / "in" / "empty").touch()
    shutil.copy(tmp_path / "in" / "deep" / "er" / "object000.dcm", tmp_path / "in" / "copy of a slice.dcm")
    contents = scan_folder(tmp_path / "in")
    assert len(contents.received) == 8
    assert [note.split(":")[0] for note in contents.notes] == ["README.txt", "deep/er/object000.dcm", "empty"]
    assert assess(contents.received).complete
    for item in contents.received:
        assert item.sha256 == hashlib.sha256(item.path.read_bytes()).hexdigest()


@pytest.mark.peer
def test_dicomdir_is_passed_over(study, write, tmp_path, dcmtk):
    for number, path in enumerate(write(tmp_path / "in", study.series(2))):
        path.rename(tmp_path / "in" / f"IM{number}")
    dcmtk("dcmmkdir", "+I", "+id", str(tmp_path / "in"), "+D", str(tmp_path / "in" / "DICOMDIR"), "IM0", "IM1",
          "-Pgp", check=False)  # fmt: skip
    if not (tmp_path / "in" / "DICOMDIR").exists():
        pytest.skip("dcmmkdir made no DICOMDIR of this study")
    contents = scan_folder(tmp_path / "in")
    assert len(contents.received) == 2
    assert contents.notes == ("DICOMDIR: a DICOM directory",)


@pytest.mark.parametrize("implicit", [False, True])
def test_bare_datasets_are_read_and_handed_on_with_a_header(study, dataset_bytes, tmp_path, implicit):
    image = study.ct(0)
    (tmp_path / "bare").write_bytes(dataset_bytes(image, implicit=implicit))
    [item] = read_folder(tmp_path)
    assert pydicom.dcmread(item.path) == image
    assert item.path.read_bytes().endswith(dataset_bytes(image, implicit=implicit))
    assert [path.name for path in tmp_path.iterdir()] == ["bare"]


def test_truncated_files_are_refused_by_name(study, write, tmp_path):
    paths = write(tmp_path / "in", study.series(3))
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    with pytest.raises(RefusedObject, match=r"object001\.dcm was refused") as refused:
        read_folder(tmp_path / "in")
    assert refused.value.fields["rule"] == "structure.broken"


@pytest.mark.parametrize("keep", [140, 200, 300])
def test_files_cut_within_the_header_are_refused(study, write, tmp_path, keep):
    [path] = write(tmp_path / "in", [study.ct(0)])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RefusedObject, match=r"object000\.dcm"):
        read_folder(tmp_path / "in")


def test_bare_dataset_cut_off_is_refused(study, dataset_bytes, tmp_path):
    (tmp_path / "bare").write_bytes(dataset_bytes(study.ct(0))[:-7])
    with pytest.raises(RefusedObject, match="bare was refused"):
        read_folder(tmp_path)


def test_wrong_class_is_refused_by_name(study, write, tmp_path):
    image = study.ct(0)
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    write(tmp_path / "in", [image])
    with pytest.raises(RefusedObject, match=r"object000\.dcm") as refused:
        read_folder(tmp_path / "in")
    assert refused.value.fields["rule"] == "class.not-accepted"


def test_header_that_names_another_object_is_refused(study, write, tmp_path):
    [path] = write(tmp_path / "in", [study.ct(0)])
    dataset = pydicom.dcmread(path)
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    pydicom.dcmwrite(path, dataset, enforce_file_format=False)
    with pytest.raises(RefusedObject) as refused:
        read_folder(tmp_path / "in")
    assert refused.value.fields["rule"] == "instance.mismatch"


def test_deflated_is_refused(study, write, tmp_path):
    image = study.ct(0)
    [path] = write(tmp_path / "in", [image])
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    dataset.save_as(path)
    with pytest.raises(RefusedObject) as refused:
        read_folder(tmp_path / "in")
    assert refused.value.fields["rule"] == "syntax.not-accepted"


def test_same_uid_other_bytes_is_refused_and_names_both(study, write, tmp_path):
    first, second = study.ct(0), study.ct(0)
    second.SOPInstanceUID, second.RescaleIntercept = first.SOPInstanceUID, 0
    write(tmp_path / "in", [first, second])
    with pytest.raises(RefusedObject, match=r"object001\.dcm .* object000\.dcm") as refused:
        read_folder(tmp_path / "in")
    assert refused.value.fields["rule"] == "uid.other-bytes"


def test_no_folder_and_no_dicom(tmp_path):
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(IncompleteCase) as incomplete:
            read_folder(folder)
        assert incomplete.value.sentence.endswith(".") or incomplete.value.fields["remedy"]
