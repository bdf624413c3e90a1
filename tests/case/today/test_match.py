from dataclasses import replace
from datetime import date

import pytest

from appliance.case.scanner import Scanner
from appliance.case.today.match import match_day
from appliance.config import AnatomyConfig
from appliance.contracts import Outcome, Severity
from appliance.errors import InconsistentCase

ON = date(2026, 3, 16)
LIMITS = AnatomyConfig()


def matched(day_kit, today, on=ON, limits=LIMITS):
    return match_day(day_kit.reference, today, limits, on=on)


def refused(day_kit, today, rule, limits=LIMITS):
    with pytest.raises(InconsistentCase) as refusal:
        matched(day_kit, today, limits=limits)
    assert refusal.value.fields["rule"] == rule
    return str(refusal.value)


def found(day_kit, today, on=ON):
    return {item.id: item for item in matched(day_kit, today, on)[1] if item.outcome is Outcome.FOUND}


def test_the_image_of_the_day_passes_with_a_note_of_what_it_is(day_kit):
    notes, findings = matched(day_kit, day_kit.today())
    assert notes == ("Today's image: it is a CT: nothing in it names the imager of a treatment machine",)
    assert [(item.id, item.outcome) for item in findings] == [("day.modality", Outcome.PASSED)]


@pytest.mark.parametrize("field, value", [("patient_id", "P-18"), ("birth_date", "19510101"), ("sex", "M")])
def test_another_patient(day_kit, field, value):
    today = day_kit.today()
    today = day_kit.today(identity=replace(today.series.identity, **{field: value}))
    assert "Check that they belong to one patient" in refused(day_kit, today, "case.identity")


def test_an_image_without_patient_id_is_flagged(day_kit):
    today = day_kit.today(identity=replace(day_kit.today().series.identity, patient_id=""))
    item = found(day_kit, today)["day.no-identity"]
    assert item.warns
    assert item.evidence.startswith("There is no patient ID in today's image. Compare name and birth date")


def test_the_reference_itself(day_kit):
    words = refused(day_kit, day_kit.today(sources=day_kit.reference.series.sources), "day.same-image")
    assert words == (
        "Today's image cannot be used: it is the reference image, or shares slices with it. Send the image that was "
        "taken today"
    )


def test_the_reference_under_another_name(day_kit):
    refused(day_kit, day_kit.today(hu=day_kit.reference.series.image.hu.copy()), "day.same-image")


def test_an_image_older_than_the_reference(day_kit):
    today = day_kit.today(scanner=Scanner(taken_on="20260228"))
    assert "it was taken 2 days before the reference" in refused(day_kit, today, "day.before-reference")


def test_an_image_implausibly_long_after_the_reference(day_kit):
    today = day_kit.today(scanner=Scanner(taken_on="20260701"))
    assert "121 days after the reference, and 120 is the limit" in refused(day_kit, today, "day.too-late")
    matched(day_kit, today, limits=AnatomyConfig(longest_days=121))


def test_an_image_of_another_day_than_today_is_flagged(day_kit):
    late = found(day_kit, day_kit.today(), date(2026, 3, 17))["day.not-today"]
    assert late.evidence.startswith("It was taken 1 day(s) before 2026-03-17, the day of treatment")
    assert "1 day(s) after 2026-03-15" in found(day_kit, day_kit.today(), date(2026, 3, 15))["day.not-today"].evidence
    assert "day.not-today" not in found(day_kit, day_kit.today())


def test_an_image_without_a_date_is_flagged(day_kit):
    assert found(day_kit, day_kit.today(scanner=Scanner()))["day.undated"].warns


def test_feet_first_today_and_head_first_before(day_kit):
    words = refused(day_kit, day_kit.today(patient_position="FFS"), "day.patient-position")
    assert "the patient lies FFS on it and HFS on the reference" in words
    assert "lay the patient as planned" in words


def test_an_image_that_does_not_say_how_the_patient_lies_is_flagged(day_kit):
    assert found(day_kit, day_kit.today(patient_position=""))["day.unstated-position"].warns


def test_the_same_frame_of_reference_is_noted(day_kit):
    today = day_kit.today(frame_of_reference_uid=day_kit.reference.series.frame_of_reference_uid)
    notes, findings = matched(day_kit, today)
    assert any("the patient was not moved" in note for note in notes)
    item = next(item for item in findings if item.id == "day.same-frame")
    assert (item.severity, item.warns, item.stops) == (Severity.INFO, False, False)
