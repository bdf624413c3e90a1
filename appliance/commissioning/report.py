"""The commissioning report: one HTML page without any outside resource."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.commissioning.agreement import Comparison
from appliance.commissioning.curves import Kind
from appliance.commissioning.description import BeamDescription
from appliance.commissioning.drawing import figure, of_curve, of_factors
from appliance.commissioning.table import DATA_PERCENT, Outcome, Verdict

STYLE = """:root{color-scheme:light dark;--paper:#fff;--ink:#16202a;--quiet:#52606d;--line:#d5dce3;--model:#0062a3;
--meas:#b25000;--good:#00694f;--bad:#a8321a;--band:#e1f3ed;--warn:#6b4e00;--warn-bg:#fff3d1}
@media screen and (prefers-color-scheme:dark){:root{--paper:#12171c;--ink:#e6ebf0;--quiet:#a3b0bc;--line:#34404b;
--model:#5cc8ff;--meas:#ff9d45;--good:#5fdcb4;--bad:#ff9f86;--band:#12332b;--warn:#ffdf8a;--warn-bg:#3a3014}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.research{margin:0;background:var(--warn-bg);color:var(--warn);text-align:center;font-weight:700;padding:.45rem 1rem}
main{max-width:1240px;margin:0 auto;padding:26px 28px}h1{font-size:28px;margin:.1em 0 .5em}
h2{font-size:19px;border-bottom:2px solid var(--line);padding-bottom:.3em;margin:2em 0 .7em}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--quiet);padding:0 0 6px}
th,td{text-align:left;padding:5px 12px 5px 8px;border-bottom:1px solid var(--line);vertical-align:top}
thead th{font-size:13px;color:var(--quiet)}.n{text-align:right;white-space:nowrap}
.passed{color:var(--good);font-weight:650}.failed{color:var(--bad);font-weight:650}.not{color:var(--quiet)}
.curves{display:grid;grid-template-columns:repeat(auto-fill,minmax(430px,1fr));gap:22px}
figure{margin:0;break-inside:avoid}svg{display:block;width:100%;height:auto;color:var(--quiet)}
svg text{fill:currentColor;font-size:12px;font-family:inherit}figcaption,p.note{color:var(--quiet);font-size:13px}
.grid{stroke:var(--line)}.axis{stroke:var(--quiet);fill:none}.band{fill:var(--band)}
.modelled{fill:none;stroke:var(--model);stroke-width:1.8}.measured{fill:var(--meas)}.deviation{fill:var(--model)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px}dt{color:var(--quiet)}dd{margin:0}
@media print{body{font-size:11px}main{max-width:none;padding:0}.curves{grid-template-columns:1fr 1fr}}"""


@dataclass(frozen=True, eq=False)
class Judged:
    """One algorithm's curves and its table."""

    algorithm: str
    comparisons: tuple[Comparison, ...]
    table: tuple[Verdict, ...]


def report(
    beam: BeamDescription, judged: Sequence[Judged], facts: Mapping[str, str], notes: Sequence[str], made_by: str
) -> str:
    """facts: what was fitted, in words. made_by: software and version."""
    title = html.escape(beam.title or beam.name)
    body = [f"<h1>{title}</h1>", _facts(beam, facts), "".join(f'<p class="note">{html.escape(n)}</p>' for n in notes)]
    for one in judged:
        name = html.escape(one.algorithm)
        body.append(f"<h2>AAPM MPPG 5.b, {name}</h2>{_table(one)}")
    for one in judged:
        body.append(f"<h2>Measured and modelled, {html.escape(one.algorithm)}</h2>{_figures(one)}")
    sources = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in sorted(beam.sources.items()))
    trust = f'<p class="note">{html.escape(beam.trust.statement)}</p>' if beam.trust.statement else ""
    body.append(f"<h2>Where the data come from</h2><dl>{sources}</dl>{trust}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: commissioning</title>'
        f"<style>{STYLE}</style></head><body>"
        '<p class="research">Research software. Not for clinical use.</p>'
        f'<main>{"".join(body)}<p class="note">{html.escape(made_by)}</p></main></body></html>\n'
    )


def _facts(beam: BeamDescription, facts: Mapping[str, str]) -> str:
    r = beam.reference
    own = {
        "Beam": f"{beam.energy_mv:g} MV {beam.fluence_mode}, axis at {beam.sad_mm:g} mm",
        "Reference": f"{r.gy_per_mu:g} Gy/MU at {r.depth_mm:g} mm, {r.field_mm:g} × {r.field_mm:g} mm, "
        f"SSD {r.ssd_mm:g} mm",
        **facts,
    }
    return "<dl>" + "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in own.items()) + "</dl>"


def shown_worst(row: Verdict) -> str:
    """The deviation with its unit, never rounded onto the other side of its tolerance."""
    if row.worst is None:
        return ""
    for decimals in range(2, 8):
        text = f"{row.worst:+.{decimals}f}"
        if (abs(float(text)) <= row.tolerance) == (row.outcome is Outcome.PASSED):
            return f"{text} {row.unit}"
    return f"{row.worst!r} {row.unit}"


def summary(one: Judged) -> dict[str, str]:
    """Worst deviation and outcome of each test that was answered, for the model's own record."""
    rows = [row for row in one.table if row.outcome is not Outcome.NOT_TESTED]
    return {f"{row.test} {row.objective}, {row.region}": f"{shown_worst(row)}, {row.outcome}" for row in rows}


def _table(one: Judged) -> str:
    rows = []
    for row in one.table:
        kind = "not" if row.outcome is Outcome.NOT_TESTED else row.outcome.value
        tolerance = f"{row.tolerance:g} {row.unit}" if row.unit else ""
        cells = (row.test, row.objective, row.region)
        left = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        numbers = "".join(f'<td class="n">{html.escape(cell)}</td>' for cell in (tolerance, shown_worst(row)))
        points = str(row.points) if row.points else ""
        rows.append(
            f'<tr>{left}{numbers}<td class="{kind}">{row.outcome.value}</td><td class="n">{points}</td>'
            f"<td>{html.escape(row.where)}</td></tr>"
        )
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("Test", "What", "Region", "Tolerance", "Worst", "Outcome", "Points", "Where")
    )
    caption = "Geurts et al., J Appl Clin Med Phys 23:e13641 (2022). What the data do not answer is not tested."
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _figures(one: Judged) -> str:
    plots = [of_curve(c, DATA_PERCENT) for c in one.comparisons if len(c.measured) > 1]
    factors = {Kind.OUTPUT_FACTOR: "Output factors", Kind.COLLIMATOR_FACTOR: "Collimator factors"}
    for kind, name in factors.items():
        own = [c for c in one.comparisons if c.curve.kind is kind]
        plots += [of_factors(name, own, DATA_PERCENT)] if len(own) > 1 else []
    return f'<div class="curves">{"".join(figure(plot) for plot in plots)}</div>'
