"""A policy looks for better objectives on a small planning system, before the full one makes a plan of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from appliance.contracts import GoalSet, Objectives, SteerableTps
from appliance.errors import PlanningError
from appliance.execution.deadline import Deadline, TimeUp
from appliance.execution.guide import Foreseen
from appliance.execution.steering.changes import objectives_at
from appliance.execution.steering.episode import PlanningEpisode, Scorer, Terms
from appliance.execution.steering.policy import Policy
from appliance.execution.watch import TPS_FAILURES, Explain, Watch, failed, reason_of
from appliance.execution.watched import WatchedSteerableTps

SHARE = 0.25
"""Of the time that is left, what exploring may use (chosen: what is found still has to become a plan)."""
HANG_S = 60.0
"""Seconds without an answer after which a call of the small TPS counts as hung (chosen: one takes a fraction of a
second, making it some seconds)."""
NO_TIME_S = 1e-3
"""In the place of less: a budget of nothing would be none."""
TERMS = Terms()
MOST_LEVERS = 256
"""Objectives beyond which nothing is explored (chosen: hundreds of structures make each look long and the policy has
never seen so many)."""


@dataclass(frozen=True, eq=False)
class Exploring:
    """make: the small TPS, whose making may take seconds. It has a watch of its own: one that hangs must not take the
    full TPS with it."""

    policy: Policy
    make: Callable[[], SteerableTps]
    scorer: Scorer
    terms: Terms = TERMS
    foreseen: tuple[Foreseen, ...] = ()
    hang_s: float = HANG_S
    explain: Explain = failed


@dataclass(frozen=True, eq=False)
class Found:
    """objectives: of the best call; () where nothing better than the template was found, or nothing at all. calls: of
    the TPS. why: it ended before the policy had its say, '' where it had."""

    objectives: Objectives
    calls: int
    why: str = ""


Told = Callable[[PlanningEpisode, str], None]
"""After each call: the episode so far and by whom."""


def explore(exploring: Exploring, goal_set: GoalSet, left_s: float, told: Told) -> Found:
    """Whatever goes wrong is told in `why` and ends it; what was found before counts. left_s: of the whole budget."""
    deadline = Deadline(max(left_s * SHARE, NO_TIME_S) if left_s < float("inf") else 0.0)
    watch = Watch(deadline=deadline, explain=exploring.explain, hang_s=exploring.hang_s)
    watch.may_stop = True
    episode: PlanningEpisode | None = None
    why = ""
    try:
        tps = WatchedSteerableTps(watch("making the small planning system", exploring.make), watch)
        terms, foreseen = exploring.terms, exploring.foreseen
        episode = PlanningEpisode(tps, goal_set, exploring.scorer, terms=terms, foreseen=foreseen)
        _run(episode, exploring, watch, told)
    except TimeUp:
        why = f"its share of the time budget, {deadline.budget_s:.0f} s, was used"
    except TPS_FAILURES as error:
        why = reason_of(error)
    finally:
        watch.close()
    if episode is None or not episode.steps:
        return Found((), 0, why)
    best = episode.best
    found = objectives_at(episode.levers, best.setting) if best.number else ()
    return Found(found, len(episode.steps), why)


def _run(episode: PlanningEpisode, exploring: Exploring, watch: Watch, told: Told) -> None:
    """The policy is watched too: whatever is wrong with it costs the exploring alone."""
    policy = exploring.policy
    if len(episode.levers) > MOST_LEVERS:
        raise PlanningError(f"the case has {len(episode.levers)} objectives, more than {MOST_LEVERS}")
    view = episode.reset()
    told(episode, policy.name)
    while not episode.done:
        watch.deadline.check()
        action = watch("the policy", partial(policy.act, view))
        view = episode.step(action)
        told(episode, policy.name)
