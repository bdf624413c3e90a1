from dataclasses import replace

import numpy as np
import pytest

from appliance.case.today.likeness import check_likeness
from appliance.case.today.modality import Imaging
from appliance.contracts import Outcome
from appliance.errors import InconsistentCase
from engines.registration import RigidTransform, moved


@pytest.fixture(scope="module")
def bent(day_kit):
    """Today: shifted, turned by two degrees, another noise."""
    image = day_kit.reference.series.image
    motion = RigidTransform.of((4.0, -3.0, 5.0), (1.0, -1.5, 2.0))
    hu = moved(image.hu, image.grid, image.grid, motion, outside=-1000.0)
    noise = np.random.default_rng(9).standard_normal(hu.shape) * 20
    return np.rint(np.where(hu > -300, hu + noise, -1000)).astype(np.int16)


def checked(day_kit, hu, **changed):
    return check_likeness(day_kit.reference, day_kit.today(hu=hu, **changed), hu)


def refused(day_kit, hu, rule):
    with pytest.raises(InconsistentCase) as refusal:
        checked(day_kit, hu)
    assert refusal.value.fields["rule"] == rule
    return str(refusal.value)


def test_the_same_patient_moved_passes(day_kit, bent):
    result = checked(day_kit, bent)
    assert {item.id for item in result.findings} == {"day.swapped", "day.other-patient"}
    assert all(item.outcome is Outcome.PASSED for item in result.findings)
    points = np.array([[0.0, 0.0, 0.0], [30.0, 20.0, -30.0]])
    truth = RigidTransform.of((4.0, -3.0, 5.0), (1.0, -1.5, 2.0))
    assert result.found.as_it_is.to_moving.error_mm(truth, points) < day_kit.grid.spacing_mm[0]


@pytest.mark.parametrize(
    "axes, name",
    [
        ((2,), "left and right swapped"),
        ((0,), "head and feet swapped"),
        ((1,), "front and back swapped"),
        ((1, 2), "turned about the long axis"),
        ((0, 2), "turned from head to feet, on the other side"),
    ],
)
def test_a_flipped_image_is_refused_and_how_it_is_flipped_is_said(day_kit, bent, axes, name):
    words = refused(day_kit, np.ascontiguousarray(np.flip(bent, axes)), "day.swapped")
    assert f"it shows the patient {name}" in words
    assert "side markers" in words


def test_another_patients_image_is_refused(day_kit):
    """The same outline with other organs."""
    shape = day_kit.grid.shape
    hu = np.full(shape, -1000, np.int16)
    body = day_kit.reference.series.image.hu > -300
    rng = np.random.default_rng(5)
    hu[body] = 20
    for z, y, x in rng.integers((2, 12, 12), (29, 28, 38), (60, 3)):
        hu[z - 2 : z + 2, y - 2 : y + 2, x - 2 : x + 2] = rng.choice((-90, 250, 600))
    words = refused(day_kit, hu, "day.other-patient")
    assert "Check whose image it is" in words


def test_a_symmetric_phantom_cannot_tell_and_says_so(day_kit):
    image = day_kit.reference.series.image
    even = np.where(image.hu > -300, 20, -1000).astype(np.int16)
    even = np.maximum(even, even[:, :, ::-1])
    series = replace(day_kit.reference.series, image=replace(image, hu=even))
    reference = replace(day_kit.reference, series=series)
    result = check_likeness(reference, day_kit.today(hu=even), even)
    assert [(item.id, item.outcome) for item in result.findings] == [("day.unsure-side", Outcome.NOT_TESTED)]


def test_an_image_with_much_noise_is_unlike_and_that_is_flagged(day_kit, bent):
    noise = np.random.default_rng(2).standard_normal(bent.shape) * 32
    items = {item.id: item for item in checked(day_kit, np.rint(bent + noise).astype(np.int16)).findings}
    assert items["day.unlike"].warns
    assert "Check whose image it is" in items["day.unlike"].evidence


def test_anatomy_that_is_nearly_its_mirror_image_leaves_the_side_unsure(day_kit):
    """Symmetric landmarks under noise: as it lies and mirrored it is as likely."""
    hu = day_kit.reference.series.image.hu
    even = np.maximum(hu, hu[:, :, ::-1])
    series = replace(day_kit.reference.series, image=replace(day_kit.reference.series.image, hu=even))
    noise = np.random.default_rng(2).standard_normal(hu.shape) * 60
    today = np.where(even > -300, even + noise, -1000).astype(np.int16)
    result = check_likeness(replace(day_kit.reference, series=series), day_kit.today(hu=today), today)
    unsure = next(item for item in result.findings if item.id == "day.unsure-side")
    assert unsure.warns
    assert "Check the side by a marker" in unsure.evidence


def test_an_image_without_a_body_is_refused(day_kit):
    refused(day_kit, np.full(day_kit.grid.shape, -1000, np.int16), "day.no-overlap")


def test_an_mr_is_not_tested_and_that_is_said(day_kit, bent):
    result = check_likeness(day_kit.reference, day_kit.today(hu=bent, imaging=Imaging.MR), bent)
    assert result.found is None
    assert {item.outcome for item in result.findings} == {Outcome.NOT_TESTED}
