"""What was delivered so far, as parts of a page: fractions, figures with their bands, histograms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, GoalSet
from appliance.contracts.accumulation import (
    AccumulatedDose,
    AccumulatedFigure,
    Fraction,
    Quantity,
    StructureDose,
)
from appliance.export.report_axes import HEIGHT, WIDTH, Axes
from appliance.export.report_dvh import plane, swatch
from appliance.export.report_html import Style, Styles, section, symbols, table, text
from engines.dvh import cumulative_dvh

BIN_GY = 0.1
ROWS: tuple[tuple[Quantity, str], ...] = (("physical", "Physical dose"), ("EQD2", "EQD2"))


def accumulation_sections(
    case: Case, dose: AccumulatedDose, fractions: Sequence[Fraction], remaining: GoalSet | None
) -> str:
    """remaining: goals of the fractions that are left, None where nobody asked."""
    notes = "".join(f"<li>{text(note)}</li>" for note in dose.notes)
    parts = [
        section("Delivered", _fractions(dose, fractions) + f'<ul class="note">{notes}</ul>', anchor="delivered"),
        *(_figures(dose.figures, quantity, title) for quantity, title in ROWS),
        section("Dose-volume histograms", _histograms(case, dose), anchor="dvh"),
    ]
    if remaining is not None:
        parts.append(_remaining(remaining))
    return "".join(parts)


def _fractions(dose: AccumulatedDose, fractions: Sequence[Fraction]) -> str:
    rows = [
        [
            text(item.date or "undated"),
            str(item.delivered.count),
            f"<code>{text(item.plan_digest[:16])}</code>",
            f"{float(item.delivered.dose_gy.max()):.2f} Gy",
            text(item.origin),
            f"{item.delivered.uncertainty_mm:g} mm",
        ]
        for item in fractions
    ]
    of = f" of {dose.planned}" if dose.planned else ""
    head = ["Image", "#Fractions", "Plan", "#Hottest, a fraction", "Registered by", "#Uncertainty"]
    return table(f"{dose.delivered}{of} fractions on the anatomy shown", head, rows)


def _figures(figures: Sequence[AccumulatedFigure], quantity: Quantity, title: str) -> str:
    rows = [
        [
            text(item.structure),
            text(item.metric) if quantity == "physical" else f"{text(item.metric)}, α/β {item.alpha_beta_gy:g}",
            "–" if item.planned is None else f"{item.planned:.2f}",
            f"{item.value:.2f} {text(item.unit)}",
            f"{item.low:.2f} to {item.high:.2f} ({item.low_independent:.2f} to {item.high_independent:.2f})",
        ]
        for item in figures
        if item.quantity == quantity
    ]
    caption = "Accumulated, beside the same number of fractions of the reference plan. Band: see the notes above."
    head = ["Structure", "Metric", "#Planned", "#Accumulated", "#Band"]
    return section(title, table(caption, head, rows), anchor=f"figures-{quantity.lower()}")


def _histograms(case: Case, dose: AccumulatedDose) -> str:
    styles = Styles.of(case)
    axes = Axes(max((float(item.physical.high.max()) for item in dose.structures), default=1.0))
    parts = [plane(axes, "Dose of the fractions so far (Gy)")]
    for item in dose.structures:
        parts += [_band(axes, item, styles[item.structure]), _curves(axes, item, styles[item.structure])]
    label = f"Cumulative histograms of {len(dose.structures)} structures; the tables above hold their figures"
    legend = "".join(f"<li>{swatch(styles[item.structure])}{text(item.structure)}</li>" for item in dose.structures)
    return (
        f'<figure><svg class="dvh" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}">'
        f"{''.join(parts)}</svg><figcaption>Physical dose accumulated (thick), and planned for as many fractions "
        f'(thin). Shaded: the wider band.</figcaption></figure><ul class="legend">{legend}</ul>'
    )


def _curves(axes: Axes, item: StructureDose, style: Style) -> str:
    kind = "curve target" if style.is_target else "curve"
    dash = f' stroke-dasharray="{style.dash}"' if style.dash else ""
    drawn = [(kind, item.physical.value, "accumulated")]
    if item.planned_gy is not None:
        drawn.insert(0, ("curve scheduled", item.planned_gy, "planned"))
    return "".join(
        f'<path class="{name}" style="stroke:{style.colour}"{dash} d="M{"L".join(_points(axes, gy, item.weight_cc))}">'
        f"<title>{text(item.structure)}, {said}</title></path>"
        for name, gy, said in drawn
    )


def _band(axes: Axes, item: StructureDose, style: Style) -> str:
    low = _points(axes, item.physical.low, item.weight_cc)
    high = _points(axes, item.physical.high, item.weight_cc)
    outline = "L".join([*low, *reversed(high)])
    return (
        f'<path d="M{outline}Z" fill-opacity="0.15" style="fill:{style.colour}">'
        f"<title>{text(item.structure)}, band</title></path>"
    )


def _points(axes: Axes, dose_gy: NDArray[np.float32], weight_cc: NDArray[np.float32]) -> list[str]:
    edges_gy, percent = cumulative_dvh(dose_gy, weight_cc, BIN_GY)
    return [f"{axes.x(float(x))} {axes.y(float(y))}" for x, y in zip(edges_gy, percent, strict=True)]


def _remaining(goal_set: GoalSet) -> str:
    goals = [
        [text(goal.structure), text(symbols(f"{goal.metric} {goal.comparator} {goal.limit:.4g} {goal.unit}"))]
        for goal in goal_set.goals
    ]
    notes = "".join(f"<li>{text(note)}</li>" for note in goal_set.notes)
    listed = table(f"For {goal_set.fractions} fractions together", ["Structure", "Goal"], goals)
    return section("Goals of the fractions that are left", f'{listed}<ul class="note">{notes}</ul>', anchor="remaining")
