"""The report's sections on outcome models and an earlier course: every figure of the contract, nothing unescaped."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from appliance.contracts.outcomes import RANKING_ONLY, OutcomeDifference, OutcomeEstimate
from appliance.contracts.prior import CumulativeResult, PriorCourse, RegistrationQuality
from appliance.export.report_outcomes import outcomes_section
from appliance.export.report_prior import prior_section


class Balanced(HTMLParser):
    """Fails where an element is closed that is not open."""

    VOID = ("br",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


def check(html: str) -> None:
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []


def estimate(**changes) -> OutcomeEstimate:
    values = {
        "id": "x",
        "structure": "Lung_L+Lung_R",
        "kind": "NTCP",
        "endpoint": "an <endpoint>",
        "model": "Lyman-Kutcher-Burman",
        "probability": 0.123,
        "low": 0.05,
        "high": 0.31,
        "band": "95 % band from something",
        "equivalent_gy": 17.25,
        "dose_basis": "mean of physical dose",
        "sentence": "",
        "source": "Someone, Journal 1:2, 2010",
        "doi": "10.1/x",
        "checked": "abstract of the source",
        "patients": 99,
        "versus_scheduled": OutcomeDifference(0.2, -0.077, -0.1, -0.02, 0.985),
    }
    return OutcomeEstimate(**(values | changes))


def test_an_estimate_is_shown_with_band_difference_and_source():
    html = outcomes_section([estimate()])
    check(html)
    for shown in (
        RANKING_ONLY,
        "12.3 %",
        "5.0 to 31.0 %",
        "20.0 %",
        "−7.7",
        "98.5 %",
        "17.2 Gy",
        "10.1/x",
        "99 patients",
    ):
        assert shown in html
    assert "Lung_L + Lung_R" in html
    assert "an &lt;endpoint&gt;" in html and "<endpoint>" not in html


def test_what_has_no_number_and_what_has_no_band_say_so():
    bare = estimate(probability=None, low=None, high=None, sentence="The model needs both lungs", versus_scheduled=None)
    lone = estimate(
        low=None, high=None, band="no band: nothing is published", versus_scheduled=OutcomeDifference(0.2, 0.1)
    )
    html = outcomes_section([bare, lone])
    check(html)
    assert "The model needs both lungs" in html and "no band: nothing is published" in html
    assert outcomes_section([]) == ""


@pytest.mark.parametrize("met", [True, False])
def test_an_earlier_course_is_shown_with_its_fit_and_its_sum(met):
    quality = RegistrationQuality("rigid, from the images", 0.97, 0.98, 0.6, 3, "Parotid_L", 0.91, 1.2, 14.0, 3.5, 2.0)
    result = CumulativeResult(
        structure="SpinalCord",
        metric="Max",
        comparator="<=",
        limit=50.0,
        unit="Gy",
        value=48.0 if met else 63.98,
        low=47.0,
        high=65.0,
        met=met,
        certain=False,
        priority=1,
        alpha_beta_gy=2.0,
        alpha_beta_source="Nieder 2006",
        prior_largest_gy=20.0,
        recovery=0.5,
        recovery_source="Doi 2021",
        limit_from="45 Gy in 25 fractions, as EQD2",
        source="a <guideline>",
    )
    course = PriorCourse("p" * 64, 20, 800.0, quality, (result,), ((1.0,),), ("A note",))
    html = prior_section(course)
    check(html)
    for shown in (
        "20 fractions, 800 days",
        "0.97",
        "Parotid_L",
        "50 % recovered",
        "47.0 to 65.0 Gy",
        "A note",
        "Doi 2021",
    ):
        assert shown in html
    assert ("✓ within" in html) is met and "not certain" in html and "a &lt;guideline&gt;" in html
    assert prior_section(None) == ""
