"""One case planned by a policy: the same rules for every policy, and the same number of calls of the TPS.

The reward of a call is the scorecard's difference in percent of its most, less a price for the call and for a hotter
hot spot than the goal set allows; at the end come points for goals met. What is kept is the best state that was seen,
not the last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.contracts import GoalSet, PlanningState, SteerableTps
from appliance.errors import PlanningError
from appliance.execution.guide import Foreseen
from appliance.execution.rules import hot_shortfall
from appliance.execution.steering.changes import (
    Change,
    Setting,
    check_setting,
    first_setting,
    moved,
    objectives_at,
)
from appliance.execution.steering.levers import levers_of
from appliance.execution.steering.observation import VOLUMES_PERCENT, observe
from appliance.execution.steering.policy import Action, Policy, View

Scorer = Callable[[tuple[float, ...]], float]
"""Goal values of the goal set, NaN where absent -> the scorecard's score in percent of its most."""


@dataclass(frozen=True)
class Terms:
    """calls: of the TPS in one episode, the first look included. call_price: points of 100 for each. hot_price: points
    for each percent that the hottest 0.1 cc is above its limit. bonus: points for all goals and the hot-spot limit met,
    a part of them for a part. changes: levers that one call may change; 0: any."""

    calls: int = 15
    call_price: float = 0.1
    hot_price: float = 2.0
    bonus: float = 10.0
    changes: int = 0


@dataclass(frozen=True)
class Reward:
    """gain: difference of scorecards, percent. price: of the call. hot: change of the hot spot's price. bonus: at the
    end only."""

    gain: float = 0.0
    price: float = 0.0
    hot: float = 0.0
    bonus: float = 0.0

    @property
    def total(self) -> float:
        return self.gain - self.price + self.hot + self.bonus

    def __add__(self, other: Reward) -> Reward:
        return Reward(self.gain + other.gain, self.price + other.price, self.hot + other.hot, self.bonus + other.bonus)


@dataclass(frozen=True, eq=False)
class Step:
    """number 0: the template's first look. merit: score less the price of the hot spot; points: with the bonus of the
    goals that it meets, what an episode is worth that ends here. seconds: of the TPS's call. curves: dose in Gy at
    `VOLUMES_PERCENT` of each structure that a lever is of, NaN where it is absent."""

    number: int
    action: Action
    setting: Setting
    state: PlanningState
    score: float
    merit: float
    points: float
    reward: Reward
    seconds: float
    curves: dict[str, tuple[float, ...]]


class PlanningEpisode:
    """Deterministic: the same TPS, goals and actions give the same states. `earned` is what the last call of `reset`,
    `step` or `ask` brought; the bonus is added to the last step's reward too. Where `step` or `ask` raises, the episode
    stands where it stood before.

    Raises PlanningError for goals without a prescription, for actions that are not legal, and for values that are no
    numbers; besides, whatever TPS and scorer raise."""

    def __init__(
        self,
        tps: SteerableTps,
        goal_set: GoalSet,
        scorer: Scorer,
        *,
        terms: Terms | None = None,
        foreseen: tuple[Foreseen, ...] = (),
    ) -> None:
        if not goal_set.prescription or not goal_set.goals:
            raise PlanningError(
                f"{goal_set.name} prescribes no dose to a target or has no goals; choose another goal set"
            )
        if foreseen and len(foreseen) != len(goal_set.goals):
            raise PlanningError(f"{len(foreseen)} values are foreseen for {len(goal_set.goals)} goals")
        self.tps, self.goal_set, self.scorer = tps, goal_set, scorer
        self.terms, self.foreseen = Terms() if terms is None else terms, foreseen
        self.levers = levers_of(goal_set, tps.initial_objectives(), tps.offered_objectives())
        self.steps: list[Step] = []
        self.done, self.earned = False, Reward()

    def reset(self) -> View:
        """Open fields, the template's objectives, one call."""
        self.tps.forget()
        self.steps, self.done = [], False
        return self._look(Action(), first_setting(self.levers))

    def step(self, action: Action) -> View:
        """Raises PlanningError after the end, and for what is not legal."""
        self._check_running()
        if action.stop:
            self.earned = self._end()
            return self.view()
        if len(action.changes) != len(self.levers):
            raise PlanningError(f"{len(action.changes)} changes were given for {len(self.levers)} objectives")
        changed = sum(change is not Change.KEEP for change in action.changes)
        if self.terms.changes and changed > self.terms.changes:
            raise PlanningError(f"{changed} objectives were changed at once where {self.terms.changes} may be")
        rows = zip(self.levers, self.steps[-1].setting, action.changes, strict=True)
        return self._look(action, tuple(moved(*row) for row in rows))

    def ask(self, setting: Setting) -> View:
        """Like `step`, for a search that chooses weights and doses freely within the ranges of `changes.py`."""
        self._check_running()
        check_setting(self.levers, setting)
        return self._look(Action(), setting)

    def conclude(self, state: PlanningState) -> Reward:
        """What a deliverable plan made from the best objectives adds after the end: its score less that of the last
        look, its hot spot, and its bonus in the place of that one. Adds it to `earned`."""
        if not self.done:
            raise PlanningError("an episode that goes on has no deliverable plan")
        last = self.steps[-1]
        score, hot, bonus = self._judged(state)
        added = Reward(score - last.score, 0.0, self._hot(last.state) - hot, bonus - last.reward.bonus)
        self.earned = self.earned + added
        return added

    @property
    def best(self) -> Step:
        """The most points, the earliest of equals: by its score alone, which is continuous at a limit, a state would be
        kept that misses a goal by a hair for a little more sparing."""
        return max(self.steps, key=lambda step: (step.points, -step.number))

    @property
    def total_reward(self) -> float:
        return sum(step.reward.total for step in self.steps)

    def view(self) -> View:
        last = self.steps[-1]
        return View(
            self.goal_set, self.levers, last.setting, last.state, last.curves, last.score, last.points,
            self.foreseen, 0 if self.done else self.terms.calls - len(self.steps), observe(self),
        )  # fmt: skip

    def _check_running(self) -> None:
        if self.done or not self.steps:
            raise PlanningError("the episode has ended or not begun; reset it first")

    def _look(self, action: Action, setting: Setting) -> View:
        start = time.monotonic()
        state = self.tps.optimise_fluence(objectives_at(self.levers, setting))
        seconds = time.monotonic() - start
        score, hot, bonus = self._judged(state)
        reward = Reward()
        if self.steps:
            before = self.steps[-1]
            reward = Reward(score - before.score, self.terms.call_price, self._hot(before.state) - hot)
        curves = self._curves()
        number, merit = len(self.steps), score - hot
        self.steps.append(Step(number, action, setting, state, score, merit, merit + bonus, reward, seconds, curves))
        self.earned = reward
        if len(self.steps) >= self.terms.calls:
            self.earned = reward + self._end()
        return self.view()

    def _end(self) -> Reward:
        """The bonus, which the last step's reward gets."""
        last, self.done = self.steps[-1], True
        bonus = Reward(bonus=self._judged(last.state)[2])
        self.steps[-1] = replace(last, reward=last.reward + bonus)
        return bonus

    def _judged(self, state: PlanningState) -> tuple[float, float, float]:
        """Score, price of the hot spot, and the bonus that its goals would bring."""
        self._check_numbers(state)
        score = self.scorer(state.goal_values)
        if not math.isfinite(score):
            raise PlanningError("the score of the plan is no number")
        pairs = zip(self.goal_set.goals, state.goal_values, strict=True)
        met = [goal.met_by(value) for goal, value in pairs if not math.isnan(value)]
        met.append(hot_shortfall(self.goal_set, state.hottest_gy) <= 0)
        return score, self._hot(state), self.terms.bonus * sum(met) / len(met)

    def _check_numbers(self, state: PlanningState) -> None:
        """NaN says that a structure is absent; where it is there, the planning system has failed."""
        if not math.isfinite(state.hottest_gy):
            raise PlanningError("the planning system gave a hot spot that is no number")
        for goal, value in zip(self.goal_set.goals, state.goal_values, strict=True):
            if not math.isfinite(value) and not math.isnan(self.tps.doses_at(goal.structure, (50.0,))[0]):
                raise PlanningError(f"the planning system gave '{goal}' a value that is no number")

    def _hot(self, state: PlanningState) -> float:
        return self.terms.hot_price * 100 * max(hot_shortfall(self.goal_set, state.hottest_gy), 0.0)

    def _curves(self) -> dict[str, tuple[float, ...]]:
        names = dict.fromkeys(lever.structure for lever in self.levers)
        return {name: self.tps.doses_at(name, VOLUMES_PERCENT) for name in names}


def run_policy(episode: PlanningEpisode, policy: Policy) -> Step:
    """The best step of one episode under a policy."""
    view = episode.reset()
    while not episode.done:
        view = episode.step(policy.act(view))
    return episode.best
