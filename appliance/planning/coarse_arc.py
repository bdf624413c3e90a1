"""A stand-in for an arc's dose with fewer directions, on which leaf paths are optimised.

Neighbouring intervals share the direction in their middle. With three of them the fluence of the outer two is turned by
2 degrees, under 4 mm at 100 mm from the axis. What that changes is worked out with all directions before every round
and added, so only changes within a round are approximate; what a round reports is the dose of all directions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.planning.aim import Aim
from appliance.planning.arcs import Arc
from appliance.planning.dose_model import DoseModel
from engines.photon.frame import BeamFrame

Points = NDArray[np.float32]

TOGETHER = 3
"""Neighbouring intervals that share a direction (chosen: 0.11 instead of 0.28 CPU s an evaluation on OpenKBP 34, and as
low a merit after as many)."""


def groups(arcs: tuple[Arc, ...]) -> tuple[NDArray[np.int64], tuple[BeamFrame, ...]]:
    """Number of the first direction of each group, all arcs counted through, and the frame in the middle of each."""
    first, frames, before = [], [], 0
    for arc in arcs:
        for start in range(0, len(arc.frames), TOGETHER):
            own = arc.frames[start : start + TOGETHER]
            first.append(before + start)
            frames.append(own[len(own) // 2])
        before += len(arc.frames)
    return np.array(first, np.int64), tuple(frames)


class CoarseArcs:
    """Makes the stand-in of an aim. make: the dose model of frames and points."""

    def __init__(self, arcs: tuple[Arc, ...], make: Callable[[tuple[BeamFrame, ...], Points], DoseModel]) -> None:
        self._first, self._frames = groups(arcs)
        self._make = make
        self._points_mm: Points | None = None
        self._dose_model: DoseModel | None = None

    def __call__(self, aim: Aim, fluence: NDArray[np.float32]) -> CoarseAim:
        """Right in its dose at `fluence` (directions, nv, nu), and nearly so around it."""
        if self._dose_model is None or self._points_mm is not aim.points_mm:
            self._points_mm, self._dose_model = aim.points_mm, self._make(self._frames, aim.points_mm)
        return CoarseAim(aim, self._dose_model, self._first, fluence)


class CoarseAim:
    """An Aim of all directions, worked out on the groups of `groups`. What they are off by at the fluence it starts
    from is added to every dose (the same correction as that of PhotonTps.judge)."""

    def __init__(self, aim: Aim, dose_model: DoseModel, first: NDArray[np.int64], fluence: NDArray[np.float32]) -> None:
        self._merit, self._dose_model, self._first = aim.merit, dose_model, first
        self._sizes = np.diff(np.append(first, len(fluence)))
        self._correction = aim.dose_of(fluence) - self._dose(fluence)

    def _dose(self, fluence: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._dose_model.forward(np.add.reduceat(fluence, self._first, axis=0))

    def __call__(self, fluence: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        """(merit, gradient (directions, nv, nu) in the fluence)."""
        value, slope = self._merit(self._dose(fluence) + self._correction)
        return value, np.repeat(self._dose_model.adjoint(slope), self._sizes, axis=0)
