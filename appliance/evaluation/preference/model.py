"""The fitted model as a file: numbers, what they were learned from, how they were tested, and a digest over all of
it."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from appliance.contracts.preference import FEATURE_SCHEMA
from appliance.errors import PreferenceRefused
from appliance.evaluation.preference.catalogue import NAMES
from appliance.evaluation.preference.evidence import SIZE
from engines.preference import Gaussian

FORMAT = "couchside.preference-model/1"


@dataclass(frozen=True)
class Belief:
    """Weights as a Gaussian: mean of `SIZE`, and the lower triangle of the covariance, row by row."""

    mean: tuple[float, ...]
    covariance: tuple[float, ...]

    @staticmethod
    def of(gaussian: Gaussian) -> Belief:
        rows, columns = np.tril_indices(len(gaussian.mean))
        return Belief(tuple(gaussian.mean.tolist()), tuple(gaussian.covariance[rows, columns].tolist()))

    @property
    def gaussian(self) -> Gaussian:
        return Gaussian(np.array(self.mean), _full(self.covariance, len(self.mean)))


def _full(triangle: tuple[float, ...], size: int) -> NDArray[np.float64]:
    full = np.zeros((size, size))
    full[np.tril_indices(size)] = triangle
    return full + np.tril(full, -1).T


@dataclass(frozen=True)
class Person:
    """A physician as learned; decisions: how many were his or her own."""

    name: str
    belief: Belief
    decisions: int


@dataclass(frozen=True)
class Check:
    """One acceptance criterion of the modification protocol: what was measured against which limit."""

    name: str
    value: float
    limit: float
    passed: bool
    sentence: str


@dataclass(frozen=True)
class HeldOut:
    """Of decisions that the model predicting them had not seen (folds by case): after calibration. auc None where one
    outcome is missing. curve: (mean prediction, share approved, count) of each bin."""

    decisions: int
    accuracy: float
    auc: float | None
    brier: float
    log_loss: float
    base_log_loss: float
    calibration_error: float
    calibration_error_before: float
    curve: tuple[tuple[float, float, int], ...]


@dataclass(frozen=True)
class Changes:
    """The three records of a change-control plan: what is modified, how it was tested, what it does to past plans."""

    modifications: tuple[str, ...]
    protocol: tuple[Check, ...]
    impact: tuple[str, ...]

    @property
    def acceptable(self) -> bool:
        return all(check.passed for check in self.protocol)


@dataclass(frozen=True)
class PreferenceModel:
    """typical, lowest, highest: of each feature, over the plans learned from (None: never seen). clinic: what is
    believed of a physician of whom nothing is known. clinic_mean: of the clinic, spread: deviation between physicians.
    sites: decisions by site. temperature: logits are divided by it; `calibrated` says on what it was fitted ('' if on
    nothing). drift_threshold: alarm level of the cumulative sum, passed by chance in `drift_horizon` decisions with
    probability drift_rate; drift_threshold_new: of a physician who is new. learned_from: ids of the decisions.
    previous: digest of the model it was compared with."""

    created_utc: str
    made_by: str
    typical: tuple[float, ...]
    lowest: tuple[float | None, ...]
    highest: tuple[float | None, ...]
    clinic: Belief
    clinic_mean: tuple[float, ...]
    spread: tuple[float, ...]
    persons: tuple[Person, ...]
    sites: tuple[tuple[str, int], ...]
    temperature: float
    calibrated: str
    held_out: HeldOut | None
    drift_threshold: float
    drift_threshold_new: float
    drift_horizon: int
    drift_rate: float
    learned_from: tuple[str, ...]
    changes: Changes
    previous: str = ""
    features: tuple[str, ...] = NAMES
    schema: str = FEATURE_SCHEMA
    format: str = FORMAT

    def person(self, physician: str) -> Person | None:
        return next((person for person in self.persons if person.name == physician), None)

    def belief(self, physician: str) -> Gaussian:
        """The physician's weights, or the clinic's for somebody new."""
        person = self.person(physician)
        return (self.clinic if person is None else person.belief).gaussian

    @property
    def decisions(self) -> int:
        return len(self.learned_from)

    def to_bytes(self) -> bytes:
        """The file: canonical JSON of the model, with its SHA-256."""
        content = _MODEL.dump_json(self)
        return b'{"digest":"' + hashlib.sha256(content).hexdigest().encode() + b'","model":' + content + b"}\n"

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(_MODEL.dump_json(self)).hexdigest()

    @staticmethod
    def from_bytes(data: bytes, what: str) -> PreferenceModel:
        """Raises PreferenceRefused for a file that is damaged, altered, or of another form."""
        try:
            document = json.loads(data)
            model = _MODEL.validate_python(document["model"])
            told = document["digest"]
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise PreferenceRefused(f"{what} is damaged or no preference model; fit it again") from error
        if told != model.digest:
            raise PreferenceRefused(f"{what} was altered after it was written; fit it again")
        _check(model, what)
        return model


def read_model(path: Path) -> PreferenceModel:
    """Raises PreferenceRefused."""
    try:
        return PreferenceModel.from_bytes(path.read_bytes(), path.name)
    except OSError as error:
        raise PreferenceRefused(f"{path.name} cannot be read ({error.strerror}); fit the model again") from error


def _check(model: PreferenceModel, what: str) -> None:
    if (model.format, model.schema, model.features) != (FORMAT, FEATURE_SCHEMA, NAMES):
        raise PreferenceRefused(f"{what} was made by another release, with other features; fit it again")
    beliefs = (model.clinic, *(person.belief for person in model.persons))
    whole = all(len(b.mean) == SIZE and len(b.covariance) == SIZE * (SIZE + 1) // 2 for b in beliefs)
    numbers = [*model.typical, *model.spread, *(value for b in beliefs for value in (*b.mean, *b.covariance))]
    if not whole or len(model.typical) != SIZE - 1 or not all(map(math.isfinite, numbers)) or model.temperature <= 0:
        raise PreferenceRefused(f"{what} is not whole; fit it again")


_MODEL = TypeAdapter(PreferenceModel)
