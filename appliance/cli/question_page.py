"""The answer to a reviewer's question as JSON and as one HTML page without any outside resource; it names no
patient."""

from __future__ import annotations

from pathlib import Path

from appliance.dicomio.files import software_version, write_durable
from appliance.errors import WriteFailed
from appliance.export.report import NOTICE, POLICY
from appliance.export.report_html import text
from appliance.export.report_style import STYLE


def write_answer(out: Path, name: str, title: str, document: bytes, body: str) -> None:
    """`out`/NAME.json and `out`/NAME.html. Raises DiskFull or WriteFailed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteFailed(f"{out} ({error.strerror})") from error
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(title)} · Couchside</title><style>{STYLE}</style></head><body>"
        f'<p class="research" role="note">{NOTICE}</p><main><h1>{text(title)}</h1>{body}</main>'
        f"<footer>Couchside {text(software_version())}. {NOTICE}</footer></body></html>\n"
    )
    write_durable(document + b"\n", out / f"{name}.json")
    write_durable(page.encode("utf-8"), out / f"{name}.html")
