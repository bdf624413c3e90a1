"""A plan's figures beside those of plans that the same machine delivered with the same technique."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from appliance.contracts import Evaluation
from appliance.contracts.deliverability import FIGURES, ComplexityFigures, PeerRank


def peers_among(earlier: Iterable[Evaluation], machine: str, technique: str) -> tuple[ComplexityFigures, ...]:
    """Plan figures of those earlier evaluations that are of this machine and technique. What to hand in is for the
    caller to say: approved plans of the clinic, without this one."""
    judged = (evaluation.deliverability for evaluation in earlier)
    return tuple(one.plan for one in judged if one and (one.machine, one.technique) == (machine, technique))


def peer_ranks(own: ComplexityFigures, peers: Sequence[ComplexityFigures]) -> tuple[PeerRank, ...]:
    """For every figure with a direction, the share of peers that are simpler; equal ones count half."""
    ranks = []
    for info in FIGURES:
        value = getattr(own, info.key)
        others = [other for peer in peers if (other := getattr(peer, info.key)) is not None]
        if not info.simpler or value is None or not others:
            continue
        sign = 1.0 if info.simpler == "lower" else -1.0
        simpler = sum(sign * other < sign * value for other in others)
        equal = sum(other == value for other in others)
        ranks.append(PeerRank(info.key, value, len(others), 100.0 * (simpler + equal / 2) / len(others)))
    return tuple(ranks)
