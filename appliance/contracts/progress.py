"""How a long step tells how far it is; also the one place where it can be asked to give up."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with the name of the step under way and the part of it that is done, 0 to 1.

    A caller that wants the work to end raises from here, so a step calls it at least about once a second and holds
    nothing that such an exception would leave half-written.
    """

    def __call__(self, step: str, fraction: float, /) -> None: ...


def silent(step: str, fraction: float, /) -> None:
    """For callers who do not care."""


DETAIL = " · "


def detailed(step: str, detail: str) -> str:
    """A step with how it stands, for people. The step is still the same one when the detail changes."""
    return f"{step}{DETAIL}{detail}"


def step_name(step: str) -> str:
    """Without its detail: what seconds are booked under."""
    return step.partition(DETAIL)[0]
