"""Whether a person looks at today's anatomy before a plan is made on it."""

from __future__ import annotations

from appliance.config import AnatomyConfig
from appliance.contracts.anatomy import AnatomyReport, Verdict

CONFIRM = "today's contours were made by propagation and nobody has confirmed them"


def why_confirm(config: AnatomyConfig, report: AnatomyReport, are_made: bool) -> str:
    """A part of a sentence, '' where nobody need look. What stops a case is looked at whatever the configuration says;
    contours that were received with today's image, and neither made (`are_made`) nor edited here, are somebody's."""
    told = "; ".join(f"{one.evidence}" for one in report.findings if one.stops or one.warns)
    if report.verdict is Verdict.STOP:
        return told or "a measure of today's anatomy is beyond its limit"
    if config.review != "never" and report.verdict is Verdict.LOOK:
        return told or "a measure of today's anatomy asks for a look"
    if config.review == "always" and are_made:
        return CONFIRM
    return ""
