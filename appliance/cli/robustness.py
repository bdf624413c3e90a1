"""`couchside robustness`: how a plan's goals stand when the patient lies elsewhere, the dose is off or a border is."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Group

from appliance.cli.options import AsJson, ConfigFile, Device, StoreFolder, settings, with_device
from appliance.cli.output import progress, result, table
from appliance.cli.question_page import write_answer
from appliance.cli.reviewed import Asked, FromFolder, OutFolder, reviewed
from appliance.contracts.robustness import ErrorModel, GoalRobustness, Motion, Robustness
from appliance.errors import ConfigError
from appliance.export.report_robustness import robustness_section
from appliance.planning import select_device
from appliance.session_questions import robustness_of

Shift = Annotated[float, typer.Option("--shift-mm", metavar="MM", help="Size of shifts; 0: 2.5 standard deviations.")]
Turn = Annotated[float, typer.Option("--turn-deg", metavar="DEG", help="Size of turns; 0: 2.5 standard deviations.")]
Systematic = Annotated[
    float, typer.Option("--systematic-mm", metavar="MM", help="Standard deviation of systematic set-up errors.")
]
Random = Annotated[float, typer.Option("--random-mm", metavar="MM", help="Standard deviation of random set-up errors.")]
Moves = Annotated[
    list[str] | None,
    typer.Option("--motion", metavar="NAME:X,Y,Z", help="Range of motion of a structure, mm to either side (LPS)."),
]


def robustness(
    session_or_dir: Asked,
    ct: FromFolder = None,
    out: OutFolder = None,
    shift_mm: Shift = 0.0,
    turn_deg: Turn = 0.0,
    systematic_mm: Systematic = 1.0,
    random_mm: Random = 1.0,
    motion: Moves = None,
    device: Device = None,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Calculate a plan's goals in displaced patients, and the chance of each to be met."""
    errors = ErrorModel(
        systematic_mm=(systematic_mm,) * 3,
        random_mm=(random_mm,) * 3,
        shift_mm=shift_mm,
        turn_deg=turn_deg,
        motions=tuple(_motion(one) for one in motion or ()),
    )
    chosen = with_device(settings(config, store), device)
    select_device(chosen.planning.device)
    with progress("Robustness") as tell:
        tell("reading", 0.0)
        found = robustness_of(reviewed(session_or_dir, ct, chosen), chosen.planning, errors, tell)
    adapter = TypeAdapter(Robustness)
    if out is not None:
        write_answer(out, "robustness", "Robustness", adapter.dump_json(found, indent=1), robustness_section(found))
    columns = ("structure", "goal", "plan", "worst", "where", "expected", "chance to be met")
    shown = table(f"{len(found.scenarios)} scenarios", columns, [_row(goal) for goal in found.goals])
    notes = [f"- {note}" for note in (found.method, *found.notes)]
    result(adapter.dump_python(found, mode="json"), Group(shown, *notes), as_json=as_json)


def _row(goal: GoalRobustness) -> tuple[str, ...]:
    return (
        goal.structure + (" (asked beside the PTV)" if goal.added else ""),
        f"{goal.metric} {goal.comparator} {goal.limit:g} {goal.unit}",
        f"{goal.nominal:.2f}",
        f"{goal.worst:.2f}",
        goal.worst_scenario,
        f"{goal.expected:.2f} ± {goal.deviation:.2f}",
        f"{100 * goal.chance_met:.0f} % ({100 * goal.chance_low:.0f} to {100 * goal.chance_high:.0f})",
    )


def _motion(text: str) -> Motion:
    """Raises ConfigError for anything but NAME:X,Y,Z."""
    name, colon, numbers = text.rpartition(":")
    try:
        x, y, z = (float(number) for number in numbers.split(","))
    except ValueError as error:
        raise ConfigError(f"'{text}' is no range of motion; write NAME:X,Y,Z in mm, such as CTV:0,0,5") from error
    if not colon or not name:
        raise ConfigError(f"'{text}' names no structure; write NAME:X,Y,Z in mm, such as CTV:0,0,5")
    return Motion(name, (x, y, z))
