"""The parts of an evaluation beyond the goals, each with its own section where it is there."""

from __future__ import annotations

from appliance.contracts import Evaluation
from appliance.export.report_deliverability import deliverability_section
from appliance.export.report_explanations import explanations_section
from appliance.export.report_image import image_section
from appliance.export.report_notes import notes_section
from appliance.export.report_outcomes import outcomes_section
from appliance.export.report_preference import preference_section
from appliance.export.report_prior import prior_section
from appliance.export.report_robustness import robustness_section


def further_sections(evaluation: Evaluation) -> str:
    """In the order a physician asks: what do the notes say, is there an earlier course, why are goals missed, do they
    hold under errors, may it be delivered, does the image agree, what do outcome models say, and would it be
    approved."""
    parts = [notes_section(evaluation.clinical_notes), prior_section(evaluation.prior_course)]
    parts += [
        explanations_section(evaluation.explanations),
        robustness_section(evaluation.robustness, evaluation.notes),
    ]
    if evaluation.deliverability is not None:
        parts.append(deliverability_section(evaluation.deliverability))
    if evaluation.image_context is not None and evaluation.image_context.network:
        parts.append(image_section(evaluation.image_context))
    parts.append(outcomes_section(evaluation.outcomes))
    parts.append(preference_section(evaluation.preference))
    return "".join(parts)
