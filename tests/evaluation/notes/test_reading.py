"""Whole notes: sections, pages, wrapped lines, other languages, files that cannot be read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from appliance.contracts.notes import Assertion, FactKind
from appliance.errors import RefusedInput
from appliance.evaluation.notes import NoteText, notes_of_folder, read_notes
from appliance.evaluation.notes.language import language_of
from appliance.evaluation.notes.sentences import sentences

from .pdf import pdf

LETTER = """Consultation

HISTORY OF PRESENT ILLNESS: 61-year-old man with squamous cell carcinoma of the left
tonsil, T2N1. No pacemaker, no
metal implants. He received 30 Gy in 10 fractions to the thoracic spine in 2019.

FAMILY HISTORY:
- Father with ICD
- Mother had radiotherapy for breast cancer
ALLERGIES: penicillin, iodinated contrast

PLAN: 70 Gy in 35 fractions with cisplatin.
"""


def said(text: str) -> set[tuple[str, str, str]]:
    notes = read_notes([NoteText("a letter", text)])
    return {(fact.kind.value, fact.assertion.value, fact.value) for fact in notes.facts}


def test_a_letter_is_read_with_its_sections() -> None:
    assert said(LETTER) == {
        ("laterality", "present", "left"),
        ("cardiac_device", "absent", "pacemaker"),
        ("implant", "absent", "metal"),
        ("prior_radiotherapy", "present", ""),
        ("cardiac_device", "other_person", "defibrillator"),
        ("prior_radiotherapy", "other_person", ""),
        ("contrast_allergy", "present", ""),
        ("prescription", "present", ""),
    }


def test_courses_carry_dose_fractions_site_and_date() -> None:
    facts = {
        fact.kind: fact for fact in read_notes([NoteText("n", LETTER)]).facts if fact.assertion is Assertion.PRESENT
    }
    prior, now = facts[FactKind.PRIOR_RADIOTHERAPY], facts[FactKind.PRESCRIPTION]
    assert (prior.dose_gy, prior.fractions, prior.site, prior.date) == (30.0, 10, "spine", "2019")
    assert (now.dose_gy, now.fractions) == (70.0, 35)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Seen by Dr. Miller. No pacemaker.", ["Seen by Dr. Miller.", "No pacemaker."]),
        ("Dose 1.8 Gy. Total 50.4 Gy.", ["Dose 1.8 Gy.", "Total 50.4 Gy."]),
        ("No\npacemaker\nPrior RT: none", ["No\npacemaker", "Prior RT: none"]),
        ("- no ICD\n- prior RT 2010", ["- no ICD", "- prior RT 2010"]),
        ("Pregnant? No", ["Pregnant? No"]),
        ("J. Smith, approx. 60 kg, vs. 70 kg before.", ["J. Smith, approx. 60 kg, vs. 70 kg before."]),
        ("  \n \n", []),
    ],
)
def test_sentences(text, pieces) -> None:
    assert [text[piece.start : piece.end] for piece in sentences(text)] == pieces


def test_a_pdf_is_read_with_its_pages(tmp_path: Path) -> None:
    path = tmp_path / "protocol.pdf"
    path.write_bytes(pdf("The patient has a pacemaker.", "Prior radiotherapy 50 Gy in 25 fractions in 2012."))
    notes = read_notes([path])
    assert [(fact.kind.value, fact.span.page) for fact in notes.facts] == [
        ("cardiac_device", 1),
        ("prior_radiotherapy", 2),
    ]
    assert notes.documents[0].read and notes.documents[0].pages == 2


def test_a_scanned_page_among_others_is_said_to_be_unread(tmp_path: Path) -> None:
    (tmp_path / "letter.pdf").write_bytes(pdf("The patient has a pacemaker.", ""))
    notes = read_notes([tmp_path / "letter.pdf"])
    assert [fact.kind.value for fact in notes.facts] == ["cardiac_device"]
    assert notes.documents[0].read and "page 2 without text, as of a scan, not read" in notes.documents[0].why


def test_a_scan_a_broken_and_a_protected_pdf_are_not_read_and_say_why(tmp_path: Path) -> None:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf("No pacemaker."))))
    writer.encrypt("secret", algorithm="AES-256")
    writer.write(tmp_path / "locked.pdf")
    (tmp_path / "scan.pdf").write_bytes(pdf(""))
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing of it")
    notes = read_notes([tmp_path / "locked.pdf", tmp_path / "scan.pdf", tmp_path / "broken.pdf"])
    assert notes.facts == () and not any(document.read for document in notes.documents)
    whys = [document.why for document in notes.documents]
    assert "password" in whys[0] and "no text" in whys[1] and "damaged" in whys[2]


def test_what_is_no_note_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match="cannot be read"):
        read_notes([tmp_path / "absent.txt"])
    (tmp_path / "image.png").write_bytes(b"x")
    with pytest.raises(RefusedInput, match=r"image\.png is no note"):
        read_notes([tmp_path / "image.png"])


def test_older_encodings_and_odd_bytes_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Röntgen: the patient has a pacemaker.\r\n".encode("cp1252"))
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfNo prior radiotherapy.\x00\x01")
    facts = read_notes([tmp_path / "a.txt", tmp_path / "b.txt"]).facts
    assert [(fact.kind.value, fact.assertion.value) for fact in facts] == [
        ("cardiac_device", "present"),
        ("prior_radiotherapy", "absent"),
    ]


def test_what_another_editor_saved_is_read_and_what_is_no_text_is_not(tmp_path: Path) -> None:
    words = "The patient has a pacemaker."
    (tmp_path / "a.txt").write_bytes(words.encode("utf-16"))  # with its mark
    (tmp_path / "b.txt").write_bytes(words.encode("utf-16-le"))  # without
    notes = read_notes([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert [fact.kind.value for fact in notes.facts] == ["cardiac_device"]
    assert [document.why for document in notes.documents] == ["", "it is no text; save it as text or PDF"]


FOREIGN = {
    "de": "Der Patient hat keinen Herzschrittmacher und wurde bisher nicht bestrahlt. Es ist eine Bestrahlung geplant.",
    "fr": "Le patient n'a pas de pacemaker et il est porteur d'une prothèse de la hanche depuis une chute dans la rue.",
    "es": "El paciente no tiene marcapasos y fue tratado con radioterapia en la mama izquierda por un tumor hace años.",
    "it": "Il paziente non ha un pacemaker ed è stato trattato con la radioterapia nel torace dopo una operazione.",
    "nl": "De patiënt heeft geen pacemaker en werd niet eerder bestraald op het hoofd of de hals door een ander.",
    "pt": "O doente não tem pacemaker e não foi tratado com radioterapia no passado por causa de um tumor da mama.",
    "sv": "Patienten har ingen pacemaker och har inte fått strålning tidigare men har en protes i höger höft.",
}


@pytest.mark.parametrize("language", FOREIGN)
def test_another_language_is_told_and_never_read(language) -> None:
    assert language_of(FOREIGN[language]) == language
    notes = read_notes([NoteText("letter", FOREIGN[language])])
    assert notes.facts == ()
    assert not notes.documents[0].read and notes.documents[0].language == language
    assert "only English is read" in notes.documents[0].why


def test_another_script_is_told() -> None:
    notes = read_notes([NoteText("letter", "У пациента установлен кардиостимулятор. ICD. Лучевая терапия ранее.")])
    assert notes.facts == () and "not known here" in notes.documents[0].why


def test_a_foreign_paragraph_in_an_english_note_is_left_out_and_told() -> None:
    text = f"The patient was seen today and he has a pacemaker in his chest.\n\n{FOREIGN['fr']}\n"
    notes = read_notes([NoteText("letter", text)])
    assert [(fact.kind.value, fact.assertion.value) for fact in notes.facts] == [("cardiac_device", "present")]
    assert notes.documents[0].why == "1 passage in French not read"


@pytest.mark.parametrize(
    "text", ["", " \n", "\f\f", "x" * 200_000, "no " * 20_000, ":" * 5000, "(" * 3000 + "Gy" * 3000]
)
def test_any_text_may_come(text) -> None:
    assert read_notes([NoteText("odd", text)]).facts == ()


def test_the_notes_of_a_case_are_found_in_its_folder(tmp_path: Path) -> None:
    assert notes_of_folder(tmp_path) == ()
    (tmp_path / "notes").mkdir()
    for name in ("b.txt", "a.pdf", "CT.dcm"):
        (tmp_path / "notes" / name).write_bytes(b"")
    assert [path.name for path in notes_of_folder(tmp_path)] == ["a.pdf", "b.txt"]
