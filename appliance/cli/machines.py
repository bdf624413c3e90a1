"""`couchside machines`: the machine files, and what each of their figures rests on."""

from __future__ import annotations

from typing import Annotated

import typer

from appliance.cli.options import AsJson
from appliance.cli.output import result, table
from appliance.planning import load_machine, machine_names
from appliance.planning.machine_listing import collimator_words, rows_of

app = typer.Typer(help="Machine files: what each treatment machine can do.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A shipped machine, or the path of a machine file.")]


@app.command("list")
def list_machines(as_json: AsJson = False) -> None:
    """List the shipped machines."""
    listed, shown = [], []
    for name in machine_names():
        machine = load_machine(name)
        unconfirmed, figures = machine.unconfirmed, len(rows_of(machine))
        listed.append(
            {
                "name": name,
                "title": machine.title,
                "treatment_machine": machine.treatment_machine,
                "collimator": collimator_words(machine),
                "figures": figures,
                "unconfirmed": list(unconfirmed),
            }
        )
        shown.append((name, machine.title, collimator_words(machine), f"{len(unconfirmed)} of {figures}"))
    columns = ("machine", "what it is", "collimator", "unconfirmed figures")
    result({"machines": listed}, table("Machines", columns, shown), as_json=as_json)


@app.command("show")
def show_machine(name: Name, as_json: AsJson = False) -> None:
    """Every figure of a machine with its source; what nobody has confirmed is marked."""
    machine = load_machine(name)
    rows = rows_of(machine)
    document = {
        "name": machine.name,
        "title": machine.title,
        "treatment_machine": machine.treatment_machine,
        "figures": [
            {"figure": row.figure, "value": row.value, "source": row.source, "unconfirmed": row.unconfirmed}
            for row in rows
        ],
    }
    shown = [(row.figure, row.value, ("? " if row.unconfirmed else "") + row.source) for row in rows]
    result(document, table(f"{machine.name}: {machine.title}", ("figure", "value", "source"), shown), as_json=as_json)
