"""`couchside reirradiate`: an earlier course and today's dose, summed as EQD2 on today's image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import TypeAdapter
from rich.console import Group

from appliance.case import assemble, read_prior
from appliance.cli.attach import DaysSince, PriorFractions
from appliance.cli.options import AsJson
from appliance.cli.output import progress, result, table
from appliance.contracts import Case, GoalSet
from appliance.contracts.prior import CumulativeResult, PriorCourse, PriorMaterial
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import RESEARCH_NOTICE, save_durable, write_durable
from appliance.errors import ConfigError, IncompleteCase
from appliance.evaluation import choose_goal_set, goal_sets_for_site, goals_for_case, load_goal_set
from appliance.evaluation.reirradiation import assess_prior, cumulative_on_image
from appliance.inbound import dicom_files
from appliance.session_headless import read_case
from engines.registration import RigidTransform

SCHEMA = "couchside.reirradiation/1"
SHOWN_ALPHA_BETA_GY = 3.0
"""Of the RTDOSE to look at; organs are judged with their own (models/radiobiology)."""

PriorFolder = Annotated[Path, typer.Argument(metavar="PRIOR_DIR", help="CT, RTSTRUCT, RTDOSE of the earlier course.")]
TodayFolder = Annotated[Path, typer.Argument(metavar="TODAY_DIR", help="CT, RTSTRUCT, RTDOSE of today.")]
OutFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="The result (JSON) to write.")]
Goals = Annotated[Path | None, typer.Option("--goals", metavar="FILE", help="Goal file (TOML) whose limits count.")]
Site = Annotated[str, typer.Option("--site", metavar="SITE", help="Shipped goals: head-neck, prostate, c-shape, …")]
Fractions = Annotated[int, typer.Option("--fractions", metavar="N", min=0, help="Of today's course, over its RTPLAN.")]
CountRecovery = Annotated[
    bool, typer.Option("--count-recovery", help="Take off what is recovered since, where a source says how much.")
]
DoseFile = Annotated[Path | None, typer.Option("--rtdose", metavar="FILE", help="Also write the sum as RTDOSE.")]


def reirradiate(
    prior_dir: PriorFolder,
    today_dir: TodayFolder,
    out: OutFile,
    goals: Goals = None,
    site: Site = "",
    fractions: Fractions = 0,
    prior_fractions: PriorFractions = 0,
    days_since: DaysSince = None,
    count_recovery: CountRecovery = False,
    rtdose: DoseFile = None,
    as_json: AsJson = False,
) -> None:
    """Sum an earlier course with today's dose, as EQD2, against the limits on both together."""
    with progress("Re-irradiation") as tell:
        tell("reading", 0.0)
        received, _ = read_case(today_dir)
        case = assemble(received)
        dose_gy = _dose_of(case)
        goal_set = _goal_set(case, goals, site)
        earlier = read_prior(dicom_files(prior_dir), case, fractions=prior_fractions, days_since=days_since)
        tell("registering", 0.3)
        count = fractions or case.fractions
        course = assess_prior(case, dose_gy, count, earlier, goal_set=goal_set, count_recovery=count_recovery)
        tell("writing", 0.9)
        document = _document(course, goal_set)
        write_durable(json.dumps(document, indent=1).encode() + b"\n", out)
        if rtdose is not None:
            _write_dose(case, dose_gy, earlier, course, count, rtdose)
    result(document, _shown(course, out), as_json=as_json)


def _dose_of(case: Case) -> NDArray[np.float32]:
    if case.reference_dose_gy is None:
        said = next((note for note in case.notes if "dose" in note), "there is none in the folder")
        raise IncompleteCase(f"there is no dose on today's image ({said})", remedy="Put today's RTDOSE beside its CT")
    return case.reference_dose_gy


def _goal_set(case: Case, goals: Path | None, site: str) -> GoalSet:
    if goals is not None and site:
        raise ConfigError("--goals and --site say two different things; give one of them")
    if goals is not None:
        return goals_for_case(load_goal_set(goals), case)
    return goals_for_case(choose_goal_set(case, goal_sets_for_site(site) if site else None), case)


def _document(course: PriorCourse, goal_set: GoalSet) -> dict[str, object]:
    body = TypeAdapter(PriorCourse).dump_python(course, mode="json")
    return {"schema": SCHEMA, "not_for_clinical_use": True, "goal_set": goal_set.name, "prior_course": body}


def _write_dose(
    case: Case, dose_gy: NDArray[np.float32], earlier: PriorMaterial, course: PriorCourse, count: int, path: Path
) -> None:
    both_gy = cumulative_on_image(
        case,
        dose_gy,
        earlier,
        RigidTransform(np.asarray(course.to_prior)),
        fractions=(count, course.fractions),
        alpha_beta_gy=SHOWN_ALPHA_BETA_GY,
    )
    dataset = dose_dataset(
        case.image.grid,
        both_gy,
        identity=case.identity,
        frame_of_reference_uid=case.frame_of_reference_uid,
        plan=None,
        structure_set=case.structure_set,
    )
    # PS3.3 C.8.8.3: EFFECTIVE is dose corrected for biological effect, by a model that the comment names.
    dataset.DoseType = "EFFECTIVE"
    dataset.SeriesDescription = "Cumulative EQD2 of two courses"
    dataset.DoseComment = f"{RESEARCH_NOTICE}; sum of two courses as EQD2, alpha/beta {SHOWN_ALPHA_BETA_GY:g} Gy"
    save_durable(dataset, path)


def _shown(course: PriorCourse, out: Path) -> Group:
    quality = course.registration
    rows = [_row(item) for item in course.results]
    columns = ("structure", "cumulative EQD2", "limit", "both courses", "band", "")
    lines = [
        f"Registration ({quality.method}): similarity {quality.similarity:.2f}, overlap of the bodies "
        f"{quality.body_overlap:.2f}, outlines {quality.surface_mm:.1f} mm apart, "
        f"organs compared {quality.organs_compared}; uncertainty {quality.uncertainty_mm:.1f} mm",
        *(f"- {note}" for note in course.notes),
        f"{out}: written. Research software, not for clinical use.",
    ]
    return Group(table("Both courses together", columns, rows), *lines)


def _row(item: CumulativeResult) -> tuple[str, ...]:
    said = ("within" if item.met else "ABOVE") + ("" if item.certain else ", not certain")
    return (
        item.structure,
        f"{item.metric} (alpha/beta {item.alpha_beta_gy:g})",
        f"{item.comparator} {item.limit:.1f} {item.unit}",
        f"{item.value:.1f} {item.unit}",
        f"{item.low:.1f} to {item.high:.1f}",
        said,
    )
