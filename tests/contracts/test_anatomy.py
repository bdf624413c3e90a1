"""The report on today's anatomy as it is stored."""

from __future__ import annotations

import json
from dataclasses import replace

from appliance.contracts.anatomy import AnatomyReport, DensitySource, TableShift, Verdict
from appliance.contracts.derived import DerivedRule
from engines.grid import Margins

STILL = TableShift(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
REPORT = AnatomyReport(Verdict.WITHIN, STILL, ((1.0, 0.0),), "", (0.0, 0.0, 0.0), DensitySource.TODAY_CT, (), ())
RULES = (
    DerivedRule("PTV_7000", "CTV_7000", Margins.all_round(5.0), 3.0),
    DerivedRule("PTV", "CTV", Margins(5, 5, 5, 3, 7.5, 7.5), None),
)


def test_recognised_rules_come_back():
    report = replace(REPORT, recognised=RULES)
    assert AnatomyReport.from_json(report.to_json()) == report


def test_a_report_from_before_rules_were_recognised_keeps_its_bytes():
    """The digest of a case holds them: it must be found again with a later release."""
    stored = REPORT.to_json()
    assert "recognised" not in json.loads(stored)
    assert AnatomyReport.from_json(stored) == REPORT
