"""What could be traded around a plan, as a session keeps it and as other programs read it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, TypeAdapter

from appliance.contracts import GoalSet
from appliance.contracts.navigation import Anchor, TradeOffSet
from appliance.contracts.sampled import Found
from appliance.session_artefacts import Artefacts

NAVIGATION_FILE, NAVIGATION_JSON = "navigation.npz", "navigation.json"
_GOAL_SET, _ANCHORS = TypeAdapter(GoalSet), TypeAdapter(tuple[Anchor, ...])


def traded_of(files: Artefacts) -> TradeOffSet | None:
    """None where it was not made, or not yet. Raises ArtefactAltered."""
    return navigation_from_bytes(files.load(NAVIGATION_FILE)) if files.has(NAVIGATION_FILE) else None


def navigation_bytes(known: TradeOffSet) -> bytes:
    arrays: dict[str, NDArray[Any]] = {
        "dose_gy": known.dose_gy, "fluence": known.fluence, "plan_dose_gy": known.plan_dose_gy,
        "plan_values": np.asarray([*known.plan_values, known.plan_hottest_gy]),
        "text": np.asarray([
            _GOAL_SET.dump_json(known.goal_set).decode(), _ANCHORS.dump_json(known.anchors).decode(),
            known.plan_digest, known.external, known.why, *known.regions,
        ]),
    }  # fmt: skip
    for number, (position, cc) in enumerate(known.regions.values()):
        arrays |= {f"position_{number}": position.astype(np.int32), f"cc_{number}": cc}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def navigation_from_bytes(data: bytes) -> TradeOffSet:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        goal_set, anchors, digest, external, why, *names = (str(text) for text in stored["text"])
        regions: dict[str, Found] = {
            name: (stored[f"position_{number}"].astype(np.int64), stored[f"cc_{number}"])
            for number, name in enumerate(names)
        }
        values = tuple(float(value) for value in stored["plan_values"])
        return TradeOffSet(
            _GOAL_SET.validate_json(goal_set), digest, values[:-1], values[-1],
            tuple(_finite(anchor) for anchor in json.loads(anchors)),
            external, regions, stored["plan_dose_gy"], stored["dose_gy"], stored["fluence"], why,
        )  # fmt: skip


def _finite(stored: Mapping[str, Any]) -> Anchor:
    """JSON has no NaN: an absent structure's value is null there."""
    values = tuple(float("nan") if value is None else float(value) for value in stored["values"])
    return Anchor(
        str(stored["name"]), int(stored["goal"]), values, float(stored["hottest_gy"]), int(stored["evaluations"]),
        str(stored["sentence"]),
    )  # fmt: skip


def navigation_document(known: TradeOffSet) -> dict[str, JsonValue]:
    """navigation.json (docs/interfaces.md): rows are what is favoured, columns the goals."""
    goals = known.goal_set.goals
    middle = known.anchors[0].values
    columns: list[JsonValue] = []
    for number, goal in enumerate(goals):
        there = [anchor.values[number] - middle[number] for anchor in known.anchors]
        now = known.plan_values[number]
        columns.append({
            "structure": goal.structure, "metric": str(goal.metric), "comparator": goal.comparator.value,
            "limit": goal.limit, "unit": goal.unit, "priority": goal.priority, "now": _number(now),
            "met": goal.met_by(now), "least": _number(now + min(there)), "most": _number(now + max(there)),
        })  # fmt: skip
    rows: list[JsonValue] = [
        {
            "favours": anchor.name, "goal": anchor.goal, "sentence": anchor.sentence,
            "changes": [_number(value - start) for value, start in zip(anchor.values, middle, strict=True)],
            "hottest_change_gy": _number(anchor.hottest_gy - known.anchors[0].hottest_gy),
        }
        for anchor in known.anchors[1:]
    ]  # fmt: skip
    return {
        "schema": "couchside.navigation/1", "not_for_clinical_use": True, "plan_digest": known.plan_digest,
        "goal_set": known.goal_set.name, "goals": columns, "favoured": rows, "why": known.why,
    }  # fmt: skip


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
