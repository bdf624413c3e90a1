"""Measured against modelled, as SVG with its own axes: the curve above, the deviation with its tolerance below."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.commissioning.agreement import Comparison, Region
from appliance.commissioning.curves import Array, equivalent_square_mm

WIDTH, UPPER, LOWER, LEFT, RIGHT, TOP, GAP, BOTTOM = 560, 230, 90, 52, 12, 12, 14, 40
"""Of the SVG's own units; the page scales it."""
HEIGHT = TOP + UPPER + GAP + LOWER + BOTTOM
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
DEVIATION_PERCENT = 5.0
"""The lower panel shows -5 to 5 %: the widest tolerance of MPPG 5.b; what lies beyond is drawn at its border."""


@dataclass(frozen=True)
class Scale:
    """One axis: values low..high onto SVG units from..to."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + (self.end - self.start) * float(np.clip(share, -0.02, 1.02)), 1)

    def ticks(self) -> list[float]:
        step = next((s for s in STEPS if (self.high - self.low) / s <= 8), STEPS[-1])
        return [float(t) for t in np.arange(np.ceil(self.low / step - 1e-9), self.high / step + 1e-9) * step]


@dataclass(frozen=True, eq=False)
class Plot:
    """What one figure shows: points x, measured and modelled (n,), deviation in percent (n,; nan where it is judged by
    distance), and its words."""

    title: str
    along: str
    x: Array
    measured: Array
    modelled: Array
    percent: Array
    tolerance: float


def of_curve(comparison: Comparison, tolerance: float) -> Plot:
    """One depth dose, ratio or profile. Deviations in percent of the measured dose, in the tail of the maximum; none in
    a penumbra, which is judged by distance."""
    in_percent = [region is not Region.PENUMBRA for region in comparison.regions]
    percent = np.where(in_percent, comparison.deviation, np.nan)
    along = "Distance from the axis (mm)" if comparison.curve.axis in "XYD" else "Depth (mm)"
    x = comparison.curve.positions_mm
    return Plot(comparison.curve.title, along, x, comparison.measured, comparison.modelled, percent, tolerance)


def of_factors(title: str, comparisons: Sequence[Comparison], tolerance: float) -> Plot:
    """Output or collimator factors against the side of their equivalent square."""
    side = np.array([equivalent_square_mm(c.curve.field_x_mm, c.curve.field_y_mm) for c in comparisons])
    order = np.argsort(side, kind="stable")
    rows = np.array([(c.measured[0], c.modelled[0], c.deviation[0]) for c in comparisons])[order]
    return Plot(title, "Equivalent square (mm)", side[order], rows[:, 0], rows[:, 1], rows[:, 2], tolerance)


def figure(plot: Plot) -> str:
    """<figure> with the drawing and a sentence with the largest deviation."""
    x = Scale(float(plot.x.min()), float(max(plot.x.max(), plot.x.min() + 1.0)), LEFT, WIDTH - RIGHT)
    most = float(max(plot.measured.max(), plot.modelled.max()))
    least = 0.0 if plot.measured.min() < 0.6 * most else float(min(plot.measured.min(), plot.modelled.min())) * 0.98
    y = Scale(least, most * 1.04, TOP + UPPER, TOP)
    below = TOP + UPPER + GAP
    d = Scale(-DEVIATION_PERCENT, DEVIATION_PERCENT, below + LOWER, below)
    parts = [_frame(x, y, TOP, UPPER), _frame(x, d, below, LOWER), _band(x, d, plot.tolerance)]
    parts += [_line(x, y, plot), _marks(x, y, plot.x, plot.measured, "measured"), _deviations(x, d, plot)]
    parts.append(_labels(plot, x))
    known = plot.percent[np.isfinite(plot.percent)]
    worst = f"{np.abs(known).max():.1f} % at most" if known.size else "judged by distance"
    label = f"{plot.title}: measured against modelled, {worst}"
    return (
        f'<figure class="curve"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label)}">'
        f"{''.join(parts)}</svg><figcaption>{html.escape(label)}</figcaption></figure>"
    )


def _frame(x: Scale, y: Scale, top: float, height: float) -> str:
    parts = []
    for value in y.ticks():
        at = y.at(value)
        parts.append(f'<path class="grid" d="M{x.start} {at}H{x.end}"/>')
        parts.append(f'<text x="{x.start - 6}" y="{at + 4}" text-anchor="end">{value:g}</text>')
    parts += [f'<path class="grid" d="M{x.at(value)} {top}V{top + height}"/>' for value in x.ticks()]
    parts.append(f'<path class="axis" d="M{x.start} {top}V{top + height}H{x.end}"/>')
    return "".join(parts)


def _band(x: Scale, d: Scale, tolerance: float) -> str:
    top, bottom = d.at(tolerance), d.at(-tolerance)
    zero = f'<path class="axis" d="M{x.start} {d.at(0.0)}H{x.end}"/>'
    return f'<rect class="band" x="{x.start}" y="{top}" width="{x.end - x.start}" height="{bottom - top}"/>{zero}'


def _line(x: Scale, y: Scale, plot: Plot) -> str:
    path = "L".join(f"{x.at(a)} {y.at(b)}" for a, b in zip(plot.x, plot.modelled, strict=True))
    return f'<path class="modelled" d="M{path}"/>'


def _marks(x: Scale, y: Scale, at: Array, values: Array, kind: str) -> str:
    places = zip(at, values, strict=True)
    return "".join(f'<circle class="{kind}" cx="{x.at(a)}" cy="{y.at(b)}" r="2"/>' for a, b in places)


def _deviations(x: Scale, d: Scale, plot: Plot) -> str:
    known = np.isfinite(plot.percent)
    return _marks(x, d, plot.x[known], plot.percent[known], "deviation")


def _labels(plot: Plot, x: Scale) -> str:
    bottom = TOP + UPPER + GAP + LOWER
    ticks = "".join(
        f'<text x="{x.at(value)}" y="{bottom + 15}" text-anchor="middle">{value:g}</text>' for value in x.ticks()
    )
    middle = (x.start + x.end) / 2
    name = f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(plot.along)}</text>'
    sides = (("Relative dose", TOP + UPPER / 2), ("Deviation (%)", bottom - LOWER / 2))
    turned = "".join(
        f'<text x="11" y="{y}" text-anchor="middle" transform="rotate(-90 11 {y})">{words}</text>' for words, y in sides
    )
    return ticks + name + turned
