"""Draws a run's learning curve from metrics.json: no patient is in it.

    python -m models.dose.curve OUT/metrics.json models/dose/curve.svg [--dose GY] [--dvh GY]

--dose and --dvh: scores of another network on the same patients, as lines to compare with.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 56, 132, 20, 44
SERIES = (("training_loss_gy", "training", "#777777"), ("dose_score", "dose score", "#0b62a4"),
          ("dvh_score", "DVH score", "#b5541c"))  # fmt: skip


class _Axes:
    """Where a minute and a dose lie on the page."""

    def __init__(self, minutes: Sequence[float], doses_gy: Sequence[float]) -> None:
        self.last = max(minutes)
        self.low, self.high = math.floor(2 * min(doses_gy)) / 2, math.ceil(2 * max(doses_gy)) / 2

    def x(self, minute: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * minute / self.last

    def y(self, dose_gy: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (dose_gy - self.low) / (self.high - self.low)


def drawn(curve: Sequence[dict[str, float]], compared: dict[str, float]) -> str:
    """SVG. curve: entries of metrics.json; compared: {key of SERIES: Gy}. Raises ValueError for an empty curve."""
    if not curve:
        raise ValueError("the run has no point yet")
    minutes = [entry["seconds"] / 60 for entry in curve]
    doses = [entry[key] for entry in curve for key, _, _ in SERIES] + list(compared.values())
    axes = _Axes(minutes, doses)
    parts = [_frame(axes)]
    for key, name, colour in SERIES:
        values = [entry[key] for entry in curve]
        points = " ".join(f"{axes.x(m):.1f},{axes.y(v):.1f}" for m, v in zip(minutes, values, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{axes.x(m):.1f}" cy="{axes.y(v):.1f}" r="3" fill="{colour}"/>'
                  for m, v in zip(minutes, values, strict=True)]  # fmt: skip
        parts.append(_text(axes.x(axes.last) + 8, axes.y(values[-1]) + 4, f"{name} {values[-1]:.2f}", colour))
        if key in compared:
            at = axes.y(compared[key])
            parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="{colour}" '
                         'stroke-dasharray="5 4"/>')  # fmt: skip
            parts.append(_text(LEFT + 6, at - 4, f"before, {compared[key]:.2f}", colour))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _frame(axes: _Axes) -> str:
    bottom, parts = HEIGHT - BOTTOM, []
    for n in range(round(2 * (axes.high - axes.low)) + 1):
        dose = axes.low + n / 2
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{axes.y(dose):.1f}" y2="{axes.y(dose):.1f}" '
                     'stroke="#dddddd"/>')  # fmt: skip
        parts.append(_text(LEFT - 32, axes.y(dose) + 4, f"{dose:.1f}", "#333333"))
    for n in range(6):
        minute = axes.last * n / 5
        parts.append(_text(axes.x(minute) - 8, bottom + 18, f"{minute:.0f}", "#333333"))
    parts.append(_text(WIDTH / 2 - 90, HEIGHT - 8, "minutes of training", "#333333"))
    parts.append(_text(6, 14, "Gy", "#333333"))
    return "\n".join(parts)


def _text(x: float, y: float, words: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{words}</text>'


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws a learning curve.")
    parser.add_argument("metrics", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dose", type=float)
    parser.add_argument("--dvh", type=float)
    asked = parser.parse_args()
    compared = {key: value for key, value in (("dose_score", asked.dose), ("dvh_score", asked.dvh)) if value}
    asked.out.write_text(drawn(json.loads(asked.metrics.read_text("utf-8"))["curve"], compared), "utf-8")


if __name__ == "__main__":
    main()
