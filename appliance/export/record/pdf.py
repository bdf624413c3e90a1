"""The record's page as a PDF of exactly one A4 page, the same bytes for the same content."""

from __future__ import annotations

from collections.abc import Sequence
from colorsys import hls_to_rgb
from functools import cache
from io import BytesIO
from typing import Any

from reportlab.graphics.shapes import Drawing, Polygon, PolyLine, String
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepInFrame, Paragraph, Spacer, Table

from appliance.contracts import DvhCurve, Grade
from appliance.contracts.band import BandJudgement
from appliance.export.record.dvh import band_outline, polyline, ticks
from appliance.export.record.page import GOAL_HEAD, NOTICE, TITLE, Page, shortened
from appliance.export.record.sections import Block
from appliance.export.report_bands import drawn
from appliance.export.report_html import text

MARGIN = 10 * mm
INNER = A4[0] - 2 * MARGIN
MOST_REMARKS = 10
"""Chosen: more, and the type of the one page becomes too small to read."""
MOST_BLOCK_ROWS = 8

PLAIN, BOLD = "CouchsideSans", "CouchsideSansBold"
"""Bitstream Vera, which comes with reportlab and is embedded, so that the page looks the same for ever."""

IN_WORDS = {"α": "alpha", "β": "beta", "Δ": "difference ", "✓": "yes", "✗": "no", "₂": "2"}
"""Signs that Couchside's sentences use and the font lacks."""

FILL = {Grade.PASS: "#d9efdc", Grade.VARIATION: "#fbeec5", Grade.FAIL: "#f6d5d5"}
_GOAL_WIDTHS = (0.24, 0.2, 0.14, 0.14, 0.16, 0.12)


def pdf_of(page: Page, curves: tuple[DvhCurve, ...], made: str, bands: Sequence[BandJudgement] = ()) -> bytes:
    """made: when, as printed in the footer. The file's own dates are left out, so that its bytes follow from what it
    says."""
    _fonts()
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    canvas.setTitle(TITLE)
    canvas.setAuthor("Couchside")
    canvas.setFont(BOLD, 8)
    canvas.setFillColor(HexColor("#8a1c1c"))
    canvas.drawString(MARGIN, A4[1] - 8 * mm, NOTICE)
    canvas.drawString(MARGIN, 6 * mm, NOTICE)
    canvas.drawRightString(A4[0] - MARGIN, 6 * mm, f"Couchside, {made}")
    height = A4[1] - 22 * mm
    frame = KeepInFrame(INNER, height, _story(page, curves, bands), mode="shrink")
    _, used = frame.wrapOn(canvas, INNER, height)
    frame.drawOn(canvas, MARGIN, A4[1] - 11 * mm - used)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _story(page: Page, curves: tuple[DvhCurve, ...], bands: Sequence[BandJudgement]) -> list[Flowable]:
    facts = "; ".join(f"<b>{_t(name)}</b> {_t(value)}" for name, value in page.facts)
    story: list[Flowable] = [
        Paragraph(TITLE, _style(13, BOLD)),
        Paragraph(facts, _style(8)),
        *(Paragraph(f"STOP: {_t(sentence)}", _STOP) for sentence in page.stops),
        Paragraph(_t(page.headline), _style(9, BOLD)),
        Spacer(1, 1 * mm),
        _goals(page),
        Spacer(1, 2 * mm),
        _columns([_titled("Dose-volume histogram", _plot(curves, bands)), *(_block(block) for block in page.blocks)]),
        Paragraph("Findings and notes", _style(8.5, BOLD)),
        *(Paragraph(f"• {_t(sentence)}", _style(7)) for sentence in shortened(page.sentences, MOST_REMARKS)),
        Spacer(1, 1 * mm),
        Paragraph(_t(page.approval), _style(8)),
        *(Paragraph(f"{_t(name)} {digest}", _style(6)) for name, digest in page.digests),
    ]
    return story


def _goals(page: Page) -> Table:
    style: list[Any] = [*_ROWS, ("FONT", (0, 0), (-1, 0), BOLD, 7)]
    verdict = GOAL_HEAD.index("Verdict")
    style += [
        ("BACKGROUND", (verdict, row), (verdict, row), HexColor(FILL[grade]))
        for row, grade in enumerate(page.grades, 1)
    ]
    rows = [GOAL_HEAD, *page.goals]
    cells = [
        [Paragraph(_t(cell), _style(7, PLAIN if number else BOLD)) for cell in row] for number, row in enumerate(rows)
    ]
    return Table(cells, colWidths=[INNER * share for share in _GOAL_WIDTHS], style=style)


_STOP = ParagraphStyle(
    "stop", fontName=BOLD, fontSize=8, leading=9.6, textColor=HexColor("#8a1c1c"), borderColor=HexColor("#8a1c1c"),
    borderWidth=0.8, borderPadding=2, spaceBefore=3, spaceAfter=4,
)  # fmt: skip

_ROWS: list[Any] = [
    ("LINEBELOW", (0, 0), (-1, -1), 0.25, HexColor("#bbbbbb")),
    ("TOPPADDING", (0, 0), (-1, -1), 0.6),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1.0),
    ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), 2),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]


def _columns(parts: list[list[Flowable]]) -> Table:
    """Two columns; each part goes below the shorter one, so that the page is filled evenly."""
    sides: list[list[Flowable]] = [[], []]
    filled = [0.0, 0.0]
    for part in parts:
        side = filled.index(min(filled))
        sides[side] += part
        filled[side] += sum(flowable.wrap(INNER / 2, A4[1])[1] for flowable in part)
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    return Table([sides], colWidths=[INNER / 2, INNER / 2], style=style)


def _titled(title: str, body: Flowable) -> list[Flowable]:
    return [Paragraph(_t(title), _style(8.5, BOLD)), body]


def _block(block: Block) -> list[Flowable]:
    rows = ([block.head] if block.head else []) + list(block.rows[:MOST_BLOCK_ROWS])
    width = INNER / 2 - 3 * mm
    count = max(len(row) for row in rows)
    first = 0.42 if count > 1 else 1.0
    widths = [width * first, *([width * (1 - first) / (count - 1)] * (count - 1) if count > 1 else [])]
    cells = [
        [Paragraph(_t(cell), _style(7, BOLD if block.head and not number else PLAIN)) for cell in row]
        for number, row in enumerate(rows)
    ]
    parts = _titled(block.title, Table(cells, colWidths=widths, style=_ROWS))
    if (left := len(block.rows) - MOST_BLOCK_ROWS) > 0:
        parts.append(Paragraph(f"{left} further rows are in scorecard.json.", _style(6.5)))
    return parts


def _plot(curves: tuple[DvhCurve, ...], bands: Sequence[BandJudgement]) -> Drawing:
    width, height, foot = INNER / 2 - 6 * mm, 42 * mm, 18.0
    end_gy = max((curve.max_gy for curve in curves), default=1.0) * 1.05
    names = _name_rows(curves, width)
    foot += 8.0 * len(names)
    drawing = Drawing(width, height + foot)
    frame = [0.0, foot, width, foot, width, foot + height, 0.0, foot + height, 0.0, foot]
    drawing.add(PolyLine(frame, strokeColor=HexColor("#888888"), strokeWidth=0.5))
    number_of = {curve.structure: number for number, curve in enumerate(curves)}
    for _, band in drawn(band for band in bands if band.structure in number_of):
        outline = [xy for x, y in band_outline(band.curve, end_gy) for xy in (x * width, foot + y * height)]
        shade = _hue(number_of[band.structure], len(curves))
        drawing.add(Polygon(outline, fillColor=shade, fillOpacity=0.18, strokeColor=shade, strokeWidth=0.2))
    for number, curve in enumerate(curves):
        points = [xy for x, y in polyline(curve, end_gy) for xy in (x * width, foot + y * height)]
        drawing.add(PolyLine(points, strokeColor=_hue(number, len(curves)), strokeWidth=0.8))
    for gy in ticks(end_gy):
        at = gy / end_gy * width
        drawing.add(String(at, foot - 7, f"{gy:g}", fontName=PLAIN, fontSize=6, textAnchor="middle"))
    said = "Gy; volume from 0 to 100 %" + ("; shaded: usually reached (predicted)" if bands else "")
    drawing.add(String(0, foot - 15, said, fontName=PLAIN, fontSize=6))
    for row, entries in enumerate(names):
        for at, number, name in entries:
            colour = _hue(number, len(curves))
            drawing.add(String(at, foot - 23 - 8 * row, name, fontName=BOLD, fontSize=6, fillColor=colour))
    return drawing


def _name_rows(curves: tuple[DvhCurve, ...], width: float) -> list[list[tuple[float, int, str]]]:
    """The legend, (x, curve, name), broken where a row is full; about 4 points a letter at size 6."""
    rows: list[list[tuple[float, int, str]]] = [[]]
    at = 0.0
    for number, curve in enumerate(curves):
        needed = 4.0 * len(curve.structure) + 6.0
        if at + needed > width and rows[-1]:
            rows.append([])
            at = 0.0
        rows[-1].append((at, number, curve.structure))
        at += needed
    return rows


def _hue(number: int, count: int) -> Color:
    return Color(*hls_to_rgb(number / max(1, count), 0.38, 0.7))


def _t(words: str) -> str:
    """For a paragraph's mark-up, with signs that the font lacks shown as '?' rather than dropped in silence."""
    known = _font().face.charToGlyph
    for sign, word in IN_WORDS.items():
        words = words.replace(sign, word)
    return text("".join(sign if ord(sign) in known else "?" for sign in words))


@cache
def _style(size: float, font: str = PLAIN) -> ParagraphStyle:
    return ParagraphStyle(f"{font}{size}", fontName=font, fontSize=size, leading=size * 1.2, spaceAfter=1)


@cache
def _font() -> TTFont:
    return TTFont(PLAIN, "Vera.ttf")


@cache
def _fonts() -> None:
    registerFont(_font())
    registerFont(TTFont(BOLD, "VeraBd.ttf"))
