"""The one call that an evaluation makes: the verdict on a plan, or in words why there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from appliance.contracts.evaluation import Evaluation
from appliance.contracts.preference import PreferenceVerdict
from appliance.errors import AuditError, PreferenceRefused
from appliance.evaluation.preference.decisions import features_of
from appliance.evaluation.preference.store import PreferenceStore
from appliance.evaluation.preference.verdict import NO_MODEL


def judge_preference(
    folder: Path, evaluation: Evaluation, scheduled: Evaluation | None = None, physician: str = ""
) -> PreferenceVerdict:
    """folder: STORE/preference. physician: who will review, as the register of persons names them; '' where that is not
    known yet. A model or log that is damaged costs the verdict and not the evaluation: its sentence then says what is
    wrong, and holds no number. Raises EvaluationError for an evaluation whose numbers are not finite."""
    plan = features_of(evaluation, scheduled)
    try:
        return PreferenceStore(folder).verdict(plan, physician)
    except (PreferenceRefused, AuditError) as error:
        return replace(NO_MODEL, sentence=f"{error.sentence}. Nothing is predicted.")
