"""What the network was trained on, as numbers without patients: range.json, made by models/dose/fit_range.py."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ModelError
from appliance.prediction.facts import AnatomyFacts
from engines.statistics.typical import SHARES, Typical, beyond, distance

FORMAT = "couchside-range-1"


@dataclass(frozen=True)
class KnownFact:
    """One fact of an anatomy. log: its logarithm is what is compared. quantiles at SHARES and least (see
    engines.statistics.typical) are of what is compared; cases: of how many patients it is known."""

    name: str
    log: bool
    quantiles: tuple[float, ...]
    least: float
    cases: int

    def compared(self, value: float) -> float:
        if not self.log:
            return value
        return math.log(value) if value > 0 else math.nan

    def seen(self) -> tuple[float, float]:
        """1 and 99 % quantile in the fact's own unit."""
        low, high = self.quantiles[0], self.quantiles[-1]
        return (math.exp(low), math.exp(high)) if self.log else (low, high)


@dataclass(frozen=True, eq=False)
class FactGroup:
    """Facts that are judged together by their distance: shrunk correlation (p, p), and the normal deviates from which
    on a patient is warned of or refused."""

    name: str
    facts: tuple[KnownFact, ...]
    correlation: NDArray[np.float64]
    warn: float
    refuse: float

    def distance(self, facts: AnatomyFacts) -> tuple[float, dict[str, float]]:
        """Normal deviate of all facts together, and what each of them adds to the squared distance."""
        quantiles, least = (np.array([getattr(f, name) for f in self.facts]) for name in ("quantiles", "least"))
        values = [fact.compared(facts.values.get(fact.name, math.nan)) for fact in self.facts]
        deviate, terms = distance(Typical(quantiles, least, self.correlation), np.array(values))
        told = zip(self.facts, terms, strict=True)
        return deviate, {fact.name: float(term) for fact, term in told if math.isfinite(term)}


@dataclass(frozen=True, eq=False)
class RangeModel:
    """presence: share of the patients in which an organ is contoured. prescribed_gy, fractions, gantry_deg: the one
    treatment that the network knows. spacing_mm: lowest and highest voxel size (z, y, x). warn_beyond, refuse_beyond:
    limits of how far one fact alone may lie outside the usual."""

    patients: int
    facts: Mapping[str, KnownFact]
    groups: tuple[FactGroup, ...]
    presence: Mapping[str, float]
    fewest_organs: int
    prescribed_gy: tuple[float, ...]
    fractions: int
    gantry_deg: tuple[float, ...]
    spacing_mm: tuple[tuple[float, float], ...]
    warn_beyond: float
    refuse_beyond: float

    def beyond(self, facts: AnatomyFacts) -> dict[str, float]:
        """By name, how far each known fact lies outside the usual; facts that are unknown on either side are left
        out."""
        told = {}
        for name, known in self.facts.items():
            value = known.compared(facts.values.get(name, math.nan))
            if math.isfinite(value):
                quantiles, least = np.array([known.quantiles]), np.array([known.least])
                told[name] = float(beyond(quantiles, least, np.array([value]))[0])
        return told


def load_range_model(path: Path) -> RangeModel:
    """Raises ModelError for a file that is missing, is of another format, or lacks something."""
    try:
        return range_model(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ModelError(f"the range of the dose network cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"the range of the dose network ({path.name}) is not usable: {error}") from error


def range_model(told: Mapping[str, Any]) -> RangeModel:
    """From the content of range.json. Raises ValueError for what is missing or not of its type."""
    if told.get("format") != FORMAT:
        raise ValueError(f"format is {told.get('format')!r}, not {FORMAT}")
    try:
        facts = {name: _fact(name, fact) for name, fact in told["facts"].items()}
        return RangeModel(
            patients=int(told["patients"]), facts=facts,
            groups=tuple(_group(name, group, facts) for name, group in told["groups"].items()),
            presence={name: float(share) for name, share in told["presence"].items()},
            fewest_organs=int(told["fewest_organs"]),
            prescribed_gy=tuple(map(float, told["prescribed_gy"])), fractions=int(told["fractions"]),
            gantry_deg=tuple(map(float, told["gantry_deg"])),
            spacing_mm=tuple((float(low), float(high)) for low, high in told["spacing_mm"]),
            warn_beyond=float(told["warn_beyond"]), refuse_beyond=float(told["refuse_beyond"]),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{error} is missing or not of its type") from error


def _group(name: str, told: Mapping[str, Any], facts: Mapping[str, KnownFact]) -> FactGroup:
    correlation = np.array(told["correlation"], np.float64)
    if correlation.shape != (len(told["facts"]),) * 2 or not bool(np.isfinite(correlation).all()):
        raise ValueError(f"the correlation of {name} does not fit the facts that it is of")
    named = tuple(facts[fact] for fact in told["facts"])
    return FactGroup(name, named, correlation, float(told["warn"]), float(told["refuse"]))


def _fact(name: str, told: Mapping[str, Any]) -> KnownFact:
    quantiles = tuple(map(float, told["quantiles"]))
    if len(quantiles) != len(SHARES) or sorted(quantiles) != list(quantiles):
        raise ValueError(f"{name} needs {len(SHARES)} quantiles in rising order")
    return KnownFact(name, bool(told["log"]), quantiles, float(told["least"]), int(told["cases"]))
