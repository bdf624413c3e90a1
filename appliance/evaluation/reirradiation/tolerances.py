"""Alpha/beta by tissue, recovery and limits on two courses, from a file in which every row has a primary source."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from pydantic import Field, field_validator

from appliance.contracts.goals import Metric
from appliance.errors import ModelError, RefusedGoals
from appliance.evaluation.tables import Cited, Table, read_table

FILE = "reirradiation.toml"
NO_RECOVERY = "no recovery counted"


class _Sourced(Cited):
    statement: str = Field(min_length=3)


class Tissue(_Sourced):
    structures: tuple[str, ...] = Field(min_length=1)
    alpha_beta_gy: float = Field(gt=0)


class _Step(Table):
    days: float = Field(gt=0)
    recovered: float = Field(gt=0, lt=1)


class Recovery(_Sourced):
    structures: tuple[str, ...] = Field(min_length=1)
    steps: tuple[_Step, ...] = Field(min_length=1)


class Limit(_Sourced):
    """A limit on the sum of both courses, as EQD2 without recovery; it holds under the conditions that are given:
    interval_days at least, each course at most course_eqd2_gy, today at most fractions_at_most fractions, today at most
    today_eqd2_gy and today_share of the sum."""

    structure: str
    metric: str
    limit_eqd2_gy: float = Field(gt=0)
    limit_from: str = Field(min_length=3)
    interval_days: float = Field(ge=0)
    course_eqd2_gy: float | None = Field(default=None, gt=0)
    fractions_at_most: int | None = Field(default=None, ge=1)
    today_eqd2_gy: float | None = Field(default=None, gt=0)
    today_share: float | None = Field(default=None, gt=0, le=1)

    @field_validator("metric")
    @classmethod
    def _is_a_metric(cls, text: str) -> str:
        try:
            Metric.parse(text)
        except RefusedGoals as error:
            raise ValueError(error.fields["reason"]) from error
        return text


class _Default(Table):
    alpha_beta_gy: float = Field(gt=0)
    alpha_beta_source: str = Field(min_length=3)


class Tolerances(Table):
    default: _Default
    tissue: tuple[Tissue, ...] = ()
    recovery: tuple[Recovery, ...] = ()
    limit: tuple[Limit, ...] = ()


@dataclass(frozen=True)
class Sourced:
    """A number with where it comes from."""

    value: float
    source: str


def alpha_beta_of(tolerances: Tolerances, structure: str) -> Sourced:
    """Of the first part of a union; the default where no row names it."""
    name = structure.partition("+")[0]
    for row in tolerances.tissue:
        if any(fnmatchcase(name, pattern) for pattern in row.structures):
            return Sourced(row.alpha_beta_gy, f"{row.statement}: {row.citation}")
    return Sourced(tolerances.default.alpha_beta_gy, tolerances.default.alpha_beta_source)


def recovery_of(tolerances: Tolerances, structure: str, days_since: float | None) -> Sourced:
    """Part of the earlier EQD2 that counts as recovered, of the first part of a union: 0 where no row names it or too
    little time passed."""
    if days_since is None:
        return Sourced(0.0, f"{NO_RECOVERY}: the time since the earlier course is not known")
    name = structure.partition("+")[0]
    for row in tolerances.recovery:
        if any(fnmatchcase(name, pattern) for pattern in row.structures):
            passed = [step.recovered for step in row.steps if days_since >= step.days]
            if passed:
                return Sourced(max(passed), f"{row.statement}: {row.citation}")
            return Sourced(0.0, f"{NO_RECOVERY}: {days_since:g} days are too few ({row.citation})")
    return Sourced(0.0, f"{NO_RECOVERY}: no source for this organ is on file")


def read_tolerances(content: bytes, name: str = FILE) -> Tolerances:
    """Raises ModelError naming the row and the key."""
    return read_table(Tolerances, content, name, lambda reason: ModelError(f"{reason}; correct the file"))


@cache
def shipped_tolerances() -> Tolerances:
    """What ships with Couchside. Raises ModelError."""
    try:
        return read_tolerances(files("models").joinpath("radiobiology", FILE).read_bytes())
    except OSError as error:
        raise ModelError(f"the table {FILE} cannot be read; install Couchside again") from error
