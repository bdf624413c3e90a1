"""TOML files that the evaluation reads: every key known, every fault named, and rows that say where they come from."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

DOI = r"^10\.\d{4,9}/\S+$"


class Table(BaseModel):
    """An unknown key refuses the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)


class Cited(Table):
    """A row with its primary source. checked: what its numbers were compared with."""

    authors: str = Field(min_length=3)
    journal: str = Field(min_length=3)
    volume: str = Field(min_length=1)
    page: str = Field(min_length=1)
    year: int = Field(ge=1950, le=2100)
    doi: str = Field(pattern=DOI)
    checked: str = Field(min_length=3)

    @property
    def citation(self) -> str:
        return f"{self.authors}, {self.journal} {self.volume}:{self.page}, {self.year}"


_Model = TypeVar("_Model", bound=BaseModel)


def read_table(kind: type[_Model], content: bytes, name: str, refused: Callable[[str], Exception]) -> _Model:
    """Raises what `refused` makes of 'NAME is not valid TOML (…)' or 'NAME, goal.3.limit: what is wrong', lists counted
    from 1."""
    try:
        return kind.model_validate(tomllib.loads(content.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise refused(f"{name} is not valid TOML ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"]) or "file"
        raise refused(f"{name}, {key}: {first['msg'].removeprefix('Value error, ')}") from error
