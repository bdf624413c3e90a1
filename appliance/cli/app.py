"""All commands, in the order that `couchside --help` shows them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from appliance.cli import (
    accumulate,
    adapt,
    approve,
    attach,
    audit,
    cases,
    check,
    commission,
    contours,
    decisions,
    demo,
    doctor,
    dose,
    engines,
    evaluate,
    explain,
    guidelines,
    identity,
    import_openkbp,
    machines,
    navigate,
    notes,
    predict,
    preference,
    reirradiate,
    replan,
    revise,
    robustness,
    segment,
    serve,
    sessions,
    train,
    why,
)
from appliance.dicomio.files import software_version
from appliance.node import log_to_stderr

app = typer.Typer(
    name="couchside",
    help="Online adaptive radiotherapy beside the LINAC console. Research software, not for clinical use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"couchside {software_version()}\n")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options before the command. `serve` turns its log on itself."""
    log_to_stderr(as_json=False)


app.command("demo")(demo.demo)
app.command("cases")(cases.cases)
app.command("serve")(serve.serve)
app.command("replan")(replan.replan)
app.command("adapt")(adapt.adapt)
app.command("dose")(dose.dose)
app.command("predict")(predict.predict)
app.command("robustness")(robustness.robustness)
app.command("explain")(explain.explain)
app.command("navigate")(navigate.navigate)
app.command("check")(check.check)
app.command("reirradiate")(reirradiate.reirradiate)
app.command("accumulate")(accumulate.accumulate)
app.command("segment")(segment.segment)
app.command("evaluate")(evaluate.evaluate)
app.command("commission")(commission.commission)
app.command("import-openkbp")(import_openkbp.import_openkbp)
app.command("sessions")(sessions.sessions)
app.command("attach")(attach.attach)
app.command("revise")(revise.revise)
app.command("approve")(approve.approve)
app.command("reject")(decisions.reject)
app.command("choose-scheduled")(decisions.choose_scheduled)
app.command("stop")(decisions.stop)
app.command("retry")(decisions.retry)
app.command("why")(why.why)
app.command("notes")(notes.notes)
app.command("doctor")(doctor.doctor)
app.add_typer(identity.app, name="identity")
app.add_typer(audit.app, name="audit")
app.add_typer(contours.app, name="contours")
app.add_typer(engines.app, name="engines")
app.add_typer(guidelines.app, name="guidelines")
app.add_typer(machines.app, name="machines")
app.add_typer(preference.app, name="preference")
app.add_typer(train.app, name="train")
