"""Goal sets are TOML files in the words of AAPM TG-263; this module reads and checks them.

Where a key is unknown, missing or out of range the file is refused with the key named, so that a misspelt goal can
never be silently absent from a plan's judgement.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from appliance.contracts import ClinicalGoal, Comparator, GoalSet, Metric, MetricKind
from appliance.errors import RefusedGoals

LARGEST_DOSE_GY = 200.0
"""Chosen, because no photon course prescribes or allows more; a larger number is cGy written for Gy."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class _Prescription(_Table):
    structure: str = Field(pattern=r"^[A-Za-z][\w^~]*$")
    dose_gy: float = Field(gt=0, le=LARGEST_DOSE_GY)
    optional: bool = False


class _Goal(_Table):
    structure: str = Field(pattern=r"^[A-Za-z][\w^~]*(\+[A-Za-z][\w^~]*)*$")
    metric: str
    comparator: Literal["<=", ">="]
    limit: float = Field(ge=0, allow_inf_nan=False)
    unit: Literal["Gy", "%", "cc"]
    priority: int = Field(ge=1, le=9)
    source: str = Field(min_length=3)
    approximate: bool = False

    @field_validator("metric")
    @classmethod
    def _is_a_metric(cls, text: str) -> str:
        try:
            metric = Metric.parse(text)
        except RefusedGoals as error:
            raise ValueError(error.fields["reason"]) from error
        if metric.kind is MetricKind.DOSE_AT_PERCENT and metric.argument > 100:
            raise ValueError(f"'{text}' asks for more than 100 % of the volume")
        return text

    @model_validator(mode="after")
    def _unit_fits(self) -> _Goal:
        is_volume = Metric.parse(self.metric).kind in (MetricKind.VOLUME_AT_DOSE, MetricKind.COLD_VOLUME)
        if is_volume == (self.unit == "Gy"):
            raise ValueError(f"{self.metric} cannot be given in {self.unit}; use {'% or cc' if is_volume else 'Gy'}")
        if self.unit == "Gy" and self.limit > LARGEST_DOSE_GY:
            raise ValueError(f"{self.limit:g} Gy is above {LARGEST_DOSE_GY:g} Gy; limits are in Gy, not cGy")
        if self.unit == "%" and self.limit > 100:
            raise ValueError(f"{self.limit:g} % is more than the whole volume")
        return self

    def goal(self) -> ClinicalGoal:
        metric, comparator = Metric.parse(self.metric), Comparator(self.comparator)
        rest = (self.limit, self.unit, self.priority, self.source, self.approximate)
        return ClinicalGoal(self.structure, metric, comparator, *rest)


class _File(_Table):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = Field(min_length=3)
    site: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    fractions: int = Field(ge=1, le=60)
    beams: int = Field(default=9, ge=1, le=36)
    first_gantry_deg: float = Field(default=0.0, ge=0, lt=360)
    hot_spot_percent: float = Field(default=110.0, gt=100, le=150)
    automatic: bool = True
    also_for: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    prescription: tuple[_Prescription, ...] = Field(min_length=1)
    goal: tuple[_Goal, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _hangs_together(self) -> _File:
        names = [entry.structure for entry in self.prescription]
        if len(set(names)) != len(names):
            raise ValueError("a structure is prescribed twice")
        if all(entry.optional for entry in self.prescription):
            raise ValueError("every prescribed target is optional; at least one must be required")
        goals = [(goal.structure, goal.metric, goal.comparator) for goal in self.goal]
        if len(set(goals)) != len(goals):
            raise ValueError("a goal is given twice")
        for goal in self.goal:
            for part in goal.structure.split("+"):
                if part.upper().startswith("PTV") and part not in names:
                    raise ValueError(f"the goal on {part} needs a prescription for {part}")
        return self

    def goal_set(self) -> GoalSet:
        return with_digest(
            GoalSet(
                name=self.name,
                title=self.title,
                site=self.site,
                fractions=self.fractions,
                prescription=tuple((entry.structure, entry.dose_gy) for entry in self.prescription),
                goals=tuple(entry.goal() for entry in self.goal),
                digest="",
                beams=self.beams,
                first_gantry_deg=self.first_gantry_deg,
                hot_spot_percent=self.hot_spot_percent,
                optional_targets=tuple(entry.structure for entry in self.prescription if entry.optional),
                automatic=self.automatic,
                also_for=self.also_for,
                notes=self.notes,
            )
        )


_GOAL_SET = TypeAdapter(GoalSet)


def with_digest(goal_set: GoalSet) -> GoalSet:
    """The same goals with the SHA-256 of their canonical JSON; notes, goals left out and digest do not count."""
    canonical = _GOAL_SET.dump_json(replace(goal_set, digest="", notes=(), left_out=()))
    return replace(goal_set, digest=hashlib.sha256(canonical).hexdigest())


def load_goal_set(path: Path) -> GoalSet:
    """Reads one goal-set file. Raises RefusedGoals naming the file, the key and what is wrong with it."""
    try:
        return _File.model_validate(tomllib.loads(path.read_text("utf-8"))).goal_set()
    except OSError as error:
        raise RefusedGoals(f"{path} cannot be read ({error.strerror}); give the path of a goal-set file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RefusedGoals(f"{path.name} is not valid TOML ({error}); correct the file") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"]) or "file"
        message = first["msg"].removeprefix("Value error, ")
        raise RefusedGoals(f"{path.name}, {key}: {message}; correct the file") from error


@cache
def list_goal_sets() -> tuple[GoalSet, ...]:
    """The goal sets that ship with Couchside, by name."""
    with as_file(files("models") / "guidelines") as folder:
        return tuple(load_goal_set(path) for path in sorted(folder.glob("*.toml"), key=lambda path: path.stem))


def goal_sets_for_site(site: str) -> tuple[GoalSet, ...]:
    """The shipped goal sets that answer to a site ('prostate') or the one of a name ('tg119-prostate'). Raises
    RefusedGoals listing the sites."""
    known = list_goal_sets()
    found = tuple(g for g in known if site in (g.site, *g.also_for)) or tuple(g for g in known if site == g.name)
    if not found:
        sites = ", ".join(goal_set.site for goal_set in known)
        raise RefusedGoals(f"there is no goal set for the site '{site}'; use one of {sites}, or pass a goal file")
    return found


def goal_set_for_site(site: str) -> GoalSet:
    """The one shipped set of exactly this site or name. Raises RefusedGoals."""
    found = goal_sets_for_site(site)
    return next((goal_set for goal_set in found if site in (goal_set.site, goal_set.name)), found[0])
