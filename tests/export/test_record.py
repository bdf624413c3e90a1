"""The evaluation for the record: every number comes from the scorecard, one page, and DICOM that peers accept."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pypdf import PdfReader

from appliance.config import PeerConfig
from appliance.contracts import (
    RECORD_FILES,
    DvhCurve,
    Evaluation,
    ExportSet,
    Finding,
    GoalResult,
    Grade,
    Outcome,
    PlanFacts,
    Severity,
    TargetIndices,
)
from appliance.contracts.deliverability import Clearance, ComplexityFigures, Deliverability, Nearest
from appliance.contracts.explanation import Explanation, Reason
from appliance.contracts.outcomes import OutcomeEstimate
from appliance.contracts.preference import Attribution, Basis, PreferenceVerdict
from appliance.contracts.prior import CumulativeResult, PriorCourse, RegistrationQuality
from appliance.contracts.robustness import ErrorModel, GoalRobustness, Robustness
from appliance.errors import ExportError
from appliance.evaluation import scorecard
from appliance.export import send, write_export_set
from appliance.export.record import RecordFiles, write_record
from appliance.export.record.html_page import html_of
from appliance.export.record.page import page_of
from appliance.export.record.pdf import MOST_REMARKS, pdf_of

from .conftest import Approved
from .peers import Orthanc, tool

OUTCOME = OutcomeEstimate(
    "parotid", "Parotid_L", "NTCP", "flow under 25 %", "LKB", 0.1734, 0.1212, 0.2355, "sampled", 24.44, "physical", "",
    "a paper", "10.1/2", "its abstract",
)  # fmt: skip
LIKED = Attribution("mu", "monitor units", "MU", 847.0, 700.0, -0.4242, 0.0)
VERDICT = PreferenceVerdict(
    Basis.CLINIC, "said", probability=0.7171, low=0.6161, high=0.8181, logit=0.9, base_logit=1.3,
    attributions=(LIKED,),
)  # fmt: skip
FIGURES = ComplexityFigures(847.77, 0, 0.0, ltmcs=0.1317, irregularity=4.5671, small_5mm=0.0919)
NEAREST = Nearest(1, "couch", 68.44, 20.0, 200.0, 0.0, 3, (0.0, 0.0, 0.0))
QUALITY = RegistrationQuality("rigid, from the images", 0.98, 0.97, 1.1, 0, "", 0.0, 0.0, 12.0, 3.0, 2.0)
SUMMED = CumulativeResult(
    "SpinalCord", "D0.1cc", "<=", 60.5, "Gy", 52.525, 50.505, 55.555, True, True, 1, 2.0, "a paper", 33.3, 0.0, "none",
    "a paper", "a paper",
)  # fmt: skip
EARLIER = PriorCourse("e" * 64, 10, 700.0, QUALITY, (SUMMED,), ())
SHAKEN = GoalRobustness(
    "PTV", "D95%", ">=", 50.0, "Gy", 50.1, (50.1, 47.777), 47.777, "1 mm up", 49.9, 0.5, 0.2626, 0.2, 0.3, 0.1,
    (49.0, 51.0), (49.0, 51.0), (), on_planning_volume=True,
)  # fmt: skip
REASON = Explanation(
    3, "Core", "D2%", "<=", 25.25, "Gy", 27.7272, "failed", "Core D2% is 27.7 Gy",
    (Reason("overlap", "8.08 cc of it lie in the PTV"),), no_change="no single change suffices",
)  # fmt: skip
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\d.]*\d)")
FIXED_WORDS = ("ICRU 83", "hottest 0.1 cc", "5 min 17 s", "volume from 0 to 100")
OVERLAP = Finding("goals.conflict", "Goals stand against each other", Severity.WARN, Outcome.FOUND, "by 3.75 cc", "us")


def goal(structure: str, value: float, limit: float, grade: Grade, **more: Any) -> GoalResult:
    met = grade is Grade.PASS
    return GoalResult(structure, "D2%", "<=", limit, "Gy", value, met, 2, "a paper", grade=grade, **more)


def evaluation_of(approved: Approved, goals: int = 3, notes: int = 2) -> Evaluation:
    organs = [goal(f"Organ_{n}", 17.3171 + n, 20.5 + n, Grade.PASS, score=3.2571, max_score=4.5) for n in range(goals)]
    bad = goal("Core", 27.7272, 25.25, Grade.FAIL)
    near = goal("SpinalCord", 45.4545, 45.0, Grade.VARIATION, variation=48.125)
    curve = DvhCurve("PTV", 33.3, 50.0, 40.0, 55.0, (0.0, 50.0, 55.0), (100.0, 50.0, 0.0))
    return Evaluation(
        goals=(*organs, bad, near),
        dvh=(curve, replace(curve, structure="Core")),
        targets=(TargetIndices("PTV", 50.0, 0.83731, 0.08249),),
        plan=PlanFacts(847.77, 9, 140, 70, True, delivery_time_s=316.6, mcs=0.1469, mu_per_gy=423.885),
        hottest_01cc_gy=53.9696,
        plan_digest=approved.plan.digest,
        dose_digest=approved.dose.digest,
        goal_set="tg119-c-shape",
        goal_set_digest="d" * 64,
        outcomes=(OUTCOME,),
        robustness=Robustness((), (SHAKEN,), (), ErrorModel(), 25, "calculated", 9),
        explanations=(REASON,),
        preference=VERDICT,
        deliverability=Deliverability("M", "STATIC", FIGURES, (), 316.6, Clearance(True, (NEAREST,))),
        prior_course=EARLIER,
        notes=tuple(f"Note {n} of 31.4 %" for n in range(notes)),
        findings=(OVERLAP,),
    )


@pytest.fixture(scope="module")
def export_set(approved: Approved, tmp_path_factory: pytest.TempPathFactory) -> ExportSet:
    folder = tmp_path_factory.mktemp("set") / "export"
    return write_export_set(approved.case, approved.plan, approved.dose, approved.approval, folder)


@pytest.fixture(scope="module")
def card(approved: Approved) -> dict[str, Any]:
    return json.loads(json.dumps(scorecard(evaluation_of(approved))))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def record(approved: Approved, export_set: ExportSet, card: dict[str, Any]) -> RecordFiles:
    case, plan = approved.case, approved.plan
    return write_record(case, plan, evaluation_of(approved), card, approved.approval, export_set, curves=False)


class Text(HTMLParser):
    """The words of a page, without style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self._in_style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.words.append(data)


def leaves(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        for value in node.values():
            yield from leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value)
    else:
        yield node


def is_traced(number: str, card: dict[str, Any]) -> bool:
    """A rounding of a figure of the scorecard, or part of one of its texts (D2%, Organ_1, notes)."""
    decimals = len(number.partition(".")[2])
    for leaf in leaves(card):
        if isinstance(leaf, str) and number in NUMBER.findall(
            leaf.replace("_", " ").replace("%", " ").replace("D", " ")
        ):
            return True
        if isinstance(leaf, int | float) and not isinstance(leaf, bool):
            shown = (f"{leaf:.{decimals}f}", f"{100.0 * leaf:.{decimals}f}")  # a probability is shown in percent
            if number in shown:
                return True
    return False


def words_of(record: RecordFiles) -> dict[str, str]:
    pdf = " ".join(page.extract_text() for page in PdfReader(record.pdf).pages)
    return {"html": " ".join(Text(record.html.read_text("utf-8")).words), "pdf": pdf}


@pytest.mark.parametrize("kind", ["html", "pdf"])
def test_every_number_on_the_page_is_one_of_the_scorecard(
    kind: str, record: RecordFiles, card: dict[str, Any], approved: Approved
) -> None:
    words = words_of(record)[kind]
    identity, approval = approved.case.identity, approved.approval
    date = f"{identity.birth_date[:4]}-{identity.birth_date[4:6]}-{identity.birth_date[6:]}"
    footer = re.search(r"Couchside, \S+, \S+ \S+ UTC", words)
    known = [
        date,
        identity.patient_id,
        approval.approved_at,
        "ICRU 83",
        "hottest 0.1 cc",
        "5 min 17 s",
        "volume from 0 to 100",
    ]
    for name in (*known, *([footer.group()] if footer else [])):
        words = words.replace(name, " ")
    words = re.sub(r"\b[0-9a-f]{64}\b", " ", words.replace("%", " ").replace("D2", "2").replace("_", " "))
    numbers = NUMBER.findall(words)
    assert {"47.78", "26", "8.08", "17", "12", "24", "72", "-0.42", "0.132", "68", "52.5", "55.6"} <= set(numbers)
    assert {"27.73", "25.25", "48.125", "0.837", "848", "424", "54.0", "3.75"} <= set(numbers)
    assert [number for number in numbers if not is_traced(number, card)] == []


def test_a_number_that_the_scorecard_lacks_would_be_noticed(card: dict[str, Any]) -> None:
    assert is_traced("27.73", card)
    assert not is_traced("27.74", card)


def test_what_stops_stands_above_the_goals_and_the_course_is_whole(approved: Approved) -> None:
    stop = replace(OVERLAP, id="prior.above_limit", severity=Severity.STOP, title="Cord", evidence="76.0 >= 50 Gy")
    evaluation = evaluation_of(approved)
    evaluation = replace(evaluation, findings=(OVERLAP, stop), plan=replace(evaluation.plan, fractions=25))
    card = json.loads(json.dumps(scorecard(evaluation)))
    page = page_of(card, approved.case.identity, "Plan", None)
    assert page.stops == ("Cord: 76.0 ≥ 50 Gy",)
    assert page.sentences[0].startswith(OVERLAP.title) and not any("Cord" in one for one in page.sentences)
    assert ("Prescription", "PTV 50 Gy in 25 fractions") in page.facts
    html = html_of(page, ()).decode()
    assert html.index("STOP</b> Cord") < html.index("goals met") < html.index(OVERLAP.title)
    words = PdfReader(io.BytesIO(pdf_of(page, (), "made"))).pages[0].extract_text()
    assert words.index("STOP: Cord") < words.index("goals met")


def test_the_worst_goal_stands_first(card: dict[str, Any], approved: Approved) -> None:
    page = page_of(card, approved.case.identity, "Plan", None)
    assert [cells[0] for cells in page.goals[:2]] == ["Core", "SpinalCord"]
    assert page.grades[:3] == (Grade.FAIL, Grade.VARIATION, Grade.PASS)
    assert page.approval == "Not approved by anybody."


@pytest.mark.parametrize(("goals", "notes"), [(1, 0), (60, 40)])
def test_it_is_one_page_whatever_it_holds(goals: int, notes: int, approved: Approved) -> None:
    evaluation = evaluation_of(approved, goals, notes)
    page = page_of(scorecard(evaluation), approved.case.identity, "Plan", approved.approval)
    reader = PdfReader(io.BytesIO(pdf_of(page, evaluation.dvh, "now")))
    words = reader.pages[0].extract_text()
    assert len(reader.pages) == 1
    assert f"Organ_{goals - 1}" in words
    assert ("further remarks are in scorecard.json" in words) == (notes >= MOST_REMARKS)


def test_the_same_content_makes_the_same_bytes(card: dict[str, Any], approved: Approved) -> None:
    page = page_of(card, approved.case.identity, "Plan", None)
    assert pdf_of(page, (), "now") == pdf_of(page, (), "now")
    assert pdf_of(page, (), "now") != pdf_of(page, (), "later")


def test_what_the_font_cannot_show_is_seen_to_be_missing(card: dict[str, Any], approved: Approved) -> None:
    identity = replace(approved.case.identity, patient_name="Łuk^放射")
    page = page_of(card, identity, "α/β", None)
    words = PdfReader(io.BytesIO(pdf_of(page, (), "now"))).pages[0].extract_text()
    assert "Łuk ??" in words
    assert "alpha/beta" in words


def test_the_structured_report_holds_the_goals_unrounded(record: RecordFiles, card: dict[str, Any]) -> None:
    report = dcmread(record.documents[1].path)
    container = next(item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010")
    found = {}
    for group in container.ContentSequence:
        items = list(group.ContentSequence)
        tracked = next(item.TextValue for item in items if item.ConceptNameCodeSequence[0].CodeValue == "112039")
        numbers = [item for item in items if item.ValueType == "NUM"]
        measured = numbers[0].MeasuredValueSequence[0]
        found[tracked] = float(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue
    for entry in card["goals"]:
        value, unit = found[f"{entry['structure']} {entry['metric']}"]
        assert value == pytest.approx(entry["value"], rel=1e-12)
        assert unit == "Gy"
    assert report.PreliminaryFlag == "FINAL"


def test_documents_are_about_the_patient_and_plan_and_the_pdf_is_inside(
    record: RecordFiles, approved: Approved, export_set: ExportSet
) -> None:
    document, report = (dcmread(source.path) for source in record.documents)
    pdf = record.pdf.read_bytes()
    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == pdf
    named = {item.ReferencedSOPInstanceUID for item in document.SourceInstanceSequence}
    assert named == set(export_set.sop_instance_uids)
    for dataset in (document, report):
        assert dataset.PatientID == approved.case.identity.patient_id
        assert dataset.StudyInstanceUID == dcmread(export_set.plan).StudyInstanceUID


@pytest.mark.peer
def test_the_dicom_validator_finds_no_error(record: RecordFiles) -> None:
    for source in record.documents:
        done = subprocess.run([tool("dciodvfy"), str(source.path)], capture_output=True, text=True, check=False)
        assert "Error" not in done.stdout + done.stderr


@pytest.mark.peer
def test_dcmtk_reads_the_structured_report(record: RecordFiles) -> None:
    command = [tool("dsr2html"), str(record.documents[1].path)]
    done = subprocess.run(command, capture_output=True, encoding="latin-1", check=True)
    assert "27.7272" in done.stdout
    assert "fail" in done.stdout


@pytest.mark.peer
def test_orthanc_takes_the_documents_after_the_plan(record: RecordFiles, export_set: ExportSet, tmp_path: Path) -> None:
    documents = {source.path: source.sha256 for source in record.documents}
    whole = replace(export_set, documents=tuple(documents), document_sha256=tuple(documents.values()))
    with Orthanc(tmp_path).running() as orthanc:
        peer = PeerConfig(ae_title="ORTHANC", port=orthanc.dicom_port, attempts=1, retry_s=0.05)
        send(whole, peer, calling_ae="COUCHSIDE")
        uids = {entry["MainDicomTags"]["SOPInstanceUID"] for entry in orthanc.get("/instances?expand")}
        assert len(orthanc.get("/studies")) == 1
    assert uids == {*export_set.sop_instance_uids, *(source.sop_instance_uid for source in record.documents)}


def test_a_scorecard_of_another_evaluation_is_refused(
    approved: Approved, export_set: ExportSet, card: dict[str, Any]
) -> None:
    other = replace(evaluation_of(approved), hottest_01cc_gy=60.0)
    with pytest.raises(ExportError, match="another evaluation"):
        write_record(approved.case, approved.plan, other, card, None, export_set)


def test_the_files_have_the_names_that_others_look_for(record: RecordFiles) -> None:
    assert tuple(path.name for path in record.paths) == RECORD_FILES
