"""`couchside segment`: what a segmentation network sees in a folder's image, beside its contours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Group

from appliance.case import assemble
from appliance.cli.options import AsJson
from appliance.cli.output import progress, result, table
from appliance.contracts import Outcome
from appliance.contracts.image_context import ImageContext, OrganAgreement
from appliance.dicomio.files import write_durable
from appliance.evaluation.image_context import image_context
from appliance.session_headless import read_case
from appliance.session_judgement import network_of

Folder = Annotated[Path, typer.Argument(metavar="DICOM_DIR", help="CT and RTSTRUCT of one case.")]
NetworkFile = Annotated[Path, typer.Option("--network", metavar="FILE", help="The network's TOML file.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="JSON file to write.")]


def segment(dicom_dir: Folder, network: NetworkFile, out: Out = None, as_json: AsJson = False) -> None:
    """Run a segmentation network (ONNX) on a case and compare it with the contours."""
    with progress("Segmenting") as tell:
        tell("reading", 0.0)
        chosen = network_of(network)
        received, _ = read_case(dicom_dir)
        case = assemble(received)
        tell("network", 0.2)
        seen = image_context(case, chosen)
    document: dict[str, Any] = TypeAdapter(ImageContext).dump_python(seen, mode="json")
    if out is not None:
        write_durable(json.dumps(document, indent=1).encode() + b"\n", out)
    columns = ("organ", "network cc", "contours cc", "Dice", "95 % distance mm")
    shown = table(f"{chosen.name}: {chosen.title}", columns, [_row(organ) for organ in seen.organs])
    found = [
        f"- {one.title}: {one.evidence}" if one.outcome is Outcome.FOUND else f"- {one.title}: {one.outcome.value}"
        for one in seen.findings
    ]
    result(document, Group(shown, *found), as_json=as_json)


def _row(organ: OrganAgreement) -> tuple[str, ...]:
    numbers = (organ.segmented_cc, organ.contoured_cc, organ.dice, organ.distance_95_mm)
    formats = ("{:.1f}", "{:.1f}", "{:.2f}", "{:.1f}")
    shown = ("–" if value is None else form.format(value) for value, form in zip(numbers, formats, strict=True))
    return (organ.structure, *shown)
