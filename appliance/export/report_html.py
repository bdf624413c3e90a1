"""Small pieces every part of the report is made of. Whatever came from outside passes through `text`."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from appliance.contracts import Case, GoalResult, StructureKind

TARGET_HUES, ORGAN_HUES = 3, 8
"""How many colours `report_style` defines for each kind; further structures repeat them with another dash."""


def text(value: object) -> str:
    """Escaped for element content and for quoted attributes."""
    return html.escape(str(value), quote=True)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """Cells and head are HTML already; the first cell of each row is its header. A head that starts with '#' is
    numeric: its column is aligned to the right."""
    numeric = [name.startswith("#") for name in head]
    align = [' class="n"' if is_number else "" for is_number in numeric]
    columns = "".join(
        f'<th scope="col"{side}>{name.removeprefix("#")}</th>' for name, side in zip(head, align, strict=True)
    )
    body = []
    for row in rows:
        first = f'<th scope="row"{align[0]}>{row[0]}</th>'
        rest = "".join(f"<td{side}>{cell}</td>" for cell, side in zip(row[1:], align[1:], strict=True))
        body.append(f"<tr>{first}{rest}</tr>")
    return (
        f'<div class="scroll"><table class="{kind}"><caption>{caption}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def section(title: str, body: str, *, anchor: str) -> str:
    return f'<section id="{anchor}" aria-labelledby="{anchor}-h"><h2 id="{anchor}-h">{title}</h2>{body}</section>'


def value_beside_limit(value: float, goal: GoalResult) -> str:
    """Rounded to 2 decimals (1 for %), finer where rounding would contradict the judgement: 49.998 is not '50.00'
    beside a limit of 50 that it misses."""
    return beside_limit(value, goal.limit, goal.unit, goal.comparator, met=goal.met)


def beside_limit(value: float, limit: float, unit: str, comparator: str, *, met: bool) -> str:
    """`value_beside_limit` of what is no GoalResult."""
    for decimals in range(1 if unit == "%" else 2, 8):
        shown = round(value, decimals)
        holds = shown <= limit if comparator == "<=" else shown >= limit
        if holds == met:
            return f"{value:.{decimals}f}"
    return f"{value!r}"


def symbols(words: str) -> str:
    """Comparators as a reader writes them."""
    return words.replace(">=", "≥").replace("<=", "≤")


def duration(seconds: float) -> str:
    """'8.3 s', '2 min 05 s'."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def short(digest: str) -> str:
    """A digest as people compare it: its first 16 hex digits."""
    return f'<code title="{text(digest)}">{text(digest[:16])}</code>'


@dataclass(frozen=True)
class Style:
    """How a structure is drawn everywhere in the report: CSS colour variable, and a dash for the DVH."""

    colour: str
    dash: str
    is_target: bool


@dataclass(frozen=True)
class Styles:
    """One style a structure, so that slices, DVH and legend agree."""

    by_name: dict[str, Style] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Style:
        return self.by_name[name]

    @staticmethod
    def of(case: Case) -> Styles:
        """Targets solid in warm colours, organs dashed in cool ones; the External is grey."""
        styles: dict[str, Style] = {}
        targets = organs = 0
        for structure in case.structures:
            if structure.kind is StructureKind.EXTERNAL:
                styles[structure.tg263] = Style("var(--body)", "2 3", False)
            elif structure.kind is StructureKind.TARGET:
                dash = "" if targets < TARGET_HUES else "14 2"
                styles[structure.tg263] = Style(f"var(--t{targets % TARGET_HUES})", dash, True)
                targets += 1
            else:
                dash = ("7 3", "3 3", "9 3 2 3")[min(organs // ORGAN_HUES, 2)]
                styles[structure.tg263] = Style(f"var(--o{organs % ORGAN_HUES})", dash, False)
                organs += 1
        return Styles(styles)
