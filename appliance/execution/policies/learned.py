"""The learned policy: a network's answer to what is seen, as an action. numpy only; whoever plans hands the network in.

The answer is read as a distribution. Where one call may change any number of levers, each lever's change is drawn for
itself. Where it may change one only, the same distribution is taken under the condition that at most one changes: then
lever l changes to c with a probability in proportion to exp(logit(l, c) - logit(l, KEEP)), none with one to 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.errors import PlanningError
from appliance.execution.steering.changes import Change
from appliance.execution.steering.policy import STOP, Action, Observation, View

Array = NDArray[np.float32]
Run = Callable[[Array, Array, Array, Array], tuple[Array, Array, Array]]
"""tokens (batch, n, features), present (batch, n), context (batch, features), legal (batch, n, changes), all float32 ->
logits (batch, n, changes), stop (batch,), value (batch,)."""
ILLEGAL = -1e9
"""Logits at or below half of this are of what is not legal."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Of the network to one observation. logits (n, changes) with ILLEGAL where a change is not legal; stop: logit."""

    logits: NDArray[np.float64]
    stop: float
    value: float

    @property
    def margins(self) -> NDArray[np.float64]:
        """(n, changes): by how much each change is preferred to KEEP; ILLEGAL for KEEP itself."""
        margins = self.logits - self.logits[:, [Change.KEEP]]
        margins[:, Change.KEEP] = ILLEGAL
        return margins


def answer_of(run: Run, observation: Observation) -> Answer:
    """Raises PlanningError where the network says what is no answer."""
    tokens, legal = observation.tokens, observation.legal
    present = np.ones((1, len(tokens)), np.float32)
    logits, stop, value = run(tokens[None], present, observation.context[None], legal[None].astype(np.float32))
    if logits.shape != (1, *legal.shape) or stop.shape != (1,) or value.shape != (1,):
        raise PlanningError(f"the policy's network answers in another shape {logits.shape} than it was asked")
    if not (np.isfinite(logits).all() and np.isfinite(stop).all() and np.isfinite(value).all()):
        raise PlanningError("the policy's network gave an answer that is no number")
    masked = np.where(legal, logits[0].astype(np.float64), ILLEGAL)
    return Answer(masked, float(stop[0]), float(value[0]))


def chances(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities along the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def stop_chance(answer: Answer) -> float:
    return float(1 / (1 + np.exp(-np.clip(answer.stop, -60, 60))))


def choices(answer: Answer, *, one_only: bool) -> NDArray[np.float64]:
    """Probabilities of what is drawn: (n, changes), a row for each lever; where one lever only may change one row
    (1, n * changes + 1), of which the last is to change none."""
    if not one_only:
        return chances(answer.logits)
    return chances(np.append(answer.margins.ravel(), 0.0)[None])


def changes_of(drawn: NDArray[np.int64], levers: int, *, one_only: bool) -> tuple[Change, ...]:
    """From the columns drawn in each row of `choices` to one change for each lever."""
    if not one_only:
        return tuple(Change(int(column)) for column in drawn)
    changes = [Change.KEEP] * levers
    lever, change = divmod(int(drawn[0]), len(Change))
    if lever < levers:
        changes[lever] = Change(change)
    return tuple(changes)


def draw(probabilities: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """One column of each row."""
    heights = probabilities.cumsum(axis=-1)
    thrown = random.random((len(heights), 1)) * heights[:, -1:]
    return np.asarray((thrown >= heights).sum(axis=-1), np.int64)


class LearnedPolicy:
    """changes: levers that one call may change, as in the episode's Terms; 0: any. Without `sampler` it does what the
    network thinks most likely; with one it draws. Raises PlanningError for answers that are none."""

    name = "learned"

    def __init__(self, run: Run, sampler: np.random.Generator | None = None, *, changes: int = 0) -> None:
        if sampler is not None and changes > 1:
            raise PlanningError("the learned policy draws changes of one lever a call, or of any number")
        self._run, self._sampler, self._changes = run, sampler, changes

    def act(self, view: View) -> Action:
        answer = answer_of(self._run, view.observation)
        if self._sampler is None:
            return STOP if answer.stop > 0 else Action(likeliest(answer, self._changes))
        if self._sampler.random() < stop_chance(answer):
            return STOP
        one_only = self._changes == 1
        drawn = draw(choices(answer, one_only=one_only), self._sampler)
        return Action(changes_of(drawn, len(answer.logits), one_only=one_only))


def likeliest(answer: Answer, at_most: int = 0) -> tuple[Change, ...]:
    """Of each lever; where at most so many may change, of those that prefer their change to KEEP by most."""
    best = answer.logits.argmax(axis=1)
    if at_most:
        preferred = answer.margins.max(axis=1)
        best[np.argsort(-preferred, kind="stable")[at_most:]] = Change.KEEP
    return tuple(Change(int(column)) for column in best)
