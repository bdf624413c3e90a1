"""Differences and their effect on past plans as plain lines."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.evaluation.guidelines.diff import Change
from appliance.evaluation.guidelines.impact import Impact


def change_lines(changes: tuple[Change, ...], impact: Impact) -> Iterator[str]:
    for change in changes:
        yield f"- {change.goal_set + ': ' if change.goal_set else ''}{change.text}"
    if not changes:
        yield "Nothing differs"
    yield impact.sentence
    for plan in impact.plans:
        for flip in plan.flips:
            yield f"- {plan.session}: {flip.goal}: {flip.before} → {flip.after} at {flip.value:.2f} {flip.unit}"
        if plan.refused:
            yield f"- {plan.session}: {plan.refused}"
    yield from (f"- {sentence}" for sentence in impact.left_out)
