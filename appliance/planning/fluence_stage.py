"""The ideal before apertures: beamlet fluence of fixed directions, optimised through the dose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import GoalSet
from appliance.contracts.progress import Progress
from appliance.errors import PlanningError
from appliance.planning.aim import Aim
from appliance.planning.beamlets import Beamlets
from appliance.planning.delivery_model import MERIT_SCALE
from appliance.planning.dose_model import DoseModel
from appliance.planning.leakage import Leakage
from appliance.planning.merit import Regions
from engines.optimise import Outcome, minimise
from engines.sequencing import monitor_units

SMOOTHNESS = 0.02
"""Weight of the mean squared dose-like step between neighbouring beamlets (chosen: halves the sequencing loss on the
built-in cases at no visible cost in the fluence optimum)."""
FLUENCE_BUDGET = 80
"""Evaluations of one call; it stops earlier by its tolerance and is warm-started by the next call."""
FLUENCE_TOLERANCE = 3e-3


class FluenceStage:
    """gy_per_unit: Gy of the course for one unit of the engine, which scales the smoothness term."""

    def __init__(self, dose_model: DoseModel, beamlets: Beamlets, leakage: Leakage, gy_per_unit: float) -> None:
        self.dose_model, self.beamlets = dose_model, beamlets
        self._leakage, self._gy = leakage, gy_per_unit
        self.values: NDArray[np.float64] | None = None

    def fluence(self) -> NDArray[np.float32]:
        """(directions, nv, nu) of the present values with their leakage. Raises PlanningError before `optimise`."""
        if self.values is None:
            raise PlanningError("there is no fluence yet")
        return self._leakage.draw(self.values)

    def in_variables(self, by_fluence: NDArray[np.float32]) -> NDArray[np.float64]:
        """A gradient in the present fluence as one in the beamlets."""
        return self._leakage.collect(by_fluence)

    def take(self, values: NDArray[np.floating]) -> None:
        """Values (variables,) from elsewhere, MU. Raises PlanningError where they are not of these beamlets."""
        if values.shape != (self.beamlets.variables,) or not np.isfinite(values).all() or values.min(initial=0.0) < 0:
            raise PlanningError(
                f"a fluence of {values.size} values is not one of the {self.beamlets.variables} beamlets of this case"
            )
        self.values = np.asarray(values, np.float64).copy()

    def modulation(self, goal_set: GoalSet) -> float:
        """Monitor units of a fraction that the present fluence needs at least, for each cGy of the highest
        prescription; NaN before `optimise`."""
        if self.values is None:
            return float("nan")
        maps = (self.beamlets.map_of(beam, self.values) for beam in range(len(self.beamlets.cells)))
        return goal_set.mu_per_cgy(sum(monitor_units(each)[0] for each in maps))

    def start(self, goal_set: GoalSet, regions: Regions) -> NDArray[np.float64]:
        """Open fields that give the highest prescribed dose to its target on average. Raises PlanningError if no
        prescribed target is in the case."""
        ones = np.ones(self.beamlets.variables)
        dose = self.dose_model.forward(self.beamlets.draw(ones))
        name, dose_gy = max(
            (item for item in goal_set.prescription if regions.get(item[0]) is not None),
            key=lambda item: item[1],
            default=("", 0.0),
        )
        found = regions.get(name)
        if found is None:
            raise PlanningError("none of the prescribed targets is in the case")
        return ones * (dose_gy / float(np.average(dose[found[0]], weights=found[1])))

    def optimise(
        self, aim: Aim, start: NDArray[np.float64], progress: Progress, *, budget: int = FLUENCE_BUDGET
    ) -> Outcome:
        """Values from `start` (MU), non-negative; warm-startable."""
        unit = float(start.mean())
        smooth = SMOOTHNESS * self._gy**2 / len(self.beamlets.neighbours)
        first, second = self.beamlets.neighbours.T

        def evaluate(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            values = x * unit
            value, by_fluence = aim(self._leakage.draw(values))
            gradient = self._leakage.collect(by_fluence)
            step = values[first] - values[second]
            value += smooth * float(step @ step)
            gradient += 2 * smooth * (
                np.bincount(first, step, gradient.size) - np.bincount(second, step, gradient.size)
            )  # fmt: skip
            return value, gradient * unit

        outcome = minimise(
            evaluate, start / unit, tolerance=FLUENCE_TOLERANCE, scale=MERIT_SCALE, budget=budget,
            on_iteration=lambda i, _: progress("fluence", min(1.0, i / budget)),
        )  # fmt: skip
        self.values = outcome.x * unit
        aim.dose_gy = aim.dose_of(self.fluence())
        return outcome
