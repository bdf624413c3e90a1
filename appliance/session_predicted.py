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
_VOLUMES = ("predicted_gy", "half_width_80_gy", "half_width_95_gy")
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
    """Named so that it can never be read as the dose of a plan. Of each volume only the box that holds all that is not
    zero: of a whole CT that is a small part. Not compressed, as doses are not."""
    grid = predicted.grid
    box = _box_of(predicted)
    arrays: dict[str, Any] = {
        **{name: volume[box] for name, volume in zip(_VOLUMES, _volumes(predicted), strict=True)},
        "corner": np.asarray([side.start for side in box]),
        "shape": np.asarray(grid.shape),
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
        nz, ny, nx = (int(side) for side in stored["shape"])
        dose_gy, half_gy, half_95_gy = (_whole(stored[name], stored["corner"], (nz, ny, nx)) for name in _VOLUMES)
        x, y, z = (float(value) for value in stored["origin_mm"])
        dx, dy, dz = (float(value) for value in stored["spacing_mm"])
        model, sha256 = (str(text) for text in stored["model"])
        bands = tuple(PredictedBand(str(name), *stored[f"band_{index}"]) for index, name in enumerate(stored["bands"]))
        return PredictedDose(
            Grid((x, y, z), (dx, dy, dz), (nz, ny, nx)),
            dose_gy,
            half_gy,
            half_95_gy,
            model,
            warnings=tuple(str(sentence) for sentence in stored["warnings"]),
            dvh=bands,
            model_sha256=sha256,
        )


def _volumes(predicted: PredictedDose) -> tuple[NDArray[np.float32], ...]:
    return predicted.dose_gy, predicted.uncertainty_gy, predicted.half_width_95_gy


def _box_of(predicted: PredictedDose) -> tuple[slice, ...]:
    """(z, y, x), not empty along any axis."""
    some = np.logical_or.reduce([volume != 0 for volume in _volumes(predicted)])
    sides = []
    for axis in range(3):
        seen = np.flatnonzero(some.any(axis=tuple(other for other in range(3) if other != axis)))
        sides.append(slice(int(seen[0]), int(seen[-1]) + 1) if seen.size else slice(0, 1))
    return tuple(sides)


def _whole(part: NDArray[np.float32], corner: NDArray[np.int64], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    whole = np.zeros(shape, np.float32)
    whole[tuple(slice(int(low), int(low) + side) for low, side in zip(corner, part.shape, strict=True))] = part
    return whole
