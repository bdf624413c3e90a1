"""Today's contours to look at before a plan is made on them: one HTML file without any outside resource.

Today's image with today's contours beside the reference, laid on it by the table shift alone, with the reference's:
what differs is what changed, or what the registration got wrong.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from appliance.contracts import Case
from appliance.contracts.anatomy import AnatomyReport, ReferenceToday
from appliance.dicomio.files import software_version, write_durable
from appliance.export.report import NOTICE, POLICY
from appliance.export.report_anatomy import anatomy_section
from appliance.export.report_html import Styles, section, text
from appliance.export.report_planes import DisplayVolume, Plane
from appliance.export.report_slices import box_of, contours, structures_key, view
from appliance.export.report_style import STYLE

AXIAL_COUNT = 8


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
