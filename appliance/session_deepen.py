"""What is judged of a plan beyond its goals: delivery, image, outcome, robustness, reasons, preference, notes.

Each part on its own: where one cannot be had, a finding says why, and the others stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from appliance.config import Config
from appliance.contracts import Evaluation, Finding, Outcome, Severity
from appliance.contracts.progress import Progress
from appliance.errors import CouchsideError
from appliance.evaluation.notes import check_notes, read_notes
from appliance.evaluation.preference import judge_preference
from appliance.session_biology import outcomes_of, prior_of
from appliance.session_judgement import deliverability_of, image_context_of
from appliance.session_questions import explanations_of, robustness_of
from appliance.session_stages import Subject
from engines.errors import EngineError

Fields = Mapping[str, Any]
Part = Callable[[Config, Subject, Evaluation, Progress], Fields]
"""Gives fields of the Evaluation."""


def deepened(config: Config, subject: Subject, evaluation: Evaluation, progress: Progress) -> Evaluation:
    """The evaluation with every part that the configuration asks for. Raises what `progress` raises, and nothing else:
    a part that fails is a finding."""
    missing: list[Finding] = []
    for name, (title, part) in PARTS.items():
        progress(title, 0.0)
        try:
            evaluation = replace(evaluation, **part(config, subject, evaluation, progress))
        except (CouchsideError, EngineError) as error:
            missing.append(_missing(name, title, error))
    return replace(evaluation, findings=(*evaluation.findings, *missing))


def _missing(name: str, title: str, error: Exception) -> Finding:
    why = error.sentence if isinstance(error, CouchsideError) else str(error)
    return Finding(f"evaluation.{name}", f"No {title}", Severity.WARN, Outcome.NOT_TESTED, why, "Couchside")


def _deliverability(config: Config, subject: Subject, evaluation: Evaluation, progress: Progress) -> Fields:
    return {"deliverability": deliverability_of(config.planning, subject.case, subject.plan, subject.goal_set)}


def _image(config: Config, subject: Subject, evaluation: Evaluation, progress: Progress) -> Fields:
    return {"image_context": image_context_of(config.evaluation, subject.case)}


def _outcomes(config: Config, subject: Subject, evaluation: Evaluation, progress: Progress) -> Fields:
    case, goal_set, fractions = subject.case, subject.goal_set, subject.plan.fractions
    return {"outcomes": outcomes_of(case, goal_set, subject.dose_gy, fractions, subject.scheduled_dose)}


def _prior(config: Config, subject: Subject, evaluation: Evaluation, progress: Progress) -> Fields:
    case, goal_set, fractions = subject.case, subject.goal_set, subject.plan.fractions
    recovery = config.evaluation.count_recovery
    course, found = prior_of(case, goal_set, subject.dose_gy, fractions, subject.attached, count_recovery=recovery)
    return {"prior_course": course, "findings": (*evaluation.findings, *found)}


def _notes(config: Config, subject: Subject, evaluation: Evaluation, progress: Progress) -> Fields:
    """After the earlier course, because a note of one asks whether its dose is there."""
    if not subject.attached.notes:
        return {}
    notes = read_notes(subject.attached.notes)
    found = check_notes(
        notes,
        subject.case,
        subject.goal_set,
        plan=subject.plan,
        dose_gy=subject.dose_gy,
        prior_dose=evaluation.prior_course is not None,
    )
    return {"clinical_notes": replace(notes, findings=found)}


def _preference(config: Config, subject: Subject, evaluation: Evaluation, progress: Progress) -> Fields:
    """Who will review is not known yet: the clinic's preference. `couchside preference explain` asks for a person."""
    return {"preference": judge_preference(config.node.store / "preference", evaluation)}


def _robustness(config: Config, subject: Subject, evaluation: Evaluation, progress: Progress) -> Fields:
    if not config.evaluation.robustness:
        return {}
    return {"robustness": robustness_of(subject, config.planning, progress=progress)}


def _explanations(config: Config, subject: Subject, evaluation: Evaluation, progress: Progress) -> Fields:
    """Within seconds, so that the reviewer need not wait; `couchside explain` takes its time."""
    budget_s = config.evaluation.explain_budget_s
    if budget_s <= 0:
        return {}
    found = explanations_of(subject, config.planning, budget_s=budget_s, progress=progress)
    return {"explanations": found}


PARTS: dict[str, tuple[str, Part]] = {
    "robustness": ("robustness", _robustness),
    "explanations": ("explanations", _explanations),
    "deliverability": ("deliverability", _deliverability),
    "image": ("image context", _image),
    "outcomes": ("outcome models", _outcomes),
    "prior": ("earlier course", _prior),
    "notes": ("clinical notes", _notes),
    "preference": ("preference", _preference),
}
