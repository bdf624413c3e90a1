"""One case planned by a policy: the same rules for every policy, and the same number of calls of the TPS.

The reward of a call is the scorecard's difference in percent of its most, less a price for the call and for a hotter
hot spot than the goal set allows; at the end come points for goals met. What is kept is the best state that was seen,
not the last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance.contracts import GoalSet, PlanningState, SteerableTps
from appliance.errors import PlanningError
from appliance.execution.guide import Foreseen
from appliance.execution.rules import hot_shortfall
from appliance.execution.steering.changes import Change, Setting, first_setting, moved, objectives_at
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


@dataclass(frozen=True, eq=False)
class Step:
    """number 0: the template's first look. seconds: of the TPS's call."""

    number: int
    action: Action
    setting: Setting
    state: PlanningState
    score: float
    merit: float
    reward: Reward
    seconds: float
    curves: dict[str, tuple[float, ...]]


class PlanningEpisode:
    """Deterministic: the same TPS, goals and actions give the same states. Raises PlanningError for actions that are
    not legal, and whatever the TPS raises."""

    def __init__(
        self,
        tps: SteerableTps,
        goal_set: GoalSet,
        scorer: Scorer,
        *,
        terms: Terms | None = None,
        foreseen: tuple[Foreseen, ...] = (),
    ) -> None:
        self.tps, self.goal_set, self.scorer = tps, goal_set, scorer
        self.terms, self.foreseen = Terms() if terms is None else terms, foreseen
        self.levers = levers_of(goal_set, tps.initial_objectives(), tps.offered_objectives())
        self.steps: list[Step] = []
        self.done = False

    def reset(self) -> View:
        """Open fields, the template's objectives, one call."""
        self.tps.forget()
        self.steps, self.done = [], False
        return self._look(Action(), first_setting(self.levers))

    def step(self, action: Action) -> View:
        """Raises PlanningError after the end, and for what is not legal."""
        if self.done or not self.steps:
            raise PlanningError("the episode has ended or not begun; reset it first")
        if action.stop:
            return self._end()
        if len(action.changes) != len(self.levers):
            raise PlanningError(f"{len(action.changes)} changes were given for {len(self.levers)} objectives")
        changed = sum(change is not Change.KEEP for change in action.changes)
        if self.terms.changes and changed > self.terms.changes:
            raise PlanningError(f"{changed} objectives were changed at once where {self.terms.changes} may be")
        rows = zip(self.levers, self.steps[-1].setting, action.changes, strict=True)
        return self._look(action, tuple(moved(*row) for row in rows))

    def ask(self, setting: Setting) -> View:
        """Like `step`, for a search that chooses weights and doses freely."""
        if self.done or not self.steps:
            raise PlanningError("the episode has ended or not begun; reset it first")
        return self._look(Action(), setting)

    @property
    def best(self) -> Step:
        """The highest score less the price of its hot spot, the earliest of equals."""
        return max(self.steps, key=lambda step: (step.merit, -step.number))

    @property
    def total_reward(self) -> float:
        return sum(step.reward.total for step in self.steps)

    def view(self) -> View:
        last = self.steps[-1]
        return View(
            self.goal_set, self.levers, last.setting, last.state, last.curves, last.score, self.foreseen,
            0 if self.done else self.terms.calls - len(self.steps), observe(self),
        )  # fmt: skip

    def _look(self, action: Action, setting: Setting) -> View:
        start = time.monotonic()
        state = self.tps.optimise_fluence(objectives_at(self.levers, setting))
        seconds = time.monotonic() - start
        score = self.scorer(state.goal_values)
        if math.isnan(score):
            raise PlanningError("the score of the plan is no number; the planning system gave values that are none")
        merit = score - self._hot(state)
        before = self.steps[-1] if self.steps else None
        reward = (
            Reward()
            if before is None
            else Reward(score - before.score, self.terms.call_price, self._hot(before.state) - self._hot(state))
        )
        self.steps.append(Step(len(self.steps), action, setting, state, score, merit, reward, seconds, self._curves()))
        return self._end() if len(self.steps) >= self.terms.calls else self.view()

    def _end(self) -> View:
        last = self.steps[-1]
        bonus = self.terms.bonus * self._met(last.state)
        given = last.reward
        reward = Reward(given.gain, given.price, given.hot, bonus)
        self.steps[-1] = Step(
            last.number,
            last.action,
            last.setting,
            last.state,
            last.score,
            last.merit,
            reward,
            last.seconds,
            last.curves,
        )
        self.done = True
        return self.view()

    def _hot(self, state: PlanningState) -> float:
        return self.terms.hot_price * 100 * max(hot_shortfall(self.goal_set, state.hottest_gy), 0.0)

    def _met(self, state: PlanningState) -> float:
        """Share of the goals that are met, the hot-spot limit counted as one."""
        pairs = zip(self.goal_set.goals, state.goal_values, strict=True)
        met = [goal.met_by(value) for goal, value in pairs if not math.isnan(value)]
        met.append(hot_shortfall(self.goal_set, state.hottest_gy) <= 0)
        return sum(met) / len(met)

    def _curves(self) -> dict[str, tuple[float, ...]]:
        names = dict.fromkeys(lever.structure for lever in self.levers)
        return {name: self.tps.doses_at(name, VOLUMES_PERCENT) for name in names}


def run_policy(episode: PlanningEpisode, policy: Policy) -> Step:
    """The best step of one episode under a policy."""
    view = episode.reset()
    while not episode.done:
        view = episode.step(policy.act(view))
    return episode.best
