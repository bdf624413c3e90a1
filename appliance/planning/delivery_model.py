"""How a technique delivers dose: what every delivery model can do for the planning system."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Plan
from appliance.contracts.progress import Progress
from appliance.planning.aim import Aim
from appliance.planning.beamlets import Beamlets
from appliance.planning.dose_model import DoseModel
from appliance.planning.old_beams import Move
from engines.optimise import Outcome

REFINE_TOLERANCE = 1e-3
MERIT_SCALE = 5.0
"""Tolerances are relative to at least this merit: a goal missed by 0.2 Gy at its first weight (chosen)."""
REFINE_BUDGET = 80
"""Evaluations of one call; it stops earlier by its tolerance and is warm-started by the next call."""
SETTLE_BUDGET = 50
"""Evaluations of a short first optimisation (chosen: a fifth of what `develop` takes)."""
MU_ROOM = 1.05
"""Metersets stay this factor above the machine's smallest, so that scaling the plan down a little keeps them legal."""

MU_WEIGHT = 0.02
"""Merit of a monitor unit of a fraction (chosen: a goal missed by 0.2 Gy outweighs two hundred; a second of beam at the
usual 600 MU a minute costs 0.2)."""


class Delivery(Protocol):
    """Variables of a deliverable plan, with its fluence per direction of `dose_model` and the exact gradient of that.

    Every state that `develop` and `refine` leave behind is legal for the machine."""

    @property
    def dose_model(self) -> DoseModel: ...

    @property
    def ready(self) -> bool:
        """There is something to refine."""
        ...

    def start(self, beamlets: Beamlets, values: NDArray[np.float64], progress: Progress) -> None:
        """First apertures from beamlet fluence (MU)."""
        ...

    def stand_at(self, plan: Plan, beamlets: Beamlets, shift_mm: Move, mu_factor: float) -> str:
        """Stands at the apertures of an earlier plan, moved with the target by shift_mm (LPS) and made legal, with its
        monitor units times mu_factor. Otherwise it stands where it stood, and says why."""
        ...

    def develop(self, aim: Aim, progress: Progress) -> Outcome:
        """The first optimisation after `start`, with whatever the technique adds meanwhile."""
        ...

    def settle(self, aim: Aim, progress: Progress) -> Outcome:
        """In its place where a plan is wanted soon: short, and nothing is added."""
        ...

    def refine(self, aim: Aim, progress: Progress) -> Outcome:
        """Goes on from where it stands."""
        ...

    def fluence(self) -> NDArray[np.float32]:
        """(directions, nv, nu) of the present state, MU."""
        ...

    def in_variables(self, by_fluence: NDArray[np.float32]) -> NDArray[np.float64]:
        """A gradient in the present fluence as one in the variables."""
        ...

    @property
    def mu(self) -> float:
        """Monitor units of one fraction."""
        ...

    def scale(self, factor: float) -> None: ...

    def remember(self) -> Callable[[], None]:
        """A way back to the present state."""
        ...

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The present state by names of its own, for `restore`."""
        ...

    def restore(self, beamlets: Beamlets, arrays: Mapping[str, NDArray[Any]]) -> None:
        """The state that `arrays` gave, exactly. Raises KeyError or ValueError for arrays of something else."""
        ...

    def plan(self) -> Plan:
        """The plan as it is exported, rounded to what a plan states."""
        ...
