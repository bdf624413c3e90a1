"""A registration object that came with today's image, as the start of ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest

from appliance.case.today.reading import Day
from appliance.case.today.registering import registered
from appliance.case.today.start import Start, start_of
from appliance.contracts import Received
from appliance.contracts.progress import silent
from appliance.dicomio.files import save_durable
from appliance.dicomio.registration import RegisteredImage, spatial_registration_dataset
from engines.registration import RigidTransform, moved

TURNED = RigidTransform.of((6.0, -4.0, 3.0), (0.0, 0.0, 120.0))
"""More than a search finds from where the middles of both bodies lie on each other."""


def _day(series, hu, external) -> Day:
    return Day(series, hu, (), external, is_drawn=False)


@pytest.fixture(scope="module")
def days(day_kit):
    """Today, which `TURNED` takes to the reference, and the reference."""
    reference, grid = day_kit.reference.series, day_kit.grid
    hu = np.rint(moved(reference.image.hu, grid, grid, TURNED, outside=-1000)).astype(np.int16)
    today = day_kit.today(hu).series
    body = day_kit.structure("External", day_kit.reference.structures.structures[0].kind, hu > -300, 1)
    return _day(today, hu, body), _day(reference, reference.image.hu, day_kit.reference.structures.structures[0])


def _written(days, folder, transform, change=lambda _: None) -> Received:
    """As the machine's own software writes it, in the frame of reference of the planning CT."""
    today, reference = (
        RegisteredImage(
            replace(day.series.identity, patient_id="P"), day.series.frame_of_reference_uid, day.series.sources
        )
        for day in days
    )
    dataset = spatial_registration_dataset(transform.inverse, fixed=reference, moving=today)
    change(dataset)
    source = save_durable(dataset, folder / "REG.dcm")
    return Received(
        source.sop_class_uid, source.sop_instance_uid, "REG", source.series_instance_uid, "", "", source.path, ""
    )


def test_the_search_begins_at_it(days, tmp_path):
    today, reference = days
    near = RigidTransform(RigidTransform.of((2.0, 1.0, -1.0), (0.0, 0.0, 2.0)).matrix @ TURNED.matrix)
    start = start_of([_written(days, tmp_path, near)], today, reference)
    assert start.rigid is not None
    np.testing.assert_allclose(start.rigid.matrix, near.matrix, atol=1e-6)
    points = today.grid.centres_mm(today.body.index[::500]).astype(float)
    found = registered(today, reference, silent, is_deformable=False, start=start.rigid)
    assert found.rigid.error_mm(TURNED, points) < 3 < near.error_mm(TURNED, points)  # on voxels of 4 mm
    alone = registered(today, reference, silent, is_deformable=False)
    assert alone.rigid.error_mm(TURNED, points) > 10


@pytest.mark.parametrize(
    ("shift_mm", "turn_deg", "words", "is_flagged"),
    [
        ((1.0, 2.0, 2.0), 0.0, "3.0 mm (at the isocentre) and 0.0 degrees", False),
        ((3.0, 4.0, 0.0), 0.0, "5.0 mm (at the isocentre) and 0.0 degrees", True),
        ((0.0, 0.0, 0.0), 2.0, "0.0 mm (at the isocentre) and 2.0 degrees", False),
        ((0.0, 0.0, 0.0), -3.1, "0.0 mm (at the isocentre) and 3.1 degrees", True),
    ],
)
def test_how_far_the_search_ended_from_it_is_said_and_flagged(shift_mm, turn_deg, words, is_flagged):
    isocentre = (40.0, -20.0, 10.0)
    came = RigidTransform.of(shift_mm, (0.0, 0.0, turn_deg), isocentre)
    findings = Start(came).judged(RigidTransform(np.eye(4)), isocentre)
    assert words in findings[0].evidence and not findings[0].warns
    assert [one.id for one in findings[1:]] == (["day.registration-left"] if is_flagged else [])


def _kind(words):
    def change(dataset):
        dataset.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[
            0
        ].FrameOfReferenceTransformationMatrixType = words

    return change


def _mirrored(dataset):
    item = dataset.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
    item.FrameOfReferenceTransformationMatrix = [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("transform", "change", "words"),
    [
        (TURNED, _kind("RIGID_SCALE"), "its matrix is RIGID_SCALE, not RIGID"),
        (TURNED, _mirrored, "its matrix is called RIGID and is not"),
        (TURNED, lambda dataset: dataset.RegistrationSequence.pop(), "it does not join both images"),
        (RigidTransform.of((0.0, 0.0, 100.0)), lambda _: None, "of the smaller body on the other"),
    ],
    ids=("scaled", "mirrored", "one frame", "far off"),
)
def test_one_that_cannot_be_used_is_flagged_and_the_search_begins_as_without(days, tmp_path, transform, change, words):
    received = _written(days, tmp_path, transform, change)
    assert pydicom.dcmread(received.path).Modality == "REG"
    start = start_of([received], *days)
    assert start.rigid is None
    [finding] = start.judged(TURNED, (0.0, 0.0, 0.0))
    assert (finding.id, finding.warns) == ("day.registration-unused", True)
    assert words in finding.evidence


def test_a_file_changed_since_it_came_is_not_used(days, tmp_path):
    received = replace(_written(days, tmp_path, TURNED), sha256="0" * 64)
    assert "not the one that was received" in start_of([received], *days).findings[0].evidence


def test_without_an_object_nothing_is_said(days):
    assert start_of([], *days).judged(TURNED, (0.0, 0.0, 0.0)) == ()
