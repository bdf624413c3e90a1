"""The section on today's anatomy: table shift, what was found, measured, and what changed beyond set-up."""

from __future__ import annotations

from appliance.contracts import Outcome
from appliance.contracts.anatomy import AnatomyReport, Measure, StructureChange, Verdict
from appliance.export.report_html import section, table, text
from appliance.export.report_image import TAGS

SIGNS = {Verdict.WITHIN: ("good", "✓"), Verdict.LOOK: ("bad", "!"), Verdict.STOP: ("bad", "✗")}


def anatomy_section(report: AnatomyReport) -> str:
    shift = report.table_shift
    kind, sign = SIGNS[report.verdict]
    dials = table(
        "Table shift that brings the plan’s isocentre to the machine’s (IEC 61217 table top, from where the image "
        "was taken)",
        ["#Lateral", "#Longitudinal", "#Vertical", "#Pitch", "#Roll", "#Yaw"],
        [
            [f"{value:+.1f} mm" for value in (shift.lateral_mm, shift.longitudinal_mm, shift.vertical_mm)]
            + [f"{value:+.1f}°" for value in (shift.pitch_deg, shift.roll_deg, shift.yaw_deg)]
        ],
    )
    found = "".join(
        f'<li><span class="tag {TAGS[one.outcome][0]}">{TAGS[one.outcome][1]} {one.outcome.value}</span> '
        f"{text(one.title)}: {text(one.evidence)}</li>"
        for one in report.findings
        if one.outcome is not Outcome.PASSED
    )
    found += "".join(f"<li>{text(note)}</li>" for note in report.notes)
    method = report.method or "none: contours were received, or moved rigidly"
    body = (
        f'<p><span class="tag {kind}">{sign} {report.verdict.value}</span> Deformable registration: {text(method)}. '
        f"Dose is computed on: {text(report.density.value)}.</p>{dials}<ul>{found}</ul>"
        f"{_measures(report.measures)}{_changes(report.changes)}"
    )
    return section("Today’s anatomy", body, anchor="anatomy")


def _measures(measures: tuple[Measure, ...]) -> str:
    if not measures:
        return ""
    rows = [
        [_name(one), _value(one), _level(one.look_at, one), _level(one.stop_at, one), _verdict(one)] for one in measures
    ]
    caption = "What was measured of the registration, with its action levels"
    return table(caption, ["Measure", "#Value", "#Look from", "#Stop from", "Verdict"], rows)


def _name(one: Measure) -> str:
    return text(f"{one.title}, {one.structure}" if one.structure else one.title)


def _value(one: Measure) -> str:
    return "–" if one.value is None else f"{one.value:.3g} {text(one.unit)}"


def _verdict(one: Measure) -> str:
    return f"{SIGNS[one.verdict][1]} {one.verdict.value}"


def _level(limit: float | None, one: Measure) -> str:
    return "–" if limit is None else f"{'≤' if one.is_low_bad else '≥'} {limit:g}"


def _changes(changes: tuple[StructureChange, ...]) -> str:
    if not changes:
        return ""
    rows = [
        [text(one.structure), text(one.origin), f"{one.reference_cc:.1f} cc", f"{one.today_cc:.1f} cc",
         " ".join(f"{value:+.1f}" for value in one.centroid_mm), f"{one.surface_95_mm:.1f} mm", f"{one.dice:.2f}",
         text("; ".join(one.flags))]
        for one in changes
    ]  # fmt: skip
    head = ["Structure", "Origin", "#Reference", "#Today", "#Shift x y z, mm", "#95 % distance", "#Dice", "Look at"]
    caption = "What changed beyond set-up: today against the reference laid on it by the table shift alone"
    return table(caption, head, rows)
