"""`couchside accumulate`: what delivered fractions gave together, on one anatomy."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Group

from appliance.cli.options import AsJson
from appliance.cli.output import progress, result, table
from appliance.cli.question_page import write_answer
from appliance.contracts import GoalSet
from appliance.contracts.accumulation import AccumulatedFigure, Fraction
from appliance.errors import ConfigError
from appliance.evaluation import goals_for_case, load_goal_set
from appliance.export.report_accumulation import accumulation_sections
from appliance.session_accumulate import (
    GENERAL_ALPHA_BETA_GY,
    TARGET_ALPHA_BETA_GY,
    UNCERTAINTY_MM,
    Asked,
    Course,
    Ratios,
    accumulate_course,
    write_doses,
)
from appliance.session_register import placed_from_images

SCHEMA = "couchside.accumulation/1"
TITLE = "Accumulated dose"

Reference = Annotated[
    Path, typer.Argument(metavar="REFERENCE_DIR", help="Anatomy to add up on: CT, RTSTRUCT, RTPLAN, RTDOSE.")
]
Fractions = Annotated[
    list[Path],
    typer.Argument(
        metavar="FRACTION_DIR...", help="One for each image treated on: image, RTSTRUCT, RTPLAN, RTDOSE, registration."
    ),
]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Doses, page and JSON go here.")]
Goals = Annotated[
    Path | None,
    typer.Option("--goals", metavar="FILE", help="Goals (TOML) of the whole course: adjusted for the fractions left."),
]
Counts = Annotated[
    str, typer.Option("--delivered", metavar="N,N,...", help="Fractions that each folder stands for. One each.")
]
Uncertainty = Annotated[
    float, typer.Option("--uncertainty-mm", metavar="MM", min=0, help="Of registration objects, which state none.")
]
AlphaBetaGy = Annotated[
    float, typer.Option("--alpha-beta", metavar="GY", min=0.1, help="Of organs without a source of their own.")
]
RegisterImages = Annotated[bool, typer.Option("--register", help="Register images that no registration object places.")]
TargetAlphaBetaGy = Annotated[float, typer.Option("--target-alpha-beta", metavar="GY", min=0.1, help="Of targets.")]


def accumulate(
    reference_dir: Reference,
    fraction_dirs: Fractions,
    out: OutFolder,
    goals: Goals = None,
    delivered: Counts = "",
    uncertainty_mm: Uncertainty = UNCERTAINTY_MM,
    alpha_beta: AlphaBetaGy = GENERAL_ALPHA_BETA_GY,
    target_alpha_beta: TargetAlphaBetaGy = TARGET_ALPHA_BETA_GY,
    register: RegisterImages = False,
    as_json: AsJson = False,
) -> None:
    """Add up what fractions gave, on one anatomy: physical dose and EQD2, with the band of the registrations."""
    if not all(math.isfinite(value) for value in (uncertainty_mm, alpha_beta, target_alpha_beta)):
        raise ConfigError("the uncertainty and the values of alpha/beta must be finite numbers")
    asked = Asked(_counts(delivered), uncertainty_mm, Ratios(alpha_beta, target_alpha_beta))
    with progress("Accumulation") as tell:
        how = placed_from_images if register else None
        course = accumulate_course(reference_dir, fraction_dirs, asked, tell, register=how)
        remaining = None
        if goals is not None:
            remaining = course.remaining(goals_for_case(load_goal_set(goals), course.case))
        tell("writing", 0.9)
        written = write_doses(course, out)
        document = _document(course, remaining)
        page = accumulation_sections(course.case, course.dose, course.fractions, remaining)
        write_answer(out, "accumulation", TITLE, json.dumps(document, indent=1).encode(), page)
    files = [*written, out / "accumulation.json", out / "accumulation.html"]
    result(document, _shown(course, remaining, files), as_json=as_json)


def _counts(delivered: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in delivered.split(",")) if delivered else ()
    except ValueError:
        found = (0,)
    if any(count < 1 for count in found):
        raise ConfigError("--delivered takes numbers of fractions, such as 1,3,1")
    return found


def _document(course: Course, remaining: GoalSet | None) -> dict[str, object]:
    dose = course.dose
    return {
        "schema": SCHEMA,
        "not_for_clinical_use": True,
        "case_digest": course.case.digest,
        "delivered": dose.delivered,
        "planned": dose.planned,
        "fractions": [_fraction(item) for item in course.fractions],
        "figures": TypeAdapter(tuple[AccumulatedFigure, ...]).dump_python(dose.figures, mode="json"),
        "remaining_goals": None if remaining is None else TypeAdapter(GoalSet).dump_python(remaining, mode="json"),
        "notes": list(dose.notes),
    }


def _fraction(item: Fraction) -> dict[str, object]:
    return {
        "date": item.date,
        "delivered": item.delivered.count,
        "plan_digest": item.plan_digest,
        "dose_sha256": item.dose.sha256,
        "registered_by": item.origin,
        "uncertainty_mm": item.delivered.uncertainty_mm,
    }


def _shown(course: Course, remaining: GoalSet | None, files: list[Path]) -> Group:
    rows = [
        (
            item.structure,
            item.metric,
            "" if item.planned is None else f"{item.planned:.2f}",
            f"{item.value:.2f} {item.unit}",
            f"{item.low:.2f} to {item.high:.2f} ({item.low_independent:.2f} to {item.high_independent:.2f})",
        )
        for item in course.dose.figures
        if item.quantity == "physical"
    ]
    lines = [f"- {note}" for note in course.dose.notes]
    if remaining is not None:
        lines += ["Goals of the fractions that are left:", *(f"- {note}" for note in remaining.notes)]
    lines += [*(f"{path}: written." for path in files), "Research software, not for clinical use."]
    title = f"{course.dose.delivered} fractions, physical dose (EQD2 is in the files)"
    return Group(table(title, ("structure", "metric", "planned", "accumulated", "band"), rows), *lines)
