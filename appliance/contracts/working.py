"""A planning system's own state, so that planning can go on warm after a restart. No dose of a plan and nothing that is
approved: what is delivered stands in the plan."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from appliance.contracts.objectives import Objectives
from appliance.errors import PlanningError

_OBJECTIVES: TypeAdapter[Objectives] = TypeAdapter(Objectives)
SCHEMA = "couchside.working/1"


@dataclass(frozen=True, eq=False)
class Working:
    """technique: of the plan whose variables these are. goals: structure, metric and comparator of each goal that the
    objectives' numbers mean. objectives: those of the last optimisation. arrays: what only the system that made them
    understands, by its own names."""

    technique: str
    goals: tuple[str, ...]
    objectives: Objectives
    arrays: Mapping[str, NDArray[Any]]

    def to_bytes(self) -> bytes:
        """An npz without pickles; not compressed, because leaf positions hardly shrink."""
        head = {"schema": SCHEMA, "technique": self.technique, "goals": list(self.goals)}
        head["objectives"] = _OBJECTIVES.dump_python(self.objectives, mode="json")
        buffer = io.BytesIO()
        named: dict[str, Any] = {f"array_{name}": array for name, array in self.arrays.items()}
        np.savez(buffer, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **named)
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> Working:
        """Raises PlanningError for anything but what `to_bytes` writes."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                head = json.loads(stored["head"].tobytes())
                arrays = {name[len("array_") :]: stored[name] for name in stored if name.startswith("array_")}
            if head["schema"] != SCHEMA:
                raise PlanningError(f"its kept state is of another release ({head['schema']})")
            objectives = _OBJECTIVES.validate_python(head["objectives"])
            return Working(str(head["technique"]), tuple(str(goal) for goal in head["goals"]), objectives, arrays)
        except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError, ValidationError) as error:
            raise PlanningError(f"the kept state of planning cannot be read ({type(error).__name__})") from error
