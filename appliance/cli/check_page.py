"""The result of `couchside check` as one HTML page without any outside resource; it names no patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.contracts import Finding, Outcome, SecondCheck
from appliance.dicomio.files import software_version, write_durable
from appliance.export.report import NOTICE, POLICY
from appliance.export.report_html import section, table, text
from appliance.export.report_second import second_section
from appliance.export.report_style import STYLE


def write_page(findings: Sequence[Finding], second: SecondCheck | None, path: Path) -> None:
    """Raises DiskFull or WriteFailed."""
    rows = [
        [
            f"<code>{text(item.id)}</code>",
            text(item.title),
            _tag(item),
            text(item.evidence),
            text(item.source),
        ]
        for item in sorted(findings, key=lambda item: (not item.stops, not item.warns))
    ]
    caption = "What must stop the plan first, then what to look at. 'Not tested' says why."
    listed = table(caption, ["Check", "What", "Result", "Evidence", "Asked for by"], rows)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Plan check · Couchside</title><style>{STYLE}</style></head><body>"
        f'<p class="research" role="note">{NOTICE}</p><main><h1>Plan check</h1>{second_section(second)}'
        f"{section('Plan integrity', listed, anchor='integrity')}</main>"
        f"<footer>Couchside {text(software_version())}. {NOTICE}</footer></body></html>\n"
    )
    write_durable(page.encode("utf-8"), path)


def _tag(item: Finding) -> str:
    if item.outcome is Outcome.NOT_TESTED:
        return '<span class="tag">not tested</span>'
    if item.outcome is Outcome.PASSED:
        return '<span class="tag good">✓ passed</span>'
    return f'<span class="tag bad">✗ {text(item.severity.value)}</span>'
