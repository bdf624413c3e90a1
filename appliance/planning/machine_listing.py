"""A machine file as a table that people read: each figure with its value and its source."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.planning.machine import UNCONFIRMED, Machine
from appliance.planning.machine_parts import LeafBlock


@dataclass(frozen=True)
class Row:
    """figure: dotted key of the machine file, with its unit in the name."""

    figure: str
    value: str
    source: str

    @property
    def unconfirmed(self) -> bool:
        return UNCONFIRMED in self.source


def rows_of(machine: Machine) -> tuple[Row, ...]:
    return tuple(Row(figure, _words(value), machine.source_of(figure)) for figure, value in machine.figures())


def collimator_words(machine: Machine) -> str:
    """For a list: '60 pairs along X, jaws along X and Y'."""
    mlc = machine.mlc
    pairs = " over ".join(
        str(borders.size - 1) for borders in (mlc.boundaries_mm, mlc.lower_boundaries_mm) if borders.size
    )
    jaws = f"jaws along {' and '.join(machine.jaws.axes)}" if machine.jaws.axes else "no jaws"
    return f"{pairs} leaf pairs along {mlc.leaf_axis}, {jaws}"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        if not value:
            return "none"
        if isinstance(value[0], LeafBlock):
            return ", ".join(f"{b.count} × {b.width_mm:g} from {b.from_mm:g}" for b in value)
        if isinstance(value[0], float):
            return " to ".join(f"{v:g}" for v in value)
        return " and ".join(str(v) for v in value)
    return str(value)
