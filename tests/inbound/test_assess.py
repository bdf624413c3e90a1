"""Which objects make today's case, and which sets are refused: judged on files read by `read_folder`."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from appliance.errors import InconsistentCase
from appliance.inbound import assess, read_folder
from appliance.inbound.catalogue import SetRule


@pytest.fixture
def read(write, tmp_path):
    """Datasets to what is received of them, in a shuffled order of arrival."""

    def through_files(*datasets, shuffle=True):
        write(tmp_path / "in", list(datasets))
        received = list(read_folder(tmp_path / "in"))
        if shuffle:
            random.Random(7).shuffle(received)
        return received

    return through_files


def _refused(received) -> str:
    with pytest.raises(InconsistentCase) as refused:
        assess(received)
    assert refused.value.fields["remedy"]
    return str(refused.value.fields["rule"])


def test_whole_set_is_complete_in_the_documented_order(read, study):
    found = assess(read(*study.whole()))
    assert (found.complete, found.missing, found.notes) == (True, "", ())
    assert [item.modality for item in found.chosen] == ["CT"] * 5 + ["RTSTRUCT", "RTPLAN", "RTDOSE"]
    heights = [item.placement.position_mm[2] for item in found.chosen[:5]]
    assert heights == [0, 3, 6, 9, 12]


def test_without_a_plan_a_case_is_complete(read, study):
    images = study.series()
    assert assess(read(*images, study.structure_set(images))).complete


def test_a_plan_on_its_own_anatomy_waits_for_today(read, study):
    objects = study.whole()
    assert assess(read(*objects)).complete
    found = assess(read(*objects), of_today=True)
    assert not found.complete
    assert "today's image" in found.missing
    images = study.series()
    assert assess(read(*images, study.structure_set(images)), of_today=True).complete


@pytest.mark.parametrize(
    ("left_out", "missing"),
    [
        (slice(5, 6), "no structure set"),
        (slice(2, 3), "1 of the 5 slices"),
        (slice(0, 5), "have not arrived"),
    ],
)
def test_what_is_missing_is_named(read, study, left_out, missing):
    objects = study.whole()
    del objects[left_out]
    found = assess(read(*objects))
    assert not found.complete
    assert found.chosen == ()
    assert missing in found.missing


def test_a_structure_set_for_another_ct_waits_for_it(read, study, new_study):
    other = new_study(study.patient_id, study.patient_name)
    found = assess(read(*study.series(), other.structure_set(other.series())))
    assert not found.complete
    assert "another image series" in found.missing


def test_newest_structure_set_decides_today_and_the_reference_day_stays_predecessor(read, study, new_study):
    reference = study.whole()
    today = new_study(study.patient_id, study.patient_name)
    images = today.series(4)
    structure_set = today.structure_set(images, date="20260402")
    found = assess(read(*images, structure_set, *reference))
    assert found.complete
    uids = [item.sop_instance_uid for item in found.chosen]
    assert uids == [*(i.SOPInstanceUID for i in images), structure_set.SOPInstanceUID,
                    reference[-2].SOPInstanceUID, reference[-1].SOPInstanceUID]  # fmt: skip


def test_no_older_anatomy_while_todays_slices_are_on_their_way(read, study, new_study):
    today = new_study(study.patient_id, study.patient_name)
    images = today.series(4)
    found = assess(read(*images[1:], today.structure_set(images, date="20260402"), *study.whole()))
    assert not found.complete
    assert "1 of the 4" in found.missing


def test_newest_plan_and_only_its_own_plan_dose(read, study):
    images = study.series()
    structure_set = study.structure_set(images)
    old, new = (study.plan(structure_set, date=date) for date in ("20260101", "20260215"))
    beam, whole, other = study.dose(new, summation="BEAM"), study.dose(new), study.dose(old)
    found = assess(read(*images, structure_set, old, new, beam, whole, other))
    assert [item.sop_instance_uid for item in found.chosen[-2:]] == [new.SOPInstanceUID, whole.SOPInstanceUID]


def test_dose_of_another_plan_and_absent_structure_set_are_noted(read, study):
    images = study.series()
    structure_set = study.structure_set(images)
    foreign = study.structure_set(images)
    plan, other = study.plan(foreign), study.plan(structure_set, date="20250101")
    found = assess(read(*images, structure_set, plan, study.dose(other)))
    assert [item.modality for item in found.chosen[-2:]] == ["RTSTRUCT", "RTPLAN"]
    assert any("structure set of the predecessor" in note for note in found.notes)
    assert any("another plan" in note for note in found.notes)


@pytest.fixture
def overview_dose(study):
    """A dose without a plan: its plan overview names the structure set (PS3.3 C.8.8.3, PLAN_OVERVIEW)."""

    def of(structure_set, *, summation="PLAN_OVERVIEW"):
        dataset = study.dose(structure_set, summation=summation)
        overview = Dataset()
        overview.PlanOverviewIndex, overview.RTPlanLabel = 1, ""
        overview.ReferencedStructureSetSequence = dataset.ReferencedRTPlanSequence
        del dataset.ReferencedRTPlanSequence
        dataset.PlanOverviewSequence = [overview]
        return dataset

    return of


def test_without_a_plan_the_dose_of_todays_structure_set_is_kept(read, study, overview_dose):
    images = study.series()
    older, structure_set = study.structure_set(images, date="20260101"), study.structure_set(images)
    wanted, other = overview_dose(structure_set), overview_dose(older)
    found = assess(read(*images, older, structure_set, wanted, other))
    assert [item.sop_instance_uid for item in found.chosen[-2:]] == [
        structure_set.SOPInstanceUID,
        wanted.SOPInstanceUID,
    ]
    assert found.notes == ()


def test_with_a_plan_only_its_own_dose_counts(read, study, overview_dose):
    found = assess(read(*study.whole()[:-1], overview_dose(study.structure_set(study.series()))))
    assert [item.modality for item in found.chosen[-2:]] == ["RTSTRUCT", "RTPLAN"]
    assert any("another plan" in note for note in found.notes)


def test_without_a_plan_the_dose_of_an_absent_plan_is_noted(read, study):
    images = study.series()
    structure_set = study.structure_set(images)
    absent = study.plan(structure_set)
    foreign = assess(read(*images, structure_set, study.dose(absent)))
    assert foreign.complete
    assert (foreign.chosen[-1].modality, foreign.notes) == ("RTSTRUCT", ("doses without a plan were left aside",))


def test_without_a_plan_the_dose_of_a_beam_is_noted(read, study, overview_dose):
    images = study.series()
    structure_set = study.structure_set(images)
    beam = assess(read(*images, structure_set, overview_dose(structure_set, summation="BEAM")))
    assert (beam.complete, beam.chosen[-1].modality) == (True, "RTSTRUCT")
    assert any("single beams" in note for note in beam.notes)


def test_without_dates_the_last_to_arrive_is_newest(read, study):
    images = study.series()
    sets = [study.structure_set(images) for _ in range(2)]
    for dataset in sets:
        del dataset.StructureSetDate, dataset.InstanceCreationDate
    received = read(*images, *sets, shuffle=False)
    assert assess(received).chosen[-1].sop_instance_uid == sets[1].SOPInstanceUID


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientID", "OTHER"), ("PatientName", "Other^Name"), ("PatientBirthDate", "19510412"), ("PatientSex", "M")],
)
def test_another_identity_in_any_object_is_refused(read, study, keyword, value):
    objects = study.whole()
    setattr(objects[5], keyword, value)
    assert _refused(read(*objects)) == SetRule.IDENTITY


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientName", "SAMPLE^SYNTHIA^^"), ("PatientName", ""), ("PatientBirthDate", ""), ("PatientSex", "")],
)
def test_what_systems_write_differently_for_one_person_is_no_contradiction(read, study, keyword, value):
    objects = study.whole()
    setattr(objects[5], keyword, value)
    assert assess(read(*objects)).complete


def test_images_of_another_patient_are_refused(read, study, new_study):
    stray = new_study("ANOTHER-ID").series(2)
    assert _refused(read(*study.whole(), *stray)) == SetRule.IDENTITY


def test_a_corrected_object_replaces_the_wrong_one(read, study):
    """The wrong plan stays in the store for ever; the corrected one, newer, is chosen."""
    objects = study.whole()
    wrong = study.plan(objects[5], date="20260101")
    wrong.PatientName = "Wrong^Name"
    found = assess(read(*objects, wrong))
    assert found.complete
    assert found.notes == ("objects with another identity were left aside",)


def _move(index, axis, by_mm):
    def spoil(images):
        images[index].ImagePositionPatient[axis] = float(images[index].ImagePositionPatient[axis]) + by_mm

    return spoil


def _every(keyword, value):
    def spoil(images):
        for image in images:
            setattr(image, keyword, value)

    return spoil


def _one(keyword, value):
    return lambda images: setattr(images[2], keyword, value)


def _sheared(images):
    """Positions step in y as with a gantry tilted by 10 degrees."""
    for index, image in enumerate(images):
        image.ImagePositionPatient[1] = -16 + index * 3 * 0.176


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (_move(2, 2, 1.0), SetRule.UNEVEN),
        (_move(2, 2, -3.0), SetRule.DUPLICATE_SLICE),
        (_move(2, 0, 0.5), SetRule.TILTED),
        (_sheared, SetRule.TILTED),
        (_every("GantryDetectorTilt", 5.0), SetRule.TILTED),
        (_every("ImageOrientationPatient", [1, 0, 0, 0, 0.9848, 0.1736]), SetRule.TILTED),
        (_every("ImageOrientationPatient", [0.9848, 0.1736, 0, -0.1736, 0.9848, 0]), SetRule.TILTED),
        (_every("ImageOrientationPatient", [1, 0, 0, 0, 0, -1]), SetRule.NOT_AXIAL),
        (_one("ImageOrientationPatient", [1, 0, 0, 0, 0, -1]), SetRule.MIXED),
        (_one("PixelSpacing", [2.1, 2]), SetRule.MIXED),
        (_one("PatientPosition", "FFS"), SetRule.POSITION),
        (_one("FrameOfReferenceUID", "1.2.3.4"), SetRule.FRAME),
        (_every("FrameOfReferenceUID", "1.2.3.4"), SetRule.FRAME),
    ],
)
def test_slices_that_make_no_volume_are_refused(read, study, spoil, rule):
    images = study.series()
    structure_set = study.structure_set(images)
    spoil(images)
    assert _refused(read(*images, structure_set)) == rule


def test_slices_of_another_size_are_refused(read, study, new_study):
    images = study.series()
    images[2] = replace(study, size=18).ct(2)
    assert _refused(read(*images, study.structure_set(images))) == SetRule.MIXED


def test_a_slice_missing_from_series_and_structure_set_is_noticed(read, study):
    images = study.series(6)
    del images[2]
    found = assess(read(*images, study.structure_set(images)))
    assert not found.complete
    assert "1 slices of the image series are missing" in found.missing
    assert "3.0 mm" in found.missing


def test_rounded_positions_are_no_uneven_spacing(read, study):
    images = study.series(60)
    for index, image in enumerate(images):
        image.ImagePositionPatient[2] = round(index * 1.0 / 0.7, 2)
    assert assess(read(*images, study.structure_set(images))).complete


def test_flipped_axes_of_other_positions_are_accepted(read, study):
    images = study.series()
    for image in images:
        image.PatientPosition = "FFP"
        image.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
    assert assess(read(*images, study.structure_set(images))).complete


def test_structures_drawn_in_another_frame_are_refused(read, study):
    images = study.series()
    structure_set = study.structure_set(images)
    structure_set.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3.4"
    assert _refused(read(*images, structure_set)) == SetRule.FRAME


def test_two_series_in_one_structure_set_are_refused(read, study, new_study):
    other = new_study(study.patient_id, study.patient_name, frame_uid=study.frame_uid)
    images = study.series() + other.series()
    assert _refused(read(*images, study.structure_set(images))) == SetRule.OTHER_SERIES


def _on(date: str, images: list[Dataset]) -> list[Dataset]:
    for image in images:
        image.AcquisitionDate, image.AcquisitionTime = date, "080000"
    return images


def test_an_image_after_the_plan_is_todays_and_its_contours_come_from_the_plans_day(read, study, new_study):
    reference = study.whole()
    day = _on("20260410", new_study(study.patient_id, study.patient_name).series(4))
    found = assess(read(*reference, *day), of_today=True)
    assert (found.complete, found.notes) == (True, ())
    assert [item.modality for item in found.chosen] == ["CT"] * 4 + ["RTPLAN", "RTDOSE"]
    assert {item.sop_instance_uid for item in found.chosen[:4]} == {image.SOPInstanceUID for image in day}
    assert [item.sop_instance_uid for item in found.reference] == [item.SOPInstanceUID for item in reference[:6]]


def test_an_image_of_the_planning_day_that_nobody_drew_on_is_not_todays(read, study, new_study):
    before = _on("20260214", new_study(study.patient_id, study.patient_name).series(4))
    found = assess(read(*study.whole(), *before))
    assert [item.modality for item in found.chosen] == ["CT"] * 5 + ["RTSTRUCT", "RTPLAN", "RTDOSE"]
    assert found.reference == ()
    assert not assess(read(*study.whole(), *before), of_today=True).complete


def test_an_image_exported_again_today_is_not_taken_today(read, study, new_study):
    again = _on("20260101", new_study(study.patient_id, study.patient_name).series(4))
    for image in again:
        image.InstanceCreationDate = "20260410"
    assert not assess(read(*study.whole(), *again), of_today=True).complete


def test_without_a_plan_the_structure_set_says_what_is_newer(read, study, new_study):
    images = study.series()
    drawn = study.structure_set(images)
    day = _on("20260302", new_study(study.patient_id, study.patient_name).series(3))
    found = assess(read(*images, drawn, *day))
    assert [item.modality for item in found.chosen] == ["CT"] * 3
    assert [item.modality for item in found.reference] == ["CT"] * 5 + ["RTSTRUCT"]


def test_a_structure_set_drawn_today_is_taken_with_the_reference_beside_it(read, study, new_study):
    reference = study.whole()
    today = new_study(study.patient_id, study.patient_name)
    images = _on("20260410", today.series(4))
    found = assess(read(*images, today.structure_set(images, date="20260410"), *reference))
    assert [item.modality for item in found.chosen] == ["CT"] * 4 + ["RTSTRUCT", "RTPLAN", "RTDOSE"]
    assert [item.sop_instance_uid for item in found.reference] == [item.SOPInstanceUID for item in reference[:6]]


def test_missing_slices_of_todays_image_and_of_the_reference_are_waited_for(read, study, new_study):
    reference = study.whole()
    day = _on("20260410", new_study(study.patient_id, study.patient_name).series(5))
    found = assess(read(*reference, *day[:2], *day[3:]), of_today=True)
    assert "1 slices of the image series are missing" in found.missing
    found = assess(read(*reference[1:], *day), of_today=True)
    assert "1 of the 5 slices the structure set refers to" in found.missing


def test_todays_image_of_another_patient_is_refused(read, study, new_study):
    day = _on("20260410", new_study("SOMEBODY-ELSE", study.patient_name).series(4))
    assert _refused(read(*study.whole(), *day)) == SetRule.IDENTITY.value
