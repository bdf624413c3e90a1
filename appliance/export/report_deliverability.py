"""The section on delivery: clearance of the gantry first, then complexity figures of the plan and each beam."""

from __future__ import annotations

import math

from appliance.contracts import Outcome
from appliance.contracts.deliverability import (
    FIGURES,
    BeamDeliverability,
    Clearance,
    ComplexityFigures,
    Deliverability,
    FigureInfo,
    Nearest,
)
from appliance.export.report_comparison import finding_list
from appliance.export.report_html import duration, section, table, text

PIXELS = 300
SHOWN_MM = 450.0
"""Distances beyond are drawn at the rim of the picture (chosen)."""
SMALLEST = 1e-6
"""No figure has a meaning below this (chosen)."""
PICTURE_KEYS = ("mcs", "ltmcs", "leaf_travel_mm", "edge_per_mm", "irregularity", "mean_area_mm2", "small_10mm")
"""Figures of each beam that fit beside each other; scorecard.json has all."""


def deliverability_section(made: Deliverability) -> str:
    body = (
        _clearance(made.clearance)
        + _findings(made)
        + "<h3>Complexity of the plan</h3>"
        + _plan_table(made)
        + _beam_table(made)
        + _notes(made)
    )
    return section("Delivery", body, anchor="deliverability")


def _clearance(clear: Clearance) -> str:
    if not clear.judged:
        return f'<h3>Clearance</h3><p class="note">Not judged: {text("; ".join(clear.limits))}.</p>'
    rows = [_near_row(one) for one in sorted(clear.nearest, key=lambda one: one.distance_mm)]
    caption = (
        "Least distance of the gantry's simple solids from each thing while a beam is delivered, nearest first; below "
        "0 it would be inside. Angles in IEC 61217 degrees, positions in DICOM LPS."
    )
    columns = ["Thing", "Beam", "#Distance", "Result", "#Gantry", "#Couch", "#At x, y, z"]
    turn = "" if clear.whole_turn_mm is None else f" Least of a whole turn: {clear.whole_turn_mm:.0f} mm."
    said = "".join(f"<li>{text(limit[:1].upper() + limit[1:])}.</li>" for limit in (*clear.unseen, *clear.limits))
    return (
        "<h3>Clearance of the gantry</h3>"
        + table(caption, columns, rows)
        + _round(clear)
        + f'<p class="note">{turn}</p><ul class="note">{said}</ul>'
    )


def _near_row(one: Nearest) -> list[str]:
    x, y, z = (round(value) for value in one.point_mm)  # of whole numbers none is "-0"
    return [
        text(one.what),
        str(one.beam),
        f'<b class="v">{one.distance_mm:.0f}</b> mm',
        _verdict(one),
        f"{one.gantry_deg:.0f}",
        f"{one.couch_deg:.0f}",
        f"{x}, {y}, {z} mm",
    ]


def _verdict(one: Nearest) -> str:
    if one.distance_mm <= 0:
        return '<span class="tag bad">✗ collision</span>'
    if one.distance_mm < one.margin_mm:
        return f'<span class="tag bad">✗ under {one.margin_mm:g} mm</span>'
    return f'<span class="tag good">✓ over {one.margin_mm:g} mm</span>'


def _round(clear: Clearance) -> str:
    """Distance by gantry angle as a closed curve; the rim stands for SHOWN_MM and more, the centre for 0 and less."""
    if not clear.profile_mm:
        return ""
    half = PIXELS / 2
    reach = half - 24
    corners = []
    for angle, far in zip(clear.profile_deg, clear.profile_mm, strict=True):
        long, turn = reach * min(max(far, 0.0), SHOWN_MM) / SHOWN_MM, math.radians(angle)
        corners.append(f"{long * math.sin(turn):.1f},{-long * math.cos(turn):.1f}")
    turns = (
        f'<path d="M{"L".join(corners)}Z" fill="var(--accent)" fill-opacity=".15" stroke="var(--accent)" '
        'stroke-width="1.5"/><path d="M-4 0H4M0 -4V4" stroke="currentColor"/>'
    )
    marks = "".join(
        f'<text x="{x}" y="{y}" text-anchor="middle" font-size="12">{name}</text>'
        for name, x, y in (("0°", 0, -half + 14), ("90°", half - 14, 4), ("180°", 0, half - 4), ("270°", -half + 16, 4))
    )
    label = f"Clearance by gantry angle over a whole turn, least {clear.whole_turn_mm or 0.0:.0f} mm"
    return (
        f'<figure><svg width="{PIXELS}" height="{PIXELS}" viewBox="{-half:g} {-half:g} {PIXELS} {PIXELS}" role="img" '
        f'aria-label="{label}"><circle r="{reach:g}" fill="none" stroke="currentColor" stroke-opacity=".4"/>{turns}'
        f"{marks}</svg><figcaption>Clearance by gantry angle if the gantry went all the way round; the rim is "
        f"{SHOWN_MM:.0f} mm and more, the centre touching.</figcaption></figure>"
    )


def _findings(made: Deliverability) -> str:
    """What was not scanned is in the list below the picture."""
    found = [one for one in made.findings if one.outcome is Outcome.FOUND and one.id != "clearance.unseen"]
    return f"<h3>What was found</h3>{finding_list(found)}" if found else ""


def _plan_table(made: Deliverability) -> str:
    ranks = {rank.key: rank for rank in made.peers}
    rows = []
    for info in FIGURES:
        value = getattr(made.plan, info.key)
        if value is None:
            continue
        rank = ranks.get(info.key)
        beside = "–" if rank is None else f"{rank.percentile:.0f} % of {rank.peers} are simpler"
        simpler = {"higher": "↑", "lower": "↓", "": ""}[info.simpler]
        rows.append(
            [text(info.title), f'<b class="v">{figure(value)}</b> {_unit(info)}', simpler, beside, text(info.source)]
        )
    seconds = f", {duration(made.time_s)} of delivery" if made.time_s else ""
    turned = f"control arcs over {made.plan.arc_deg:.0f} degrees" if made.plan.arc_deg else "segments"
    caption = (
        f"{made.plan.mu:.0f} MU in {made.plan.control_arcs} {turned}{seconds}. "
        "Beams weighed by monitor units. ↑ or ↓: the side on which plans are easier to deliver. None of these figures "
        "has a limit: none is known to predict a failed measurement reliably (Hernandez 2020, PMC7807588)."
    )
    return table(caption, ["Figure", "#Value", "Simpler", "Earlier plans", "Source"], rows)


def _beam_table(made: Deliverability) -> str:
    infos = [info for info in FIGURES if info.key in PICTURE_KEYS]
    columns = ["Beam", "#MU", "#Seconds", *(f"#{text(info.title)}{_in(info)}" for info in infos)]
    return table("The same of each beam.", columns, [_beam_row(beam, infos) for beam in made.beams])


def _beam_row(beam: BeamDeliverability, infos: list[FigureInfo]) -> list[str]:
    figures: ComplexityFigures = beam.figures
    values = [getattr(figures, info.key) for info in infos]
    return [
        f"{beam.number}. {text(beam.name)}",
        f"{figures.mu:.1f}",
        f"{beam.seconds:.1f}" if beam.seconds else "not known",
        *("–" if value is None else figure(value) for value in values),
    ]


def figure(value: float) -> str:
    """Three figures, whole numbers from a hundred on; what is left of rounding in a spread of equal values is 0."""
    if abs(value) < SMALLEST:
        return "0"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _unit(info: FigureInfo) -> str:
    return text(info.unit.replace("mm2", "mm²").replace("deg", "°"))


def _in(info: FigureInfo) -> str:
    return f", {_unit(info)}" if info.unit else ""


def _notes(made: Deliverability) -> str:
    if not made.notes:
        return ""
    return '<ul class="note">' + "".join(f"<li>{text(note)}.</li>" for note in made.notes) + "</ul>"
