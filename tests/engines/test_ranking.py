"""Fusion and its measures by hand."""

from __future__ import annotations

import pytest

from engines.ranking import area_under_curve, found_within, fused, reciprocal_rank, shares


def test_ranks_are_summed_as_published() -> None:
    scores = dict(fused([["a", "b"], ["b", "c"]]))
    assert scores == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62})
    assert [name for name, _ in fused([["a", "b"], ["b", "c"]])] == ["b", "a", "c"]


def test_equal_scores_are_ordered_by_name_and_one_order_stays_as_it_is() -> None:
    assert [name for name, _ in fused([["b"], ["a"]])] == ["a", "b"]
    assert [name for name, _ in fused([["c", "a", "b"], []])] == ["c", "a", "b"]


def test_measures() -> None:
    assert found_within(["a", "b", "c"], {"c"}, first=3) and not found_within(["a", "b", "c"], {"c"}, first=2)
    assert reciprocal_rank(["a", "b"], {"b"}) == 0.5 and reciprocal_rank(["a"], {"z"}) == 0.0
    assert shares({"q": ["a", "b"], "r": ["c"]}, {"q": {"b"}, "r": {"x"}}, first=1) == (0.0, 0.25)
    assert area_under_curve([2.0, 3.0], [1.0, 2.0]) == pytest.approx(0.875)
    assert area_under_curve([], [1.0]) == 0.5
