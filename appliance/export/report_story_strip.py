"""Dose-volume histograms of a few steps beside each other, small, with those of the first step behind each."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts import StoryCurve, StoryStep
from appliance.export.report_dvh import swatch
from appliance.export.report_html import ORGAN_HUES, TARGET_HUES, Style, Styles, text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300, 220, 34, 8, 8, 34
TARGETS, ORGANS = 3, 4
"""So many targets, and organs that changed most, are drawn: more lines would not be told apart so small."""


def curves_strip(shown: Sequence[StoryStep], styles: Styles) -> str:
    """'' where there are no two steps with curves of the same structures to compare."""
    if len(shown) < 2 or not (names := _chosen(shown)):
        return ""
    styled = {curve.structure: _style(styles, curve, place) for place, curve in enumerate(names)}
    end_gy = max(max(curve.dose_gy) for step in shown for curve in step.curves if curve.structure in styled) * 1.03
    panels = "".join(_panel(step, shown[0], styled, max(end_gy, 1e-6)) for step in shown)
    key = "".join(f"<li>{swatch(style)}{text(name)}</li>" for name, style in styled.items())
    note = (
        "Cumulative histograms through eleven volumes from 1 % to 99 %: dose of the course (Gy) to the right, volume "
        "(%) upwards. Targets solid, the organs that changed most dashed; thin behind: the first panel's. "
        "Those of exploring are of coarse samples."
    )
    return (
        f"<h3>Histograms on the way</h3><figure class='strip'><div class='panels'>{panels}</div>"
        f'<ul class="legend">{key}</ul><figcaption>{note}</figcaption></figure>'
    )


def _chosen(shown: Sequence[StoryStep]) -> list[StoryCurve]:
    """Targets, then organs by how far their dose moved at any volume from the first of the steps."""
    before = {curve.structure: curve for curve in shown[0].curves}
    both = [curve for curve in shown[-1].curves if curve.structure in before]

    def moved_gy(curve: StoryCurve) -> float:
        later = [one for step in shown[1:] for one in step.curves if one.structure == curve.structure]
        pairs = [zip(one.dose_gy, before[curve.structure].dose_gy, strict=True) for one in later]
        return max(abs(now - then) for pair in pairs for now, then in pair)

    organs = sorted((curve for curve in both if not curve.is_target), key=lambda curve: -moved_gy(curve))
    return [*[curve for curve in both if curve.is_target][:TARGETS], *organs[:ORGANS]]


def _style(styles: Styles, curve: StoryCurve, place: int) -> Style:
    """As elsewhere in the report; a union, or a page of its own, gets the next free colour."""
    if curve.structure in styles.by_name:
        return styles[curve.structure]
    if curve.is_target:
        return Style(f"var(--t{place % TARGET_HUES})", "", True)
    return Style(f"var(--o{place % ORGAN_HUES})", "7 3", False)


def _panel(step: StoryStep, first: StoryStep, styled: dict[str, Style], end_gy: float) -> str:
    parts = [_frame(end_gy)]
    if step is not first:
        parts += [_path(c, styled[c.structure], end_gy, is_behind=True) for c in first.curves if c.structure in styled]
    parts += [_path(c, styled[c.structure], end_gy) for c in step.curves if c.structure in styled]
    medians = ", ".join(
        f"{curve.structure} {_median(curve):.1f} Gy" for curve in step.curves if curve.structure in styled
    )
    label = f"Histograms after step {step.number}; least dose of the hotter half: {medians}"
    return (
        f'<div><svg class="dvh" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}">{"".join(parts)}'
        f"</svg><p class='note'><b>Step {step.number}, {text(step.stage)}</b>: score {step.score:.1f} %, "
        f"{step.goals_met} of {step.goals_total} goals</p></div>"
    )


def _median(curve: StoryCurve) -> float:
    """Dose at the volume nearest to a half, as it was told."""
    nearest = min(range(len(curve.volume_percent)), key=lambda i: abs(curve.volume_percent[i] - 50))
    return curve.dose_gy[nearest]


def _x(dose_gy: float, end_gy: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * min(dose_gy / end_gy, 1.0), 1)


def _y(percent: float) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - percent / 100), 1)


def _frame(end_gy: float) -> str:
    step = next((step for step in (1, 2, 5, 10, 20, 50) if end_gy / step <= 5), 100)
    parts = []
    for percent in (0, 50, 100):
        y = _y(percent)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4}" font-size="12" text-anchor="end">{percent}</text>')
    for dose_gy in range(0, int(end_gy) + 1, step):
        x = _x(dose_gy, end_gy)
        parts.append(f'<path class="grid" d="M{x} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x}" y="{HEIGHT - BOTTOM + 16}" font-size="12" text-anchor="middle">{dose_gy}</text>')
    return "".join(parts)


def _path(curve: StoryCurve, style: Style, end_gy: float, *, is_behind: bool = False) -> str:
    points = zip(curve.dose_gy, curve.volume_percent, strict=True)
    path = "L".join(f"{_x(dose_gy, end_gy)} {_y(percent)}" for dose_gy, percent in points)
    kind = "curve scheduled" if is_behind else "curve target" if style.is_target else "curve"
    dash = f' stroke-dasharray="{style.dash}"' if style.dash and not is_behind else ""
    return (
        f'<path class="{kind}" style="stroke:{style.colour}"{dash} d="M{path}">'
        f"<title>{text(curve.structure)}{' at the first of these steps' if is_behind else ''}</title></path>"
    )
