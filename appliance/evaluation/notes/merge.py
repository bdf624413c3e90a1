"""Facts of the rules and of an encoder, put together: the rules win, and both are kept to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from appliance.contracts.notes import NoteFact


def merged(rules: Sequence[NoteFact], encoder: Sequence[NoteFact]) -> list[NoteFact]:
    """Where both speak of the same words and kind: one fact by 'rules+encoder' if they agree, else the rules' and the
    encoder's marked overruled. What only the encoder found stands for itself."""
    result = list(rules)
    for fact in encoder:
        place = next((n for n, own in enumerate(result) if "rules" in own.by and _same_words(own, fact)), None)
        if place is None:
            result.append(fact)
        elif result[place].assertion is fact.assertion:
            own = result[place]
            result[place] = replace(own, by="rules+encoder", confidence=max(own.confidence, fact.confidence))
        else:
            result.append(replace(fact, overruled=True))
    return sorted(result, key=lambda fact: (fact.span.document, fact.span.start, fact.overruled))


def _same_words(one: NoteFact, other: NoteFact) -> bool:
    overlap = one.span.start < other.span.end and other.span.start < one.span.end
    return one.kind is other.kind and one.span.document == other.span.document and overlap
