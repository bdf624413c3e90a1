"""What a network expects a good plan to reach, beside this plan: on slices and goal by goal. Never to be approved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, Evaluation, GoalComparison, Plan, PredictedDose, Prediction
from appliance.contracts.comparison import PREDICTED_LABEL, Comparison, Standing
from appliance.contracts.dose import CalculatedDose
from appliance.export.report_html import Styles, duration, section, short, table, text
from appliance.export.report_planes import DisplayVolume, Plane
from appliance.export.report_scores import grade_tag, wanted
from appliance.export.report_slices import (
    Box,
    box_of,
    contours,
    dose_layers,
    lines_mm,
    palette_png,
    path_of,
    picture,
    view,
)

WIDEST_GY, DIFFERENCE_GY, UNSEEN_GY = 12.0, 12.0, 1.0
"""Where both colour scales end, and the difference below which nothing is painted (chosen)."""
STEPS, ALPHA = 24, 175

UNSURE = ((50, 20, 100), (150, 110, 230), (250, 240, 255))
"""From dark violet to nearly white, because the ground is dark."""
UNSURE_LINES_GY = (2.0, 4.0, 8.0)
COLDER, HOTTER = ((190, 220, 255), (0, 90, 200)), ((255, 225, 170), (225, 110, 0))
"""Blue and orange, which stay apart with every common colour blindness (Okabe and Ito, 2008); dashes say the sign
too."""
LINES_GY = (-5.0, 5.0)
SHORTEST_LABELLED = 16
"""Points of a line that carries its number."""

NEVER = (
    "A prediction belongs to no plan: no machine could deliver it, nobody calculated it, and it can never be approved, "
    "signed or exported. It says what plans for patients like this usually reach."
)


def prediction_section(
    case: Case, plan: Plan, dose: CalculatedDose, evaluation: Evaluation, prediction: Prediction | None
) -> str:
    title, anchor = "Predicted dose", "prediction"
    if prediction is None:
        return section(title, '<p class="note">No network was asked for this plan.</p>', anchor=anchor)
    took = ", ".join(f"{name} {duration(seconds)}" for name, seconds in prediction.seconds.items())
    told = (*prediction.reasons, *prediction.notes, *((f"Time: {took}",) if took else ()))
    said = "".join(f"<li>{text(sentence)}</li>" for sentence in told)
    notes = f'<ul class="note">{said}</ul>' if said else ""
    predicted = prediction.dose
    if predicted is None:
        return section(title, f'<p class="note">There is none for this plan:</p>{notes}', anchor=anchor)
    body = (
        f'<p class="never"><span class="tag warn">△ {text(PREDICTED_LABEL)}</span> {NEVER}</p>'
        f"{_warnings(predicted)}{_facts(predicted, prediction)}{notes}"
        f"{_goals(evaluation)}{_slices(case, plan, dose, predicted, evaluation)}"
    )
    return section(title, body, anchor=anchor)


def _warnings(predicted: PredictedDose) -> str:
    if not predicted.warnings:
        return ""
    items = "".join(f'<li><span class="tag warn">△ look</span> {text(one)}</li>' for one in predicted.warnings)
    return (
        f'<ul class="findings">{items}</ul><p class="note">The network hardly knows patients like this, so nothing is '
        "concluded from its prediction.</p>"
    )


def _facts(predicted: PredictedDose, prediction: Prediction) -> str:
    total_s = sum(prediction.seconds.values())
    spacing = " × ".join(f"{step:g}" for step in predicted.grid.spacing_mm)
    facts = [
        ("Network", text(predicted.model)),
        ("SHA-256", short(predicted.model_sha256) if predicted.model_sha256 else "not told"),
        ("Took", duration(total_s) if prediction.seconds else "not told"),
        ("Grid", f"{spacing} mm"),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{rows}</dl>'


def _goals(evaluation: Evaluation) -> str:
    """The goals on which plan and prediction differ; all of them stand under Goals."""
    if evaluation.predicted is None:
        return ""
    found = evaluation.comparison or Comparison.of(evaluation, None, evaluation.predicted)
    judged = [row for row in found.goals if row.predicted is not None]
    differ = [row for row in judged if row.predicted is not None and row.predicted.grade is not row.adapted.grade]
    said = (
        f'<p class="note">{len(judged)} goals were judged on both, {len(differ)} with another result. All '
        'stand under <a href="#goals">Goals</a>.</p>'
    )
    if not differ:
        return said
    rows = [[text(row.structure.replace("+", " + ")), *_wanted(row), *_pair(row)] for row in differ]
    head = ["Structure", "Goal", "#This plan", "Result", "#Predicted, no plan", "Result"]
    return said + table("Goals with another result on the predicted dose", head, rows, kind="goals")


def _wanted(row: GoalComparison) -> list[str]:
    return [wanted(row.metric, row.comparator, row.limit, row.unit)]


def _pair(row: GoalComparison) -> list[str]:
    cells = []
    for standing in (row.adapted, row.predicted):
        cells += _cells(standing, row.unit)
    return cells


def _cells(standing: Standing | None, unit: str) -> list[str]:
    return ["–", ""] if standing is None else [f"{standing.value:.2f} {text(unit)}", grade_tag(standing.grade)]


def _slices(case: Case, plan: Plan, dose: CalculatedDose, predicted: PredictedDose, evaluation: Evaluation) -> str:
    """Through the middle of the target with the highest prescription."""
    highest = max(evaluation.targets, key=lambda target: target.prescribed_gy)
    structure = case.structure(highest.structure)
    if structure is None or structure.voxels.empty:
        return ""
    unsure = replace(predicted, dose_gy=predicted.uncertainty_gy)
    expected, width, made = (
        DisplayVolume(case, what, plan.beams[0].isocentre_mm).through_middle_of(structure.voxels)
        for what in (predicted, unsure, dose)
    )
    difference = replace(made, dose_gy=made.dose_gy - expected.dose_gy)
    styles, box = Styles.of(case), box_of(expected, case.external.tg263)
    hottest, widest = float(expected.dose_gy.max()), float(width.dose_gy.max())
    low, high = float(difference.dose_gy.min()), float(difference.dose_gy.max())
    views = (
        view(
            expected, box, dose_layers(expected, box, styles, highest.prescribed_gy), f"Up to {hottest:.1f} Gy",
            what="Predicted dose",
        ),
        view(
            width, box, _unsure(width, box, styles), f"Up to {widest:.1f} Gy",
            what="Half-width of its 80 % interval",
        ),
        view(
            difference, box, _difference(difference, box, styles), f"{low:.1f} to {high:.1f} Gy",
            what="This plan minus the prediction",
        ),
    )  # fmt: skip
    return f'<h3>Through the middle of {text(highest.structure)}</h3><div class="views">{"".join(views)}</div>{_key()}'


def _unsure(plane: Plane, box: Box, styles: Styles) -> str:
    """Painted, with numbered lines at UNSURE_LINES_GY."""
    step = np.clip(np.ceil(plane.dose_gy * np.float32(STEPS / WIDEST_GY)), 0, STEPS)
    parts = [picture(plane, palette_png(step, _between(UNSURE, STEPS), ALPHA)), contours(plane, styles)]
    parts += [_line(plane, box, plane.dose_gy, gy, f"{gy:g}", dashed=False) for gy in UNSURE_LINES_GY]
    return "".join(parts)


def _difference(plane: Plane, box: Box, styles: Styles) -> str:
    """Blue where the plan is colder, orange where it is hotter; lines at both LINES_GY, the colder one dashed."""
    size = np.clip(np.abs(plane.dose_gy) / DIFFERENCE_GY, 0, 1)
    step = np.where(np.abs(plane.dose_gy) < UNSEEN_GY, 0, np.maximum(np.ceil(size * STEPS), 1))
    step = np.where(plane.dose_gy > 0, step + STEPS * (step > 0), step)
    colours = np.vstack([_between(COLDER, STEPS), _between(HOTTER, STEPS)])
    parts = [picture(plane, palette_png(step, colours, ALPHA)), contours(plane, styles)]
    for level in LINES_GY:
        values = np.sign(level) * plane.dose_gy
        parts.append(_line(plane, box, values, abs(level), _signed(level), dashed=level < 0))
    return "".join(parts)


def _line(plane: Plane, box: Box, values: NDArray[np.float32], level: float, label: str, *, dashed: bool) -> str:
    """White, with its number where it is long enough."""
    lines = lines_mm(values, level, plane.pixel_mm)
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    data = path_of(lines)
    if not data:
        return ""
    line = f'<path class="iso" stroke="#fff" stroke-width="1.2"{dash} d="{data}"><title>{label} Gy</title></path>'
    if len(lines[0]) <= SHORTEST_LABELLED:
        return line
    x, y = lines[0][len(lines[0]) // 4]
    size = box.width * 0.03
    return (
        f'{line}<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" fill="#fff" stroke="#000" '
        f'stroke-width="{size / 5:.1f}" paint-order="stroke">{label}</text>'
    )


def _between(ends: tuple[tuple[int, ...], ...], count: int) -> NDArray[np.float64]:
    """(count, 3) colours along `ends`."""
    at = np.linspace(0, len(ends) - 1, count)
    return np.stack([np.interp(at, range(len(ends)), channel) for channel in zip(*ends, strict=True)], axis=1)


def _key() -> str:
    scales = (
        ("Half-width", UNSURE, f"0 to {WIDEST_GY:g} Gy and more"),
        ("Plan colder", COLDER, f"{UNSEEN_GY:g} to {DIFFERENCE_GY:g} Gy and more; dashed line: −5 Gy"),
        ("Plan hotter", HOTTER, f"{UNSEEN_GY:g} to {DIFFERENCE_GY:g} Gy and more; full line: +5 Gy"),
    )
    items = []
    for name, ends, said in scales:
        squares = "".join(
            f'<rect x="{8 * n}" width="8" height="10" fill="rgb({r:.0f} {g:.0f} {b:.0f})"/>'
            for n, (r, g, b) in enumerate(_between(ends, 5))
        )
        items.append(
            f'<li><svg class="swatch" width="40" height="10" aria-hidden="true">{squares}</svg>{name}: {said}</li>'
        )
    return f'<ul class="key view" aria-label="Colours of the prediction">{"".join(items)}</ul>'


def _signed(level: float) -> str:
    return f"{level:+g}".replace("-", "−")
