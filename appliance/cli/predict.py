"""`couchside predict`: the dose that a good plan would reach, before there is a plan."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Group

from appliance.approval import IdentityStore
from appliance.cli.options import AsJson, ConfigFile, Device, settings, with_device
from appliance.cli.output import progress, result, table
from appliance.cli.replan import Goals, Site, with_goals
from appliance.contracts import Attachments, GoalSet, PredictedDose, PredictedJudgement, Prediction
from appliance.dicomio.files import save_durable, write_durable
from appliance.dicomio.predicted_dose import PREDICTED_MARK, predicted_dose_dataset
from appliance.errors import ConfigError, NotPredicted
from appliance.evaluation import judge_predicted
from appliance.execution import Foreseen
from appliance.session_guide import foreseen_goals
from appliance.session_headless import read_case
from appliance.session_wiring import real_stages
from appliance.session_work import prescribed

Folder = Annotated[Path, typer.Argument(metavar="DICOM_DIR", help="CT and RTSTRUCT of one case, perhaps RTPLAN.")]
OutFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="The RTDOSE to write, marked as a prediction.")]
Uncertainty = Annotated[
    Path | None,
    typer.Option("--uncertainty", metavar="FILE", help="Another RTDOSE: half the width of the 80 % interval."),
]


def predict(
    dicom_dir: Folder,
    out: OutFile,
    uncertainty: Uncertainty = None,
    goals: Goals = None,
    site: Site = "",
    device: Device = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Predict the dose of a good plan; the file says that nobody calculated it and nobody may treat by it."""
    if uncertainty is not None and uncertainty.absolute() == out.absolute():
        raise ConfigError("--out and --uncertainty name the same file; give two")
    chosen = with_device(with_goals(settings(config), goals, site), device)
    since = time.monotonic()
    with progress("Predicting") as tell, tempfile.TemporaryDirectory(prefix="couchside-") as scratch:
        tell("reading", 0.0)
        received, remarks = read_case(dicom_dir)
        stages = real_stages(chosen, IdentityStore(Path(scratch) / "identities"), Attachments())
        case = stages.assemble(received)
        goal_file = Path(scratch) / "goals.toml"
        write_durable(stages.choose_goals(case), goal_file)
        goal_set = stages.goals_for_case(goal_file, case)
        case = prescribed(case, goal_set)
        prediction = stages.predict(case, goal_set, tell)
        predicted = _dose_of(prediction)
        judged = judge_predicted(case, goal_set, predicted)
        sure = _intervals(goal_set, foreseen_goals(case, goal_set, predicted))
        tell("writing", 0.95)
        save_durable(predicted_dose_dataset(case, predicted), out)
        if uncertainty is not None:
            save_durable(predicted_dose_dataset(case, predicted, "half width"), uncertainty)
    notes = [*remarks, *case.notes, *goal_set.notes, *prediction.notes]
    document = _document(prediction, predicted, judged, goal_set, notes)
    document["goals"] = [
        goal | _told(sure.get(one.key)) for goal, one in zip(document["goals"], judged.goals, strict=True)
    ]
    document |= {"out": str(out), "uncertainty": None if uncertainty is None else str(uncertainty)}
    document["seconds"]["in all"] = round(time.monotonic() - since, 3)
    lines = [*(f"! {text}" for text in predicted.warnings), *(f"- {text}" for text in notes)]
    lines.append(f"{out}: {PREDICTED_MARK}; {predicted.dose_gy.max():.2f} Gy at most, by {predicted.model}")
    result(document, Group(_table(judged, sure), *lines), as_json=as_json)


def _dose_of(prediction: Prediction) -> PredictedDose:
    if prediction.dose is None:
        raise NotPredicted(" ".join(prediction.reasons))
    return prediction.dose


def _document(
    prediction: Prediction, predicted: PredictedDose, judged: PredictedJudgement, goal_set: GoalSet, notes: list[str]
) -> dict[str, Any]:
    goals = TypeAdapter(PredictedJudgement).dump_python(judged, mode="json")
    return {
        "label": judged.label,
        "model": predicted.model,
        "model_sha256": predicted.model_sha256,
        "goal_set": goal_set.name,
        "goals": goals["goals"],
        "goals_met": sum(goal.met for goal in judged.goals),
        "maximum_gy": float(predicted.dose_gy.max()),
        "half_width_80_gy": _largest_and_mean(predicted),
        "warnings": list(predicted.warnings),
        "notes": notes,
        "seconds": {name: round(seconds, 3) for name, seconds in prediction.seconds.items()},
    }


def _largest_and_mean(predicted: PredictedDose) -> dict[str, float]:
    """Where dose is predicted at all."""
    inside = predicted.uncertainty_gy[predicted.uncertainty_gy > 0]
    return {"mean": float(inside.mean()) if inside.size else 0.0, "largest": float(predicted.uncertainty_gy.max())}


def _intervals(goal_set: GoalSet, foreseen: tuple[Foreseen, ...]) -> dict[tuple[str, str, str], Foreseen]:
    """By the goals' keys, without those that nothing is foreseen of."""
    pairs = zip(goal_set.goals, foreseen, strict=True)
    return {
        (goal.structure, str(goal.metric), str(goal.comparator)): found
        for goal, found in pairs
        if not math.isnan(found.value)
    }


def _told(found: Foreseen | None) -> dict[str, float]:
    return {} if found is None else {"low_80": found.low, "high_80": found.high}


def _between(found: Foreseen | None, unit: str) -> str:
    return "" if found is None else f"{found.low:.1f} to {found.high:.1f} {unit}"


def _table(judged: PredictedJudgement, sure: Mapping[tuple[str, str, str], Foreseen]) -> Any:
    rows = [
        (
            goal.structure,
            f"{goal.metric} {goal.comparator} {goal.limit:g} {goal.unit}",
            f"{goal.value:.2f} {goal.unit}",
            _between(sure.get(goal.key), goal.unit),
            "yes" if goal.met else "no",
        )
        for goal in judged.goals
    ]
    return table(f"Goals, {judged.label}", ("structure", "goal", "predicted", "80 % interval", "met"), rows)
