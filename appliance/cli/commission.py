"""`couchside commission`: a beam model from measurements, judged."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from appliance.cli.options import AsJson
from appliance.cli.output import progress, result, table
from appliance.commissioning import (
    Commissioned,
    commission_beam,
    failed,
    load_tables,
    read_measurements,
    report,
    shown_worst,
    summary,
)
from appliance.dicomio.files import software_version
from appliance.errors import WriteFailed
from engines.photon.beam_model import save_beam_model

MISSED = 13
"""Exit code when a tolerance is missed."""

Folder = Annotated[
    Path, typer.Argument(metavar="MEASUREMENTS_DIR", help="Folder of beam.toml and the measured curves.")
]
OutFile = Annotated[Path, typer.Option("--out", metavar="MODEL", help="The beam model to write (.json).")]


def commission(measurements_dir: Folder, out: OutFile, as_json: AsJson = False) -> None:
    """Fit a beam model to measurements and judge it by AAPM MPPG 5.b."""
    measurements = read_measurements(measurements_dir)
    tables = load_tables(measurements.beam, measurements_dir)
    page = out.with_suffix(".html")
    with progress("Commission") as tell:
        made = commission_beam(measurements, tables, progress=tell)
    missed = failed(made.judged[0].table)
    provenance = {**made.model.provenance, "mppg_5b": {one.algorithm: summary(one) for one in made.judged}}
    try:
        save_beam_model(replace(made.model, provenance=provenance), out)
        page.write_text(
            report(measurements.beam, made.judged, made.facts, made.notes, f"Couchside {software_version()}"), "utf-8"
        )
    except OSError as error:
        raise WriteFailed(f"{out.name} ({error.strerror})") from error
    document = {
        "out": str(out),
        "report": str(page),
        "passed": not missed,
        "facts": made.facts,
        "notes": list(made.notes),
        "tables": {one.algorithm: [asdict(row) for row in one.table] for one in made.judged},
    }
    result(document, _shown(made, out, page), as_json=as_json)
    if missed:
        raise typer.Exit(MISSED)


def _shown(made: Commissioned, out: Path, page: Path) -> RenderableType:
    parts: list[RenderableType] = []
    for one in made.judged:
        rows = [
            (
                row.test,
                row.objective,
                row.region,
                f"{row.tolerance:g} {row.unit}" if row.unit else "",
                shown_worst(row),
                row.outcome.value,
                row.where,
            )
            for row in one.table
        ]
        columns = ("test", "what", "region", "tolerance", "worst", "outcome", "where")
        parts.append(table(f"AAPM MPPG 5.b, {one.algorithm}", columns, rows))
    parts += [f"{name}: {value}" for name, value in made.facts.items()]
    parts += [f"- {note}" for note in made.notes]
    parts.append(f"{out}, {page}")
    return Group(*parts)
