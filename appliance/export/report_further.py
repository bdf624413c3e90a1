"""The parts of an evaluation beyond the goals, each with its own section where it is there."""

from __future__ import annotations

from appliance.contracts import Evaluation
from appliance.export.report_deliverability import deliverability_section
from appliance.export.report_image import image_section


def further_sections(evaluation: Evaluation) -> str:
    """In the order a physician asks: may it be delivered, does the image agree."""
    parts = []
    if evaluation.deliverability is not None:
        parts.append(deliverability_section(evaluation.deliverability))
    if evaluation.image_context is not None and evaluation.image_context.network:
        parts.append(image_section(evaluation.image_context))
    return "".join(parts)
