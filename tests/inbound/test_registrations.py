"""Which registration object is the one that came with today's image."""

from __future__ import annotations

import pytest

from appliance.inbound import assess, assess_pair, read_folder
from appliance.inbound.folder import scan_folders
from appliance.inbound.registrations import DEFORMABLE, OLDER, OTHER_FRAMES

TODAY, LAST_WEEK = "20260410", "20260403"


@pytest.fixture
def day(study, new_study):
    """Today's image: a study of the same patient in a frame of reference of its own."""
    today = new_study(study.patient_id, study.patient_name)
    today.images = today.series(4)
    for image in today.images:
        image.AcquisitionDate, image.AcquisitionTime = TODAY, "080000"
    return today


@pytest.fixture
def found(write, tmp_path, study, day):
    def of(*registrations):
        write(tmp_path / "in", [*study.whole(), *day.images, *registrations])
        return assess(read_folder(tmp_path / "in"), of_today=True)

    return of


def kinds(found) -> list[str]:
    return [item.modality for item in found.chosen[4:]]


def test_the_newest_of_both_frames_is_chosen_and_the_rest_of_today_left_aside_with_a_note(found, study, day):
    older, newer = (day.registration(study.frame_uid, date=date) for date in (TODAY, "20260411"))
    other = day.registration("1.2.3.4", date=TODAY)
    here = found(newer, older, other, day.deformable_registration(study.frame_uid))
    assert kinds(here) == ["RTPLAN", "RTDOSE", "REG"]
    assert here.chosen[-1].sop_instance_uid == newer.SOPInstanceUID
    assert here.chosen[-1].joins == (day.frame_uid, study.frame_uid)
    assert sorted(here.notes) == sorted((DEFORMABLE, OTHER_FRAMES, OLDER))


def test_it_may_be_written_in_the_references_frame(found, study, day):
    assert kinds(found(study.registration(day.frame_uid, date=TODAY))) == ["RTPLAN", "RTDOSE", "REG"]


def test_those_of_earlier_days_are_passed_over(found, study, new_study):
    before = new_study(study.patient_id, study.patient_name)
    old = [before.registration(study.frame_uid, date=LAST_WEEK), before.deformable_registration(study.frame_uid)]
    here = found(*old)
    assert (kinds(here), here.notes) == (["RTPLAN", "RTDOSE"], ())


def test_images_in_one_frame_of_reference_have_no_registration(found, study, day):
    for image in day.images:
        image.FrameOfReferenceUID = study.frame_uid
    here = found(study.registration("1.2.3.4", date=TODAY))
    assert (kinds(here), here.notes) == (["RTPLAN", "RTDOSE"], (OTHER_FRAMES,))


def test_beside_contours_of_today_and_in_either_folder_of_a_pair(study, day, write, tmp_path):
    drawn = day.structure_set(day.images, date=TODAY)
    write(tmp_path / "reference", study.whole())
    write(tmp_path / "today", [*day.images, drawn, day.registration(study.frame_uid, date=TODAY)])
    before, now = (contents.received for contents in scan_folders(tmp_path / "reference", tmp_path / "today"))
    for here in (assess([*before, *now]), assess_pair(before, now)):
        assert kinds(here) == ["RTSTRUCT", "RTPLAN", "RTDOSE", "REG"]
        assert here.reference[-1].modality == "RTSTRUCT"
