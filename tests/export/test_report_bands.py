"""Bands behind the histogram, the table that says the same without a picture, and the section on the prediction."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image as Pillow
from pypdf import PdfReader

from appliance.contracts import Evaluation, PredictedBand, PredictedDose, PredictedJudgement, Prediction
from appliance.evaluation import scorecard
from appliance.evaluation.band import judge_bands
from appliance.export.record.html_page import html_of
from appliance.export.record.page import page_of
from appliance.export.record.pdf import pdf_of
from appliance.export.report import Beside, write_report
from appliance.export.report_bands import MOST_BANDS, band_table, drawn
from appliance.export.report_style import STYLE

from .test_report import GRID, HOSTILE, TIMELINE, Page, made_case, made_dose, made_evaluation, made_goals, made_plan

MOST_BYTES = 3_000_000
VOLUMES = np.array([99.5, 98, 50, 2, 0.5], np.float32)


def band(structure: str, low: float, high: float) -> PredictedBand:
    curves = (np.array([gy - 4, gy - 3, gy, gy + 3, gy + 4], np.float32) for gy in (low, (low + high) / 2, high))
    return PredictedBand(structure, VOLUMES, *curves)


def predicted(**more: object) -> PredictedDose:
    dose_gy = made_dose(made_plan()).dose_gy + np.float32(4)
    half = np.full_like(dose_gy, 3.0)
    return replace(
        PredictedDose(
            GRID, dose_gy, half, 2 * half, "dose@1234abcd", dvh=(band("PTV", 40.0, 46.0), band(HOSTILE, 10.0, 20.0)),
            model_sha256="1234abcd" * 8,
        ),
        **more,
    )  # fmt: skip


def with_bands() -> Evaluation:
    evaluation = made_evaluation(made_dose(made_plan()))
    return replace(
        evaluation,
        bands=judge_bands(made_case(), evaluation.dvh, predicted().dvh),
        predicted=PredictedJudgement((replace(evaluation.goals[1], value=50.5, grade=evaluation.goals[0].grade),), "n"),
    )


def report(folder: Path, evaluation: Evaluation, prediction: Prediction | None) -> str:
    plan, path = made_plan(), folder / "report.html"
    beside = Beside(prediction=prediction)
    write_report(made_case(), made_goals(), plan, made_dose(plan), evaluation, TIMELINE, path, beside=beside)
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    prediction = Prediction(predicted(), notes=("TensorRT is absent",), seconds={"features": 0.4, "network": 0.7})
    return report(tmp_path_factory.mktemp("report"), with_bands(), prediction)


def of_section(html: str, anchor: str) -> str:
    return re.search(rf'<section id="{anchor}".*?</section>', html, re.S)[0]


def test_the_table_says_what_the_figure_shows(html: str) -> None:
    rows = next(table for table in Page(html).tables if table[0][:2] == ["Structure", "Letter"])
    assert rows[1][:6] == ["PTV", "A", "D98%", "1.2 Gy", "37.0 to 43.0 Gy", "40.0 Gy"]
    told = "✗ clearly beyond the plan covers less than is usual in patients like this"
    assert rows[1][6] == f"{told} mean 30.0 Gy, below 40.0 to 46.0; D2% 59.4 Gy, above 43.0 to 49.0"
    organ = next(row for row in rows if row[0] == HOSTILE)
    assert organ[1:3] == ["B", "mean"]
    assert "the plan is above what patients like this usually reach" in organ[6]


def test_a_band_is_told_by_letter_and_hatching_beside_its_colour(html: str) -> None:
    dvh = re.search(r'<svg class="dvh".*?</svg>', html, re.S)[0]
    drawing = ElementTree.fromstring(dvh)
    hatches = [pattern.find("path").get("d") for pattern in drawing.iter("pattern")]
    assert len(hatches) == len(set(hatches)) == 2
    assert {node.text for node in drawing.iter("text")} >= {"A", "B"}
    assert set(re.findall(r"url\((.*?)\)", html)) == {"#band-A", "#band-B"}, "nothing from outside"
    assert "Hatched, with a letter" in html


def test_more_bands_than_can_be_told_apart_are_not_drawn() -> None:
    one = with_bands().bands[0]
    many = tuple(replace(one, structure=f"Organ_{n}") for n in range(9))
    assert len(drawn(many)) == MOST_BANDS
    assert band_table(many, warned=False).count("<tr>") == 1 + 9


def test_without_a_prediction_the_section_says_why(tmp_path: Path) -> None:
    plain = made_evaluation(made_dose(made_plan()))
    why = "No dose prediction model <is> installed"
    told = of_section(report(tmp_path, plain, Prediction(None, (why,))), "prediction")
    assert "There is none for this plan" in told and "No dose prediction model &lt;is&gt; installed" in told
    assert "No network was asked" in of_section(report(tmp_path, plain, None), "prediction")
    assert "pattern" not in told and "Achievable" not in told


def test_the_section_says_what_a_prediction_is(html: str) -> None:
    told = of_section(html, "prediction")
    assert "it can never be approved" in told
    for words in ("dose@1234abcd", "1234abcd1234abcd", "features 0.4 s, network 0.7 s", "TensorRT is absent"):
        assert words in told
    assert "predicted, not calculated: guides planning, never for approval" in told
    table = next(table for table in Page(told).tables)
    assert table[1][:5] == ["PTV", "D95% ≥ 50 Gy", "50.00 Gy", "△ acceptable variation", "50.50 Gy"]
    titles = re.findall(r"<figcaption>(.*?)\. Axial", told)
    assert titles == ["Predicted dose", "Half-width of its 80 % interval", "This plan minus the prediction"]


def test_where_the_plan_is_colder_is_blue_and_dashed(html: str) -> None:
    """The prediction is 4 Gy above the plan wherever that has dose: all of the difference is blue, none orange."""
    figure = re.findall(r'<figure class="view">.*?</figure>', of_section(html, "prediction"), re.S)[2]
    assert "-4.0 to -4.0 Gy" in figure
    overlay = re.findall(r'href="data:image/png;base64,(.*?)"', figure)[1]
    rgba = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(overlay))).convert("RGBA")).reshape(-1, 4)
    painted = rgba[rgba[:, 3] > 0].astype(int)
    assert painted.size and (painted[:, 2] > painted[:, 0]).all()


def test_warnings_stand_above_and_by_the_table(tmp_path: Path) -> None:
    html = report(tmp_path, with_bands(), Prediction(predicted(warnings=("The spacing of 6 mm is unusual",))))
    assert "△ look</span> The spacing of 6 mm is unusual" in of_section(html, "prediction")
    assert "conclude nothing from it" in of_section(html, "dvh")


def test_the_report_stays_small_and_the_record_on_one_page(html: str) -> None:
    assert len(html.encode()) < MOST_BYTES
    evaluation = with_bands()
    page = page_of(scorecard(evaluation), made_case().identity, "plan", None)
    pdf = PdfReader(io.BytesIO(pdf_of(page, evaluation.dvh, "now", evaluation.bands)))
    assert len(pdf.pages) == 1
    words = re.sub(r"\s+", " ", pdf.pages[0].extract_text())
    assert "Usually reached (predicted, advice only)" in words
    assert "PTV D98% 1.2 Gy 37.0 to 43.0 Gy: clearly below" in words
    shown = html_of(page, evaluation.dvh, evaluation.bands).decode()
    assert shown.count("<polygon") == 2 and "shaded: usually reached" in shown


def luminance(colour: str) -> float:
    """Relative luminance of sRGB (IEC 61966-2-1; weights of ITU-R BT.709)."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_line_can_be_seen_on_its_ground() -> None:
    """Contrast of 3 to 1 with the page, light or dark, for every structure's colour (WCAG 2.1, 1.4.11)."""
    grounds = re.findall(r"--paper:#([0-9a-f]{3,6})", STYLE)
    light, dark = (luminance(ground if len(ground) == 6 else "".join(c * 2 for c in ground)) for ground in grounds[:2])
    blocks = re.findall(r"((?:--[to]\d:#[0-9a-f]{6};)+)", STYLE)
    for block, ground in ((blocks[0], light), (blocks[1], dark)):
        for colour in re.findall(r"#([0-9a-f]{6})", block):
            low, high = sorted((luminance(colour), ground))
            assert (high + 0.05) / (low + 0.05) >= 3.0, colour
