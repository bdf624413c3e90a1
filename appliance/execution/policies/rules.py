"""The planner by rules: pushes what is missed, tries for more where that is met, goes back where a trial lost.

`habits` says what a planner wants; here is how it is gone about. Coverage and the hot spot are pushed at once. Everything
else is a trial of a few changes: the TPS gets a second call to follow it, and what has not paid then is undone and not
tried again. Remembers what it saw, not what it did, so that it also goes on from a state that somebody else steered to.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.execution.policies.habits import Seen, Wish, concessions, pushes, trials
from appliance.execution.steering.changes import Change, Setting, is_legal
from appliance.execution.steering.episode import Terms
from appliance.execution.steering.policy import STOP, Action, View

AT_ONCE = 4
"""Changes of one trial (chosen: what is lost can still be put down to them)."""
PATIENCE = 2
"""Calls that a trial has to pay (chosen: a call follows a change by about half)."""
COOL = 2
"""Calls before the same lever's weight is raised again, because the last raise still works."""
GAIN, IDLE = 0.1, 5
"""Stops after so many calls without so many points more: what a call costs is not made up for."""
OPPOSITE = {
    Change.RAISE: Change.LOWER,
    Change.LOWER: Change.RAISE,
    Change.TIGHTEN: Change.RELAX,
    Change.RELAX: Change.TIGHTEN,
    Change.ADD: Change.LOWER,
}


@dataclass
class Memory:
    """Of one episode. best: highest merit seen, with `idle` calls since. trial: changes on trial, `age` calls old, and
    the merit `before` them. failed: changes that did not pay. raised: by lever, calls left until it may be raised."""

    calls_left: int
    best: float = -float("inf")
    idle: int = 0
    trial: tuple[Wish, ...] = ()
    age: int = 0
    before: float = 0.0
    failed: set[tuple[int, Change]] = field(default_factory=set)
    raised: dict[int, int] = field(default_factory=dict)


class RulesPolicy:
    """terms: of the episode; how many levers a call may change is taken from there. why: after a stop, a sentence for a
    clinician. One object plans one episode after the other; a new one is known by its calls."""

    name = "rules"

    def __init__(self, terms: Terms | None = None) -> None:
        self._terms = Terms() if terms is None else terms
        self._memory = Memory(0)
        self.why = ""

    def act(self, view: View) -> Action:
        if view.calls_left >= self._memory.calls_left:
            self._memory, self.why = Memory(view.calls_left + 1), ""
        seen, memory = Seen.of(view), self._memory
        merit = view.score - self._terms.hot_price * 100 * max(seen.hot, 0.0)
        memory.calls_left = view.calls_left
        memory.idle = 0 if merit > memory.best + GAIN else memory.idle + 1
        memory.best = max(memory.best, merit)
        if memory.idle >= IDLE:
            return self._stop(seen)
        wanted = self._wanted(seen, merit)
        if wanted is None:
            return self._stop(seen)
        return self._action(view, wanted)

    def _wanted(self, seen: Seen, merit: float) -> list[Wish] | None:
        """None where nothing is left to do."""
        memory, urgent = self._memory, self._cool(pushes(seen))
        if memory.trial:
            memory.age += 1
            if merit >= memory.before:
                memory.trial = ()
            elif memory.age >= PATIENCE:
                return [*urgent, *self._undo(seen.view.setting, seen.view)]
            else:
                return urgent
        if urgent:
            return urgent
        fresh = self._untried(trials(seen)) or self._untried(concessions(seen))
        if not fresh:
            return None
        memory.trial, memory.age, memory.before = tuple(fresh[: self._terms.changes or AT_ONCE]), 0, merit
        return list(memory.trial)

    def _undo(self, setting: Setting, view: View) -> list[Wish]:
        memory = self._memory
        memory.failed |= {(wish.lever, wish.change) for wish in memory.trial}
        undone = [Wish(wish.lever, OPPOSITE[wish.change], 0.0) for wish in memory.trial]
        memory.trial = ()
        return [w for w in undone if is_legal(view.levers[w.lever], setting[w.lever], w.change)]

    def _untried(self, wanted: list[Wish]) -> list[Wish]:
        return [wish for wish in self._cool(wanted) if (wish.lever, wish.change) not in self._memory.failed]

    def _cool(self, wanted: list[Wish]) -> list[Wish]:
        return [wish for wish in wanted if wish.change is not Change.RAISE or not self._memory.raised.get(wish.lever)]

    def _action(self, view: View, wanted: list[Wish]) -> Action:
        changes = [Change.KEEP] * len(view.levers)
        raised = {lever: left - 1 for lever, left in self._memory.raised.items() if left > 1}
        for wish in wanted[: self._terms.changes or None]:
            if changes[wish.lever] is Change.KEEP:
                changes[wish.lever] = wish.change
                if wish.change is Change.RAISE:
                    raised[wish.lever] = COOL
        self._memory.raised = raised
        return Action(tuple(changes))

    def _stop(self, seen: Seen) -> Action:
        goals = zip(seen.view.goal_set.goals, seen.missed, strict=True)
        missed = [str(goal) for goal, by in goals if by > 0]
        if seen.hot > 0:
            missed.append("the hot-spot limit")
        if missed:
            self.why = f"{', '.join(missed)}: missed, and nothing that was tried gains any more beside the other goals"
        else:
            self.why = "all goals are met and nothing that was tried gains any more"
        return STOP
