"""Score and goals met over the steps of planning, as one SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from appliance.contracts import StoryStep
from appliance.export.report_html import text

WIDTH, HEIGHT, LEFT, RIGHT = 1180, 320, 58, 18
TOP, SCORE_END, GOALS_TOP, GOALS_END = 44, 196, 228, 284
"""The score's panel, and below it the goals'; in the SVG's own units, the page scales it."""
LABELLED = 24
"""With more steps only every so-manyth has its number, as many as fit."""
SIDES = {"preliminary": 4, "review": 4, "final": 4, "fluence": 3, "apertures": 5, "sparing": 5}
"""Corners of each stage's mark; exploring has a round one."""


class _Plane:
    """Maps (step's place, percent) to SVG units; the score's axis spans what there is, in whole fives."""

    def __init__(self, steps: Sequence[StoryStep]) -> None:
        scores = [step.score for step in steps]
        self.low = max(5 * math.floor(min(scores) / 5 - 0.2), 0)
        self.high = max(min(5 * math.ceil(max(scores) / 5 + 0.2), 100), self.low + 5)
        self._pitch = (WIDTH - LEFT - RIGHT) / len(steps)

    def x(self, place: float) -> float:
        return round(LEFT + self._pitch * (place + 0.5), 1)

    def edge(self, place: int) -> float:
        return round(LEFT + self._pitch * place, 1)

    def y(self, score: float) -> float:
        share = (score - self.low) / (self.high - self.low)
        return round(SCORE_END - (SCORE_END - TOP) * min(max(share, 0.0), 1.0), 1)

    def bar(self, share: float) -> float:
        return round(GOALS_END - (GOALS_END - GOALS_TOP) * share, 1)

    @property
    def bar_width(self) -> float:
        return round(min(self._pitch * 0.6, 26), 1)


def timeline(steps: Sequence[StoryStep], hot_limit_gy: float) -> str:
    plane = _Plane(steps)
    parts = [_frame(plane), _stages(plane, steps), _lines(plane, steps)]
    every = math.ceil(len(steps) / LABELLED)
    for place, step in enumerate(steps):
        parts.append(
            _mark(plane, place, step, is_hot=step.hottest_gy > hot_limit_gy)
            + _bar(plane, place, step, numbered=place % every == 0)
        )
    first, last = steps[0], steps[-1]
    label = (
        f"Score and goals met over {len(steps)} steps, from {first.score:.1f} % and {first.goals_met} of "
        f"{first.goals_total} goals to {last.score:.1f} % and {last.goals_met} of {last.goals_total}; the table below "
        "holds the same in numbers"
    )
    return (
        f'<figure><svg class="dvh storyline" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}">'
        f"{''.join(parts)}</svg><figcaption>Above: score after each step, a filled mark where it was the best so far "
        "of its kind, joined where the dose was made in the same way; ! where the hot spot was above its limit. "
        "Below: share of the goals met. Hover a mark for what was done.</figcaption></figure>"
    )


def _frame(plane: _Plane) -> str:
    parts = []
    span = plane.high - plane.low
    step = 5 if span <= 30 else 10 if span <= 60 else 20
    for score in range(plane.low, plane.high + 1, step):
        y = plane.y(score)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" font-size="13" text-anchor="end">{score}</text>')
    for share in (0, 1):
        y = plane.bar(share)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 4}" font-size="13" text-anchor="end">{"all" if share else 0}</text>'
        )
    for name, y in (("Score (%)", (TOP + SCORE_END) / 2), ("Goals met", (GOALS_TOP + GOALS_END) / 2)):
        parts.append(
            f'<text x="15" y="{y}" font-size="13" text-anchor="middle" transform="rotate(-90 15 {y})">{name}</text>'
        )
    return "".join(parts)


def _stages(plane: _Plane, steps: Sequence[StoryStep]) -> str:
    """A line where a stage begins, and its name; a name that would not fit above its steps stands one line higher."""
    parts, begin, row = [], 0, 0
    for stage, group in groupby(steps, key=lambda step: step.stage):
        x, count = plane.edge(begin), len(list(group))
        is_narrow = plane.edge(begin + count) - x < 8 * len(stage)
        row = 1 - row if is_narrow else 0
        parts.append(f'<path class="grid" stroke-dasharray="3 3" d="M{x} {TOP - 30}V{GOALS_END}"/>')
        parts.append(f'<text x="{x + 5}" y="{TOP - 12 - 15 * row}" font-size="13">{text(stage)}</text>')
        begin += count
    return "".join(parts)


def _lines(plane: _Plane, steps: Sequence[StoryStep]) -> str:
    places = {step.number: place for place, step in enumerate(steps)}
    parts = []
    for place, step in enumerate(steps):
        if step.since in places:
            before = places[step.since]
            is_next = steps[before].stage == step.stage or place == before + 1
            dash = "" if is_next else ' stroke-dasharray="2 5"'
            parts.append(
                f'<path class="curve way"{dash} d="M{plane.x(before)} {plane.y(steps[before].score)}'
                f'L{plane.x(place)} {plane.y(step.score)}"/>'
            )
    return "".join(parts)


def _mark(plane: _Plane, place: int, step: StoryStep, *, is_hot: bool) -> str:
    x, y = plane.x(place), plane.y(step.score)
    kind = "mark" + " kept" * step.kept + " hot" * is_hot
    sign = f'<text class="warn" x="{x}" y="{y - 11}" font-size="13" text-anchor="middle">!</text>' if is_hot else ""
    done = f": {step.told}" if step.told else ""
    title = f"<title>{text(f'Step {step.number}, {step.stage}, score {step.score:.1f} %{done}')}</title>"
    if step.stage == "exploring":
        return f'<circle class="{kind}" cx="{x}" cy="{y}" r="6">{title}</circle>{sign}'
    sides = SIDES[step.stage]
    turns = (2 * math.pi * corner / sides - math.pi / 2 for corner in range(sides))
    points = " ".join(f"{x + 8 * math.cos(turn):.1f},{y + 8 * math.sin(turn):.1f}" for turn in turns)
    return f'<polygon class="{kind}" points="{points}">{title}</polygon>{sign}'


def _bar(plane: _Plane, place: int, step: StoryStep, *, numbered: bool) -> str:
    share = step.goals_met / step.goals_total if step.goals_total else 0.0
    x, y, width = plane.x(place), plane.bar(share), plane.bar_width
    number = f'<text x="{x}" y="{GOALS_END + 17}" font-size="12" text-anchor="middle">{step.number}</text>'
    number += (
        f'<text x="{x}" y="{y - 3}" font-size="11" text-anchor="middle">{step.goals_met}/{step.goals_total}</text>'
    )
    return (
        f'<rect class="met" x="{x - width / 2:.1f}" y="{y}" width="{width}" height="{GOALS_END - y:.1f}">'
        f"<title>Step {step.number}: {step.goals_met} of {step.goals_total} goals met</title></rect>"
        f"{number if numbered else ''}"
    )
