"""`couchside why`: what a limit rests on, with its source."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from appliance.case.nomenclature import lookup
from appliance.cli.options import AsJson
from appliance.cli.output import result
from appliance.contracts.passage import GoalAsked, PassageAnswer, PassageMatch
from appliance.errors import RefusedGoals
from appliance.evaluation.retrieval import open_library, parse_goal

Question = Annotated[str, typer.Argument(metavar="QUESTION", help="In plain words, in quotes.")]
Goal = Annotated[
    str,
    typer.Option("--goal", metavar="GOAL", help="A goal instead, such as 'Parotid_L Mean' or 'Rectum V70Gy <= 20 %'."),
]
First = Annotated[int, typer.Option("--first", metavar="N", min=1, max=20, help="How many passages to show.")]


def why(question: Question = "", goal: Goal = "", first: First = 3, as_json: AsJson = False) -> None:
    """Why a limit is what it is: passages with their sources, for a question or for a goal."""
    if bool(question) == bool(goal):
        raise RefusedGoals("ask either a question or, with --goal, about a goal")
    library = open_library()
    answer = (
        library.ask_goal(_by_inside_name(parse_goal(goal)), first=first) if goal else library.ask(question, first=first)
    )
    result(asdict(answer), _shown(answer), as_json=as_json)


def _by_inside_name(asked: GoalAsked) -> GoalAsked:
    """'Left parotid' and 'parotis_l' are asked for as they are in a case: by the TG-263 name."""
    known = lookup(asked.structure)
    return GoalAsked(
        known.tg263 if known else asked.structure, asked.metric, asked.comparator, asked.limit, asked.fractions
    )


def _shown(answer: PassageAnswer) -> str:
    lines = [f"Note: {note}." for note in answer.notes]
    for number, match in enumerate(answer.matches, 1):
        lines += ["", *_passage(number, match)]
    return "\n".join(lines).strip()


def _passage(number: int, match: PassageMatch) -> list[str]:
    passage = match.passage
    limits = "; ".join(str(limit) for limit in passage.limits)
    doubt = "  Its numbers were not confirmed in the source itself."
    return [
        f"{number}. {passage.title} [{passage.id}]",
        f"   {passage.text}",
        *([f"   Limits: {limits}"] if limits else []),
        f"   Source: {passage.citation}",
        f"   {passage.address}" + (doubt if passage.approximate else ""),
    ]
