"""The record's page as HTML: no script, nothing from outside, made to be printed on one A4 page."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts import DvhCurve, Grade
from appliance.contracts.band import BandJudgement
from appliance.export.record.dvh import band_outline, polyline, ticks
from appliance.export.record.page import GOAL_HEAD, NOTICE, TITLE, Page
from appliance.export.record.sections import Block
from appliance.export.report_bands import drawn
from appliance.export.report_html import text

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
@page{size:A4;margin:10mm}
body{font:9pt/1.25 "Segoe UI",Roboto,"DejaVu Sans",sans-serif;color:#111;max-width:190mm;margin:0 auto}
h1{font-size:14pt;margin:0}h2{font-size:9.5pt;margin:.7em 0 .2em}
.research{background:#8a1c1c;color:#fff;padding:.25em .6em;font-weight:700;margin:0 0 .5em}
dl{display:flex;flex-wrap:wrap;gap:.1em 1.4em;margin:.3em 0}dl div{display:flex;gap:.4em}dt{color:#555}dd{margin:0}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.08em .4em;border-bottom:.5pt solid #ccc}
.stop{border:1pt solid #8a1c1c;color:#8a1c1c;padding:.15em .5em;margin:.3em 0}
td.fail{background:#f6d5d5;font-weight:700}td.variation{background:#fbeec5}td.pass{background:#d9efdc}
.blocks{display:grid;grid-template-columns:1fr 1fr;gap:0 1.2em}.digest{font:7pt monospace;color:#555}
ul{margin:.2em 0;padding-left:1.2em}svg text{font-size:7px;fill:#444}
"""
CLASS_OF = {Grade.PASS: "pass", Grade.VARIATION: "variation", Grade.FAIL: "fail"}
WIDTH, HEIGHT = 340.0, 170.0
NAMES_A_ROW = 5
"""Names of the plot's legend (chosen: five long ones fill its width)."""


def html_of(page: Page, curves: tuple[DvhCurve, ...], bands: Sequence[BandJudgement] = ()) -> bytes:
    facts = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in page.facts)
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in GOAL_HEAD)
    goals = "".join(_goal_row(cells, grade) for cells, grade in zip(page.goals, page.grades, strict=True))
    stops = "".join(f'<p class="stop"><b>STOP</b> {text(sentence)}</p>' for sentence in page.stops)
    remarks = "".join(f"<li>{text(sentence)}</li>" for sentence in page.sentences)
    digests = "<br>".join(f"{text(name)} {text(digest)}" for name, digest in page.digests)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">'
        f"<title>{TITLE} · Couchside</title><style>{STYLE}</style></head><body>"
        f'<p class="research" role="note">{NOTICE}</p><h1>{TITLE}</h1><dl>{facts}</dl>'
        f"{stops}<p><b>{text(page.headline)}</b></p><table><thead><tr>{head}</tr></thead><tbody>{goals}</tbody></table>"
        f'<div class="blocks"><div><h2>Dose-volume histogram</h2>{_plot(curves, bands)}</div>'
        f"{''.join(_block(block) for block in page.blocks)}</div>"
        f"<h2>Findings and notes</h2><ul>{remarks}</ul><p>{text(page.approval)}</p>"
        f'<p class="digest">{digests}</p><p>{NOTICE}</p></body></html>\n'
    ).encode()


def _goal_row(cells: tuple[str, ...], grade: Grade) -> str:
    verdict = GOAL_HEAD.index("Verdict")
    parts = [
        f'<td class="{CLASS_OF[grade]}">{text(cell)}</td>' if number == verdict else f"<td>{text(cell)}</td>"
        for number, cell in enumerate(cells)
    ]
    return f"<tr>{''.join(parts)}</tr>"


def _block(block: Block) -> str:
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in block.head)
    rows = "".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in block.rows)
    return f"<div><h2>{text(block.title)}</h2><table>{f'<tr>{head}</tr>' if head else ''}{rows}</table></div>"


def _plot(curves: tuple[DvhCurve, ...], bands: Sequence[BandJudgement]) -> str:
    end_gy = max((curve.max_gy for curve in curves), default=1.0) * 1.05
    hue_of = {curve.structure: 360 * number // max(1, len(curves)) for number, curve in enumerate(curves)}
    lines = [
        f'<polygon fill="hsl({hue_of[band.structure]} 70% 38%)" fill-opacity="0.18" points="'
        + " ".join(f"{x * WIDTH:.1f},{(1 - y) * HEIGHT:.1f}" for x, y in band_outline(band.curve, end_gy))
        + f'"><title>{text(band.sentence)}</title></polygon>'
        for _, band in drawn(band for band in bands if band.structure in hue_of)
    ]
    for number, curve in enumerate(curves):
        points = " ".join(f"{x * WIDTH:.1f},{(1 - y) * HEIGHT:.1f}" for x, y in polyline(curve, end_gy))
        hue = 360 * number // max(1, len(curves))
        lines.append(
            f'<polyline fill="none" stroke="hsl({hue} 70% 38%)" points="{points}">'
            f"<title>{text(curve.structure)}</title></polyline>"
        )
    marks = "".join(
        f'<text x="{gy / end_gy * WIDTH:.1f}" y="{HEIGHT + 9}" text-anchor="middle">{gy:g}</text>'
        for gy in ticks(end_gy)
    )
    said = "; shaded: usually reached (predicted)" if bands else ""
    rows = [curves[at : at + NAMES_A_ROW] for at in range(0, len(curves), NAMES_A_ROW)]
    names = "".join(_names(row, hue_of, HEIGHT + 28 + 9 * number) for number, row in enumerate(rows))
    return (
        f'<svg viewBox="-4 -4 {WIDTH + 8} {HEIGHT + 28 + 9 * len(rows)}" role="img" '
        'aria-label="Cumulative dose-volume histogram">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/>{"".join(lines)}{marks}'
        f'<text x="{WIDTH / 2}" y="{HEIGHT + 19}" text-anchor="middle">Gy; volume from 0 to 100 %{said}</text>'
        f"{names}</svg>"
    )


def _names(curves: tuple[DvhCurve, ...], hue_of: dict[str, int], y: float) -> str:
    """One row of the legend."""
    parts = "".join(
        f'<tspan style="fill:hsl({hue_of[curve.structure]} 70% 38%)"> {text(curve.structure)}</tspan>'
        for curve in curves
    )
    return f'<text x="{WIDTH / 2}" y="{y}" text-anchor="middle">{parts}</text>'
