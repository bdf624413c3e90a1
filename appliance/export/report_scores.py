"""How grades and scores look: a word and a sign beside every colour, a bar beside every number."""

from __future__ import annotations

from appliance.contracts import Grade
from appliance.export.report_html import text

SIGNS = {
    Grade.PASS: ("good", "✓ pass"),
    Grade.VARIATION: ("warn", "△ acceptable variation"),
    Grade.FAIL: ("bad", "✗ fail"),
}
COMPARATORS = {"<=": "≤", ">=": "≥"}
BAR_WIDTH, BAR_HEIGHT = 96, 10


def grade_tag(grade: Grade) -> str:
    kind, words = SIGNS[grade]
    return f'<span class="tag {kind}">{words}</span>'


def score_bar(score: float, max_score: float) -> str:
    """'7.5 of 10' and a bar of that share; 'not scored' where the goal is worth nothing."""
    if max_score <= 0:
        return "not scored"
    words = f"{score:.1f} of {max_score:g}"
    full = BAR_WIDTH * min(max(score / max_score, 0.0), 1.0)
    return (
        f'<svg class="score" width="{BAR_WIDTH}" height="{BAR_HEIGHT}" role="img" aria-label="score {text(words)}">'
        f'<rect class="track" width="{BAR_WIDTH}" height="{BAR_HEIGHT}"/>'
        f'<rect class="full" width="{full:.1f}" height="{BAR_HEIGHT}"/></svg> {text(words)}'
    )


def wanted(metric: str, comparator: str, limit: float, unit: str) -> str:
    return f"{text(metric)} {COMPARATORS[comparator]} {limit:g} {text(unit)}"


def signed(difference: float | None) -> str:
    """'+1.5', '−0.2', '±0.0'; a dash where there is nothing to compare."""
    if difference is None:
        return "–"
    rounded = round(difference, 1)
    sign = "±" if rounded == 0 else "+" if rounded > 0 else "−"
    return f"{sign}{abs(rounded):.1f}"
