"""Would the physician approve: the probability with its interval, and what speaks for and against, as bars."""

from __future__ import annotations

from appliance.contracts.preference import Attribution, Basis, PreferenceVerdict
from appliance.export.report_html import section, table, text

SHOWN = 10
"""Contributions listed. Chosen: the rest are small, and their sum is stated."""
WIDTH = 260
SMALLEST_SCALE = 0.5
"""Logits that fill half a bar at least, so that small contributions do not look large."""

HEADING = "Would the physician approve this plan"
CAVEAT = (
    "Learned from decisions of this clinic; it informs and decides nothing. Contributions are in logits: they and the "
    "first row sum to the logit of the probability exactly."
)


def preference_section(verdict: PreferenceVerdict | None) -> str:
    """'' where preference was not asked for. Without an active model it says so and shows no number."""
    if verdict is None:
        return ""
    body = f"<p>{text(verdict.sentence)}</p>"
    if verdict.basis is not Basis.NO_MODEL:
        body += _warnings(verdict) + _scale(verdict) + _contributions(verdict) + _provenance(verdict)
    return section(HEADING, body, anchor="preference")


def _warnings(verdict: PreferenceVerdict) -> str:
    if not verdict.warnings:
        return ""
    items = "".join(f"<li>{text(warning)}</li>" for warning in verdict.warnings)
    return f'<ul class="note" aria-label="Limits of this prediction">{items}</ul>'


def _scale(verdict: PreferenceVerdict) -> str:
    """The probability and its interval on a line from 0 to 100 %."""
    if verdict.probability is None or verdict.low is None or verdict.high is None:
        return ""
    left, width = 40, 600
    low, at, high = (left + width * value for value in (verdict.low, verdict.probability, verdict.high))
    label = f"{verdict.probability:.0%}, interval {verdict.low:.0%} to {verdict.high:.0%}"
    ticks = "".join(
        f'<text x="{left + width * share:.1f}" y="46" font-size="12" text-anchor="middle">{share:.0%}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    return (
        f'<svg class="timing" viewBox="0 0 700 52" role="img" aria-label="{text(label)}">'
        f'<rect class="track" x="{left}" y="14" width="{width}" height="12"/>'
        f'<rect x="{low:.1f}" y="14" width="{max(high - low, 1.5):.1f}" height="12" opacity="0.45"/>'
        f'<rect x="{at - 2:.1f}" y="8" width="4" height="24"><title>{text(label)}</title></rect>{ticks}</svg>'
    )


def _contributions(verdict: PreferenceVerdict) -> str:
    shown = [one for one in verdict.attributions if one.contribution != 0.0][:SHOWN]
    rest = sum(one.contribution for one in verdict.attributions) - sum(one.contribution for one in shown)
    largest = max((abs(one.contribution) for one in shown), default=0.0)
    scale = max(largest, abs(verdict.base_logit or 0.0), SMALLEST_SCALE)
    rows = [
        ["A plan that violates nothing and is otherwise typical", "", "", *_bar(verdict.base_logit or 0.0, scale), ""]
    ]
    rows += [_row(one, scale) for one in shown]
    if len(verdict.attributions) > len(shown):
        rows.append(["All other features", "", "", *_bar(rest, scale), ""])
    columns = ["What", "#This plan", "#Typical", "#Logits", "Against | for", "#Of it personal"]
    return table(CAVEAT, columns, rows)


def _row(one: Attribution, scale: float) -> list[str]:
    value = "none" if one.value is None else f"{one.value:.2f}"
    title = f"{text(one.title)} <small>(in {text(one.unit)})</small>"
    return [title, value, f"{one.typical:.2f}", *_bar(one.contribution, scale), f"{one.personal:+.2f}"]


def _bar(contribution: float, scale: float) -> tuple[str, str]:
    """(number, a bar to the left where it speaks against and to the right where it speaks for)."""
    middle = WIDTH / 2
    long = min(middle, abs(contribution) / scale * middle)
    start = middle - long if contribution < 0 else middle
    colour = "var(--bad)" if contribution < 0 else "var(--good)"
    words = f"{'against' if contribution < 0 else 'for'}: {contribution:+.2f}"
    svg = (
        f'<svg viewBox="0 0 {WIDTH} 14" width="{WIDTH}" height="14" role="img" aria-label="{words}">'
        f'<rect x="{start:.1f}" y="2" width="{long:.1f}" height="10" style="fill:{colour}"/>'
        f'<rect x="{middle - 0.5}" y="0" width="1" height="14" style="fill:currentColor"/></svg>'
    )
    return f"{contribution:+.2f}", svg


def _provenance(verdict: PreferenceVerdict) -> str:
    held = f"Probability calibrated: {verdict.calibrated}." if verdict.calibrated else "Probability not calibrated."
    return (
        f'<p class="note">Learned from {verdict.clinic_cases} decisions of {verdict.clinic_physicians} physicians, '
        f"{verdict.own_cases} of them this physician's. {text(held)} Model "
        f'<code title="{text(verdict.model_digest)}">{text(verdict.model_digest[:16])}</code>.</p>'
    )
