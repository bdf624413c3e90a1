"""What intervals cover, drawn: one row for each kind of value, promised shares as lines. No patient is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, ROW, LEFT, RIGHT, TOP = 640, 24, 170, 24, 40
LOWEST = 0.5
"""Left end of the axis (chosen: coverage below a half would be drawn at its edge and be seen as wrong)."""
COLOURS = ("#1f6f8b", "#c0562b")
SHOWN = (
    ("voxels", "all voxels"), ("voxels target", "voxels in targets"), ("voxels organ", "voxels in organs"),
    ("voxels other", "voxels elsewhere"), ("mean organs", "organs, mean"), ("D_0.1_cc organs", "organs, D0.1cc"),
    ("D_99 highest targets", "highest target, D99"), ("D_95 highest targets", "highest target, D95"),
    ("D_1 highest targets", "highest target, D1"), ("D_99 lower targets", "lower targets, D99"),
    ("D_95 lower targets", "lower targets, D95"), ("D_1 lower targets", "lower targets, D1"),
)  # fmt: skip


def coverage_svg(coverage: Mapping[str, Any], levels: Sequence[float]) -> str:
    """An SVG of the rows of SHOWN that were measured, `coverage` as `held_out_coverage` gives it."""
    rows = [(label, coverage[name]) for name, label in SHOWN if name in coverage]
    height = TOP + ROW * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18">Share covered in patients left out of the fit; lines: promised</text>',
    ]
    bottom = TOP + ROW * len(rows)
    for level, colour in zip(levels, COLOURS, strict=True):
        x = _at(level)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{bottom}" stroke="{colour}" stroke-dasharray="4 3"/>')
    for tick in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        parts.append(f'<text x="{_at(tick)}" y="{bottom + 18}" text-anchor="middle">{100 * tick:.0f} %</text>')
    for n, (label, found) in enumerate(rows):
        y = TOP + ROW * n + ROW / 2
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{label}</text>')
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        for share, colour in zip(found["covered"], COLOURS, strict=True):
            parts.append(f'<circle cx="{_at(share)}" cy="{y}" r="5" fill="{colour}"/>')
    return "\n".join([*parts, "</svg>", ""])


def _at(share: float) -> float:
    """Place of a share along the axis."""
    along = (max(share, LOWEST) - LOWEST) / (1 - LOWEST)
    return round(LEFT + along * (WIDTH - LEFT - RIGHT), 1)
