"""The parameters of outcome models as a file: every row with its primary source, or the file is refused."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from appliance.errors import ModelError
from appliance.evaluation.tables import Cited, Table, read_table

FILE = "outcomes.toml"

Interval = tuple[float, float]


class Row(Cited):
    """What both kinds of models share. `ci95` and `se` are by parameter name, as the source gives them."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    structures: tuple[str, ...] = Field(min_length=1)
    endpoint: str = Field(min_length=3)
    ci95: dict[str, Interval] = Field(default_factory=dict)
    se: dict[str, float] = Field(default_factory=dict)
    fraction_gy: Interval
    patients: int | None = Field(default=None, ge=1)
    note: str = ""

    @model_validator(mode="after")
    def _intervals_hold_their_estimates(self) -> Row:
        for name, (low, high) in self.intervals.items():
            best = getattr(self, name, None)
            if not isinstance(best, float):
                raise ValueError(f"an uncertainty is given for '{name}', which this model does not have")
            if not low <= best <= high:
                raise ValueError(f"the interval of {name} ({low:g} to {high:g}) does not hold its estimate {best:g}")
        if not 0 < self.fraction_gy[0] < self.fraction_gy[1]:
            raise ValueError("fraction_gy must be a rising pair of doses")
        return self

    @property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals by parameter; a standard error counts 1.96 times to both sides."""
        from_se = {
            name: (getattr(self, name, 0.0) - 1.96 * error, getattr(self, name, 0.0) + 1.96 * error)
            for name, error in self.se.items()
        }
        return {**from_se, **self.ci95}


class ComplicationRow(Row):
    """A complication model (NTCP). dose: what the curve was fitted to."""

    each: bool = False
    model: Literal["lkb", "logistic", "log-logistic"]
    td50_gy: float = Field(gt=0)
    n: float = Field(default=1.0, gt=0)
    m: float | None = Field(default=None, gt=0)
    slope_per_gy: float | None = Field(default=None, gt=0)
    exponent: float | None = Field(default=None, gt=0)
    dose: Literal["physical", "eqd2"]
    alpha_beta_gy: float | None = Field(default=None, gt=0)
    alpha_beta_source: str = ""
    minus_target: bool = False
    hottest_cc: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> ComplicationRow:
        steepness = {"lkb": self.m, "logistic": self.slope_per_gy, "log-logistic": self.exponent}
        given = {name for name, value in steepness.items() if value is not None}
        if given != {self.model}:
            raise ValueError(f"a {self.model} model needs exactly its own steepness parameter")
        if (self.dose == "eqd2") != (self.alpha_beta_gy is not None and bool(self.alpha_beta_source)):
            raise ValueError("dose 'eqd2' needs alpha_beta_gy with alpha_beta_source, and 'physical' has neither")
        return self


class ControlRow(Row):
    """A tumour control model (TCP). sites: where it applies; structures: targets in order of preference, * for any
    ending. clonogens: in the whole target, drawn evenly in the logarithm over clonogens_range."""

    sites: tuple[str, ...] = Field(min_length=1)
    alpha_per_gy: float = Field(gt=0)
    alpha_beta_gy: float = Field(gt=0)
    clonogens: float = Field(gt=1)
    clonogens_range: Interval
    doubling_days: float = Field(gt=0)
    kick_off_days: float = Field(ge=0)


class OutcomeParameters(Table):
    ntcp: tuple[ComplicationRow, ...]
    tcp: tuple[ControlRow, ...]

    @model_validator(mode="after")
    def _ids_differ(self) -> OutcomeParameters:
        ids = [row.id for row in (*self.ntcp, *self.tcp)]
        if len(set(ids)) != len(ids):
            raise ValueError("an id is given twice")
        return self


def read_parameters(content: bytes, name: str = FILE) -> OutcomeParameters:
    """Raises ModelError naming the row and the key."""
    return read_table(OutcomeParameters, content, name, lambda reason: ModelError(f"{reason}; correct the file"))


def load_parameters(path: Path) -> OutcomeParameters:
    """A clinic's own file. Raises ModelError."""
    try:
        return read_parameters(path.read_bytes(), path.name)
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read; give the path of a parameter file") from error


@cache
def shipped_parameters() -> OutcomeParameters:
    """What ships with Couchside. Raises ModelError."""
    try:
        return read_parameters(files("models").joinpath("radiobiology", FILE).read_bytes())
    except OSError as error:
        raise ModelError(f"the outcome parameters {FILE} cannot be read; install Couchside again") from error
