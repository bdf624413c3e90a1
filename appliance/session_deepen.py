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
from appliance.session_judgement import deliverability_of, image_context_of
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


PARTS: dict[str, tuple[str, Part]] = {
    "deliverability": ("deliverability", _deliverability),
    "image": ("image context", _image),
}
