"""Notes against the plan: one finding for each thing to be checked, passed and untested ones too.

Evidence names notes by number and quotes single words only, because findings hold no patient's name; the statements
themselves are in the facts. Every check rests on what a program read in free text, so nearly all warn and leave the
judgement to a person. Only a side or a pregnancy that the notes state without doubt stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.case import Case
from appliance.contracts.finding import Finding, Severity
from appliance.contracts.goals import GoalSet
from appliance.contracts.notes import Assertion, ClinicalNotes, FactKind, NoteFact
from appliance.contracts.plan import Plan
from appliance.evaluation.notes.check_device import device_finding
from appliance.evaluation.notes.check_side import side_finding
from appliance.evaluation.notes.wording import cited, finding, words_of

DOSE_AGREES_GY = 0.05
"""Noted and planned dose count as the same within this; chosen, half of the last digit that notes write."""

_DOUBT = (Assertion.PRESENT, Assertion.POSSIBLE)
_CONTRADICTORY = (
    FactKind.CARDIAC_DEVICE,
    FactKind.PREGNANCY,
    FactKind.CONTRAST_ALLERGY,
    FactKind.PRIOR_RADIOTHERAPY,
)


@dataclass(frozen=True)
class Checked:
    """What the notes are held against. dose_gy: (z, y, x) on the case's image grid, of the whole course, None where
    there is none yet. prior_dose: whether an earlier course's dose takes part in the evaluation."""

    case: Case
    goal_set: GoalSet
    plan: Plan | None = None
    dose_gy: NDArray[np.float32] | None = None
    prior_dose: bool = False


def check_notes(
    notes: ClinicalNotes,
    case: Case,
    goal_set: GoalSet,
    *,
    plan: Plan | None = None,
    dose_gy: NDArray[np.float32] | None = None,
    prior_dose: bool = False,
) -> tuple[Finding, ...]:
    """Findings `notes.*`, always the same ids in the same order; none at all where there are no notes."""
    if not notes.documents:
        return ()
    facts = [fact for fact in notes.facts if not fact.overruled]
    overruled = len(notes.facts) - len(facts)
    on = Checked(case, goal_set, plan, dose_gy, prior_dose)
    return (
        _unread(notes),
        side_finding(facts, case, goal_set),
        _prescription(facts, on),
        _prior(facts, on),
        device_finding(facts, case, plan, dose_gy),
        _pregnancy(facts),
        _contrast(facts, case),
        _implants(facts, case),
        _contradictions(facts, overruled),
    )


def _of(facts: Sequence[NoteFact], kind: FactKind, *assertions: Assertion) -> list[NoteFact]:
    return [fact for fact in facts if fact.kind is kind and fact.assertion in assertions]


def _unread(notes: ClinicalNotes) -> Finding:
    unread = [(number, document) for number, document in enumerate(notes.documents, 1) if document.why]
    said = "; ".join(f"note {number}: {document.why}" for number, document in unread)
    ask = ". Have somebody read it" if unread else ""
    count = len(notes.documents)
    good = f"{count} note{'s' if count > 1 else ''} read"
    return finding("notes.unread", Severity.WARN, bool(unread), (said + ask) or good)


def _prescription(facts: Sequence[NoteFact], on: Checked) -> Finding:
    name = "notes.prescription"
    said = [fact for fact in _of(facts, FactKind.PRESCRIPTION, Assertion.PRESENT) if fact.dose_gy is not None]
    if not said:
        return finding(name, Severity.WARN, None, "the notes state no dose with its fractions")
    levels = sorted({dose for _, dose in on.goal_set.prescription} | {t.dose_gy for t in on.case.prescription})
    fractions = on.plan.fractions if on.plan is not None else on.case.fractions or on.goal_set.fractions
    planned = f"planned are {', '.join(f'{dose:g}' for dose in levels)} Gy in {fractions} fractions"
    wrong = [fact for fact in said if not _agrees(fact, levels, fractions)]
    stated = ", ".join(f"{fact.dose_gy:g} Gy in {fact.fractions} fractions ({cited(fact)})" for fact in (wrong or said))
    return finding(name, Severity.WARN, bool(wrong), f"noted: {stated}; {planned}")


def _agrees(fact: NoteFact, levels: Sequence[float], fractions: int) -> bool:
    dose_fits = any(abs((fact.dose_gy or 0.0) - level) <= DOSE_AGREES_GY for level in levels)
    return dose_fits and fact.fractions in (None, fractions)


def _prior(facts: Sequence[NoteFact], on: Checked) -> Finding:
    name = "notes.prior-radiotherapy"
    said = _of(facts, FactKind.PRIOR_RADIOTHERAPY, *_DOUBT)
    if not said:
        none = _of(facts, FactKind.PRIOR_RADIOTHERAPY, Assertion.ABSENT)
        text = f"earlier radiation is denied ({cited(none[0])})" if none else "the notes do not speak of it"
        return finding(name, Severity.WARN, False if none else None, text)
    stated = "; ".join(_course(fact) for fact in said)
    if on.prior_dose:
        return finding(name, Severity.WARN, False, f"noted: {stated}; an earlier dose takes part in the evaluation")
    ask = "no earlier dose takes part in the evaluation. Get its plan and dose, or judge the overlap by hand"
    return finding(name, Severity.WARN, True, f"noted: {stated}; {ask}")


def _course(fact: NoteFact) -> str:
    parts = [
        f"{fact.dose_gy:g} Gy" if fact.dose_gy is not None else "",
        f"in {fact.fractions} fractions" if fact.fractions else "",
        f"to the {fact.site.lower()}" if fact.site else "",
        fact.date,
        "(possible)" if fact.assertion is Assertion.POSSIBLE else "",
        f"[{cited(fact)}]",
    ]
    return " ".join(part for part in parts if part)


def _pregnancy(facts: Sequence[NoteFact]) -> Finding:
    name = "notes.pregnancy"
    sure = _of(facts, FactKind.PREGNANCY, Assertion.PRESENT)
    doubt = _of(facts, FactKind.PREGNANCY, Assertion.POSSIBLE)
    if sure:
        ask = "Do not treat before the dose to the fetus is estimated and the treatment decided upon anew"
        return finding(name, Severity.STOP, True, f"pregnancy is noted ({words_of(sure)}). {ask}")
    if doubt:
        return finding(
            name, Severity.WARN, True, f"pregnancy is not excluded ({words_of(doubt)}). Test before treatment"
        )
    none = _of(facts, FactKind.PREGNANCY, Assertion.ABSENT)
    text = f"denied or excluded ({words_of(none)})" if none else "the notes do not speak of it"
    return finding(name, Severity.STOP, False if none else None, text)


def _contrast(facts: Sequence[NoteFact], case: Case) -> Finding:
    name = "notes.contrast"
    allergy = _of(facts, FactKind.CONTRAST_ALLERGY, *_DOUBT)
    given = _of(facts, FactKind.CONTRAST, Assertion.PRESENT)
    asked = _of(facts, FactKind.CONTRAST, Assertion.PRESENT, Assertion.CONDITIONAL)
    if allergy and asked:
        text = (
            f"an allergy to contrast is noted ({words_of(allergy)}), and contrast too ({words_of(asked)}). "
            f"Clear this up"
        )
        return finding(name, Severity.WARN, True, text)
    if given and not _has_override(case):
        text = (
            f"contrast is noted ({words_of(given)}), and no structure has its density overridden: if it is in "
            f"the planning "
            "image, vessels and bladder count as too dense"
        )
        return finding(name, Severity.INFO, True, text)
    spoken = allergy or given or _of(facts, FactKind.CONTRAST, Assertion.ABSENT)
    text = f"nothing that touches the plan ({words_of(spoken)})" if spoken else "the notes do not speak of it"
    return finding(name, Severity.WARN, False if spoken else None, text)


def _implants(facts: Sequence[NoteFact], case: Case) -> Finding:
    name = "notes.implant"
    dense = [f for f in _of(facts, FactKind.IMPLANT, *_DOUBT) if f.value not in ("fiducials", "breast implant")]
    if not dense:
        spoken = _of(facts, FactKind.IMPLANT, *Assertion)
        text = f"nothing dense ({words_of(spoken)})" if spoken else "the notes do not speak of it"
        return finding(name, Severity.WARN, False if spoken else None, text)
    if _has_override(case):
        return finding(name, Severity.WARN, False, f"noted ({words_of(dense)}); a structure has its density overridden")
    ask = "if it is near a beam, outline it and its artefacts and give them their densities"
    return finding(
        name, Severity.WARN, True, f"noted ({words_of(dense)}); no structure has its density overridden: {ask}"
    )


def _has_override(case: Case) -> bool:
    return any(structure.density is not None for structure in case.structures)


def _contradictions(facts: Sequence[NoteFact], overruled: int) -> Finding:
    said = []
    for kind in _CONTRADICTORY:
        yes = _of(facts, kind, Assertion.PRESENT)
        for what in sorted({_what(fact) for fact in yes}):
            no = [fact for fact in _of(facts, kind, Assertion.ABSENT) if _what(fact) in (what, "")]
            if no:
                both = f"{cited(next(fact for fact in yes if _what(fact) == what))} against {cited(no[0])}"
                name = f"{kind.value.replace('_', ' ')} {what}".strip()
                said.append(f"{name}: {both}")
    if overruled:
        said.append(f"rules and encoder differ on {overruled} facts, of which the rules' are used")
    text = (
        "; ".join(said)
        if said
        else "the notes do not contradict each other on devices, pregnancy, allergy or earlier radiation"
    )
    return finding("notes.contradiction", Severity.WARN, bool(said), text)


def _what(fact: NoteFact) -> str:
    """What a denial has to be of: the device, or the place that was irradiated; a denial without one is of any."""
    return fact.value or fact.site
