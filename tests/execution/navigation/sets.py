"""Sets of plans for tests: one made by hand, whose trade-offs are known, and a small phantom with two organs."""

from __future__ import annotations

import numpy as np

from appliance.contracts import Case, GoalSet, StructureKind
from appliance.contracts.navigation import Anchor, TradeOffSet
from appliance.contracts.sampled import goal_values, hottest_gy

from ...planning.cases import cylinder_case, goal, goal_set, structure

GOALS = goal_set(
    goal("PTV", "D95%", ">=", 19.0),
    goal("Cord", "D0.1cc", "<=", 12.0),
    goal("Left", "Mean", "<=", 10.0, priority=3),
    goal("Right", "Mean", "<=", 10.0, priority=3),
)
PARTS = {"PTV": slice(0, 100), "Cord": slice(100, 120), "Left": slice(120, 170), "Right": slice(170, 220)}


def doses(ptv: float, cord: float, left: float, right: float, *, seed: int) -> np.ndarray:
    """(samples,) Gy with the means asked for, uneven within each structure."""
    made = np.zeros(220)
    random = np.random.default_rng(seed)
    for name, mean, spread in (("PTV", ptv, 0.3), ("Cord", cord, 1.0), ("Left", left, 3.0), ("Right", right, 3.0)):
        part = PARTS[name]
        own = random.uniform(-spread, spread, part.stop - part.start)
        made[part] = mean + own - own.mean()
    return made.astype(np.float32)


MIDDLE = (20.0, 9.0, 9.0, 9.5)
FAVOURED = {
    "less Left Mean": (2, (20.0, 9.0, 6.0, 11.0)),
    "less Right Mean": (3, (20.0, 9.0, 10.5, 7.0)),
    "less Cord D0.1cc": (1, (19.8, 5.0, 11.0, 11.0)),
}


def set_of(plan: np.ndarray, *rows: tuple[str, int, np.ndarray], goals: GoalSet = GOALS) -> TradeOffSet:
    regions = {
        name: (np.arange(part.start, part.stop), np.full(part.stop - part.start, 0.05, np.float32))
        for name, part in PARTS.items()
    }
    regions["External"] = (np.arange(220), np.full(220, 0.05, np.float32))
    anchors = []
    for name, favoured, dose in rows:
        values = goal_values(goals.goals, regions, dose)
        anchors.append(Anchor(name, favoured, values, hottest_gy(regions, "External", dose), 40))
    return TradeOffSet(
        goals, "p" * 64, goal_values(goals.goals, regions, plan), hottest_gy(regions, "External", plan),
        tuple(anchors), "External", regions, plan, np.stack([dose for _, _, dose in rows]),
        np.arange(len(rows) * 7, dtype=np.float32).reshape(len(rows), 7),
    )  # fmt: skip


def by_hand() -> TradeOffSet:
    """Left and Right trade against each other, Cord against both; no goal is missed."""
    middle = doses(*MIDDLE, seed=1)
    rows = [(name, number, doses(*means, seed=1)) for name, (number, means) in FAVOURED.items()]
    return set_of(middle, ("the plan", -1, middle), *rows)


def phantom() -> Case:
    """The cylinder with a second organ on the other side of its target."""
    case = cylinder_case()
    x, y, z = case.image.grid.axes_mm()
    ball = (x[None, None, :] - 5) ** 2 + (y[None, :, None] + 44) ** 2 + z[:, None, None] ** 2 < 12**2
    return case.__class__(
        **{**vars(case), "structures": (*case.structures, structure(4, "Side", StructureKind.ORGAN, ball))}
    )
