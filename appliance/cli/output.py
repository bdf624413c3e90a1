"""How commands speak: a result on stdout, as text or JSON; progress on stderr, as bars or plain lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from appliance.contracts.progress import Progress

LINE_EVERY_S, STEP_EVERY_S = 5.0, 1.0
"""Least pause between plain progress lines of one step, and of different steps. Chosen: a log stays readable."""


def result(document: Mapping[str, object], shown: RenderableType, *, as_json: bool) -> None:
    """`document` for machines or `shown` for people, never both."""
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    else:
        Console(soft_wrap=isinstance(shown, str)).print(shown, markup=False, highlight=False)


def note(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """A bar where stderr is a terminal, else a line whenever a step begins and now and then while it lasts."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(title)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task(title, total=1.0)

        def show(step: str, fraction: float, /) -> None:
            bars.update(task, completed=fraction, description=f"{title}: {step}" if step else title)

        yield show


class _Lines:
    def __init__(self, title: str) -> None:
        self._title, self._step, self._said_at = title, "", 0.0
        self._begin = time.monotonic()

    def __call__(self, step: str, fraction: float, /) -> None:
        now = time.monotonic()
        if now - self._said_at < (LINE_EVERY_S if step == self._step else STEP_EVERY_S):
            return
        self._step, self._said_at = step, now
        note(f"[{now - self._begin:6.1f} s] {self._title}: {step} {fraction:.0%}")


def table(title: str, columns: tuple[str, ...], rows: Sequence[Sequence[str]]) -> Table:
    made = Table(*columns, title=title or None, title_justify="left")
    for row in rows:
        made.add_row(*row)
    return made
