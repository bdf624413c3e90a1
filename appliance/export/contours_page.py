"""Today's contours to look at before a plan is made on them: one HTML file without any outside resource.

Today's image with today's contours beside the reference, laid on it by the table shift alone, with the reference's:
what differs is what changed, or what the registration got wrong.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from appliance.contracts import Case, Outcome
from appliance.contracts.anatomy import AnatomyReport, Measure, ReferenceToday, StructureChange, Verdict
from appliance.dicomio.files import software_version, write_durable
from appliance.export.report import NOTICE, POLICY
from appliance.export.report_html import Styles, section, table, text
from appliance.export.report_image import TAGS
from appliance.export.report_planes import DisplayVolume, Plane
from appliance.export.report_slices import box_of, contours, structures_key, view
from appliance.export.report_style import STYLE

AXIAL_COUNT = 8
SIGNS = {Verdict.WITHIN: ("good", "✓"), Verdict.LOOK: ("bad", "!"), Verdict.STOP: ("bad", "✗")}


def write_contours_page(case: Case, report: AnatomyReport, reference: ReferenceToday, path: Path) -> None:
    """Raises DiskFull or WriteFailed."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    who = f"{text(case.identity.patient_name)} ({text(case.identity.patient_id)})"
    body = (
        f'<p class="research" role="note">{NOTICE}</p><header><h1>Today’s contours</h1><p>{who}</p></header><main>'
        f"{anatomy_section(report)}{_views(case, reference)}</main>"
        f"<footer>Couchside {text(software_version())}, {made}. {NOTICE}</footer>"
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Today’s contours · Couchside</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )
    write_durable(page.encode("utf-8"), path)


def anatomy_section(report: AnatomyReport) -> str:
    """Table shift, findings, measures and changes; also part of a plan's report."""
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


def _views(case: Case, reference: ReferenceToday) -> str:
    middle = _middle_mm(case)
    before = replace(case, image=reference.image, structures=(case.external, *reference.structures))
    today, then = DisplayVolume(case, None, middle), DisplayVolume(before, None, middle)
    styles, body = Styles.of(case), case.external.tg263
    pairs = list(zip(today.through_isocentre(), then.through_isocentre(), strict=True))
    pairs += [(plane, then.plane_at(plane)) for plane in today.axial_series(AXIAL_COUNT)]

    def shown(plane: Plane, other: Plane) -> str:
        box = box_of(plane, body)
        left = view(plane, box, contours(plane, styles), "Contours of today", what="Today")
        right = view(other, box, contours(other, styles), "Contours of the reference", what="Reference, shifted")
        return f'<div class="views pair">{left}{right}</div>'

    pictures = "".join(shown(plane, other) for plane, other in pairs)
    return section("Both days beside each other", f"{structures_key(case, styles)}{pictures}", anchor="both")


def _middle_mm(case: Case) -> tuple[float, float, float]:
    regions = [target.voxels for target in case.targets if not target.voxels.empty] or [case.external.voxels]
    points = np.concatenate([case.image.grid.centres_mm(region.index) for region in regions])
    x, y, z = points.mean(axis=0).tolist()
    return x, y, z
