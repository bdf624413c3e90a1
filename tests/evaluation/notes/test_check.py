"""Notes against a case of 10 mm voxels: what fits passes, what does not is found, what cannot be told is not tested."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from appliance.contracts import Case, DensityOverride, GoalSet, Structure, StructureKind
from appliance.contracts.evaluation import Evaluation
from appliance.contracts.finding import Outcome, Severity
from appliance.contracts.notes import ClinicalNotes
from appliance.evaluation.notes import NoteText, check_notes, read_notes
from appliance.evaluation.notes.check_side import target_offset_mm
from appliance.export.report_notes import notes_section
from engines.grid import VoxelSet

GOALS = GoalSet("g", "G", "g", 35, (("PTV", 70.0),), (), "d")
FOUND, PASSED, UNTESTED = Outcome.FOUND, Outcome.PASSED, Outcome.NOT_TESTED


def target_at(case: Case, column: int) -> Case:
    """The target in two voxels' width from this column of x; the body spans columns 1 to 8, its middle is 4.5."""
    dense = np.zeros(case.image.grid.shape, np.float32)
    dense[4:6, 4:6, column : column + 2] = 1
    target = Structure(2, "PTV", "PTV", StructureKind.TARGET, (), VoxelSet.from_dense(dense))
    return replace(case, structures=(case.structures[0], target, *case.structures[2:]))


@pytest.fixture
def case(make_case) -> Case:
    return replace(target_at(make_case("PTV", prescription=(("PTV", 70.0),)), 7), fractions=35)


def judged(text: str, case: Case, name: str, **more):
    findings = check_notes(read_notes([NoteText("letter", text)]), case, GOALS, **more)
    return next(finding for finding in findings if finding.id == f"notes.{name}")


def test_the_offset_is_of_the_target_from_the_middle_of_the_body(case) -> None:
    assert target_offset_mm(case) == pytest.approx(30.0)
    assert target_offset_mm(target_at(case, 1)) == pytest.approx(-30.0)
    assert target_offset_mm(replace(case, structures=case.structures[:1])) is None


def test_elective_targets_do_not_move_the_side(case) -> None:
    """A lower level on the other side, as large as the target itself, would bring the centre to the midline."""
    dense = np.zeros(case.image.grid.shape, np.float32)
    dense[4:6, 4:6, 1:3] = 1
    elective = Structure(7, "PTV_5600", "PTV_5600", StructureKind.TARGET, (), VoxelSet.from_dense(dense))
    both = replace(case, structures=(*case.structures, elective))
    levels = replace(GOALS, prescription=(("PTV", 70.0), ("PTV_5600", 56.0)))
    assert target_offset_mm(both, levels) == pytest.approx(30.0)
    assert target_offset_mm(replace(both, prescription=()), None) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("text", "column", "outcome"),
    [
        ("Squamous cell carcinoma of the left tonsil.", 7, PASSED),
        ("Squamous cell carcinoma of the right tonsil.", 7, FOUND),
        ("Squamous cell carcinoma of the right tonsil.", 1, PASSED),
        ("Squamous cell carcinoma of the right tonsil.", 4, UNTESTED),
        ("Bilateral neck disease.", 7, UNTESTED),
        ("Left tonsil cancer. Mass in the right neck.", 7, UNTESTED),
        ("History of right breast cancer.", 7, UNTESTED),
        ("Her sister had right breast cancer.", 7, UNTESTED),
        ("No tumour in the right lung.", 7, UNTESTED),
        ("Nothing of note.", 7, UNTESTED),
    ],
)
def test_the_side(case, text, column, outcome) -> None:
    finding = judged(text, target_at(case, column), "laterality")
    assert (finding.outcome, finding.severity) == (outcome, Severity.STOP)
    assert finding.stops == (outcome is FOUND)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Plan: 70 Gy in 35 fractions.", PASSED),
        ("Plan: 60 Gy in 30 fractions.", FOUND),
        ("Plan: 70 Gy in 33 fractions.", FOUND),
        ("Alternatively 60 Gy in 30 fractions could be given.", UNTESTED),
        ("He received 60 Gy in 30 fractions in 2010.", UNTESTED),
    ],
)
def test_the_prescription(case, text, outcome) -> None:
    assert judged(text, case, "prescription").outcome is outcome


@pytest.mark.parametrize(
    ("text", "prior_dose", "outcome"),
    [
        ("Prior radiotherapy 50 Gy in 25 fractions in 2012.", False, FOUND),
        ("Prior radiotherapy 50 Gy in 25 fractions in 2012.", True, PASSED),
        ("Possible previous irradiation of the spine.", False, FOUND),
        ("No prior radiotherapy.", False, PASSED),
        ("Her mother received radiotherapy.", False, UNTESTED),
    ],
)
def test_earlier_radiation(case, text, prior_dose, outcome) -> None:
    assert judged(text, case, "prior-radiotherapy", prior_dose=prior_dose).outcome is outcome


@pytest.mark.parametrize(
    ("text", "outcome", "severity"),
    [
        ("Patient is 14 weeks pregnant.", FOUND, Severity.STOP),
        ("Pregnancy cannot be excluded.", FOUND, Severity.WARN),
        ("Pregnancy test negative.", PASSED, Severity.STOP),
        ("His wife is pregnant.", UNTESTED, Severity.STOP),
    ],
)
def test_pregnancy(case, text, outcome, severity) -> None:
    finding = judged(text, case, "pregnancy")
    assert (finding.outcome, finding.severity) == (outcome, severity)


def with_device(case: Case) -> Case:
    dense = np.zeros(case.image.grid.shape, np.float32)
    dense[7, 7, 7] = 1
    device = Structure(9, "Pacemaker", "Pacemaker", StructureKind.OTHER, (), VoxelSet.from_dense(dense))
    return replace(case, structures=(*case.structures, device))


@pytest.mark.parametrize(
    ("dose_gy", "outcome", "severity"),
    [
        (1.99, PASSED, Severity.WARN),
        (2.01, FOUND, Severity.WARN),
        (10.1, FOUND, Severity.STOP),
        (None, UNTESTED, Severity.WARN),
    ],
)
def test_the_dose_to_an_outlined_device(case, dose_gy, outcome, severity) -> None:
    dose = None if dose_gy is None else np.full(case.image.grid.shape, dose_gy, np.float32)
    finding = judged("He has a pacemaker.", with_device(case), "cardiac-device", dose_gy=dose)
    assert (finding.outcome, finding.severity) == (outcome, severity)


def test_a_device_that_is_not_outlined_is_found_and_a_denied_one_is_not(case) -> None:
    assert "no structure is outlined" in judged("He has an ICD.", case, "cardiac-device").evidence
    assert judged("No pacemaker or ICD.", case, "cardiac-device").outcome is PASSED


def test_contrast_implants_and_contradictions(case) -> None:
    overridden = replace(
        case, structures=(*case.structures[:1], replace(case.structures[1], density=DensityOverride(1.0)))
    )
    hip = "Left hip replacement in 2011."
    assert judged(hip, case, "implant").outcome is FOUND
    assert judged(hip, overridden, "implant").outcome is PASSED
    given = "Planning CT was acquired with IV contrast."
    assert judged(given, case, "contrast").severity is Severity.INFO
    assert judged(f"{given} Allergic to iodinated contrast.", case, "contrast").warns
    both = judged("He has a pacemaker. Denies having a pacemaker.", case, "contradiction")
    assert both.outcome is FOUND and "pacemaker" in both.evidence
    earlier = "Prior radiotherapy to the pelvis in 2015: 45 Gy in 25 fractions."
    assert judged(f"{earlier} No prior radiotherapy.", case, "contradiction").outcome is FOUND
    assert judged(f"{earlier} No prior radiotherapy to the chest.", case, "contradiction").outcome is PASSED


def test_a_note_that_was_not_read_is_found(case) -> None:
    german = "Der Patient hat keinen Herzschrittmacher und wurde bisher nicht bestrahlt und ist gesund."
    assert "seems to be in German" in judged(german, case, "unread").evidence


def test_without_notes_there_are_no_findings_and_with_notes_always_the_same_ones(case) -> None:
    assert check_notes(ClinicalNotes(), case, GOALS) == ()
    few = [finding.id for finding in check_notes(read_notes([NoteText("a", "Hello.")]), case, GOALS)]
    many = [finding.id for finding in check_notes(read_notes([NoteText("a", "He has an ICD.")]), case, GOALS)]
    assert few == many and len(set(few)) == 9


def test_findings_hold_no_statement_of_a_note(case) -> None:
    text = "Mr. Jonathan Doe has a pacemaker and right tonsil cancer."
    findings = check_notes(read_notes([NoteText("Doe.txt", text)]), case, GOALS)
    assert all("Doe" not in finding.evidence for finding in findings)


def test_everything_lands_in_the_scorecards_json_and_in_the_report(case) -> None:
    notes = read_notes([NoteText("letter", "Carcinoma of the right tonsil <b>. Prior RT 50 Gy in 25 fractions.")])
    notes = replace(notes, findings=check_notes(notes, case, GOALS))
    adapter = TypeAdapter(ClinicalNotes)
    assert adapter.validate_json(adapter.dump_json(notes)) == notes
    assert json.loads(adapter.dump_json(notes))["facts"][0]["kind"] == "laterality"
    html = notes_section(notes)
    assert "<mark>right</mark>" in html and "&lt;b&gt;" in html and "✗ stop" in html
    assert html.index("✗ stop") < html.index("not tested")
    assert notes_section(None) == notes_section(ClinicalNotes()) == ""
    assert "clinical_notes" in Evaluation.__dataclass_fields__
