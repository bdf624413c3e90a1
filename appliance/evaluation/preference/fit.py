"""Fits a candidate model to decisions, tests it on decisions it had not seen, and calibrates it there.

Held out by case: all decisions about a patient's plans are in one fold, so that no model is tested on a patient it has
seen. Temperature scaling, one number, and not isotonic regression: with the few hundred decisions a clinic has, steps
of an isotonic curve follow chance, and its plateaus would make plans equal that are not.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.preference import Decision, PreferenceExample
from appliance.errors import PreferenceRefused
from appliance.evaluation.preference.alarm import HORIZON, RATE, alarm_level
from appliance.evaluation.preference.change_control import changes_of
from appliance.evaluation.preference.evidence import (
    SIZE,
    VERDICTS,
    edges_of,
    evidence_of,
    row_of,
    typical_values,
)
from appliance.evaluation.preference.held_out import Predicted, held_out_of
from appliance.evaluation.preference.model import Belief, Changes, Person, PreferenceModel
from appliance.evaluation.preference.predict import predict
from engines.errors import EngineError
from engines.preference import Gaussian, Hyperprior, Population, fit_population
from engines.statistics import fit_temperature

FOLDS = 5
FEWEST_DECISIONS = 20
FEWEST_OF_A_KIND = 5
"""Approved, and not approved, decisions that a fit needs. Chosen: below, the prior is all that speaks."""
FEWEST_FOR_CALIBRATION = 50
"""Held-out decisions. Chosen: the error of a share estimated from 50 is 0.07."""

PRIOR_OF_BASE, PRIOR_OF_WEIGHT = 2.0, 0.7
"""Deviations of the clinic's mean around 0. Chosen: plans that violate nothing are approved with 2 to 98 % (two thirds
between 12 and 88 %); one unit of a feature changes the odds up to fourfold."""
SPREAD_OF_BASE, SPREAD_OF_WEIGHT, SPREAD_WORTH = 0.8, 0.35, 4.0
"""Expected deviation between physicians and the number of physicians that this expectation is worth. Chosen: half of
the above for weights."""
HYPERPRIOR = Hyperprior(
    deviation=np.array([PRIOR_OF_BASE, *[PRIOR_OF_WEIGHT] * (SIZE - 1)]),
    spread=np.array([SPREAD_OF_BASE, *[SPREAD_OF_WEIGHT] * (SIZE - 1)]),
    worth_persons=SPREAD_WORTH,
)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A population with the names of its persons, and what is typical of the plans it was fitted to."""

    population: Population
    names: tuple[str, ...]
    typical: tuple[float, ...]

    def belief(self, physician: str) -> Gaussian:
        if physician in self.names:
            return self.population.persons[self.names.index(physician)]
        return self.population.newcomer


def fit_weights(examples: Sequence[PreferenceExample]) -> Fitted:
    """The weights alone, without test or calibration. Raises PreferenceRefused."""
    names = tuple(sorted({example.physician for example in examples}))
    typical = typical_values(example.plan for example in examples)
    evidences = [evidence_of((e for e in examples if e.physician == name), typical) for name in names]
    try:
        return Fitted(fit_population(evidences, HYPERPRIOR), names, typical)
    except EngineError as error:
        raise PreferenceRefused(f"the decisions lead to no weights ({error}); look for one that cannot be") from error


def fit_model(
    examples: Sequence[PreferenceExample], *, made_by: str, previous: PreferenceModel | None = None
) -> PreferenceModel:
    """A candidate: it decides nothing until a named person activates it. previous: the model now active, which it is
    compared with. Raises PreferenceRefused for too few decisions or features of another form."""
    chosen = unique(examples)
    _demand_enough(chosen)
    fitted = fit_weights(chosen)
    predicted = held_out_predictions(chosen)
    return describe(chosen, fitted, predicted, made_by=made_by, previous=previous)


def unique(examples: Sequence[PreferenceExample]) -> tuple[PreferenceExample, ...]:
    """Each decision once, in order of time. Raises PreferenceRefused if one id stands for different decisions."""
    found: dict[str, PreferenceExample] = {}
    for example in examples:
        if found.setdefault(example.id, example) != example:
            raise PreferenceRefused(f"two different decisions have the id {example.id[:16]}; collect them again")
    return tuple(sorted(found.values(), key=lambda example: (example.decided_utc, example.id)))


def held_out_predictions(examples: Sequence[PreferenceExample]) -> tuple[Predicted, ...]:
    """Every approval or refusal, predicted by weights from the other folds, in the order given."""
    logits: dict[str, float] = {}
    for fold in sorted({_fold(example) for example in examples}):
        seen = [example for example in examples if _fold(example) != fold]
        if not seen:
            continue
        fitted = fit_weights(seen)
        for example in examples:
            if _fold(example) == fold and example.decision in VERDICTS:
                row = row_of(example.plan, fitted.typical)
                logits[example.id] = predict(fitted.belief(example.physician), row).logit
    return tuple(Predicted(example, logits[example.id]) for example in examples if example.id in logits)


def describe(
    examples: Sequence[PreferenceExample],
    fitted: Fitted,
    predicted: Sequence[Predicted],
    *,
    made_by: str,
    previous: PreferenceModel | None,
) -> PreferenceModel:
    """Weights and held-out predictions made into a model with its three records."""
    temperature, calibrated = _calibrate(predicted)
    population = fitted.population
    own = Counter(example.physician for example in examples)
    rows = np.array([row_of(example.plan, fitted.typical) for example in examples])
    lowest, highest = edges_of(example.plan for example in examples)
    draft = PreferenceModel(
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        made_by=made_by,
        typical=fitted.typical,
        lowest=lowest,
        highest=highest,
        clinic=Belief.of(population.newcomer),
        clinic_mean=tuple(population.mean.tolist()),
        spread=tuple(population.spread.tolist()),
        persons=tuple(
            Person(name, Belief.of(belief), own[name])
            for name, belief in zip(fitted.names, population.persons, strict=True)
        ),
        sites=tuple(sorted(Counter(example.plan.site for example in examples).items())),
        temperature=temperature,
        calibrated=calibrated,
        held_out=held_out_of(predicted, temperature),
        drift_threshold=alarm_level(fitted.population.persons, rows, temperature),
        drift_threshold_new=alarm_level((fitted.population.newcomer,), rows, temperature),
        drift_horizon=HORIZON,
        drift_rate=RATE,
        learned_from=tuple(example.id for example in examples),
        changes=Changes((), (), ()),
        previous="" if previous is None else previous.digest,
    )
    return changes_of(draft, examples, predicted, previous)


def _demand_enough(examples: Sequence[PreferenceExample]) -> None:
    verdicts = [example for example in examples if example.decision in VERDICTS]
    approved = sum(example.decision is Decision.APPROVED for example in verdicts)
    least = min(approved, len(verdicts) - approved)
    if len(verdicts) < FEWEST_DECISIONS or least < FEWEST_OF_A_KIND:
        raise PreferenceRefused(
            f"{approved} approvals and {len(verdicts) - approved} refusals are too few to learn from; "
            f"{FEWEST_DECISIONS} decisions are needed, {FEWEST_OF_A_KIND} of each kind at least"
        )


def _fold(example: PreferenceExample) -> int:
    """The same for all decisions about one case, and the same every time."""
    return hashlib.sha256(example.case_digest.encode()).digest()[0] % FOLDS


def _calibrate(predicted: Sequence[Predicted]) -> tuple[float, str]:
    """(temperature, sentence); 1 and '' where there is too little to hold the predictions to."""
    approved = sum(one.approved for one in predicted)
    few = min(approved, len(predicted) - approved) < FEWEST_OF_A_KIND
    if len(predicted) < FEWEST_FOR_CALIBRATION or few:
        return 1.0, ""
    temperature = fit_temperature(*logits_and_outcomes(predicted))
    cases = len({one.example.case_digest for one in predicted})
    return (
        temperature,
        f"temperature {temperature:.2f}, fitted to {len(predicted)} decisions on {cases} cases held out of the fit",
    )


def logits_and_outcomes(predicted: Sequence[Predicted]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return np.array([one.logit for one in predicted]), np.array([one.approved for one in predicted], np.bool_)
