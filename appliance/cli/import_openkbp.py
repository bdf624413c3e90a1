"""`couchside import-openkbp`: a packed OpenKBP patient as a DICOM study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.builtin import import_openkbp as write
from appliance.cli.options import AsJson
from appliance.cli.output import progress, result

Packed = Annotated[Path, typer.Argument(metavar="FILE", help="The packed patient (.npz).")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="New or empty folder for the DICOM files.")]


def import_openkbp(file: Packed, out: Folder, as_json: AsJson = False) -> None:
    """Write a packed OpenKBP patient as CT, RTSTRUCT and RTDOSE."""
    with progress("Importing") as tell:
        tell(file.name, 0.0)
        written = write(file, out)
    kinds = [source.modality for source in written]
    counted = {modality: kinds.count(modality) for modality in dict.fromkeys(kinds)}
    text = ", ".join(f"{count} {modality}" for modality, count in counted.items())
    result({"out": str(out), "written": dict(counted)}, f"Written to {out}: {text}", as_json=as_json)
