"""Outcome models in the report: which of two plans is likely to do less harm, never how likely harm is."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts.outcomes import RANKING_ONLY, OutcomeEstimate
from appliance.export.report_html import section, table, text

TITLE, ANCHOR = "Outcome models", "outcomes"
BAND_WIDTH, BAND_HEIGHT = 160, 14


def outcomes_section(outcomes: Sequence[OutcomeEstimate]) -> str:
    """'' where no model fits the case."""
    if not outcomes:
        return ""
    numbers = [item for item in outcomes if item.probability is not None]
    without = [item for item in outcomes if item.probability is None]
    body = f'<p><span class="tag">{text(RANKING_ONLY)}</span></p>'
    if numbers:
        sources = list(dict.fromkeys(_source(item) for item in numbers))
        body += _numbers(numbers, sources)
        listed = "".join(f'<li id="outcome-{number}">{text(source)}</li>' for number, source in enumerate(sources, 1))
        body += f'<ol class="note" aria-label="Sources of the outcome models">{listed}</ol>'
    if without:
        said = "".join(
            f"<li>{text(item.structure.replace('+', ' + '))}, {text(item.endpoint)}: {text(item.sentence)}</li>"
            for item in without
        )
        body += f'<h3>No number</h3><ul class="note">{said}</ul>'
    return section(TITLE, body, anchor=ANCHOR)


def _numbers(outcomes: Sequence[OutcomeEstimate], sources: Sequence[str]) -> str:
    compared = any(item.versus_scheduled is not None for item in outcomes)
    columns = ["Structure", "Endpoint", "#This plan", "95 % band", "Dose read", "Source"]
    if compared:
        columns[4:4] = ["#Scheduled plan", "#Difference", "#Lower than scheduled"]
    caption = (
        "Models of the complication (NTCP) and control (TCP) probability. The band is that of the published parameters "
        "alone. 'Lower than scheduled': how often this plan is the lower one, with the same parameters for both. Where "
        "a source gives no uncertainty there is no band and no such figure."
    )
    return table(caption, columns, [_row(item, sources, compared) for item in outcomes])


def _row(item: OutcomeEstimate, sources: Sequence[str], compared: bool) -> list[str]:
    number = sources.index(_source(item)) + 1
    read = "" if item.equivalent_gy is None else f"{item.equivalent_gy:.1f} Gy, "
    row = [
        text(item.structure.replace("+", " + ")),
        f"{text(item.endpoint)} <small>({item.kind}, {text(item.model)})</small>",
        _percent(item.probability),
        _band(item),
        f"{read}{text(item.dose_basis)}",
        f'<sup><a href="#outcome-{number}">{number}</a></sup>',
    ]
    if compared:
        versus = item.versus_scheduled
        row[4:4] = (
            ["not judged", "–", "–"]
            if versus is None
            else [
                _percent(versus.scheduled),
                f"{100 * versus.difference:+.1f}".replace("-", "−"),
                "–" if versus.probability_lower is None else _percent(versus.probability_lower),
            ]
        )
    return row


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _band(item: OutcomeEstimate) -> str:
    """The band as numbers, and as a bar from 0 to 100 % with the estimate on it."""
    if item.low is None or item.high is None or item.probability is None:
        return f'<abbr title="{text(item.band)}">no band</abbr>'
    words = f"{100 * item.low:.1f} to {100 * item.high:.1f} %"
    return f'<abbr title="{text(item.band)}">{words}</abbr><br>{_bar(item.low, item.high, item.probability, words)}'


def _bar(low: float, high: float, best: float, words: str) -> str:
    width, height, middle = BAND_WIDTH, BAND_HEIGHT, BAND_HEIGHT / 2
    at = width * best
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{text(words)}">'
        f'<line x1="0" y1="{middle}" x2="{width}" y2="{middle}" stroke="currentColor" stroke-opacity=".3"/>'
        f'<rect x="{width * low:.1f}" y="3" width="{max(width * (high - low), 1):.1f}" height="{height - 6}" '
        'fill="var(--accent)" fill-opacity=".5"/>'
        f'<line x1="{at:.1f}" y1="1" x2="{at:.1f}" y2="{height - 1}" stroke="currentColor" stroke-width="2"/></svg>'
    )


def _source(item: OutcomeEstimate) -> str:
    patients = "" if item.patients is None else f"; {item.patients} patients"
    note = f". {item.note}" if item.note else ""
    return f"{item.source}, doi {item.doi}{patients}. Parameters compared with: {item.checked}{note}"
