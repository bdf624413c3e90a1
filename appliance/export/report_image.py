"""The section on what a segmentation network sees in the image beside the contours."""

from __future__ import annotations

from appliance.contracts import Outcome
from appliance.contracts.image_context import ImageContext, OrganAgreement
from appliance.export.report_html import section, table, text

TAGS = {Outcome.PASSED: ("good", "✓"), Outcome.FOUND: ("bad", "✗"), Outcome.NOT_TESTED: ("", "–")}


def image_section(seen: ImageContext) -> str:
    """Findings first; organs with what network and contours say of each."""
    items = "".join(
        f'<li><span class="tag {TAGS[one.outcome][0]}">{TAGS[one.outcome][1]} {one.outcome.value}</span> '
        f"{text(one.title)}: {text(one.evidence)}</li>"
        for one in seen.findings
    )
    body = f"<ul>{items}</ul>"
    if seen.organs:
        caption = (
            f"Network {text(seen.network)}, weights <code>{text(seen.sha256[:16])}</code>, on today's image. A network "
            "is no reference: look at what differs. Distance: the larger of both directions' 95th percentile between "
            "the surfaces. † only between the first and last contoured slice."
        )
        columns = ["Organ", "#Network", "#Contours", "#Dice", "#95 % distance"]
        body += table(caption, columns, [_row(organ) for organ in seen.organs])
    return section("Image beside contours", body, anchor="image")


def _row(organ: OrganAgreement) -> list[str]:
    return [
        text(organ.structure) + (" †" if organ.within_slices else ""),
        f"{organ.segmented_cc:.1f} cc",
        "none" if organ.contoured_cc is None else f"{organ.contoured_cc:.1f} cc",
        "–" if organ.dice is None else f"{organ.dice:.2f}",
        "–" if organ.distance_95_mm is None else f"{organ.distance_95_mm:.1f} mm",
    ]
