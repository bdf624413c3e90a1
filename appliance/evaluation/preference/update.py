"""One decision more, at once: the belief about one physician moves, everything else stays.

Assumed-density filtering by Laplace's approximation (engines.preference.laplace): the belief before is the prior, and
what comes out is a Gaussian again. Taken one by one, decisions lead to the weights that all of them together would
give, within `AGREES_WITHIN`; a whole fit also moves the clinic's mean, the spreads and the temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from appliance.contracts.preference import PreferenceExample
from appliance.errors import PreferenceRefused
from appliance.evaluation.preference.change_control import changes_of
from appliance.evaluation.preference.evidence import VERDICTS, edges_of, evidence_of, row_of
from appliance.evaluation.preference.held_out import Predicted, held_out_of
from appliance.evaluation.preference.model import Belief, Person, PreferenceModel
from appliance.evaluation.preference.predict import predict
from engines.errors import EngineError
from engines.preference import Gaussian, posterior

AGREES_WITHIN = 0.05
"""Largest difference in a probability between decisions taken one by one and all at once. Measured on simulated
physicians with 150 decisions each (tests/evaluation/preference): the test holds it."""


def learn(belief: Gaussian, example: PreferenceExample, typical: Sequence[float]) -> Gaussian:
    """The belief after one more decision of the same physician. Raises PreferenceRefused."""
    try:
        return posterior(belief, evidence_of((example,), typical))
    except EngineError as error:
        raise PreferenceRefused(f"the decision {example.id[:16]} cannot be learned from ({error})") from error


def updated(model: PreferenceModel, examples: Sequence[PreferenceExample], *, made_by: str) -> PreferenceModel:
    """A candidate that has learned the decisions the model does not know, in order of time. Each is predicted before it
    is learned, and these predictions are what the candidate is tested on. Raises PreferenceRefused if none is new."""
    known = frozenset(model.learned_from)
    new = sorted((e for e in examples if e.id not in known), key=lambda e: (e.decided_utc, e.id))
    if not new:
        raise PreferenceRefused("there is no decision that it does not know; nothing is to be learned")
    persons = {person.name: (person.belief.gaussian, person.decisions) for person in model.persons}
    predicted = []
    for example in new:
        belief, decisions = persons.get(example.physician, (model.clinic.gaussian, 0))
        if example.decision in VERDICTS:
            predicted.append(Predicted(example, predict(belief, row_of(example.plan, model.typical)).logit))
        persons[example.physician] = learn(belief, example, model.typical), decisions + 1
    sites = dict(model.sites)
    for example in new:
        sites[example.plan.site] = sites.get(example.plan.site, 0) + 1
    lowest, highest = edges_of(example.plan for example in new)
    draft = replace(
        model,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        made_by=made_by,
        persons=tuple(Person(name, Belief.of(g), n) for name, (g, n) in sorted(persons.items())),
        sites=tuple(sorted(sites.items())),
        lowest=_outer(min, model.lowest, lowest),
        highest=_outer(max, model.highest, highest),
        held_out=held_out_of(predicted, model.temperature),
        learned_from=(*model.learned_from, *(example.id for example in new)),
        previous=model.digest,
    )
    return changes_of(draft, new, predicted, model)


def _outer(
    extreme: Callable[[float, float], float], one: Sequence[float | None], two: Sequence[float | None]
) -> tuple[float | None, ...]:
    """The further of each pair; the other where one is not known."""
    return tuple(b if a is None else a if b is None else extreme(a, b) for a, b in zip(one, two, strict=True))
