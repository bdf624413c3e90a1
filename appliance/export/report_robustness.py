"""The goals under uncertainty: a table with the chance of each, and DVH bands as one SVG a structure."""

from __future__ import annotations

from collections.abc import Collection

from appliance.contracts.robustness import DvhBand, GoalRobustness, Robustness
from appliance.export.report_html import section, table, text
from appliance.export.report_scores import wanted

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 300, 46, 10, 10, 40


def robustness_section(found: Robustness | None, told: Collection[str] = ()) -> str:
    """'' where nobody asked for it. told: notes that stand elsewhere in the report already."""
    if found is None:
        return ""
    kinds = [scenario.kind for scenario in found.scenarios]
    setup = sum(kind in ("nominal", "shift", "rotation") for kind in kinds)
    caption = (
        f"{setup} set-up scenarios{_more(kinds)}. {text(found.method)}. Chance: with the errors below as Gaussians, "
        "the interval with the error of the response surface and of the draws. Worst: of all scenarios."
    )
    columns = ["Structure", "Goal", "#This plan", "#Worst", "In", "#Expected", "#Chance to be met", "Spread comes from"]
    body = table(caption, columns, [_row(goal) for goal in found.goals], kind="robustness")
    body += '<div class="views bands">' + "".join(_figure(band) for band in found.bands) + "</div>"
    body += (
        '<p class="note">Bands: lowest and highest volume of the set-up scenarios at each dose; thick: the plan as '
        "calculated; dashed: weighted mean of the scenarios.</p>"
    )
    notes = [_errors(found), *(note for note in found.notes if note not in told)]
    body += '<ul class="note">' + "".join(f"<li>{text(note)}</li>" for note in notes) + "</ul>"
    return section("Robustness", body, anchor="robustness")


def _more(kinds: list[str]) -> str:
    motions, checks = kinds.count("motion"), kinds.count("check")
    parts = [f"{motions} of motion"] if motions else []
    parts += [f"{checks} to check the response surface"] if checks else []
    return f", {' and '.join(parts)}" if parts else ""


def _row(goal: GoalRobustness) -> list[str]:
    unit = text(goal.unit)
    shares = ", ".join(f"{name} {percent:.0f} %" for name, percent in goal.parts if percent >= 1)
    low, met, high = (100 * chance for chance in (goal.chance_low, goal.chance_met, goal.chance_high))
    beside = ' <abbr title="the goal of the PTV, asked of its CTV">†</abbr>' if goal.added else ""
    return [
        text(goal.structure.replace("+", " + ")) + beside,
        wanted(goal.metric, goal.comparator, goal.limit, goal.unit),
        f'<b class="v">{goal.nominal:.2f}</b> {unit}',
        f"{goal.worst:.2f} {unit}",
        text(goal.worst_scenario),
        f"{goal.expected:.2f} ± {goal.deviation:.2f} {unit}",
        f"{met:.0f} % ({low:.0f} to {high:.0f})",
        text(shares or "none"),
    ]


def _errors(found: Robustness) -> str:
    errors = found.errors

    def three(values: tuple[float, float, float]) -> str:
        return f"{values[0]:g}" if len(set(values)) == 1 else " / ".join(f"{value:g}" for value in values)

    return (
        "Assumed, not measured on this patient, as standard deviations: set-up systematic "
        f"{three(errors.systematic_mm)} mm, random {three(errors.random_mm)} mm "
        f"in each of {found.fractions} fractions, rotation {three(errors.rotation_deg)}°, dose {errors.dose_percent:g} "
        f"%, contours {errors.contour_mm:g} mm; {errors.draws} draws, seed {errors.seed}; {found.voxels} voxels"
    )


def _figure(band: DvhBand) -> str:
    end = max(band.dose_gy[-1], 1e-6)

    def x(dose_gy: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * dose_gy / end, 1)

    def y(percent: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - percent / 100), 1)

    def line(percents: tuple[float, ...]) -> list[str]:
        return [f"{x(dose)} {y(percent)}" for dose, percent in zip(band.dose_gy, percents, strict=True)]

    around = "L".join([*line(band.highest_percent), *reversed(line(band.lowest_percent))])
    ticks = "".join(
        f'<path class="grid" d="M{LEFT} {y(percent)}H{WIDTH - RIGHT}"/><text x="{LEFT - 6}" y="{y(percent) + 4}" '
        f'font-size="12" text-anchor="end">{percent}</text>'
        for percent in (0, 50, 100)
    )
    ticks += "".join(
        f'<text x="{x(end * share)}" y="{HEIGHT - BOTTOM + 17}" font-size="12" text-anchor="middle">{end * share:.0f}'
        "</text>"
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    expected, nominal = ("L".join(line(row)) for row in (band.expected_percent, band.nominal_percent))
    label = f"DVH band of {band.structure}: lowest and highest volume over the scenarios"
    return (
        f'<figure><svg class="dvh" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}">{ticks}'
        f'<path d="M{around}Z" style="fill:var(--accent);fill-opacity:.25;stroke:none"/>'
        f'<path class="curve" style="stroke:var(--accent)" stroke-dasharray="6 4" d="M{expected}"/>'
        f'<path class="curve target" style="stroke:var(--ink)" d="M{nominal}"/>'
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" font-size="12" text-anchor="middle">Dose (Gy)</text></svg>'
        f"<figcaption>{text(band.structure.replace('+', ' + '))}: volume (%) over dose</figcaption></figure>"
    )
