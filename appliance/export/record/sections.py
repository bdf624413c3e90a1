"""The further parts of an evaluation as small tables of text, each only where the scorecard has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Block:
    """A small table. head: () where the rows are (name, value)."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def blocks_of(card: Mapping[str, Any]) -> tuple[Block, ...]:
    return ()
