"""Beam commissioning: measured curves in, one beam model for both dose algorithms out, with figures and verdicts."""

from appliance.commissioning.commission import Commissioned, load_tables
from appliance.commissioning.commission import commission as commission_beam
from appliance.commissioning.read_folder import Measurements, read_measurements
from appliance.commissioning.report import Judged, report, shown_worst, summary
from appliance.commissioning.table import Outcome, failed

__all__ = [
    "Commissioned",
    "Judged",
    "Measurements",
    "Outcome",
    "commission_beam",
    "failed",
    "load_tables",
    "read_measurements",
    "report",
    "shown_worst",
    "summary",
]
