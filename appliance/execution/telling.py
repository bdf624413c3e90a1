"""Tells how a plan came about: from steps of an episode and stages of the full planning system to a PlanningStory.

    teller = Teller(goal_set, scorer)
    teller.stage("preliminary", "template", state)       # a deliverable plan by a true dose
    teller.explored(episode, policy.name)                # after `reset` and after each `step`: what is new
    progress(teller.line(episode.terms.calls), part)     # "planner: exploring · 7/15: score 93.1, 8 of 9 goals"
    teller.stage("fluence", "rules", state, objectives)  # whatever is worth telling; 'final' last
    story = teller.story("learned", ended="all goals met", fallback="")

Each step is logged as one line without patient data when it is told. Every number told is one that the planner had:
goal values, scores and doses of the TPS's answers, and differences of those.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from appliance.contracts import (
    ClinicalGoal,
    GoalSet,
    Objective,
    Objectives,
    PlanningState,
    PlanningStory,
    StoryChange,
    StoryCurve,
    StoryGoal,
    StoryStage,
    StoryStep,
)
from appliance.contracts.progress import detailed
from appliance.execution.rules import hot_limit_gy, hot_shortfall, shortfall
from appliance.execution.steering.changes import Setting, objective_at
from appliance.execution.steering.episode import PlanningEpisode, Scorer
from appliance.execution.steering.observation import VOLUMES_PERCENT
from appliance.execution.telling_words import Pair, changes_of, paired, summary

_log = structlog.get_logger(__name__)

KINDS: Mapping[StoryStage, str] = {
    "preliminary": "true dose",
    "review": "true dose",
    "exploring": "coarse",
    "fluence": "fluence",
    "apertures": "apertures",
    "sparing": "apertures",
    "final": "true dose",
}
"""Whose dose is made in the same way, so that scores can be set against each other."""
FIRST: Mapping[StoryStage, str] = {
    "preliminary": "a deliverable plan under the template's objectives",
    "review": "the plan in review, by its full dose",
    "exploring": "the template's objectives, from open fields",
    "fluence": "fluence of the full planning system",
    "apertures": "apertures and monitor units of the full planning system",
    "sparing": "where goals are met, less is asked of organs",
    "final": "the plan that is handed on, by its full dose",
}
"""What is told of a step that has nothing to compare its objectives with."""
SAME_PLAN = "nothing better was made: the earlier plan is handed on"
WISH = "wish for "
"""Before the structure of a goal that a plan is not judged by, which may have the same name as one that it is."""


@dataclass(frozen=True, eq=False)
class _Told:
    """A step and the planning system's answer that it tells of."""

    step: StoryStep
    state: PlanningState


@dataclass(frozen=True, eq=False)
class _Account:
    """What a step is made of, before it is put into words. since: the step that it is compared with."""

    stage: StoryStage
    by: str
    state: PlanningState
    score: float
    pairs: tuple[Pair, ...]
    curves: Mapping[str, tuple[float, ...]]
    since: _Told | None
    kept: bool
    told: str


class Teller:
    """Of one case; seconds count from its making. clock: seconds of a clock that never goes back. judged: so many of
    the goals count, those behind them are wishes; None: all."""

    def __init__(
        self,
        goal_set: GoalSet,
        scorer: Scorer,
        *,
        clock: Callable[[], float] = time.monotonic,
        judged: int | None = None,
    ) -> None:
        self._scorer, self._clock, self._begin = scorer, clock, clock()
        self._judged = len(goal_set.goals) if judged is None else judged
        wishes = (replace(wish, structure=f"{WISH}{wish.structure}") for wish in goal_set.goals[self._judged :])
        self.goal_set = replace(goal_set, goals=(*goal_set.goals[: self._judged], *wishes))
        self._targets = {name for name, _ in goal_set.prescription}
        self._drawn = self._targets | {goal.structure for goal in goal_set.goals}
        self._told: list[_Told] = []
        self._objectives: dict[str, Objectives] = {}
        self._episode: PlanningEpisode | None = None
        self._calls_told = 0
        # Taken now: whoever tells from another thread would not find the session's id there.
        self._log = _log.bind(**structlog.contextvars.get_contextvars())

    @property
    def steps(self) -> tuple[StoryStep, ...]:
        return tuple(told.step for told in self._told)

    def explored(self, episode: PlanningEpisode, by: str) -> None:
        """Tells every step of the episode that was not told yet; those told together carry one time."""
        if episode is not self._episode or len(episode.steps) < self._calls_told:
            self._episode, self._calls_told = episode, 0
        for call in episode.steps[self._calls_told :]:
            before = episode.steps[call.number - 1] if call.number else None
            best = max((step.points for step in episode.steps[: call.number]), default=-math.inf)
            account = _Account(
                "exploring",
                by,
                call.state,
                call.score,
                () if before is None else _pairs(episode, before.setting, call.setting),
                call.curves,
                self._last("coarse") if before else None,
                kept=call.points > best,
                told="" if before else FIRST["exploring"],
            )
            self._add(account)
            self._calls_told += 1

    def stage(
        self,
        stage: StoryStage,
        by: str,
        state: PlanningState,
        objectives: Objectives = (),
        *,
        curves: Mapping[str, tuple[float, ...]] | None = None,
        told: str = "",
    ) -> None:
        """A step outside exploring. objectives: what was asked for, compared with the last list of the same kind of
        dose; (): not to be told. curves: dose in Gy at VOLUMES_PERCENT by structure. told: in the place of a summary of
        what changed. A final step is the plan that is handed on."""
        kind = KINDS[stage]
        earlier, since = self._objectives.get(kind, ()), self._last(kind)
        self._objectives[kind] = objectives or earlier
        pairs = paired(earlier, objectives) if earlier and objectives else ()
        score = self._scorer(state.goal_values)
        is_same = stage == "final" and since is not None and since.state == state
        kept = stage == "final" or all(
            self._rank(state, score) > self._rank(one.state, one.step.score) for one in self._of(kind)
        )
        said = told or (SAME_PLAN if is_same else "" if pairs else FIRST[stage])
        self._add(_Account(stage, by, state, score, pairs, curves or {}, since, kept, said))

    def asked(self, stage: StoryStage, objectives: Objectives) -> None:
        """What was asked for before a stage of this kind, where no step tells it: what the next one is set against."""
        self._objectives[KINDS[stage]] = objectives

    def line(self, calls: int = 0) -> str:
        """The last step for whoever waits, as a progress step. calls: how many there may be of exploring."""
        if not self._told:
            return "planner"
        step = self._told[-1].step
        place = f"{self._calls_told}/{calls}: " if step.stage == "exploring" and calls else ""
        said = f"{place}score {step.score:.1f}, {step.goals_met} of {step.goals_total} goals"
        return detailed(f"planner: {step.stage}", said)

    def story(self, policy: str, *, ended: str, fallback: str = "") -> PlanningStory:
        return PlanningStory(policy, self.steps, fallback, ended, hot_limit_gy(self.goal_set))

    def _last(self, kind: str) -> _Told | None:
        return next(iter(reversed(self._of(kind))), None)

    def _of(self, kind: str) -> list[_Told]:
        return [told for told in self._told if KINDS[told.step.stage] == kind]

    def _rank(self, state: PlanningState, score: float) -> tuple[bool, float]:
        return hot_shortfall(self.goal_set, state.hottest_gy) <= 0, score

    def _add(self, account: _Account) -> None:
        state, since = account.state, account.since
        changed = self._changed(account.pairs, None if since is None else since.state, state)
        number = sum(bool(changes_of(self.goal_set, pair)) for pair in account.pairs)
        total = sum(pair.after is not None for pair in account.pairs)
        goals = zip(self.goal_set.goals, state.goal_values, strict=True)
        reached = tuple(_goal(goal, value, wish=i >= self._judged) for i, (goal, value) in enumerate(goals))
        judged = reached[: self._judged]
        step = StoryStep(
            len(self._told),
            account.stage,
            account.by,
            () if since is None else since.step.reached,
            changed,
            account.score,
            0.0 if since is None else account.score - since.step.score,
            sum(goal.met for goal in judged),
            sum(not math.isnan(goal.value) for goal in judged),
            state.hottest_gy,
            self._clock() - self._begin,
            kept=account.kept,
            curves=self._curves(account.curves),
            reached=reached,
            since=-1 if since is None else since.step.number,
            told=account.told or summary(changed, changed=number, objectives=total),
        )
        self._told.append(_Told(step, state))
        self._log.info(
            "planning step", number=step.number, stage=step.stage, policy=step.by, score=round(step.score, 2),
            goals_met=step.goals_met, goals_total=step.goals_total, seconds=round(step.seconds, 2),
        )  # fmt: skip

    def _changed(
        self, pairs: tuple[Pair, ...], before: PlanningState | None, after: PlanningState
    ) -> tuple[StoryChange, ...]:
        """The one whose own goal moved most first; helpers, which have none, last."""

        def moved(pair: Pair) -> float:
            return 0.0 if before is None else abs(self._missed(pair.known, before) - self._missed(pair.known, after))

        ordered = sorted(pairs, key=moved, reverse=True)
        return tuple(change for pair in ordered for change in changes_of(self.goal_set, pair))

    def _curves(self, given: Mapping[str, tuple[float, ...]]) -> tuple[StoryCurve, ...]:
        """Of targets and of what goals are of, where it is there; not of rings and helpers."""
        return tuple(
            StoryCurve(name, VOLUMES_PERCENT, doses, is_target=bool(self._targets & set(name.split("+"))))
            for name, doses in given.items()
            if name in self._drawn and not any(math.isnan(dose) for dose in doses)
        )

    def _missed(self, objective: Objective, state: PlanningState) -> float:
        if objective.hot_spot:
            return hot_shortfall(self.goal_set, state.hottest_gy)
        if objective.goal < 0:
            return 0.0
        return shortfall(self.goal_set.goals[objective.goal], state.goal_values[objective.goal])


def _pairs(episode: PlanningEpisode, before: Setting, after: Setting) -> tuple[Pair, ...]:
    rows = zip(episode.levers, before, after, strict=True)
    return tuple(
        Pair(objective_at(lever, then) if then.active else None, objective_at(lever, now) if now.active else None)
        for lever, then, now in rows
        if then.active or now.active
    )


def _goal(goal: ClinicalGoal, value: float, *, wish: bool) -> StoryGoal:
    met = not math.isnan(value) and goal.met_by(value)
    return StoryGoal(str(goal), value, goal.unit, met, goal.comparator.value, goal.limit, wish)
