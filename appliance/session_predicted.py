"""What a session does with a prediction: keeps it, tells of it, and lays it beside the judgement of the plan."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from appliance.contracts import Case, Evaluation, GoalSet, PredictedBand, PredictedDose, Prediction
from appliance.errors import EvaluationError
from appliance.evaluation import judge_predicted
from appliance.evaluation.band import band_findings, judge_bands
from engines.grid import Grid

PREDICTED_FILE = "predicted.npz"
FROM_GOALS = "Planning starts from the goals: no dose was predicted for this patient"
_CURVES = ("volume_percent", "low_gy", "dose_gy", "high_gy")


def told_of(prediction: Prediction) -> tuple[str, ...]:
    """What whoever looks at the plan is told: in the session's notes and on the report."""
    return prediction.sentences if prediction.dose is not None else (FROM_GOALS, *prediction.sentences)


def prediction_facts(prediction: Prediction) -> dict[str, JsonValue]:
    """For the audit row: which network, how long it took, and every sentence that goes with it."""
    dose = prediction.dose
    return {
        "predicted": dose is not None,
        "prediction_model": "" if dose is None else dose.model,
        "prediction_sha256": "" if dose is None else dose.model_sha256,
        "prediction_seconds": {name: round(seconds, 3) for name, seconds in prediction.seconds.items()},
        "prediction_notes": list(told_of(prediction)),
    }


def beside_prediction(
    case: Case, goal_set: GoalSet, predicted: PredictedDose | None, evaluation: Evaluation
) -> Evaluation:
    """The evaluation with what the prediction says of the same goals, and of the plan's histograms. One that cannot be
    judged is left aside with a note: it is advice, and must not stand between a plan and its review."""
    if predicted is None:
        return evaluation
    try:
        bands = judge_bands(case, evaluation.dvh, predicted.dvh)
        found = (*evaluation.findings, *band_findings(bands, predicted.warnings))
        judged = judge_predicted(case, goal_set, predicted)
        return replace(evaluation, predicted=judged, bands=bands, findings=found)
    except EvaluationError as error:
        said = f"The goals were not judged on the predicted dose: {error.sentence}"
        return replace(evaluation, notes=(*evaluation.notes, said))


def remembered(predicted: PredictedDose | None, facts: Mapping[str, JsonValue]) -> Prediction:
    """What came of asking, from the kept dose and the audit row's facts (`prediction_facts`)."""
    told, took = facts.get("prediction_notes"), facts.get("prediction_seconds")
    said = tuple(str(sentence) for sentence in told) if isinstance(told, list) else ()
    seconds = {name: float(str(value)) for name, value in took.items()} if isinstance(took, dict) else {}
    if predicted is None:
        return Prediction(None, said or ("No network was asked",), seconds=seconds)
    return Prediction(predicted, notes=tuple(one for one in said if one not in predicted.warnings), seconds=seconds)


def prediction_bytes(predicted: PredictedDose) -> bytes:
    """Named so that it can never be read as the dose of a plan. Not compressed, as doses are not."""
    grid = predicted.grid
    arrays: dict[str, Any] = {
        "predicted_gy": predicted.dose_gy,
        "half_width_80_gy": predicted.uncertainty_gy,
        "half_width_95_gy": predicted.half_width_95_gy,
        "origin_mm": np.asarray(grid.origin_mm),
        "spacing_mm": np.asarray(grid.spacing_mm),
        "model": np.asarray([predicted.model, predicted.model_sha256]),
        "warnings": np.asarray(predicted.warnings, np.str_),
        "bands": np.asarray([band.structure for band in predicted.dvh], np.str_),
    }
    for index, band in enumerate(predicted.dvh):
        arrays[f"band_{index}"] = np.stack([np.asarray(getattr(band, name), np.float32) for name in _CURVES])
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def prediction_from_bytes(data: bytes) -> PredictedDose:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        dose_gy: NDArray[np.float32] = stored["predicted_gy"]
        x, y, z = (float(value) for value in stored["origin_mm"])
        dx, dy, dz = (float(value) for value in stored["spacing_mm"])
        model, sha256 = (str(text) for text in stored["model"])
        bands = tuple(PredictedBand(str(name), *stored[f"band_{index}"]) for index, name in enumerate(stored["bands"]))
        return PredictedDose(
            Grid((x, y, z), (dx, dy, dz), dose_gy.shape),
            dose_gy,
            stored["half_width_80_gy"],
            stored["half_width_95_gy"],
            model,
            warnings=tuple(str(sentence) for sentence in stored["warnings"]),
            dvh=bands,
            model_sha256=sha256,
        )
