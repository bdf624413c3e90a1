"""What patients like this usually reach, behind the plan's histograms and as a table of words and numbers.

A band is told from others by its letter, its hatching and its line, not by colour alone; the table says the same
without any picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_uppercase

from appliance.contracts.band import BandCurve, BandFigure, BandJudgement, Verdict
from appliance.export.report_axes import Axes
from appliance.export.report_html import Style, Styles, table, text

MOST_BANDS = 5
"""Drawn at most (chosen: hatchings of more than five lie on each other and none can be followed)."""

HATCHES = (
    "M0 8L8 0M-2 2L2 -2M6 10L10 6",
    "M0 0L8 8M-2 6L2 10M6 -2L10 2",
    "M0 4H8",
    "M4 0V8",
    "M3 4h2M7 0h2M7 8h2M-1 0h2M-1 8h2",
)
"""Paths in a tile of 8 by 8: rising, falling, level and upright lines, dots."""

SIGNS = {
    (Verdict.WORSE, True): ("bad", "✗ clearly beyond"),
    (Verdict.WORSE, False): ("warn", "△ beyond"),
    (Verdict.USUAL, True): ("good", "✓ usual"),
    (Verdict.USUAL, False): ("good", "✓ usual"),
    (Verdict.BETTER, True): ("good", "✓ better"),
    (Verdict.BETTER, False): ("good", "✓ better"),
}
LABEL_PERCENT = (50.0, 42.0, 58.0, 34.0, 66.0)
"""Height in the figure of each band's letter: different, because bands cross."""


def drawn(bands: Iterable[BandJudgement]) -> list[tuple[str, BandJudgement]]:
    """(letter, band) in their order, no more than MOST_BANDS: those that the plan lies clearly outside of go first,
    then outside, then organs."""
    order = {Verdict.WORSE: 0, Verdict.BETTER: 1, Verdict.USUAL: 2}
    every = list(bands)
    first = sorted(
        range(len(every)),
        key=lambda n: (not every[n].is_clearly_worse, order[every[n].verdict], every[n].is_target, n),
    )
    return list(zip(ascii_uppercase, (every[n] for n in sorted(first[:MOST_BANDS])), strict=False))


def band_shapes(axes: Axes, bands: Sequence[BandJudgement], styles: Styles) -> str:
    """SVG to lie below the curves; '' without bands."""
    parts, tiles = [], []
    for number, (letter, band) in enumerate(drawn(bands)):
        style = styles[band.structure]
        tiles.append(
            f'<pattern id="band-{letter}" width="8" height="8" patternUnits="userSpaceOnUse">'
            f'<path d="{HATCHES[number]}" style="stroke:{style.colour}" stroke-width="{2 if number == 4 else 1}"/>'
            "</pattern>"
        )
        parts.append(_shape(axes, letter, band, style))
    return f"<defs>{''.join(tiles)}</defs>{''.join(parts)}" if parts else ""


def band_letters(axes: Axes, bands: Sequence[BandJudgement], styles: Styles) -> str:
    """The letters, to lie above the curves."""
    parts = []
    for number, (letter, band) in enumerate(drawn(bands)):
        x, y = axes.x(_middle_at(band.curve, LABEL_PERCENT[number])), axes.y(LABEL_PERCENT[number])
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="8.5" style="fill:var(--paper);stroke:{styles[band.structure].colour}" '
            f'stroke-width="1.5"/><text x="{x}" y="{y + 4.5}" font-size="12" font-weight="700" '
            f'text-anchor="middle">{letter}</text>'
        )
    return f'<g aria-hidden="true">{"".join(parts)}</g>' if parts else ""


def band_caption(bands: Sequence[BandJudgement]) -> str:
    """Closing words of the figure's caption; '' without bands."""
    if not bands:
        return ""
    said = " Hatched, with a letter: where eight of ten good plans for patients like this are expected to lie."
    shown = len(drawn(bands))
    return said + (f" {shown} of {len(bands)} such bands are drawn; the table has all." if shown < len(bands) else "")


def band_table(bands: Sequence[BandJudgement], *, warned: bool) -> str:
    """Plan against band, a structure a row; '' without bands. warned: the network hardly knows this patient."""
    if not bands:
        return ""
    letters = {band.structure: letter for letter, band in drawn(bands)}
    rows = [
        [
            text(band.structure),
            letters.get(band.structure, "–"),
            _name(band.decided),
            f"{band.decided.plan_gy:.1f} Gy",
            f"{band.decided.low_gy:.1f} to {band.decided.high_gy:.1f} Gy",
            f"{band.decided.middle_gy:.1f} Gy",
            f'{_tag(band)} {text(_clause(band.sentence))} <span class="note">{text(_others(band))}</span>',
        ]
        for band in bands
    ]
    caption = (
        "Plan against what patients like this usually reach: the band holds eight of ten reference plans. Predicted, "
        "not calculated: advice, never a goal and never for approval."
    )
    if warned:
        caption += " <b>The network hardly knows patients like this (see Predicted dose): conclude nothing from it.</b>"
    head = ["Structure", "Letter", "Figure", "#This plan", "#Achievable", "#Expected", "Says"]
    return table(caption, head, rows)


def _shape(axes: Axes, letter: str, band: BandJudgement, style: Style) -> str:
    curve = band.curve
    low, high = (
        [
            f"{axes.x(min(gy, axes.end_gy))} {axes.y(percent)}"
            for percent, gy in zip(curve.volume_percent, side, strict=True)
        ]
        for side in (curve.low_gy, curve.high_gy)
    )
    outline = "L".join([*low, *reversed(high)])
    title = f"{letter}: {band.sentence}"
    return (
        f'<g class="band"><title>{text(title)}</title>'
        f'<path d="M{outline}Z" fill-opacity="0.1" style="fill:{style.colour}"/>'
        f'<path d="M{outline}Z" fill="url(#band-{letter})" fill-opacity="0.55" style="stroke:{style.colour}" '
        'stroke-width="0.6" stroke-opacity="0.7"/></g>'
    )


def _middle_at(curve: BandCurve, percent: float) -> float:
    nearest = min(range(len(curve.volume_percent)), key=lambda n: abs(curve.volume_percent[n] - percent))
    return (curve.low_gy[nearest] + curve.high_gy[nearest]) / 2


def _tag(band: BandJudgement) -> str:
    kind, sign = SIGNS[(band.verdict, band.decided.clear)]
    return f'<span class="tag {kind}">{sign}</span>'


def _clause(sentence: str) -> str:
    return sentence.rsplit(": ", maxsplit=1)[-1]


def _name(figure: BandFigure) -> str:
    return "mean" if figure.metric == "Mean" else text(figure.metric)


def _others(band: BandJudgement) -> str:
    """The figures that did not decide."""
    return "; ".join(
        f"{_name(figure)} {figure.plan_gy:.1f} Gy, {figure.lies.value} {figure.low_gy:.1f} to {figure.high_gy:.1f}"
        for number, figure in enumerate(band.figures)
        if number != band.deciding
    )
