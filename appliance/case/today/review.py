"""Whether a person looks at today's anatomy before a plan is made on it."""

from __future__ import annotations

from appliance.config import AnatomyConfig
from appliance.contracts.anatomy import Anatomy, Verdict

CONFIRM = "today's contours were made by propagation and nobody has confirmed them"


def why_confirm(config: AnatomyConfig, anatomy: Anatomy) -> str:
    """A part of a sentence, '' where nobody need look. What stops a case is looked at whatever the configuration says;
    contours that were received with today's image are somebody's already."""
    report = anatomy.report
    told = "; ".join(f"{one.evidence}" for one in report.findings if one.stops or one.warns)
    if report.verdict is Verdict.STOP:
        return told or "a measure of today's anatomy is beyond its limit"
    if config.review != "never" and report.verdict is Verdict.LOOK:
        return told or "a measure of today's anatomy asks for a look"
    if config.review == "always" and anatomy.structure_set is not None:
        return CONFIRM
    return ""
