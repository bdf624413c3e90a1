"""Today's anatomy on a terminal: the table shift, what was measured, and what changed."""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from appliance.cli.output import table
from appliance.contracts.anatomy import AnatomyReport

ANATOMY_FILE = "anatomy.json"


def anatomy_tables(out: Path) -> list[RenderableType]:
    """Nothing where today's anatomy was not found by us."""
    path = out / ANATOMY_FILE
    if not path.exists():
        return []
    report = AnatomyReport.from_json(path.read_bytes())
    shift = report.table_shift
    line = (
        f"Table shift (IEC 61217): lateral {shift.lateral_mm:+.1f}, longitudinal {shift.longitudinal_mm:+.1f}, "
        f"vertical {shift.vertical_mm:+.1f} mm; pitch {shift.pitch_deg:+.1f}, roll {shift.roll_deg:+.1f}, yaw "
        f"{shift.yaw_deg:+.1f} degrees. Today's anatomy: {report.verdict.value}. Dose on: {report.density.value}"
    )
    columns = ("structure", "origin", "volume cc", "change", "shift mm", "95 % distance mm", "Dice")
    rows = [
        (
            change.structure,
            change.origin,
            f"{change.today_cc:.1f}",
            f"{100 * (change.today_cc / change.reference_cc - 1):+.0f} %" if change.reference_cc else "–",
            " ".join(f"{value:+.1f}" for value in change.centroid_mm),
            f"{change.surface_95_mm:.1f}",
            f"{change.dice:.2f}",
        )
        for change in report.changes
    ]
    measured = [
        (
            one.title,
            one.structure,
            "–" if one.value is None else f"{one.value:.3g} {one.unit}".rstrip(),
            one.verdict.value,
        )
        for one in report.measures
    ]
    shown: list[RenderableType] = [Text(line), *(Text(f"- {note}") for note in report.notes)]
    if measured:
        shown.append(table("Registration", ("measure", "structure", "value", "verdict"), measured))
    if rows:
        shown.append(table("What changed beyond set-up", columns, rows))
    return shown
