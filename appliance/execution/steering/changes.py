"""What a policy may do to one objective, and how far: the small moves that a planner makes at the TPS.

Weights go by factors of two; what is asked by a few percent of dose, or by a tenth of the volume where the goal speaks
of a volume. An objective that is only offered (a ring, an organ without its overlap) can be added once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from appliance.contracts import Objective, ObjectiveKind, Objectives
from appliance.errors import PlanningError


class Change(IntEnum):
    KEEP = 0
    RAISE = 1
    LOWER = 2
    TIGHTEN = 3
    RELAX = 4
    ADD = 5


WEIGHT_STEP = 2.0
HEAVIEST, LIGHTEST = 64.0, 1 / 16
"""Weights stay within these multiples of their first value (chosen: four to six steps; no goal can silence others)."""
LIGHTEST_HOT = 1.0
"""The helper that holds the hot-spot limit is never made lighter: a gain bought with a hot spot is no gain."""
ORGAN_STEP, TARGET_STEP, VOLUME_STEP = 0.04, 0.005, 0.10
"""One step of what is asked: of an organ's dose, of a target's, and of a volume, as shares of the first (chosen: about
what a round of optimisation can follow)."""
ORGAN_ASK, TARGET_ASK, VOLUME_ASK = (0.4, 1.2), (0.97, 1.05), (0.2, 2.0)
"""Least and most of what is asked, as shares of the first."""
NEARLY = 1e-3
"""Relative tolerance at the ends of the ranges, for steps that add up in floating point."""
FLOORS = (ObjectiveKind.SQUARED_UNDERDOSE, ObjectiveKind.DVH_MIN)
WEIGHT_ONLY = (ObjectiveKind.FALLOFF, ObjectiveKind.SQUARED_DEVIATION, ObjectiveKind.SQUARED_DIFFERENCE)


@dataclass(frozen=True)
class Lever:
    """One objective as a policy steers it. first: as the template has it, or would add it (offered). of_target: its
    structure is a prescribed target. by_volume: its goal is of a volume, so what is asked moves the volume."""

    first: Objective
    of_target: bool = False
    by_volume: bool = False
    offered: bool = False

    @property
    def structure(self) -> str:
        return self.first.structure

    @property
    def goal(self) -> int:
        return self.first.goal


@dataclass(frozen=True)
class Position:
    """Where a lever stands: multiples of the first weight and of what was first asked; whether it is in the list."""

    weight: float = 1.0
    ask: float = 1.0
    active: bool = True


Setting = tuple[Position, ...]


def first_setting(levers: tuple[Lever, ...]) -> Setting:
    return tuple(Position(active=not lever.offered) for lever in levers)


def objective_at(lever: Lever, position: Position) -> Objective:
    first = lever.first
    moved = replace(first, weight=first.weight * position.weight)
    if lever.by_volume:
        return replace(moved, volume_percent=first.volume_percent * position.ask)
    return replace(moved, dose_gy=first.dose_gy * position.ask)


def objectives_at(levers: tuple[Lever, ...], setting: Setting) -> Objectives:
    pairs = zip(levers, setting, strict=True)
    return tuple(objective_at(lever, position) for lever, position in pairs if position.active)


def ask_range(lever: Lever) -> tuple[float, float]:
    """Least and most of what may be asked, as shares of the first; (1, 1) where only its weight may change: of what is
    no number of Gy, of the hot-spot helper, and of nothing at all."""
    first = lever.first
    scaled = first.volume_percent if lever.by_volume else first.dose_gy
    if first.kind in WEIGHT_ONLY or first.hot_spot or scaled <= 0:
        return 1.0, 1.0
    if lever.by_volume:
        return VOLUME_ASK[0], min(VOLUME_ASK[1], max(100.0 / first.volume_percent, 1.0))
    return TARGET_ASK if lever.of_target else ORGAN_ASK


def weight_range(lever: Lever) -> tuple[float, float]:
    return LIGHTEST_HOT if lever.first.hot_spot else LIGHTEST, HEAVIEST


def check_setting(levers: tuple[Lever, ...], setting: Setting) -> None:
    """Raises PlanningError for a setting that no changes could lead to or between: of other levers, beyond a range, or
    without an objective that the template has."""
    if len(setting) != len(levers):
        raise PlanningError(f"{len(setting)} positions were given for {len(levers)} objectives")
    for lever, position in zip(levers, setting, strict=True):
        ranges = (weight_range(lever), ask_range(lever))
        for value, (low, high) in zip((position.weight, position.ask), ranges, strict=True):
            if not low * (1 - NEARLY) <= value <= high * (1 + NEARLY):
                raise PlanningError(
                    f"the objective on {lever.structure} was set to {value:g} of its first where {low:g} to {high:g} "
                    "may be"
                )
        if not (position.active or lever.offered):
            raise PlanningError(f"the objective on {lever.structure} cannot be taken out of the list")


def moved(lever: Lever, position: Position, change: Change) -> Position:
    """The position after a change. Raises PlanningError for one that is not legal there."""
    if change is Change.KEEP:
        return position
    if not is_legal(lever, position, change):
        raise PlanningError(f"'{change.name.lower()}' is not possible for the objective on {lever.structure} now")
    if change is Change.ADD:
        return replace(position, active=True)
    if change in (Change.RAISE, Change.LOWER):
        factor = WEIGHT_STEP if change is Change.RAISE else 1 / WEIGHT_STEP
        return replace(position, weight=position.weight * factor)
    return replace(position, ask=position.ask + ask_step(lever, change))


def ask_step(lever: Lever, change: Change) -> float:
    """Signed step of TIGHTEN or RELAX: tighter is more of a floor and less of a cap."""
    size = VOLUME_STEP if lever.by_volume else TARGET_STEP if lever.of_target else ORGAN_STEP
    is_more = (change is Change.TIGHTEN) == (lever.first.kind in FLOORS)
    return size if is_more else -size


def is_legal(lever: Lever, position: Position, change: Change) -> bool:
    if change is Change.KEEP:
        return True
    if not position.active or change is Change.ADD:
        return change is Change.ADD and not position.active
    if change in (Change.RAISE, Change.LOWER):
        low, high = weight_range(lever)
        wanted = position.weight * (WEIGHT_STEP if change is Change.RAISE else 1 / WEIGHT_STEP)
    else:
        low, high = ask_range(lever)
        wanted = position.ask + ask_step(lever, change)
    return low * (1 - NEARLY) <= wanted <= high * (1 + NEARLY)
