"""Arrays (z, y, x) in LPS to the axes of a network and back. An orientation has a letter for each array axis: where its
index grows to. Ours is SPL: superior, posterior, left."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

OURS = "SPL"
OPPOSITE = {"S": "I", "I": "S", "P": "A", "A": "P", "L": "R", "R": "L"}
Kind = TypeVar("Kind", bound=np.generic)


def check_orientation(orientation: str) -> None:
    """Raises EngineError for what is no three letters of three axes."""
    if len(orientation) != 3 or not set(orientation) <= set(OPPOSITE) or len({_axis(o) for o in orientation}) != 3:
        raise EngineError(f"orientation '{orientation}' needs one letter of each pair S or I, P or A, L or R")


def to_network(values: NDArray[Kind], orientation: str) -> NDArray[Kind]:
    """(z, y, x) in LPS as the network wants it; a view."""
    moved = values.transpose(axes_of(orientation))
    return moved[_flips(orientation)]


def from_network(values: NDArray[Kind], orientation: str) -> NDArray[Kind]:
    """The way back of `to_network`, for the last three axes; a view."""
    check_orientation(orientation)
    lead = values.ndim - 3
    straight = values[(slice(None),) * lead + _flips(orientation)]
    back = np.argsort(axes_of(orientation))
    return straight.transpose(*range(lead), *(lead + int(axis) for axis in back))


def axes_of(orientation: str) -> tuple[int, int, int]:
    """Our axis (0 z, 1 y, 2 x) that each axis of the network is."""
    check_orientation(orientation)
    first, second, third = (_axis(letter) for letter in orientation)
    return first, second, third


def _axis(letter: str) -> int:
    return next(axis for axis, own in enumerate(OURS) if letter in (own, OPPOSITE[own]))


def _flips(orientation: str) -> tuple[slice, ...]:
    return tuple(slice(None) if letter in OURS else slice(None, None, -1) for letter in orientation)
