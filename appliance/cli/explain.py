"""`couchside explain`: why a plan's goals are missed, and the smallest change that would make them pass."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import TypeAdapter

from appliance.cli.options import AsJson, ConfigFile, Device, StoreFolder, settings, with_device
from appliance.cli.output import progress, result
from appliance.cli.question_page import write_answer
from appliance.cli.reviewed import Asked, FromFolder, OutFolder, reviewed
from appliance.contracts.explanation import Explanation
from appliance.export.report_explanations import explanations_section
from appliance.planning import select_device
from appliance.session_questions import explanations_of

Budget = Annotated[float, typer.Option("--budget-s", metavar="S", help="Seconds for all re-optimisations together.")]
Deliverable = Annotated[
    bool, typer.Option("--deliverable", help="Make a whole plan for each change that is claimed, beyond the budget.")
]


Structures = Annotated[
    list[str] | None, typer.Option("--structure", metavar="NAME", help="Only goals of this structure; may come again.")
]


def explain(
    session_or_dir: Asked,
    ct: FromFolder = None,
    out: OutFolder = None,
    structure: Structures = None,
    budget_s: Budget = 120.0,
    deliverable: Deliverable = False,
    device: Device = None,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Explain every goal that a plan misses or just keeps."""
    chosen = with_device(settings(config, store), device)
    select_device(chosen.planning.device)
    with progress("Explaining") as tell:
        tell("reading", 0.0)
        asked = reviewed(session_or_dir, ct, chosen)
        found = explanations_of(
            asked,
            chosen.planning,
            budget_s=budget_s,
            structures=tuple(structure or ()),
            deliverable=deliverable,
            progress=tell,
        )
    adapter = TypeAdapter(tuple[Explanation, ...])
    if out is not None:
        page = explanations_section(found)
        write_answer(out, "explanations", "Explanations", adapter.dump_json(found, indent=1), page)
    document = {"explanations": adapter.dump_python(found, mode="json"), "not_for_clinical_use": True}
    text = "\n\n".join(_lines(one) for one in found) or "Every goal is met with room; there is nothing to explain."
    result(document, text, as_json=as_json)


def _lines(one: Explanation) -> str:
    closing = [one.change.sentence] if one.change else [one.no_change] if one.no_change else []
    told = [
        *(f"  why: {reason.sentence}" for reason in one.reasons),
        *(f"  trade: {s.sentence}" for s in one.trade_offs),
    ]
    told += [f"  what would help: {sentence}" for sentence in closing]
    if one.solves:
        told.append(f"  ({one.solves} re-optimisations, {one.seconds:.0f} s)")
    return "\n".join([one.sentence, *told])
