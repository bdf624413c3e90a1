"""What the machine has to do: one row a beam, and a small beam's eye view of each segment."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from appliance.contracts import Beam, ControlPoint, Plan, PlanFacts
from appliance.export.report_html import section, table, text
from engines.layers import merged_rows

PICTURE_PIXELS = 86
LARGEST_COUNT = 24
"""Pictures shown of one beam (chosen); an arc has many more control points than anyone looks at."""


def beams_section(plan: Plan, facts: PlanFacts) -> str:
    """facts: of this plan, for seconds and complexity; a plan that is not whole has none."""
    columns = [
        "Beam",
        "Machine",
        "#Gantry",
        "#Collimator",
        "#Couch",
        "#MU",
        "#Segments",
        "#Seconds",
        "#Jaws X1 / X2",
        "#Jaws Y1 / Y2",
    ]
    seconds = facts.beam_seconds if len(facts.beam_seconds) == len(plan.beams) else (0.0,) * len(plan.beams)
    rows = [_row(beam, time_s) for beam, time_s in zip(plan.beams, seconds, strict=True)]
    caption = (
        f"IEC 61217 angles in degrees, jaws at the isocentre plane in mm, monitor units of one fraction "
        f"({plan.mu:.1f} in all)."
    )
    half_mm = _half_field_mm(plan)
    pictures = "".join(_apertures(beam, half_mm) for beam in plan.beams)
    return section(
        "Machine parameters",
        table(caption, columns, rows)
        + f'<p class="note">{_complexity(facts)}</p>'
        + "<h3>Segments in beam's eye view</h3>"
        + f'<p class="note">Seen from the source, gantry at its angle: IEC X to the right, Y upwards; each square is '
        f"{2 * half_mm:.0f} mm wide at the isocentre plane. Filled: open between the leaves. Frame: jaws. Cross: "
        f'central axis.</p><div class="beams">{pictures}</div>',
        anchor="beams",
    )


def _complexity(facts: PlanFacts) -> str:
    """What the plan asks of the machine, in figures that other plans can be compared with."""
    per_gy = f"{facts.mu_per_gy:.0f} MU per Gy of the highest prescription, " if facts.mu_per_gy else ""
    return text(
        f"Complexity: {per_gy}modulation complexity score {facts.mcs:.3f} (1: an open field; McNiven 2010, Masi 2013), "
        f"edge metric {facts.edge_per_mm:.3f} per mm (Younge 2012), modulation {facts.modulation:.2f} (Du 2014), mean "
        f"travel of moving leaves {facts.leaf_travel_mm:.0f} mm. Seconds are those of a machine that keeps its file's "
        "limits, from the first to the last control point, the gantry at rest before and after."
    )


def _row(beam: Beam, seconds: float) -> list[str]:
    return [
        f"{beam.number}. {text(beam.name)}",
        f"{text(beam.machine)}, {beam.energy_mv:g} MV{_mode(beam)}, {beam.dose_rate_mu_min:g} MU/min",
        _angles([point.gantry_deg for point in beam.control_points]),
        _angles([point.collimator_deg for point in beam.control_points]),
        _angles([point.couch_deg for point in beam.control_points]),
        f"{beam.mu:.1f}",
        str(len(beam.segments())),
        f"{seconds:.1f}" if seconds else "not known",
        _opening([(point.jaws.x1_mm, point.jaws.x2_mm) for point in beam.control_points]),
        _opening([(point.jaws.y1_mm, point.jaws.y2_mm) for point in beam.control_points]),
    ]


def _mode(beam: Beam) -> str:
    return "" if beam.fluence_mode.upper() in ("", "STANDARD") else f" {text(beam.fluence_mode)}"


def _angles(values: list[float]) -> str:
    """One angle, or from start to end where the beam moves."""
    first, last = values[0], values[-1]
    return f"{first:g}" if min(values) == max(values) else f"{first:g} to {last:g}"


def _opening(values: list[tuple[float, float]]) -> str:
    """The widest opening, marked where the jaws move."""
    low, high = min(one for one, _ in values), max(two for _, two in values)
    moving = "" if len(set(values)) == 1 else " (moving)"
    return f"{low:.0f} / {high:.0f}{moving}".replace("-", "−")


def _half_field_mm(plan: Plan) -> float:
    """Half the side of a square, to the next cm, that holds all jaw openings."""
    edges = [
        abs(edge)
        for beam in plan.beams
        for point in beam.control_points
        for edge in (point.jaws.x1_mm, point.jaws.x2_mm, point.jaws.y1_mm, point.jaws.y2_mm)
    ]
    return 10.0 * (int(max(edges, default=50.0) / 10.0) + 1)


def _apertures(beam: Beam, half_mm: float) -> str:
    segments = beam.segments()
    shown = segments[:LARGEST_COUNT]
    items = "".join(
        f"<li>{_picture(beam, point, half_mm, number)}{mu:.1f} MU</li>" for number, (mu, point) in enumerate(shown, 1)
    )
    left_out = f", the first {len(shown)} shown" if len(shown) < len(segments) else ""
    title = f"{beam.number}. {text(beam.name)}: gantry {beam.gantry_deg:g}°, {len(segments)} segments{left_out}"
    return f'<div><strong>{title}</strong><ul class="apertures">{items}</ul></div>'


def _picture(beam: Beam, point: ControlPoint, half_mm: float, number: int) -> str:
    """SVG in millimetres with Y upwards turned into rows downwards."""
    jaws = point.jaws
    frame = (
        f'<rect class="jaw" vector-effect="non-scaling-stroke" x="{jaws.x1_mm:.1f}" y="{-jaws.y2_mm:.1f}" '
        f'width="{max(jaws.x2_mm - jaws.x1_mm, 0):.1f}" height="{max(jaws.y2_mm - jaws.y1_mm, 0):.1f}"/>'
    )
    label = f"Segment {number} of beam {beam.number}"
    cross = '<path class="axis" vector-effect="non-scaling-stroke" d="M-4 0H4M0 -4V4"/>'
    return (
        f'<svg width="{PICTURE_PIXELS}" height="{PICTURE_PIXELS}" viewBox="{-half_mm:g} {-half_mm:g} {2 * half_mm:g} '
        f'{2 * half_mm:g}" role="img" aria-label="{label}"><path class="open" d="{_open_area(beam, point)}"/>'
        f"{frame}{cross}</svg>"
    )


def _open_area(beam: Beam, point: ControlPoint) -> str:
    """Path of the area open between leaves and jaws: one rectangle a leaf pair."""
    jaws = point.jaws
    path = []
    for low, high, a, b in _rows_mm(beam, point):
        across, along = ((low, high), (a, b)) if beam.leaf_axis == "X" else ((a, b), (low, high))
        y1, y2 = max(across[0], jaws.y1_mm), min(across[1], jaws.y2_mm)
        x1, x2 = max(along[0], jaws.x1_mm), min(along[1], jaws.x2_mm)
        if y2 > y1 and x2 > x1:
            path.append(f"M{x1:.1f} {-y2:.1f}H{x2:.1f}V{-y1:.1f}H{x1:.1f}Z")
    return "".join(path)


def _rows_mm(beam: Beam, point: ControlPoint) -> Iterator[tuple[float, float, float, float]]:
    """(lower border, upper border, tip of bank A, of bank B) of each row; of two layers what both leave open."""
    if not beam.leaf_boundaries_mm:
        yield point.jaws.y1_mm, point.jaws.y2_mm, point.jaws.x1_mm, point.jaws.x2_mm
    elif not beam.lower_boundaries_mm:
        pairs = zip(pairwise(beam.leaf_boundaries_mm), point.leaf_a_mm, point.leaf_b_mm, strict=True)
        yield from ((low, high, a, b) for (low, high), a, b in pairs)
    else:
        rows = merged_rows(beam.leaf_boundaries_mm, beam.lower_boundaries_mm)
        for (low, high), i, j in zip(pairwise(rows.boundaries_mm), rows.upper, rows.lower, strict=True):
            a, b = max(point.leaf_a_mm[i], point.lower_a_mm[j]), min(point.leaf_b_mm[i], point.lower_b_mm[j])
            yield float(low), float(high), a, b
