"""The second, independent calculation in the report: whether it agrees, by how much, and where it does not."""

from __future__ import annotations

from appliance.contracts import SecondCheck
from appliance.contracts.dose import AS_RECEIVED
from appliance.export.report_html import section, short, table, text

TITLE, ANCHOR = "Second calculation", "second-check"
NOT_AGREED = "Approval asks for a reason that is signed and kept."


def second_section(check: SecondCheck | None) -> str:
    if check is None:
        return section(TITLE, f'<p class="note">No second calculation was made. {NOT_AGREED}</p>', anchor=ANCHOR)
    sentences = "".join(f"<li>{text(sentence)}</li>" for sentence in check.sentences)
    tag = '<span class="tag good">✓ agrees</span>' if check.agrees else '<span class="tag bad">✗ does not agree</span>'
    body = f"<p>{tag}{'' if check.agrees else f' {NOT_AGREED}'}</p><ul>{sentences}</ul>"
    return section(TITLE, body + (_figures(check) if check.available else ""), anchor=ANCHOR)


def _figures(check: SecondCheck) -> str:
    both = "the second calculated by Couchside" if check.primary == AS_RECEIVED else "both calculated by Couchside"
    kept = f" ({text(check.secondary_file)})" if check.secondary_file else ""
    caption = (
        f"The plan's dose ({text(check.primary)}) against {text(check.secondary)} {short(check.secondary_digest)}"
        f"{kept}, {both}. Gamma {text(check.gamma_criteria)}: {check.gamma_pass_percent:.1f} % "
        f"of {check.gamma_points} points pass, mean {check.gamma_mean:.2f}. For each structure the one of D2%, D50%, "
        "D98% and mean that differs most."
    )
    rows = [
        [
            text(item.structure),
            text(item.metric),
            f"{item.primary_gy:.2f} Gy",
            f"{item.secondary_gy:.2f} Gy",
            f"{item.difference_gy:+.2f} Gy".replace("-", "−"),
        ]
        for item in check.structures
    ]
    shown = table(caption, ["Structure", "Metric", "#This plan", "#Second calculation", "#Difference"], rows)
    return shown + (_beams(check) if check.beams else "")


def _beams(check: SecondCheck) -> str:
    x, y, z = check.point_mm
    caption = (
        f"Dose of each beam at the check point (LPS {x:.1f}, {y:.1f}, {z:.1f} mm), whole course. Differences are "
        "percent of the dose of all beams there."
    )
    rows = [
        [
            str(beam.beam),
            f"{beam.primary_gy:.3f} Gy",
            f"{beam.secondary_gy:.3f} Gy",
            f"{beam.difference_percent:+.1f} %".replace("-", "−"),
        ]
        for beam in check.beams
    ]
    return table(caption, ["Beam", "#This plan", "#Second calculation", "#Difference"], rows)
