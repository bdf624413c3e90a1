"""The sections on robustness and explanations: every number from the contract, names escaped, nothing for nothing."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from appliance.contracts import Evaluation
from appliance.contracts.explanation import Change, Explanation, Reason, Slope
from appliance.contracts.robustness import (
    Displacement,
    DvhBand,
    ErrorModel,
    GoalRobustness,
    Robustness,
    Scenario,
)
from appliance.export.report_explanations import explanations_section
from appliance.export.report_robustness import robustness_section

GOAL = GoalRobustness(
    structure="PTV<1>",
    metric="D95%",
    comparator=">=",
    limit=66.5,
    unit="Gy",
    nominal=67.123,
    values=(67.1, 65.4),
    worst=65.432,
    worst_scenario="2.5 mm left",
    expected=66.789,
    deviation=0.456,
    chance_met=0.734,
    chance_low=0.701,
    chance_high=0.768,
    surface_error=0.05,
    dose_band=(66.1, 68.2),
    contour_band=(66.0, 68.0),
    parts=(("set-up", 71.2), ("rotation", 0.4), ("dose calculation", 28.4), ("contour", 0.0)),
    added=True,
)
BAND = DvhBand("PTV<1>", (0.0, 50.0, 70.0), (100.0, 100.0, 0.0), (100.0, 90.0, 0.0), (100.0, 100.0, 5.0), (100, 95, 1))
FOUND = Robustness(
    scenarios=(
        Scenario("in place", "nominal", Displacement(), 0.04),
        Scenario("2.5 mm left", "shift", Displacement((2.5, 0.0, 0.0)), 0.08),
        Scenario("check 1", "check", Displacement((1.0, 0.5, 0.0)), 0.0),
    ),
    goals=(GOAL,),
    bands=(BAND,),
    errors=ErrorModel(systematic_mm=(1.0, 2.0, 3.0)),
    fractions=35,
    method="Every scenario was calculated",
    voxels=1234,
    notes=("a note",),
)
EXPLAINED = Explanation(
    goal=1,
    structure="Core",
    metric="D10%",
    comparator="<=",
    limit=10.0,
    unit="Gy",
    value=10.45,
    state="failed",
    sentence="Core D10% is 10.5 Gy & more",
    reasons=(Reason("distance", "core <begins> 6 mm away"),),
    trade_offs=(Slope("PTV D95%", 0.06, "Gy/Gy", "for each Gy it falls by 0.06 Gy"),),
    change=Change(
        0, "PTV", "D95%", "Gy", 50.0, 46.8, 9.98, 0.02, "fluence", 2, "reachable if PTV D95% falls to 46.8 Gy"
    ),
    solves=8,
    seconds=43.2,
)


class Balanced(HTMLParser):
    """Counts tags that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass


def whole(page: str) -> str:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return page


def test_robustness_shows_the_figures_of_the_contract_and_escapes_names():
    page = whole(robustness_section(FOUND))
    for shown in ("67.12", "65.43 Gy", "66.79 ± 0.46 Gy", "73 % (70 to 77)", "set-up 71 %", "dose calculation 28 %"):
        assert shown in page
    assert "rotation 0 %" not in page, "shares under one percent are not told"
    assert "PTV&lt;1&gt;" in page
    assert "<1>" not in page
    assert "systematic 1 / 2 / 3 mm" in page
    assert "2 set-up scenarios, 1 to check the response surface" in page
    assert "a note" in page
    assert page.count("<svg") == 1


def test_explanations_show_reason_trade_and_change():
    page = whole(explanations_section((EXPLAINED,)))
    for shown in (
        "Core D10% is 10.5 Gy &amp; more",
        "Core &lt;begins&gt; 6 mm away",
        "For each Gy it falls by 0.06 Gy",
        "Reachable if PTV D95% falls to 46.8 Gy",
        "8 re-optimisations in 43 s",
    ):
        assert shown in page
    unfinished = explanations_section((replace(EXPLAINED, change=None, no_change="nothing helps", finished=False),))
    assert "Nothing helps" in unfinished
    assert "the time ended" in unfinished


def test_nothing_asked_nothing_shown():
    assert robustness_section(None) == ""
    assert explanations_section(()) == ""


def test_both_are_kept_with_the_evaluation():
    facts = Evaluation.__dataclass_fields__
    assert {"robustness", "explanations"} <= set(facts)
