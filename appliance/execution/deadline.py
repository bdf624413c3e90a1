"""How long planning may take: asked between the calls of the TPS, and while they tell how far they are."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


class TimeUp(Exception):
    """The budget is used. Never seen outside `execution`: whoever plans answers with the best plan so far."""


@dataclass(eq=False)
class Deadline:
    """budget_s: seconds from its making on; 0: as long as it takes. clock: seconds that only grow. reserve_s: of the
    budget, what is kept for the last full dose; the planner learns it from the first one."""

    budget_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    reserve_s: float = 0.0
    began_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.began_s = self.clock()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self.clock() - self.began_s

    @property
    def left_s(self) -> float:
        """Until the last full dose must begin; infinite without a budget."""
        return self.budget_s - self.reserve_s - self.seconds if self.budget_s > 0 else math.inf

    def check(self) -> None:
        """Raises TimeUp."""
        if self.left_s <= 0:
            raise TimeUp
