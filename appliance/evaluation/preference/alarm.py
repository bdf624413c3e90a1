"""How high the drift alarm must be set so that it seldom rings for nothing, found by playing the clinic through.

In each run one of the physicians decides: weights are drawn from what is believed of that physician, plans from those
on record, and what happens follows the drawn weights while the predictions follow the believed ones. So the level
allows for what the model knows that it does not know; what is beyond it is drift.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.evaluation.preference.predict import SLIPS, predict
from engines.preference import Gaussian
from engines.statistics import threshold_for_rate

HORIZON, RATE = 200, 0.05
"""Chosen: rung by chance in 200 decisions of one physician, about a year's, with probability 0.05."""
RUNS, SEED = 2000, 0


def alarm_level(beliefs: Sequence[Gaussian], rows: NDArray[np.float64], temperature: float) -> float:
    """beliefs: of each physician; rows (n, weights): the plans on record."""
    random = np.random.default_rng(SEED)
    said = np.array([[predict(belief, row).calibrated(temperature)[0] for row in rows] for belief in beliefs])
    whose = random.integers(len(beliefs), size=RUNS)
    drawn = np.empty((RUNS, rows.shape[1]))
    for index, belief in enumerate(beliefs):
        own = np.flatnonzero(whose == index)
        shape = (len(own), rows.shape[1])
        drawn[own] = belief.mean + random.standard_normal(shape) @ np.linalg.cholesky(belief.covariance).T
    worth = drawn @ rows.T / temperature
    plan = random.integers(len(rows), size=(RUNS, HORIZON))
    true = 1.0 / (1.0 + np.exp(-np.clip(np.take_along_axis(worth, plan, axis=1), -50.0, 50.0)))
    happened = random.random(plan.shape) < (1.0 - SLIPS) * true + 0.5 * SLIPS
    return threshold_for_rate(said[whose[:, None], plan], happened, RATE)
