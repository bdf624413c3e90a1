"""Why goals are missed and what would make them pass, for the report."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts.explanation import Explanation
from appliance.export.report_html import section, text


def explanations_section(found: Sequence[Explanation]) -> str:
    """'' where nothing was explained."""
    if not found:
        return ""
    note = (
        '<p class="note">Every number was computed for this patient. What is said of changes was found by optimising '
        "beamlet fluence again; each sentence says whether a deliverable plan was made.</p>"
    )
    return section("Why, and what would help", note + "".join(_one(one) for one in found), anchor="explanations")


def _one(one: Explanation) -> str:
    tag = '<span class="tag bad">✗ not met</span>' if one.state == "failed" else '<span class="tag">borderline</span>'
    items = [_capital(reason.sentence) for reason in one.reasons]
    items += [_capital(slope.sentence) for slope in one.trade_offs]
    listed = "".join(f"<li>{text(item)}</li>" for item in items)
    closing = one.change.sentence if one.change else one.no_change
    told = f"<p><b>{text(_capital(closing))}.</b></p>" if closing else ""
    solved = f"{one.solves} re-optimisations in {one.seconds:.0f} s" if one.solves else ""
    ended = "" if one.finished else "; the time ended before all was tried"
    tail = f'<p class="note">{text(solved + ended)}</p>' if solved or ended else ""
    return f"<h3>{text(one.sentence)} {tag}</h3><ul>{listed}</ul>{told}{tail}"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
