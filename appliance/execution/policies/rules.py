"""The planner by rules: pushes what is missed, tries for more where that is met, goes back where a trial lost.

`habits` says what a planner wants; here is how it is gone about. Coverage and the hot spot are pushed at once.
Everything else is a trial of a few changes: the TPS gets a second call to follow it, and what has not paid then is
undone. What failed together is tried again one by one; what failed alone is not tried again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from appliance.execution.policies.habits import Kind, Seen, Wish, pushes, trials
from appliance.execution.steering.changes import Change, is_legal
from appliance.execution.steering.episode import Terms
from appliance.execution.steering.policy import STOP, Action, View

AT_ONCE = 4
"""Changes of one trial (chosen: what is lost can still be put down to them)."""
PATIENCE = 2
"""Calls that a trial has to pay (chosen: a call follows a change by about half)."""
COOL, FAR = 1, 0.015
"""Calls before the same lever's weight is raised again, because the last raise still works; where a goal is missed by
more than FAR it is raised at every call."""
GAIN, IDLE = 0.1, 8
"""Stops after so many calls without so many points more: what a call costs is not made up for."""
WORSE = 0.002
"""A goal that moves by less (relative) while another is pushed does not stand against it."""
OPPOSITE = {
    Change.RAISE: Change.LOWER,
    Change.LOWER: Change.RAISE,
    Change.TIGHTEN: Change.RELAX,
    Change.RELAX: Change.TIGHTEN,
}


@dataclass
class Memory:
    """Of one episode. best: most points seen, with `idle` calls since. trial: changes on trial, `age` calls old, and
    the points `before` them. suspect: changes that did not pay together; failed: that did not pay alone. raised: by
    lever, calls left until it may be raised. missed: of every goal before the trial; cost: by missed goal, what became
    worse when it was pushed."""

    calls_left: int
    best: float = -float("inf")
    idle: int = 0
    trial: tuple[Wish, ...] = ()
    age: int = 0
    before: float = 0.0
    suspect: set[tuple[int, Change]] = field(default_factory=set)
    failed: set[tuple[int, Change]] = field(default_factory=set)
    raised: dict[int, int] = field(default_factory=dict)
    missed: tuple[float, ...] = ()
    cost: dict[int, set[str]] = field(default_factory=dict)


class RulesPolicy:
    """terms: of the episode; how many levers a call may change is taken from there. why: after a stop, a sentence for a
    clinician. One object plans one episode after the other; a new one is known by its calls, which do not count down.
    An episode that runs beside others needs one of its own."""

    name = "rules"

    def __init__(self, terms: Terms | None = None) -> None:
        self._terms = Terms() if terms is None else terms
        self._memory = Memory(0)
        self.why = ""

    def act(self, view: View) -> Action:
        if view.calls_left >= self._memory.calls_left:
            self._memory, self.why = Memory(view.calls_left + 1), ""
        seen, memory = Seen.of(view), self._memory
        memory.calls_left, points = view.calls_left, view.points
        memory.idle = 0 if points > memory.best + GAIN else memory.idle + 1
        memory.best = max(memory.best, points)
        if memory.idle >= IDLE:
            return self._stop(seen)
        wanted = self._wanted(seen)
        if wanted is None:
            return self._stop(seen)
        return self._action(view, wanted)

    def _wanted(self, seen: Seen) -> list[Wish] | None:
        """None where nothing is left to do."""
        memory, pushed, points = self._memory, pushes(seen), seen.view.points
        urgent = self._cool(pushed)
        if memory.trial:
            memory.age += 1
            if points >= memory.before:
                memory.trial = ()
            elif memory.age >= PATIENCE:
                return [*self._undo(seen), *urgent]
            else:
                return urgent
        wanted = [wish for wish in trials(seen) if _key(wish) not in memory.failed]
        if pushed:
            wanted = [wish for wish in wanted if wish.kind is Kind.SPARING]
        most = self._terms.changes - len(urgent) if self._terms.changes else AT_ONCE
        memory.trial, memory.age, memory.before, memory.missed = self._chosen(wanted, most), 0, points, seen.all_missed
        return [*urgent, *memory.trial] if wanted or pushed else None

    def _chosen(self, wanted: list[Wish], most: int) -> tuple[Wish, ...]:
        """Of the first kind and priority that have anything left: changes not tried yet, several together; else one of
        those that failed together. Nothing where all have to wait."""
        ready = self._cool(wanted) if most > 0 else []
        group = [wish for wish in ready if wish.together == ready[0].together]
        fresh = [wish for wish in group if _key(wish) not in self._memory.suspect]
        return tuple(fresh[:most] or group[:1])

    def _undo(self, seen: Seen) -> list[Wish]:
        """Remembers what each missed goal cost that was pushed."""
        memory, view = self._memory, seen.view
        (memory.suspect if len(memory.trial) > 1 else memory.failed).update(_key(wish) for wish in memory.trial)
        for wish in memory.trial:
            if wish.kind in (Kind.MISSED, Kind.OUT_OF_REACH):
                worse = zip(seen.told, memory.missed, seen.all_missed, strict=True)
                cost = memory.cost.setdefault(view.levers[wish.lever].goal, set())
                cost.update(told for told, before, now in worse if now > before + WORSE)
        undone = [replace(wish, change=OPPOSITE[wish.change]) for wish in memory.trial]
        memory.trial = ()
        return [w for w in undone if is_legal(view.levers[w.lever], view.setting[w.lever], w.change)]

    def _cool(self, wanted: list[Wish]) -> list[Wish]:
        raised = self._memory.raised
        return [w for w in wanted if w.change is not Change.RAISE or w.gain > FAR or not raised.get(w.lever)]

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
        sentences = []
        missed = {number: told for number, told in enumerate(seen.told) if seen.all_missed[number] > 0}
        for number, told in missed.items():
            others = sorted(self._memory.cost.get(number, set()) - {told})
            beside = [other for other in missed.values() if other != told]
            against = (
                f"pushing it costs {', '.join(others)}" if others else f"beside {', '.join(beside) or 'the others'}"
            )
            sentences.append(f"{told} is missed: {against}")
        met = "all goals are met and nothing that was tried gains any more"
        self.why = "; ".join(sentences) or met
        return STOP


def _key(wish: Wish) -> tuple[int, Change]:
    return wish.lever, wish.change
