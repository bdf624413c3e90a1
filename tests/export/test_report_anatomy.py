"""The section on today's anatomy says what was made of what."""

from __future__ import annotations

from appliance.contracts.anatomy import AnatomyReport, DensitySource, TableShift, Verdict
from appliance.export.report_anatomy import anatomy_section


def test_what_a_person_must_know_stands_in_it():
    still = TableShift(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    note = "PTV was made anew of today's CTV + 5 mm in External, as in the reference"
    report = AnatomyReport(
        Verdict.WITHIN, still, ((1.0,),), "", (0.0, 0.0, 0.0), DensitySource.TODAY_CT, (), (), notes=(note,)
    )
    assert "<li>PTV was made anew of today&#x27;s CTV + 5 mm in External, as in the reference</li>" in (
        anatomy_section(report)
    )
