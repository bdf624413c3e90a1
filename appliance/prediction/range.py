"""Does the dose network know patients like this one? Says so before anybody looks at a predicted dose.

Three questions: is it a treatment that it knows, are the structures there and in place, and is what can be measured of
them usual among the patients it was trained on (each number alone, and all of them together)? Limits come from
range.json; docs/prediction_range.md has what they catch and how often they are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.prediction.facts import AnatomyFacts
from appliance.prediction.range_finding import RangeFinding, Severity, refuse, warn
from appliance.prediction.range_model import RangeModel
from appliance.prediction.range_structures import judge_structures
from appliance.prediction.range_treatment import judge_treatment
from appliance.prediction.range_words import GROUPS, words

MOST_NAMED = 3
"""Facts named in the sentence about all of them together (chosen)."""


def judge_range(facts: AnatomyFacts, model: RangeModel) -> tuple[RangeFinding, ...]:
    """What speaks against predicting, the gravest first: any finding that refuses means that there is no prediction.
    Empty for a patient like those of the training in every respect."""
    found = [*judge_structures(facts, model), *judge_treatment(facts, model)]
    found += [*_measures(facts, model), *_together(facts, model)]
    rank = list(Severity)
    return tuple(sorted(found, key=lambda finding: rank.index(finding.severity)))


def refused(findings: tuple[RangeFinding, ...]) -> bool:
    return any(finding.severity is Severity.REFUSE for finding in findings)


def _measures(facts: AnatomyFacts, model: RangeModel) -> Iterator[RangeFinding]:
    """Each number alone. Only what means a wrong contour refuses; a CT or a place is unusual but may be so."""
    for name, off in model.beyond(facts).items():
        if off <= model.warn_beyond:
            continue
        value, said = facts.values[name], words(name)
        low, high = model.facts[name].seen()
        sentence = (
            f"{said.what} is {said.value(value)}; 98 % of the patients that the network knows have "
            f"{said.value(low)} to {said.value(high)}. {said.remedy}"
        )
        yield (refuse if said.contour and off > model.refuse_beyond else warn)(f"measure.{name}", sentence)


def _together(facts: AnatomyFacts, model: RangeModel) -> Iterator[RangeFinding]:
    for group in model.groups:
        deviate, terms = group.distance(facts)
        if deviate <= group.warn:
            continue
        most = sorted(terms, key=lambda name: -terms[name])[:MOST_NAMED]
        named = "; ".join(_lower(words(name).what) for name in most)
        what, remedy = GROUPS.get(group.name, ("The facts", "Check the contours."))
        sentence = f"{what} taken together are unlike those of the patients that the network knows, mostly {named}."
        yield (refuse if deviate > group.refuse else warn)(f"together.{group.name}", f"{sentence} {remedy}")


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
