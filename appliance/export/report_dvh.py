"""The dose-volume histogram as one SVG, with its legend as a table."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.contracts import Case, DvhCurve, Evaluation, GoalResult, Metric, MetricKind, StructureKind
from appliance.export.report_axes import HEIGHT, WIDTH, Axes
from appliance.export.report_bands import band_caption, band_letters, band_shapes, band_table
from appliance.export.report_html import Style, Styles, section, table, text, value_beside_limit


def dvh_section(case: Case, evaluation: Evaluation, scheduled: Evaluation | None, *, warned: bool = False) -> str:
    """warned: the prediction that the bands are from came with warnings."""
    styles = Styles.of(case)
    shown = [curve for curve in evaluation.dvh if curve.structure in styles.by_name]
    before = [curve for curve in scheduled.dvh if curve.structure in styles.by_name] if scheduled else []
    bands = [band for band in evaluation.bands if band.structure in styles.by_name]
    axes = Axes(max(curve.max_gy for curve in (*shown, *before)))
    parts = [_frame(axes, evaluation), band_shapes(axes, bands, styles)]
    parts += [
        _curve(axes, curve, styles[curve.structure], is_scheduled=True) for curve in _targets_last(before, styles)
    ]
    parts += [_curve(axes, curve, styles[curve.structure]) for curve in _targets_last(shown, styles)]
    parts.append(band_letters(axes, bands, styles))
    volumes = {curve.structure: curve.volume_cc for curve in shown}
    parts += [_goal_mark(axes, goal, styles, volumes) for goal in evaluation.goals]
    label = f"Cumulative dose-volume histogram of {len(shown)} structures; the table below holds the same in numbers"
    figure = (
        f'<figure><svg class="dvh" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}">'
        f"{''.join(parts)}</svg><figcaption>Cumulative, bins of 0.1 Gy, partial voxels at structure edges. Targets "
        "solid, organs dashed"
        + (", the scheduled plan on today's anatomy thin" if before else "")
        + ". Triangles mark goals: the curve belongs on the side they point to; a filled one is met, an open one is "
        "not; marks of means and maxima stand on the dose axis. Vertical lines: prescriptions. Hover a curve or a mark "
        f"for its values.{band_caption(bands)}</figcaption></figure>"
    )
    return section(
        "Dose-volume histogram", figure + _legend(case, shown, styles) + band_table(bands, warned=warned), anchor="dvh"
    )


def _targets_last(curves: Iterable[DvhCurve], styles: Styles) -> list[DvhCurve]:
    """Targets are drawn on top."""
    return sorted(curves, key=lambda curve: styles[curve.structure].is_target)


def _frame(axes: Axes, evaluation: Evaluation) -> str:
    parts = []
    for target in evaluation.targets:
        title = f"{target.structure}: {target.prescribed_gy:g} Gy prescribed"
        parts.append(
            f'<path class="axis" stroke-dasharray="1 4" d="M{axes.x(target.prescribed_gy)} {axes.y(100)}V{axes.y(0)}">'
            f"<title>{text(title)}</title></path>"
        )
    return plane(axes, "Dose of the course (Gy)") + "".join(parts)


def plane(axes: Axes, dose_title: str) -> str:
    """Grid, axes and their titles."""
    left, right, top, bottom = axes.x(0), axes.x(axes.end_gy), axes.y(100), axes.y(0)
    parts = []
    for percent in range(0, 101, 20):
        y = axes.y(percent)
        parts.append(f'<path class="grid" d="M{left} {y}H{right}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4}" font-size="13" text-anchor="end">{percent}</text>')
    for index in range(int(axes.end_gy / axes.step_gy) + 1):
        x = axes.x(index * axes.step_gy)
        parts.append(f'<path class="grid" d="M{x} {top}V{bottom}"/>')
        parts.append(
            f'<text x="{x}" y="{bottom + 18}" font-size="13" text-anchor="middle">{index * axes.step_gy:g}</text>'
        )
    parts.append(f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>')
    middle = (left + right) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" font-size="14" text-anchor="middle">{text(dose_title)}</text>')
    centre = (top + bottom) / 2
    parts.append(
        f'<text x="15" y="{centre}" font-size="14" text-anchor="middle" transform="rotate(-90 15 {centre})">'
        "Volume (%)</text>"
    )
    return "".join(parts)


def _curve(axes: Axes, curve: DvhCurve, style: Style, *, is_scheduled: bool = False) -> str:
    points = list(zip(curve.dose_gy, curve.volume_percent, strict=True))
    # Straight runs are dropped: a point is kept only where the volume differs from a neighbour's.
    kept = [
        (dose_gy, percent)
        for i, (dose_gy, percent) in enumerate(points)
        if i in (0, len(points) - 1) or percent != points[i - 1][1] or percent != points[i + 1][1]
    ]
    path = "L".join(f"{axes.x(dose_gy)} {axes.y(percent)}" for dose_gy, percent in kept)
    kind = "curve scheduled" if is_scheduled else "curve target" if style.is_target else "curve"
    dash = f' stroke-dasharray="{style.dash}"' if style.dash else ""
    whose = " (scheduled plan)" if is_scheduled else ""
    title = (
        f"{curve.structure}{whose}: mean {curve.mean_gy:.1f} Gy, max {curve.max_gy:.1f} Gy, {curve.volume_cc:.1f} cc"
    )
    return f'<path class="{kind}" style="stroke:{style.colour}"{dash} d="M{path}"><title>{text(title)}</title></path>'


def _goal_mark(axes: Axes, goal: GoalResult, styles: Styles, volumes: dict[str, float]) -> str:
    """A triangle at the goal's point of the plane. Mean, maximum and minimum have no volume: they sit on the axis.
    A union has no curve of its own; its mark has the colour of its first structure."""
    first = goal.structure.split("+", maxsplit=1)[0]
    if first not in styles.by_name:
        return ""
    metric = Metric.parse(goal.metric)
    percent = {MetricKind.DOSE_AT_PERCENT: metric.argument, MetricKind.MIN: 100.0}.get(metric.kind, 0.0)
    dose_gy = goal.limit
    is_cold = metric.kind is MetricKind.COLD_VOLUME
    if is_cold or metric.kind is MetricKind.VOLUME_AT_DOSE:
        dose_gy, percent = metric.argument, goal.limit
    volume_cc = volumes.get(goal.structure, 0.0)
    if goal.unit == "cc" or metric.kind is MetricKind.DOSE_AT_CC:
        amount_cc = goal.limit if goal.unit == "cc" else metric.argument
        percent = min(100.0, 100.0 * amount_cc / volume_cc) if volume_cc else 0.0
    # What must stay cold is what the curve leaves below it: the mark turns over.
    percent = 100.0 - percent if is_cold else percent
    upwards = (goal.comparator == ">=") != is_cold
    x, y, side = axes.x(min(dose_gy, axes.end_gy)), axes.y(percent), 13 if upwards else -13
    fill = styles[first].colour if goal.met else "var(--paper)"
    title = f"{goal.structure} {goal.metric} {goal.comparator} {goal.limit:g} {goal.unit}: "
    title += f"{value_beside_limit(goal.value, goal)} {goal.unit}, {'met' if goal.met else 'not met'}"
    return (
        f'<path d="M{x} {round(y - 7, 1)}L{round(x + side, 1)} {y}L{x} {round(y + 7, 1)}Z" stroke-width="1.8" '
        f'style="stroke:{styles[first].colour};fill:{fill}"><title>{text(title)}</title></path>'
    )


def _legend(case: Case, curves: list[DvhCurve], styles: Styles) -> str:
    order = {StructureKind.TARGET: 0, StructureKind.ORGAN: 1, StructureKind.OTHER: 2, StructureKind.EXTERNAL: 3}
    kinds = {structure.tg263: order.get(structure.kind, 2) for structure in case.structures}
    rows = [
        [
            f"{swatch(styles[curve.structure])}{text(curve.structure)}",
            f"{curve.volume_cc:.1f} cc",
            f"{curve.min_gy:.1f} Gy",
            f"{curve.mean_gy:.1f} Gy",
            f"{curve.max_gy:.1f} Gy",
        ]
        for curve in sorted(curves, key=lambda curve: kinds[curve.structure])
    ]
    return table("Structures", ["Structure", "#Volume", "#Minimum", "#Mean", "#Maximum"], rows)


def swatch(style: Style) -> str:
    dash = f' stroke-dasharray="{style.dash}"' if style.dash else ""
    width = 3 if style.is_target else 2
    return (
        '<svg class="swatch" width="38" height="10" aria-hidden="true">'
        f'<path d="M1 5H37" fill="none" style="stroke:{style.colour}" stroke-width="{width}"{dash}/></svg>'
    )
