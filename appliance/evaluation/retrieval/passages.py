"""Reads passage files (models/guidelines/passages/*.toml) and refuses what has no source.

A file states its sources once, `[source.NAME]` with paper and doi or url, and its `[[passage]]` tables name one of them
and the place in it. A passage without a source, a source without an address, an unknown key or a metric that nobody
could compute is refused with the file and the key named.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from appliance.contracts.goals import Metric
from appliance.contracts.passage import Passage, PassageLimit
from appliance.errors import RefusedGoals
from appliance.evaluation.tables import Table, read_table

_LIMIT = re.compile(
    r"^(?P<metric>\S+) (?P<comparator><=|>=) (?P<limit>\d+(?:\.\d+)?) (?P<unit>Gy|%|cc)(?: in (?P<fx>\d+))?$"
)


class _Source(Table):
    paper: str = Field(min_length=20)
    doi: str = Field(default="", pattern=r"^(10\.\d{4,9}/\S+)?$")
    url: str = Field(default="", pattern=r"^(https://\S+)?$")

    @model_validator(mode="after")
    def _can_be_looked_up(self) -> _Source:
        if not self.doi and not self.url:
            raise ValueError("a source needs a doi or a url, so that it can be looked up")
        return self


class _Passage(Table):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$")
    title: str = Field(min_length=3)
    text: str = Field(min_length=30, max_length=900)
    structures: tuple[str, ...]
    sites: tuple[str, ...]
    endpoint: str = Field(min_length=3)
    limits: tuple[str, ...]
    source: str
    where: str = Field(min_length=3)
    approximate: bool = False

    @field_validator("limits")
    @classmethod
    def _are_limits(cls, limits: tuple[str, ...]) -> tuple[str, ...]:
        for text in limits:
            limit_from(text)
        return limits


class _File(Table):
    source: dict[str, _Source] = Field(min_length=1)
    passage: tuple[_Passage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _every_passage_has_its_source(self) -> _File:
        for entry in self.passage:
            if entry.source not in self.source:
                raise ValueError(f"{entry.id} names the source '{entry.source}', which the file does not state")
        return self


def limit_from(text: str) -> PassageLimit:
    """'Mean <= 26 Gy', 'D0.35cc <= 18 Gy in 3'. Raises ValueError."""
    match = _LIMIT.match(text)
    if match is None:
        raise ValueError(f"'{text}' is not a limit; write 'Mean <= 26 Gy' or 'D0.35cc <= 18 Gy in 3'")
    try:
        metric = str(Metric.parse(match["metric"]))
    except RefusedGoals as error:
        raise ValueError(error.fields["reason"]) from error
    return PassageLimit(metric, match["comparator"], float(match["limit"]), match["unit"], int(match["fx"] or 0))


def load_passages(folder: Path) -> tuple[Passage, ...]:
    """Every passage of the folder's *.toml files, in order of file and place. Raises RefusedGoals, also where an id is
    there twice or the folder holds none."""
    found: list[Passage] = []
    for path in sorted(folder.glob("*.toml")):
        found += _read(path)
    if not found:
        raise RefusedGoals(f"there are no guideline passages in {folder}")
    names = [passage.id for passage in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RefusedGoals(f"the passage {twice[0]} is there twice; give each its own id")
    return tuple(found)


@cache
def shipped_passages() -> tuple[Passage, ...]:
    """Those that come with this release. Raises RefusedGoals."""
    with as_file(files("models") / "guidelines" / "passages") as folder:
        return load_passages(folder)


def _read(path: Path) -> list[Passage]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RefusedGoals(f"{path} cannot be read ({error.strerror})") from error
    content = read_table(_File, data, path.name, lambda reason: RefusedGoals(f"{reason}; correct the file"))
    return [_passage(entry, content.source[entry.source]) for entry in content.passage]


def _passage(entry: _Passage, source: _Source) -> Passage:
    return Passage(
        id=entry.id,
        title=entry.title,
        text=entry.text,
        structures=entry.structures,
        sites=entry.sites,
        endpoint=entry.endpoint,
        limits=tuple(limit_from(text) for text in entry.limits),
        source=source.paper,
        where=entry.where,
        doi=source.doi,
        url=source.url,
        approximate=entry.approximate,
    )
