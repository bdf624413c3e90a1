"""Orders of search results: fused, and judged against what should have been found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

FUSION_K = 60
"""Cormack, Clarke and Buettcher, Reciprocal rank fusion outperforms Condorcet and individual rank learning methods,
SIGIR 2009 (doi 10.1145/1571941.1572114): the constant they fixed beforehand."""


def fused(orders: Sequence[Sequence[str]], *, k: int = FUSION_K) -> list[tuple[str, float]]:
    """Reciprocal rank fusion: score(d) = sum over the orders of 1 / (k + rank of d in it), rank from 1; best first,
    equal scores by name. Cormack 2009, section 2."""
    scores: dict[str, float] = {}
    for order in orders:
        for rank, name in enumerate(order, 1):
            scores[name] = scores.get(name, 0.0) + 1.0 / (k + rank)
    return sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))


def found_within(order: Sequence[str], wanted: Collection[str], *, first: int) -> bool:
    """Whether any of `wanted` is among the first so many."""
    return any(name in wanted for name in order[:first])


def reciprocal_rank(order: Sequence[str], wanted: Collection[str]) -> float:
    """1 / rank of the first of `wanted`, 0 if none is there; its mean over questions is the MRR (Voorhees, TREC-8
    1999)."""
    return next((1.0 / rank for rank, name in enumerate(order, 1) if name in wanted), 0.0)


def area_under_curve(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Chance that a positive scores above a negative, ties half (Hanley and McNeil, Radiology 143:29, 1982, section
    III). 0.5 where either is empty."""
    if not positive or not negative:
        return 0.5
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


def shares(
    found: Mapping[str, Sequence[str]], wanted: Mapping[str, Collection[str]], *, first: int
) -> tuple[float, float]:
    """(recall at `first`: questions with a wanted result among them; mean reciprocal rank) over the questions of
    `wanted`."""
    hits = [found_within(found[question], names, first=first) for question, names in wanted.items()]
    ranks = [reciprocal_rank(found[question], names) for question, names in wanted.items()]
    count = max(len(hits), 1)
    return sum(hits) / count, sum(ranks) / count
