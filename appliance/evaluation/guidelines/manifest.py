"""package.toml: what a guideline package says of itself."""

from __future__ import annotations

import re
from datetime import date

from pydantic import Field, model_validator

from appliance.errors import RefusedPackage
from appliance.evaluation.goal_schema import Covers
from appliance.evaluation.tables import Table, read_table

MANIFEST = "package.toml"

NAME = re.compile(r"^[a-z0-9][a-z0-9-]{1,39}$")
VERSION = re.compile(r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")


class Manifest(Table):
    """version: semantic (semver.org), MAJOR.MINOR.PATCH: a changed limit is a new MAJOR. valid_until: last day, left
    out where nothing expires (phantoms). fractionation: what all its goal files may cover, left out where each file
    has a prescription of its own. changes: what is new against the version before, one sentence each."""

    format: int = Field(ge=1, le=1)
    name: str = Field(pattern=NAME.pattern)
    version: str = Field(pattern=VERSION.pattern)
    title: str = Field(min_length=3)
    author: str = Field(min_length=2)
    valid_from: date
    valid_until: date | None = None
    sites: tuple[str, ...] = Field(min_length=1)
    changes: tuple[str, ...] = Field(min_length=1)
    fractionation: Covers | None = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Manifest:
        if self.valid_until is not None and self.valid_until < self.valid_from:
            raise ValueError("valid_until lies before valid_from")
        return self

    @property
    def validity(self) -> str:
        return f"from {self.valid_from}" + ("" if self.valid_until is None else f" to {self.valid_until}")


def read_manifest(content: bytes, what: str) -> Manifest:
    """Raises RefusedPackage naming the key."""
    remedy = f"Correct {MANIFEST}, then sign the package again"
    return read_table(Manifest, content, MANIFEST, lambda reason: RefusedPackage(reason, what=what, remedy=remedy))


def version_key(version: str) -> tuple[int, ...]:
    """For ordering; versions are checked when a manifest is read."""
    return tuple(int(part) for part in version.split("."))
