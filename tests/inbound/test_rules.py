"""Each acceptance rule: a good object passes, and one fault gets the one rule that is meant for it."""

from __future__ import annotations

import contextlib
import re
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

import appliance.inbound
from appliance.errors import RefusedObject
from appliance.inbound import Limits
from appliance.inbound.catalogue import STATUS_OF_RULE, Rule, SetRule, syntaxes_for
from appliance.inbound.codestream import BrokenCodestream, check_rle, jpeg2000_size, jpeg_size
from appliance.inbound.rules import check_new
from appliance.inbound.structure import BrokenStructure, walk
from appliance.inbound.subject import Announced, is_uid, open_subject

KINDS = ("ct", "mr", "structure_set", "plan", "dose", "registration")


def _made(study, kind):
    images = study.series(3)
    structure_set = study.structure_set(images)
    plan = study.plan(structure_set)
    return {"ct": images[0], "mr": study.mr(), "structure_set": structure_set, "plan": plan,
            "dose": study.dose(plan), "registration": study.registration()}[kind]  # fmt: skip


def _examine(data, dataset, *, implicit=False, announced=None):
    subject = open_subject(
        data,
        0,
        transfer_syntax=ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian,
        announced=announced or Announced(str(dataset.get("SOPClassUID", "")), str(dataset.get("SOPInstanceUID", ""))),
        name="The object",
        limits=Limits(),
    )
    check_new(subject, ())


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_good_objects_pass(study, dataset_bytes, kind, implicit):
    dataset = _made(study, kind)
    _examine(dataset_bytes(dataset, implicit=implicit), dataset, implicit=implicit)


def _set(keyword, value):
    return lambda dataset: setattr(dataset, keyword, value)


def _without(keyword):
    return lambda dataset: dataset.pop(keyword)


def _no_images(dataset):
    dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence = []
    dataset.ROIContourSequence = []


def _no_frame(dataset):
    del dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID
    del dataset.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID


def _bad_reference(dataset):
    dataset.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID = "../../etc"


FAULTS = [
    ("ct", _without("PatientID"), Rule.MISSING),
    ("ct", _set("PatientID", ""), Rule.MISSING),
    ("ct", _without("StudyInstanceUID"), Rule.MISSING),
    ("ct", _without("FrameOfReferenceUID"), Rule.MISSING),
    ("ct", _set("FrameOfReferenceUID", "1.02.3"), Rule.UID_SYNTAX),
    ("ct", _set("SeriesInstanceUID", "1.2." + "3" * 61), Rule.UID_SYNTAX),
    ("ct", _set("Modality", "PT"), Rule.MODALITY_MISMATCH),
    ("ct", _set("PatientPosition", "HFDL"), Rule.PATIENT_POSITION),
    ("ct", _without("PatientPosition"), Rule.MISSING),
    ("ct", _without("RescaleSlope"), Rule.MISSING),
    ("ct", _without("RescaleIntercept"), Rule.MISSING),
    ("ct", _set("RescaleSlope", 0), Rule.UNREADABLE),
    ("ct", _set("RescaleType", "OD"), Rule.NOT_HU),
    ("ct", _without("ImagePositionPatient"), Rule.MISSING),
    ("ct", _without("ImageOrientationPatient"), Rule.MISSING),
    ("ct", _set("ImageOrientationPatient", [1, 0, 0, 0.1, 1, 0]), Rule.ORIENTATION),
    ("ct", _set("ImageOrientationPatient", [2, 0, 0, 0, 1, 0]), Rule.ORIENTATION),
    ("ct", _without("PixelSpacing"), Rule.MISSING),
    ("ct", _set("PixelSpacing", [0, 1]), Rule.UNREADABLE),
    ("ct", _without("Rows"), Rule.MISSING),
    ("ct", _set("Rows", 17), Rule.PIXEL_LENGTH),
    ("ct", _without("PixelData"), Rule.PIXEL_LENGTH),
    ("ct", _set("SamplesPerPixel", 3), Rule.UNREADABLE),
    ("ct", _set("BitsStored", 17), Rule.UNREADABLE),
    ("mr", _without("PatientPosition"), Rule.MISSING),
    ("structure_set", _no_images, Rule.REFERENCE),
    ("structure_set", _set("StructureSetROISequence", []), Rule.MISSING),
    ("structure_set", _no_frame, Rule.REFERENCE),
    ("structure_set", _without("ROIContourSequence"), Rule.MISSING),
    ("structure_set", _without("RTROIObservationsSequence"), Rule.MISSING),
    ("plan", _without("ReferencedStructureSetSequence"), Rule.REFERENCE),
    ("plan", _bad_reference, Rule.UID_SYNTAX),
    ("dose", _without("ReferencedRTPlanSequence"), Rule.REFERENCE),
    ("dose", _without("DoseGridScaling"), Rule.MISSING),
    ("dose", _set("DoseGridScaling", 0), Rule.UNREADABLE),
    ("dose", _set("GridFrameOffsetVector", [0, 3]), Rule.UNREADABLE),
    ("dose", _set("NumberOfFrames", 4), Rule.PIXEL_LENGTH),
    ("dose", _without("FrameOfReferenceUID"), Rule.MISSING),
    ("dose", _set("DoseComment", "PREDICTED, not a calculated dose, never for treatment"), Rule.PREDICTED),
    ("dose", _set("SeriesDescription", "Predicted, not a dose: half width of 80 %, never for"), Rule.PREDICTED),
    ("dose", _set("ManufacturerModelName", "Couchside dose prediction"), Rule.PREDICTED),
    ("registration", _set("RegistrationSequence", []), Rule.MISSING),
    ("ct", _set("SOPClassUID", "1.2.840.10008.5.1.4.1.1.128"), Rule.CLASS),
]


@pytest.mark.parametrize(
    ("kind", "spoil", "rule"), FAULTS, ids=[f"{n}-{f[0]}-{f[2].name}" for n, f in enumerate(FAULTS)]
)
def test_one_fault_one_rule(study, dataset_bytes, kind, spoil, rule):
    dataset = _made(study, kind)
    spoil(dataset)
    with pytest.raises(RefusedObject) as refused:
        _examine(dataset_bytes(dataset), dataset)
    assert refused.value.fields["rule"] == rule.id
    sentence = refused.value.sentence
    assert str(refused.value.fields["remedy"])
    for private in (study.patient_id, study.patient_name, "19500412", str(dataset.SOPInstanceUID)):
        assert private not in sentence


def test_values_that_are_no_numbers_are_refused_without_being_quoted(study, dataset_bytes):
    dataset = study.ct(0)
    data = dataset_bytes(dataset).replace(b"-1024.0 ", b"Meier   ")
    with pytest.raises(RefusedObject, match="RescaleIntercept") as refused:
        _examine(data, dataset)
    assert refused.value.fields["rule"] == Rule.UNREADABLE.id
    assert "Meier" not in refused.value.sentence


def test_announced_uids_must_be_those_of_the_dataset(study, dataset_bytes):
    dataset = study.ct(0)
    data = dataset_bytes(dataset)
    for announced, rule in (
        (Announced(dataset.SOPClassUID, generate_uid()), Rule.INSTANCE_MISMATCH),
        (Announced("1.2.840.10008.5.1.4.1.1.4", dataset.SOPInstanceUID), Rule.CLASS_MISMATCH),
        (Announced(dataset.SOPClassUID, "../x"), Rule.UID_SYNTAX),
    ):
        with pytest.raises(RefusedObject) as refused:
            _examine(data, dataset, announced=announced)
        assert refused.value.fields["rule"] == rule.id


@pytest.mark.parametrize("text", ["1.2.3", "0.1", "2.25.0", "1." + "2" * 62])
def test_uids(text):
    assert is_uid(text)


@pytest.mark.parametrize(
    "text", ["", "1", "1.", ".1", "1..2", "1.02", "01.2", "1.2\n", "../x", "1.2a", "1." + "2" * 63, "１.2"]
)
def test_no_uids(text):
    assert not is_uid(text)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_noticed(study, dataset_bytes, kind, implicit):
    """Cut inside an element, the walk refuses; it passes a cut between two elements, of which there are few."""
    dataset = _made(study, kind)
    data = dataset_bytes(dataset, implicit=implicit)
    passed = 0
    for length in range(len(data)):
        try:
            walk(data[:length], 0, is_implicit=implicit, limits=Limits())
        except BrokenStructure:
            continue
        passed += 1
        with pytest.raises(RefusedObject):
            _examine(data[:length], dataset, implicit=implicit)
    assert passed == len(list(dataset)) - 1


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=0, max_size=400), st.booleans())
def test_random_bytes_are_refused_and_never_crash(data, implicit):
    with pytest.raises(RefusedObject):
        _examine(data, Dataset(), implicit=implicit, announced=Announced("1.2.3", "1.2.3"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutations_are_accepted_or_refused_and_never_crash(sample, data):
    mutated = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 8))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        _examine(bytes(mutated), Dataset())
    except RefusedObject as refused:
        assert refused.fields["rule"] in STATUS_OF_RULE


@pytest.fixture
def sample(study, dataset_bytes):
    return dataset_bytes(study.structure_set(study.series(3)))


def test_nesting_beyond_the_limit_is_refused():
    deep = b"".join(struct.pack("<HHL", 0x3006, 0x0010, 0xFFFFFFFF) + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
                    for _ in range(10_000))  # fmt: skip
    with pytest.raises(BrokenStructure, match="nested"):
        walk(deep, 0, is_implicit=True, limits=Limits())


def test_number_of_elements_is_limited():
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    many = b"".join(struct.pack("<HHL", 0x0009, number, 0) for number in range(1000))
    with pytest.raises(BrokenStructure, match="elements"):
        walk(many, 0, is_implicit=True, limits=Limits(elements=999))
    assert walk(many + item[:0], 0, is_implicit=True, limits=Limits(elements=1000)) is None


def test_undefined_lengths_and_un_sequences_parse(study, dataset_bytes):
    dataset = study.structure_set(study.series(2))
    for sequence in ("ReferencedFrameOfReferenceSequence", "StructureSetROISequence"):
        dataset[sequence].is_undefined_length = True
        for item in dataset[sequence].value:
            item.is_undefined_length_sequence_item = True
    for implicit in (False, True):
        _examine(dataset_bytes(dataset, implicit=implicit), dataset, implicit=implicit)


def test_compressed_is_for_images_only():
    assert len(syntaxes_for("1.2.840.10008.5.1.4.1.1.2")) == 11
    assert syntaxes_for("1.2.840.10008.5.1.4.1.1.481.2") == (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def test_code_streams_say_their_size():
    jpeg = (
        b"\xff\xd8"
        + b"\xff\xe0\x00\x04ab"
        + b"\xff\xc3\x00\x0b\x10"
        + struct.pack(">HH", 48, 64)
        + b"\x01" * 6
        + b"\xff\xd9"
    )
    assert jpeg_size(jpeg) == (48, 64)
    j2k = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + struct.pack(">4L", 64, 48, 0, 0) + b"\0" * 8 + b"\xff\xd9"
    assert jpeg2000_size(j2k) == (48, 64)
    rle = struct.pack("<16L", 2, 64, 70, *[0] * 13) + b"x" * 10
    check_rle(rle, segments=2)
    for broken in (jpeg[:-2], jpeg[2:], b"\xff\xd8\xff\xd9", b""):
        with pytest.raises(BrokenCodestream):
            jpeg_size(broken)
    for broken in (j2k[:-2], j2k[1:], b""):
        with pytest.raises(BrokenCodestream):
            jpeg2000_size(broken)
    for broken in (rle[:66], rle[:3], struct.pack("<16L", 3, 64, 70, 71, *[0] * 12) + b"x" * 10):
        with pytest.raises(BrokenCodestream):
            check_rle(broken, segments=2)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_code_stream_readers_never_crash(stream):
    for read in (jpeg_size, jpeg2000_size, lambda data: check_rle(data, segments=2)):
        for start in (b"", b"\xff\xd8", b"\xff\x4f\xff\x51"):
            with contextlib.suppress(BrokenCodestream):
                read(start + stream + b"\xff\xd9")


def test_statuses_are_failures_of_the_right_range():
    for rule in Rule:
        assert rule.status == 0x0122 or rule.status >> 12 in (0xA, 0xC)
    assert len({rule.id for rule in Rule}) == len({rule.status for rule in Rule}) == len(Rule)


def test_every_rule_is_in_the_readme_with_its_status():
    text = Path(appliance.inbound.__file__).with_name("README.md").read_text()
    documented = set(re.findall(r"^\| `([a-z.-]+)` \| ([0-9A-F]{4}) \|", text, re.MULTILINE))
    assert documented == {(rule.id, f"{rule.status:04X}") for rule in Rule}
    assert set(re.findall(r"^\| `(set\.[a-z-]+)`", text, re.MULTILINE)) == {rule.value for rule in SetRule}
