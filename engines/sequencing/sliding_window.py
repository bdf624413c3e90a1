"""Sliding-window sequencing: a fluence map as one sweep of the leaves from left to right.

At each place the opening begins when the right leaf passes and ends when the left one does; the fluence is what lies
between. Where it rises the left leaf waits, where it falls the right one, and otherwise both move as fast as they may:
the shortest sweep there is (Stein et al., Radiother Oncol 32:162, 1994; Spirou and Chui, Med Phys 21:1031, 1994).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Array = NDArray[np.float64]


def sweep(fluence: Array, *, mu_per_column: float) -> tuple[Array, Array]:
    """(right, left): MU at which the right and the left leaf of each row pass each column border, (rows, columns + 1)
    for a map (rows, columns) in MU. Both grow by at least mu_per_column a column, which is the fastest that leaves move
    (MU delivered meanwhile). Raises EngineError for a negative map or a leaf speed without limit."""
    if mu_per_column <= 0 or float(fluence.min(initial=0.0)) < 0:
        raise EngineError("a sweep needs a fluence of 0 or more and leaves that take time to move")
    rows, columns = fluence.shape
    edges = np.pad(fluence, ((0, 0), (1, 1)))
    # The map is taken as linear between column middles; a border lies half-way between two of them.
    border = 0.5 * (edges[:, :-1] + edges[:, 1:])
    border[:, 0] = border[:, -1] = 0.0
    step = np.diff(border, axis=1)
    right = np.zeros((rows, columns + 1))
    right[:, 1:] = np.cumsum(np.maximum(-step, 0.0) + mu_per_column, axis=1)
    return right, right + border


def positions(passes: Array, mu: Array) -> Array:
    """(times, rows) columns (as real numbers) where leaves stand after the given MU (times,), from `sweep`'s passes."""
    column = np.arange(passes.shape[1], dtype=np.float64)
    return np.stack([np.interp(mu, row, column) for row in passes], axis=1)
