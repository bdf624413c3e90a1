"""What the virtual planner needs of a treatment planning system, and nothing more. Any TPS can stand behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.dose import CalculatedDose
from appliance.contracts.objectives import Objectives
from appliance.contracts.plan import Plan
from appliance.contracts.trade_off import Opponent
from appliance.contracts.working import Working


@dataclass(frozen=True)
class PlanningState:
    """What the planner sees after an optimisation: one value for each goal of the goal set, in the goal's unit (NaN
    where the structure is absent), the merit reached, and the hottest 0.1 cc in the patient. All on the TPS's own
    sampled voxels: for guidance; the plan is judged on the full grid by the evaluation. mu: monitor units of one
    fraction, NaN where there are no apertures yet."""

    goal_values: tuple[float, ...]
    merit: float
    hottest_gy: float
    iterations: int
    stage: str
    mu: float = float("nan")


@dataclass(frozen=True)
class GoalConflict:
    """A missed goal and what stands against it in the present plan, the strongest first. goal: its number. goals:
    numbers of the goals among its opponents. sentence: all of it for a clinician. opponents: every one, helpers too."""

    goal: int
    goals: tuple[int, ...]
    sentence: str
    opponents: tuple[Opponent, ...] = ()


@runtime_checkable
class CanImitate(Protocol):
    """What a planning system may offer beyond what it must."""

    def imitate(self, dose_gy: NDArray[np.float32]) -> PlanningState:
        """Fluence whose dose is roughly the given one, (z, y, x) in Gy on the image grid: where `optimise_fluence`
        begins next, in the place of open fields."""
        ...


@runtime_checkable
class CanBeQuick(Protocol):
    """What a planning system may offer beyond what it must."""

    def sequence_quickly(self, objectives: Objectives) -> PlanningState:
        """As `sequence`, in a part of its time and not as good: deliverable all the same."""
        ...


@runtime_checkable
class CanResume(Protocol):
    """What a planning system may offer, so that a plan is revised from where it stands, also after a restart."""

    def working(self) -> Working: ...

    def resume(self, working: Working, final: tuple[Plan, CalculatedDose] | None = None) -> PlanningState:
        """Stands where the system stood that gave `working`. final: the plan it stood at with its dose."""
        ...


@runtime_checkable
class CanTakeFluence(Protocol):
    """What a planning system may offer, so that a plan is made of a fluence that was found elsewhere."""

    def take_fluence(self, values: NDArray[np.floating]) -> PlanningState:
        """Stands at this fluence of its own beamlets, MU (beamlets,), from now on."""
        ...


class SteerableTps(Protocol):
    """What a policy needs of a TPS: objectives in, a re-optimised dose out. Ours implements it on a coarse grid for
    exploring and on the full one; an outside TPS behind it is steered in the same way. One instance plans one case."""

    def initial_objectives(self) -> Objectives:
        """The template's list."""
        ...

    def offered_objectives(self) -> Objectives:
        """What may be added to it, such as rings around targets and organs without their overlap; perhaps nothing."""
        ...

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        """Optimises warm from the last result; from the TPS's own beginning after `forget`."""
        ...

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        """Gy that the hottest so many percent of a region's volume get at least; NaN where the case has nothing of
        it."""
        ...

    def modulation(self) -> float:
        """Monitor units of a fraction that the fluence would need at least, for each cGy of the highest prescription;
        NaN where the TPS cannot say."""
        ...

    def forget(self) -> None: ...


class TreatmentPlanningSystem(Protocol):
    """Operated by `execution`. One instance plans one case."""

    def initial_objectives(self) -> Objectives: ...

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        """Optimises beamlet fluence, warm from the last result."""
        ...

    def sequence(self, objectives: Objectives) -> PlanningState:
        """Turns the fluence into deliverable apertures and refines them."""
        ...

    def refine(self, objectives: Objectives) -> PlanningState:
        """Optimises leaf positions and monitor units of the apertures, warm from the last result."""
        ...

    def normalise(self, factor: float) -> PlanningState:
        """Scales all monitor units."""
        ...

    def judge(self) -> PlanningState:
        """The deliverable plan as it stands, on every voxel of the image grid: what the evaluation will see. A TPS may
        learn from it: ask `normalise(1.0)` for its own figures afterwards."""
        ...

    def conflicts(self, objectives: Objectives) -> tuple[GoalConflict, ...]:
        """Which goals the fluence or plan as it stands misses, and what these objectives hold against them."""
        ...

    def remember(self) -> Callable[[], PlanningState]:
        """A way back to the apertures as they stand, for when what follows is no better. What the TPS learned in
        `judge` meanwhile stays."""
        ...

    def finish(self) -> tuple[Plan, CalculatedDose]:
        """The deliverable plan and its dose on every voxel of the image grid."""
        ...
