"""How a plan came about, in the report: numbers of the story alone, names escaped, nothing from outside."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

from appliance.contracts import PlanningStory, StoryChange, StoryCurve, StoryGoal, StoryStep
from appliance.export.report_story import (
    LONG,
    best_steps,
    costliest,
    milestones,
    missed,
    opening,
    story_section,
    turning_points,
)

VOID = {"br", "img", "meta", "path", "rect", "circle", "polygon"}
"""Elements that end where they begin, in HTML or as the report's drawings write them."""
VOLUMES = (1.0, 50.0, 99.0)


def goals(d95: float, mean: float) -> tuple[StoryGoal, ...]:
    return (
        StoryGoal("PTV<1> D95% >= 20 Gy", d95, "Gy", d95 >= 20),
        StoryGoal("Core Mean <= 10 Gy", mean, "Gy", mean <= 10),
        StoryGoal("Lung Mean <= 5 Gy", math.nan, "Gy", False),
    )


def curves(core_gy: float) -> tuple[StoryCurve, ...]:
    return (
        StoryCurve("PTV<1>", VOLUMES, (21.0, 20.5, 19.0), is_target=True),
        StoryCurve("Core", VOLUMES, (core_gy + 3, core_gy, core_gy - 3)),
    )


FIRST = StoryStep(
    0, "preliminary", "template", (), (), 66.0, 0.0, 0, 2, 21.0, 5.0,
    kept=True, curves=curves(12.0), reached=goals(18.0, 12.0), told="a deliverable plan",
)  # fmt: skip
LOOK = replace(FIRST, number=1, stage="exploring", by="rules", seconds=6.0, told="the template's objectives")
RAISED = StoryChange("PTV<1>", "raise", "PTV<1> D95%: weight doubled", "PTV<1> D95%")
BETTER = StoryStep(
    2, "exploring", "rules", LOOK.reached, (RAISED,), 84.5, 18.5, 2, 2, 22.0, 7.0,
    kept=True, curves=curves(9.0), reached=goals(20.5, 9.0), since=1, told="PTV<1> D95%: weight doubled",
)  # fmt: skip
WORSE = StoryStep(
    3, "exploring", "rules", BETTER.reached, (RAISED,), 80.0, -4.5, 1, 2, 23.5, 8.0,
    curves=curves(11.0), reached=goals(20.6, 11.0), since=2, told="PTV<1> D95%: weight doubled",
)  # fmt: skip
FINAL = StoryStep(
    4, "final", "learned", FIRST.reached, (), 83.0, 17.0, 2, 2, 21.5, 74.0,
    kept=True, curves=curves(9.5), reached=goals(20.2, 9.5), since=0, told="the plan that is handed on",
)  # fmt: skip
STORY = PlanningStory("learned", (FIRST, LOOK, BETTER, WORSE, FINAL), "", "all goals met", hot_limit_gy=22.4)


class Checked(HTMLParser):
    """Every element is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def words(html: str) -> str:
    return " ".join(" ".join(Checked(html).text).split())


def test_the_section_is_whole_html_with_nothing_from_outside() -> None:
    html = story_section(STORY)
    page = Checked(html)
    assert page.open == []
    assert not page.seen & {"script", "link", "iframe", "object", "img", "a", "base"}
    assert "http" not in html and "<1>" not in html and "PTV&lt;1&gt;" in html
    for drawing in re.findall(r"<svg.*?</svg>", html, re.S):
        root = ElementTree.fromstring(drawing)
        assert root.get("aria-label") or root.get("aria-hidden") == "true"


def test_no_story_no_section() -> None:
    assert story_section(None) == story_section(PlanningStory("rules")) == ""


def test_the_opening_says_who_planned_from_where_to_where_and_why_it_ended() -> None:
    assert opening(STORY) == (
        "Planned by the learned policy in 5 steps and 1 min 14 s. "
        "Exploring came from 66.0 % of the score and 0 of 2 goals to 84.5 % and 2 of 2 goals. "
        "The deliverable plan came from 66.0 % of the score and 0 of 2 goals to 83.0 % and 2 of 2 goals. "
        "Planning ended: all goals met."
    )


def test_a_fallback_is_said_and_its_words_are_escaped() -> None:
    told = words(story_section(replace(STORY, fallback="the file <policy.onnx> was altered")))
    assert "another policy planned the file <policy.onnx> was altered" in told


def test_a_plan_without_exploring_is_told_too() -> None:
    rules = replace(FINAL, number=1, since=-1, saw=(), gained=0.0)
    told = words(story_section(replace(STORY, policy="rules", steps=(replace(FIRST, curves=()), rules))))
    assert "Planned by the rules in 2 steps" in told
    assert "Exploring" not in told.split("Scores are percent")[0]
    assert "Histograms" not in told


def test_what_gained_and_what_cost_most_is_found() -> None:
    assert best_steps(STORY.steps) == (BETTER,)
    assert costliest(STORY) == (WORSE,)
    assert milestones(STORY) == (FIRST, BETTER, WORSE, FINAL)
    told = words(story_section(STORY))
    assert "+18.5 (step 2): PTV<1> D95%: weight doubled" in told
    assert "-4.5 (step 3, what cost most)" in told


def test_a_row_says_what_was_seen_changed_lost_and_that_the_hot_spot_was_too_hot() -> None:
    told = words(story_section(STORY))
    assert "2 missed: PTV<1> D95% ≥ 20 Gy: 18.00 Gy; Core Mean ≤ 10 Gy: 12.00 Gy" in told
    assert "Lung Mean ≤ 5 Gy: absent, not judged" in told
    assert "met now: PTV<1> D95% ≥ 20 Gy, Core Mean ≤ 10 Gy" in told
    assert "lost: Core Mean ≤ 10 Gy" in told
    assert told.count("23.50 Gy above 22.4 Gy") == 1
    assert "nan" not in told


def test_scores_of_another_kind_of_dose_are_not_joined() -> None:
    """Exploring's first look stands beside the preliminary plan, and no line or gain joins them."""
    html = story_section(STORY)
    drawing = ElementTree.fromstring(re.search(r"<svg class=\"dvh storyline\".*?</svg>", html, re.S)[0])
    ways = [node for node in drawing.iter("path") if "way" in (node.get("class") or "")]
    assert len(ways) == 3
    assert [node.get("stroke-dasharray") for node in ways] == [None, None, "2 5"]


def test_the_axis_of_scores_holds_every_score() -> None:
    html = story_section(replace(STORY, steps=(replace(FIRST, score=0.0), replace(FINAL, score=100.0))))
    drawing = ElementTree.fromstring(re.search(r"<svg class=\"dvh storyline\".*?</svg>", html, re.S)[0])
    numbers = [int(node.text) for node in drawing.iter("text") if (node.text or "").isdigit()]
    assert {0, 100} <= set(numbers)


def test_a_long_story_shows_its_turning_points_and_stays_small() -> None:
    """Sixty steps over many goals: the whole table is there to be opened, under 300 kB."""
    many = tuple(StoryGoal(f"Organ_{i} Mean <= 10 Gy", 9.0 + i / 10, "Gy", i < 10) for i in range(25))
    changes = tuple(StoryChange(f"Organ_{i}", "raise", f"Organ_{i} Mean: weight doubled") for i in range(20))
    steps = [replace(LOOK, number=0, saw=many, reached=many)]
    for number in range(1, 60):
        gained = -5.0 if number == 30 else 0.1
        told = "20 of 23 objectives changed: more weight on Organ_1 Mean, Organ_2 Mean, Organ_3 Mean and 17 more"
        one = replace(LOOK, number=number, since=number - 1, gained=gained, changed=changes, told=told, saw=many)
        steps.append(replace(one, reached=many, kept=number == 10))
    story = replace(STORY, steps=tuple(steps))
    assert len(steps) > LONG
    assert [step.number for step in turning_points(story)] == [0, 10, 30, 59]
    html = story_section(story)
    assert "<summary>All 60 steps</summary>" in html
    assert len(html.encode()) < 300_000


def test_no_rounded_value_contradicts_its_judgement() -> None:
    close = StoryGoal("Core Mean <= 10 Gy", 10.0004, "Gy", False, "<=", 10.0)
    hot = replace(WORSE, saw=(close,), hottest_gy=22.4003)
    told = words(story_section(replace(STORY, steps=(FIRST, hot))))
    assert "Core Mean ≤ 10 Gy: 10.0004 Gy" in told
    assert "22.4003 Gy above 22.4 Gy" in told


def test_a_revision_says_what_it_was_asked_for_and_where_the_story_before_is() -> None:
    began = replace(FIRST, stage="review")
    told = words(story_section(replace(STORY, steps=(began, FINAL), revision=2, asked="Core Mean 9 Gy -> <= 8 Gy")))
    assert "Revision 2, asked for: Core Mean 9 Gy -> <= 8 Gy. Revised by" in told
    assert "revisions/2 of the session's folder" in told and "plan in review" in told


def test_a_wish_that_is_not_met_is_not_told_as_a_missed_goal() -> None:
    wish = StoryGoal("wish for Core Mean <= 5 Gy", 7.0, "Gy", False, "<=", 5.0, wish=True)
    assert missed((wish, replace(wish, wish=False))) == (replace(wish, wish=False),)
