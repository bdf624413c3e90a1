"""`couchside check`: a plan and its dose, recalculated and looked at by every plan-integrity check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group

from appliance.checking import run_checks
from appliance.cli.check_material import Asked, gather
from appliance.cli.check_page import write_page
from appliance.cli.options import AlgorithmName, AsJson, ConfigFile, chosen_algorithm, settings
from appliance.cli.output import progress, result, table
from appliance.contracts import Finding, Outcome, SecondCheck
from appliance.planning import independent_of

SCHEMA = "couchside.check/1"
STOPPED = 12
"""Exit code where at least one check of severity 'stop' found something."""

PlanFile = Annotated[Path, typer.Argument(metavar="RTPLAN", help="The plan to check.")]
DoseFile = Annotated[Path, typer.Argument(metavar="RTDOSE", help="Its dose, as the planning system calculated it.")]
CtFolder = Annotated[
    Path, typer.Option("--ct", metavar="DIR", help="The CT it was planned on; RTSTRUCT and beam doses beside it count.")
]
Reference = Annotated[
    Path | None,
    typer.Option("--reference", metavar="RTPLAN", help="The approved plan that this one adapts: what changed?"),
]
Page = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write the result as a page.")]


def check(
    rtplan: PlanFile,
    rtdose: DoseFile,
    ct: CtFolder,
    reference: Reference = None,
    html: Page = None,
    algorithm: AlgorithmName = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check a plan: a second calculation by gamma, and its integrity; 12 if something must stop it."""
    planning = settings(config).planning
    second = independent_of("as received", planning.beam_model) or "pencil_beam"
    planning = planning.model_copy(update={"algorithm": chosen_algorithm(algorithm, second)})
    with progress("Check") as tell:
        material = gather(Asked(rtplan, rtdose, ct, reference), planning, tell)
        findings = run_checks(material)
    document = _document(findings, material.second)
    if html is not None:
        write_page(findings, material.second, html)
    rows = [(_mark(item), item.id, item.evidence) for item in findings if item.outcome is not Outcome.NOT_TESTED]
    skipped = [f"- not tested: {item.id}: {item.evidence}" for item in findings if item.outcome is Outcome.NOT_TESTED]
    shown = table("Plan checks", ("", "check", "evidence"), rows)
    result(document, Group(shown, *skipped, _last_line(findings)), as_json=as_json)
    if any(item.stops for item in findings):
        raise typer.Exit(STOPPED)


def _document(findings: Sequence[Finding], second: SecondCheck | None) -> dict[str, object]:
    stops, warns = sum(item.stops for item in findings), sum(item.warns for item in findings)
    return {
        "schema": SCHEMA,
        "not_for_clinical_use": True,
        "verdict": "stop" if stops else "warn" if warns else "clear",
        "stops": stops,
        "warnings": warns,
        "not_tested": sum(item.outcome is Outcome.NOT_TESTED for item in findings),
        "findings": [asdict(item) for item in findings],
        "second_check": None if second is None else asdict(second),
    }


def _mark(item: Finding) -> str:
    return "STOP" if item.stops else "warn" if item.warns else "ok"


def _last_line(findings: Sequence[Finding]) -> str:
    stops, warns = sum(item.stops for item in findings), sum(item.warns for item in findings)
    skipped = sum(item.outcome is Outcome.NOT_TESTED for item in findings)
    return (
        f"{len(findings)} checks: {stops} to stop for, {warns} to look at, {skipped} not tested. Research software, "
        "not for clinical use."
    )
