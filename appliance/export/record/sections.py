"""The further parts of an evaluation as small tables of text, each only where the scorecard has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Card = Mapping[str, Any]
SMALL_SHARE = 0.1


@dataclass(frozen=True)
class Block:
    """A small table. head: () where the rows are (name, value)."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def blocks_of(card: Card) -> tuple[Block, ...]:
    """Those that have something to say, in the order of the report."""
    made = (make(card) for make in _MAKERS)
    return tuple(block for block in made if block is not None and block.rows)


def _robustness(card: Card) -> Block | None:
    part = card.get("robustness")
    if not part:
        return None
    rows = sorted(part["goals"], key=lambda goal: goal["chance_met"])
    cells = (
        (
            f"{goal['structure']} {goal['metric']}",
            f"{goal['worst']:.2f} {goal['unit']}",
            f"{100.0 * goal['chance_met']:.0f} %{' *' if goal['on_planning_volume'] else ''}",
        )
        for goal in rows
    )
    head = ("Goal", "Worst", "Chance (* PTV: its margin is for this)")
    return Block("Under set-up, dose and contour errors", head, tuple(cells))


def _explanations(card: Card) -> Block | None:
    rows = []
    for one in card.get("explanations") or ():
        reasons = one["reasons"]
        closing = one["change"]["sentence"] if one["change"] else one["no_change"]
        told = [one["sentence"], *(reason["sentence"] for reason in reasons[:1]), closing]
        rows.append((" ".join(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in told if sentence),))
    return Block("Goals missed or just kept", (), tuple(rows))


def _deliverability(card: Card) -> Block | None:
    part = card.get("deliverability")
    if not part:
        return None
    nearest = min((one["distance_mm"] for one in part["clearance"]["nearest"]), default=None)
    figures = part["plan"]
    rows = [("Nearest to the gantry", "not judged" if nearest is None else f"{nearest:.0f} mm")]
    for key, title in (("ltmcs", "LTMCS"), ("irregularity", "Aperture irregularity"), ("small_5mm", "SAS 5 mm")):
        if figures[key] is not None:
            rows.append((title, f"{figures[key]:.3f}"))
    return Block("Deliverability", (), tuple(rows))


def _outcomes(card: Card) -> Block | None:
    rows = [
        (f"{one['structure']}: {one['endpoint']}", _percent(one["probability"]), _band(one))
        for one in card.get("outcomes") or ()
        if one["probability"] is not None
    ]
    return Block("Outcome models (ranking only, no prognosis)", ("Model", "Estimate", "Band"), tuple(rows))


def _prior(card: Card) -> Block | None:
    part = card.get("prior_course")
    if not part:
        return None
    rows = [
        (
            f"{one['structure']} {one['metric']}",
            f"{one['value']:.1f} {one['unit']} ({one['low']:.1f} to {one['high']:.1f})",
            f"{'≤' if one['comparator'] == '<=' else '≥'} {one['limit']:.1f} {one['unit']}: "
            f"{'met' if one['met'] else 'NOT met'}",
        )
        for one in sorted(part["results"], key=lambda one: one["met"])
    ]
    return Block("With the earlier course, EQD2", ("Limit on the sum", "Reached", "Verdict"), tuple(rows))


def _preference(card: Card) -> Block | None:
    part = card.get("preference")
    if not part or part["probability"] is None:
        return None
    rows = [
        ("Chance of approval", f"{_percent(part['probability'])} ({_percent(part['low'])} to {_percent(part['high'])})")
    ]
    ranked = sorted(part["attributions"], key=lambda one: -abs(one["contribution"]))
    rows += [(one["title"], f"{one['contribution']:+.2f}") for one in ranked[:4]]
    return Block("Preference (learned, advisory)", (), tuple(rows))


def _bands(card: Card) -> Block | None:
    """The deciding figure of each structure, the worst first."""
    rows = []
    order = ("worse than usual", "better than usual", "as usual")
    for one in sorted(card.get("bands") or (), key=lambda one: order.index(one["verdict"])):
        figure = one["figures"][one["deciding"]]
        name = "mean" if figure["metric"] == "Mean" else figure["metric"]
        beyond = {"within": "within"}.get(figure["lies"], f"{'clearly ' if figure['clear'] else ''}{figure['lies']}")
        rows.append(
            (
                f"{one['structure']} {name}",
                f"{figure['plan_gy']:.1f} Gy",
                f"{figure['low_gy']:.1f} to {figure['high_gy']:.1f} Gy: {beyond}",
            )
        )
    return Block("Usually reached (predicted, advice only)", ("Figure", "This plan", "Achievable"), tuple(rows))


def _percent(share: float | None) -> str:
    """One decimal where the whole number would hide it."""
    return "unknown" if share is None else f"{100.0 * share:.{0 if share >= SMALL_SHARE else 1}f} %"


def _band(one: Mapping[str, Any]) -> str:
    return "none" if one["low"] is None else f"{_percent(one['low'])} to {_percent(one['high'])}"


_MAKERS: tuple[Callable[[Card], Block | None], ...] = (
    _robustness,
    _explanations,
    _deliverability,
    _outcomes,
    _prior,
    _preference,
    _bands,
)
