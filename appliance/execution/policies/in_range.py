"""Does a learned policy know cases like this one: what it sees against what its training saw.

range.json, beside the network and made by whoever trained it:

    {"format": "couchside-policy-range-1", "sha256": "… of policy.onnx",
     "levers": [lowest, highest],
     "tokens": {"name of a feature": [low, high], …}, "context": {"name of a feature": [low, high], …}}

Every feature of `observation.TOKEN_FEATURES` and `CONTEXT_FEATURES` has its pair, in any order: the least and most, or
outer quantiles, over all steps of the training. A value counts as outside beyond MARGIN of the width more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from appliance.errors import ModelError
from appliance.execution.steering.observation import CONTEXT_FEATURES, TOKEN_FEATURES
from appliance.execution.steering.policy import Observation

FORMAT = "couchside-policy-range-1"
MARGIN, NARROWEST = 0.10, 0.05
"""Of a feature's width; and the least that is allowed beside it, in the features' own units, which are about one
(chosen: a tenth more than was seen is no other kind of case)."""
NAMED = 2
"""Features that a reason names; more are counted."""

Pair = tuple[float, float]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: str
    sha256: str
    levers: tuple[int, int]
    tokens: dict[str, Pair]
    context: dict[str, Pair]


@dataclass(frozen=True, eq=False)
class PolicyRange:
    """low, high of the features in their order in `observation`, margins included. levers: least and most of a case."""

    levers: tuple[int, int]
    tokens: NDArray[np.float64]
    context: NDArray[np.float64]

    def reason_against(self, observation: Observation) -> str:
        """A sentence part that says what is out of range; '' where nothing is. What is no number is out of range."""
        count, (fewest, most) = len(observation.tokens), self.levers
        if not fewest <= count <= most:
            return f"the case has {count} objectives, and its training had {fewest} to {most}"
        found = [
            *_outside(TOKEN_FEATURES, observation.tokens, self.tokens),
            *_outside(CONTEXT_FEATURES, observation.context[None], self.context),
        ]
        if not found:
            return ""
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        return f"outside what its training saw: {', '.join(found[:NAMED])}{more}"


def _outside(names: Sequence[str], rows: NDArray[np.float32], bounds: NDArray[np.float64]) -> Iterator[str]:
    wrong = ~((rows >= bounds[:, 0]) & (rows <= bounds[:, 1]))
    for column in map(int, np.flatnonzero(wrong.any(axis=0))):
        value = float(rows[wrong[:, column], column][0])
        low, high = bounds[column]
        yield f"{names[column]} {value:.3g} ({low:.3g} to {high:.3g})"


def load_policy_range(path: Path, sha256: str) -> PolicyRange:
    """sha256: of the network that it must belong to. Raises ModelError where it cannot be used, with the reason."""
    try:
        file = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path.name} of the policy cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{path.name} of the policy is not usable (key '{key}': {first['msg']})") from error
    if file.format != FORMAT or file.sha256 != sha256:
        raise ModelError(f"{path.name} of the policy belongs to another network or release")
    parts = (file.levers, *file.tokens.values(), *file.context.values())
    if any(low > high for low, high in parts):
        raise ModelError(f"{path.name} of the policy has a range whose low is above its high")
    return PolicyRange(
        file.levers, _bounds(path, TOKEN_FEATURES, file.tokens), _bounds(path, CONTEXT_FEATURES, file.context)
    )


def _bounds(path: Path, names: Sequence[str], given: Mapping[str, Pair]) -> NDArray[np.float64]:
    if set(given) != set(names):
        odd = sorted(set(given) ^ set(names))[0]
        raise ModelError(f"{path.name} of the policy has other features than this release ('{odd}')")
    pairs = np.asarray([given[name] for name in names], np.float64)
    room = np.maximum(MARGIN * (pairs[:, 1] - pairs[:, 0]), NARROWEST)
    return np.stack([pairs[:, 0] - room, pairs[:, 1] + room], axis=1)


def range_bytes(observations: Sequence[Observation], sha256: str) -> bytes:
    """The content of range.json for a training whose observations these are. Raises ModelError for none."""
    if not observations:
        raise ModelError("a range needs at least one observation")
    tokens = np.concatenate([seen.tokens for seen in observations])
    context = np.stack([seen.context for seen in observations])
    if not (np.isfinite(tokens).all() and np.isfinite(context).all()):
        raise ModelError("an observation of the training has a value that is no number")
    counts = [len(seen.tokens) for seen in observations]

    def pairs(names: Sequence[str], rows: NDArray[np.float32]) -> dict[str, list[float]]:
        low, high = rows.min(axis=0), rows.max(axis=0)
        return {name: [float(a), float(b)] for name, a, b in zip(names, low, high, strict=True)}

    document = {
        "format": FORMAT,
        "sha256": sha256,
        "levers": [min(counts), max(counts)],
        "tokens": pairs(TOKEN_FEATURES, tokens),
        "context": pairs(CONTEXT_FEATURES, context),
    }
    return json.dumps(document, indent=1).encode() + b"\n"
