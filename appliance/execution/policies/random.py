"""Changes drawn by lot: what a policy must beat to have learned anything."""

from __future__ import annotations

import numpy as np

from appliance.execution.steering.changes import Change, is_legal
from appliance.execution.steering.policy import Action, View

FEW = 3
"""Levers that one call changes (chosen: more of them at random would undo each other)."""


class RandomPolicy:
    """Uniform over levers, then over what is legal for each but to keep it. Never stops. The same seed gives the same
    changes to the same views."""

    name = "random"

    def __init__(self, seed: int, changes: int = FEW) -> None:
        self._rng, self._changes = np.random.default_rng(seed), changes

    def act(self, view: View) -> Action:
        chosen = self._rng.permutation(len(view.levers))[: self._changes]
        changes = [Change.KEEP] * len(view.levers)
        for number in sorted(int(n) for n in chosen):
            lever, position = view.levers[number], view.setting[number]
            legal = [change for change in Change if change is not Change.KEEP and is_legal(lever, position, change)]
            if legal:
                changes[number] = legal[int(self._rng.integers(len(legal)))]
        return Action(tuple(changes))
