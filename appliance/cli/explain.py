"""`couchside explain`: how a plan came about, why its goals are missed, and the smallest change that would make them
pass."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Group, RenderableType

from appliance.cli.options import AsJson, ConfigFile, Device, StoreFolder, settings, with_device
from appliance.cli.output import progress, result
from appliance.cli.question_page import write_answer
from appliance.cli.reviewed import Asked, FromFolder, OutFolder, reviewed
from appliance.cli.story_page import NONE, story_of, story_text, write_story
from appliance.config import Config
from appliance.contracts.explanation import Explanation
from appliance.errors import SessionError
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


_ADAPTER = TypeAdapter(tuple[Explanation, ...])


class Part(StrEnum):
    STORY = "story"
    GOALS = "goals"


Only = Annotated[
    Part | None, typer.Option("--only", metavar="PART", help="story or goals: that part alone; otherwise both.")
]


def explain(
    session_or_dir: Asked,
    only: Only = None,
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
    """Explain a plan: how it came about, and every goal that it misses or just keeps."""
    chosen = with_device(settings(config, store), device)
    document: dict[str, object] = {"not_for_clinical_use": True}
    shown: list[RenderableType] = []
    if only is not Part.GOALS:
        story = story_of(session_or_dir, chosen)
        if story is None and only is Part.STORY:
            raise SessionError(NONE)
        document["story"] = None if story is None else json.loads(story.to_json())
        shown += [story_text(story), ""]
        if story is not None and out is not None:
            write_story(out, story)
    if only is not Part.STORY:
        asked = _Question(session_or_dir, ct, tuple(structure or ()), budget_s, deliverable)
        found = _explained(asked, chosen)
        document["explanations"] = _ADAPTER.dump_python(found, mode="json")
        if out is not None:
            page = explanations_section(found)
            write_answer(out, "explanations", "Explanations", _ADAPTER.dump_json(found, indent=1), page)
        shown.append(
            "\n\n".join(_lines(one) for one in found) or "Every goal is met with room; there is nothing to explain."
        )
    result(document, shown[0] if only is Part.GOALS else Group(*shown), as_json=as_json)


@dataclass(frozen=True)
class _Question:
    """What is asked of the goals."""

    session_or_dir: str
    ct: Path | None
    structures: tuple[str, ...]
    budget_s: float
    deliverable: bool


def _explained(asked: _Question, config: Config) -> tuple[Explanation, ...]:
    select_device(config.planning.device)
    with progress("Explaining") as tell:
        tell("reading", 0.0)
        return explanations_of(
            reviewed(asked.session_or_dir, asked.ct, config),
            config.planning,
            budget_s=asked.budget_s,
            structures=asked.structures,
            deliverable=asked.deliverable,
            progress=tell,
        )


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
