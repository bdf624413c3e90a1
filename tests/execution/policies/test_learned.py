"""The learned policy: how a network's answer becomes an action."""

from __future__ import annotations

import itertools
import types

import numpy as np
import pytest

from appliance.errors import PlanningError
from appliance.execution.policies.learned import (
    ILLEGAL,
    Answer,
    LearnedPolicy,
    answer_of,
    changes_of,
    choices,
    draw,
    likeliest,
)
from appliance.execution.steering.changes import Change
from appliance.execution.steering.policy import Observation

WEIGHTS = np.random.default_rng(5).normal(size=(7, len(Change))).astype(np.float32)
SUMS = np.random.default_rng(6).normal(size=7).astype(np.float32)


def run(tokens, present, context, legal):
    """A network of one layer: each lever for itself, and whether to stop from all of them."""
    logits = np.where(legal > 0.5, tokens @ WEIGHTS, np.float32(ILLEGAL))
    return logits, (tokens @ SUMS * present).sum(1) + context[:, 0], context.sum(1)


def observation(levers: int = 5, seed: int = 0, stop: float = -50.0) -> Observation:
    random = np.random.default_rng(seed)
    legal = random.random((levers, len(Change))) < 0.6
    legal[:, Change.KEEP] = True
    tokens = random.normal(size=(levers, 7)).astype(np.float32)
    return Observation(tokens, np.asarray([stop, 0.5], np.float32), legal)


def view(seen: Observation):
    return types.SimpleNamespace(observation=seen)


def answer(logits) -> Answer:
    return Answer(np.asarray(logits, np.float64), -1.0, 0.0)


def test_it_does_what_is_most_likely_and_nothing_illegal():
    for seed in range(20):
        seen = observation(seed=seed)
        action = LearnedPolicy(run).act(view(seen))
        raw = seen.tokens @ WEIGHTS
        for row, change, legal in zip(raw, action.changes, seen.legal, strict=True):
            assert legal[change]
            assert row[change] == max(row[legal])


def test_it_stops_where_stopping_is_likelier_than_not():
    assert LearnedPolicy(run).act(view(observation(stop=50.0))).stop
    assert not LearnedPolicy(run).act(view(observation(stop=-50.0))).stop


def test_levers_in_another_order_are_changed_in_that_order():
    seen, order = observation(9), np.random.default_rng(3).permutation(9)
    other = Observation(seen.tokens[order], seen.context, seen.legal[order])
    changes = LearnedPolicy(run).act(view(seen)).changes
    assert LearnedPolicy(run).act(view(other)).changes == tuple(changes[i] for i in order)


def test_where_few_levers_may_change_those_change_that_prefer_it_most():
    logits = [[0, 1, 0, 0, 0, 0], [0, 0, 3, 0, 0, 0], [0, 0, 0, 2, 0, 0], [5, 0, 0, 0, 0, 0]]
    assert likeliest(answer(logits)) == (1, 2, 3, 0)
    assert likeliest(answer(logits), 2) == (0, 2, 3, 0)
    assert likeliest(answer(logits), 1) == (0, 2, 0, 0)


def test_one_change_a_call_is_the_product_under_the_condition_that_at_most_one_changes():
    logits = np.random.default_rng(1).normal(size=(3, len(Change)))
    logits[1, Change.ADD] = logits[2, Change.RAISE] = ILLEGAL
    each = choices(answer(logits), one_only=False)
    known = {}
    for changes in itertools.product(range(len(Change)), repeat=3):
        if sum(change != Change.KEEP for change in changes) <= 1:
            known[changes] = np.prod([each[lever, change] for lever, change in enumerate(changes)])
    whole = sum(known.values())
    (row,) = choices(answer(logits), one_only=True)
    found = {}
    for column, chance in enumerate(row):
        made = changes_of(np.asarray([column]), 3, one_only=True)
        found[tuple(map(int, made))] = found.get(tuple(map(int, made)), 0.0) + chance
    assert sum(row) == pytest.approx(1)
    assert all(found[changes] == pytest.approx(chance / whole, abs=1e-9) for changes, chance in known.items())


def test_draws_come_as_often_as_they_should():
    probabilities = np.asarray([[0.5, 0.0, 0.5], [0.1, 0.2, 0.7]])
    random = np.random.default_rng(2)
    drawn = np.stack([draw(probabilities, random) for _ in range(20_000)])
    for lever in range(2):
        shares = np.bincount(drawn[:, lever], minlength=3) / len(drawn)
        # Four standard deviations of a share of 20,000 draws are at most 0.014.
        assert np.abs(shares - probabilities[lever]).max() < 0.014
    assert not (drawn[:, 0] == 1).any()


def test_the_same_seed_draws_the_same_actions_and_another_seed_others():
    seen = view(observation(30))
    first, same, other = (LearnedPolicy(run, np.random.default_rng(seed)).act(seen) for seed in (7, 7, 8))
    assert first == same != other
    one = LearnedPolicy(run, np.random.default_rng(7), changes=1)
    assert all(sum(map(bool, one.act(seen).changes)) <= 1 for _ in range(50))
    with pytest.raises(PlanningError, match="of one lever a call, or of any number"):
        LearnedPolicy(run, np.random.default_rng(7), changes=2)


def test_an_answer_that_is_none_is_refused_by_name():
    seen = observation()
    with pytest.raises(PlanningError, match="no number"):
        answer_of(lambda *rows: tuple(part * np.nan for part in run(*rows)), seen)
    with pytest.raises(PlanningError, match="another shape"):
        answer_of(lambda *rows: (run(*rows)[0][:, :-1], *run(*rows)[1:]), seen)
