"""`couchside attach`: notes and an earlier course laid beside a patient's case, for the evaluation to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import AsJson, ConfigFile, StoreFolder, settings
from appliance.cli.output import result
from appliance.contracts import Attachments, PriorStated
from appliance.errors import ConfigError
from appliance.inbound import AttachmentShelf, dicom_files
from appliance.node import ask

Notes = Annotated[
    list[Path] | None,
    typer.Option("--notes", metavar="FILE", help="A clinical note or protocol (.txt, .md, .pdf); may be repeated."),
]
Prior = Annotated[
    Path | None,
    typer.Option("--prior", metavar="DIR", help="DICOM of an earlier course: its RTDOSE, CT and RTSTRUCT."),
]
PriorFractions = Annotated[
    int, typer.Option("--prior-fractions", metavar="N", min=0, help="Of the earlier course, over its RTPLAN.")
]
DaysSince = Annotated[
    float | None, typer.Option("--days-since", metavar="N", min=0, help="Days between the two courses.")
]
Clear = Annotated[bool, typer.Option("--clear", help="First take away what was attached before.")]
PatientId = Annotated[str, typer.Argument(metavar="PATIENT_ID", help="As the case's DICOM objects have it.")]
_ONE_FOLDER = "headless"


def attach(
    patient_id: PatientId,
    notes: Notes = None,
    prior: Prior = None,
    prior_fractions: PriorFractions = 0,
    days_since: DaysSince = None,
    clear: Clear = False,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Lay notes or an earlier course beside a patient's cases; `retry` makes a session of today read them."""
    if not notes and prior is None and not clear:
        raise ConfigError("there is nothing to attach; give --notes or --prior")
    earlier = () if prior is None else dicom_files(prior)
    request = {"command": "attach", "patient_id": patient_id, "clear": "yes" if clear else ""}
    paths = {"notes": [str(path.absolute()) for path in notes or ()], "prior": [str(p.absolute()) for p in earlier]}
    stated = {"prior_fractions": prior_fractions or None, "days_since": days_since}
    answer = ask(settings(config, store).node.store, dict(request) | dict(paths) | dict(stated))  # type: ignore[arg-type]
    said = f"The patient's next cases have {answer['notes']} notes and {answer['prior']} files of an earlier course"
    result(answer, said, as_json=as_json)


def attached(
    folder: Path, notes: list[Path] | None, prior: Path | None, stated: PriorStated | None = None
) -> Attachments:
    """The same for a case that is planned without a node, kept in `folder`. Raises RefusedInput."""
    if not notes and prior is None:
        return Attachments()
    earlier = () if prior is None else dicom_files(prior)
    return AttachmentShelf(folder).add(_ONE_FOLDER, notes or (), earlier, stated)
