"""A teacher that knows how it ended: the rules plan a task with as many calls as they want, and every state, wherever
the learner came to, is then answered by the changes that lead to what they found.

The rules try a few changes of one priority at a time and take back what does not pay. What they end at is better than
what they have after the calls of an episode, and it can be walked to straight, all levers at once: a teacher of what to
do instead of one of how to find out. It sees what the network cannot (the end), so the network learns what is likely;
learning from experience (`ppo.py`) goes on from there."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path

from appliance.execution.policies.rules import RulesPolicy
from appliance.execution.steering.changes import Change, Lever, Position, Setting, ask_step, is_legal
from appliance.execution.steering.episode import PlanningEpisode, Terms, run_policy
from appliance.execution.steering.policy import STOP, Action, View

GAIN, IDLE = 0.1, 3
"""There, it stops after so many calls in a row that brought fewer points than a call costs (chosen: goals are still met
by calls that gain little)."""
STEPS_APART = 0.5
"""A lever counts as there within half a step."""


class HindsightPolicy:
    """wanted: where the levers shall come to. One object for one episode at a time."""

    name = "hindsight"

    def __init__(self, wanted: Setting) -> None:
        self._wanted = wanted
        self._calls_left, self._score, self._idle = -1, -math.inf, 0

    def act(self, view: View) -> Action:
        gained = view.score - self._score if view.calls_left < self._calls_left else math.inf
        self._calls_left, self._score = view.calls_left, view.score
        changes = tuple(toward(*row) for row in zip(view.levers, view.setting, self._wanted, strict=True))
        is_there = all(change is Change.KEEP for change in changes)
        self._idle = self._idle + 1 if is_there and gained < GAIN else 0
        return STOP if self._idle >= IDLE else Action(changes)


def toward(lever: Lever, position: Position, wanted: Position) -> Change:
    """The legal change that leads there where it is furthest away, in steps."""
    if position.active != wanted.active:
        return Change.ADD if wanted.active else Change.KEEP
    weight = math.log2(wanted.weight / position.weight)
    tighter = (wanted.ask - position.ask) / ask_step(lever, Change.TIGHTEN)
    ways = [
        (abs(weight), Change.RAISE if weight > 0 else Change.LOWER),
        (abs(tighter), Change.TIGHTEN if tighter > 0 else Change.RELAX),
    ]
    for steps, change in sorted(ways, key=lambda way: -way[0]):
        if steps > STEPS_APART and is_legal(lever, position, change):
            return change
    return Change.KEEP


def found_by_rules(episode_of: Callable[[Terms], PlanningEpisode], terms: Terms, calls: int) -> Setting:
    """The best setting of the rules with so many calls."""
    longer = replace(terms, calls=calls)
    return run_policy(episode_of(longer), RulesPolicy(longer)).setting


def remembered(path: Path, find: Callable[[], Setting]) -> Setting:
    """From the file, where there is one; otherwise found, and kept there for the next episode on the same task."""
    if path.is_file():
        rows = json.loads(path.read_text("utf-8"))
        return tuple(Position(weight, ask, active) for weight, ask, active in rows)
    setting = find()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps([astuple(position) for position in setting]), "utf-8")
    part.replace(path)
    return setting


def path_of(cache: Path, task: object, terms: Terms, calls: int) -> Path:
    """By everything that the setting depends on but the code."""
    digest = hashlib.sha256(repr((task, terms, calls)).encode()).hexdigest()
    return cache / "hindsight" / f"{digest}.json"
