"""How a plan came about: its steps as a timeline, as histograms beside each other, and in words, for teaching."""

from __future__ import annotations

import math
from collections.abc import Sequence

from appliance.contracts import PlanningStory, StoryGoal, StoryStep
from appliance.export.report_html import Styles, beside_limit, duration, section, symbols, table, text
from appliance.export.report_story_strip import curves_strip
from appliance.export.report_story_timeline import timeline

NAMED = 2
"""So many missed goals are named in a row of the table; all of them stand in its details."""
BEST = 3
"""So many steps are told as those that gained most."""
LONG = 12
"""Of longer stories the table shows the turning points first."""
COSTLY = -1.0
"""Points: a step that lost more is told, because that teaches as much."""
STAGES = {
    "preliminary": "preliminary plan",
    "review": "plan in review",
    "exploring": "exploring",
    "fluence": "fluence",
    "apertures": "apertures",
    "sparing": "sparing",
    "final": "final plan",
}
NOTE = (
    "Scores are percent of the most that the scorecard gives. Exploring and fluence are judged on the planner's own "
    "samples, apertures and sparing by estimates of the full dose where a step does not say that it was calculated; "
    "preliminary plan, plan in review and final plan are of the full dose. A gain is told only between steps whose "
    "dose was made in the same way. The best so far is judged with its hot spot. What else changed with a step may "
    "have had its part in the gain."
)


def story_section(story: PlanningStory | None, styles: Styles | None = None) -> str:
    """'' where no story was told. styles: of the case, so that colours are those of the other figures; None: own
    ones."""
    if story is None or not story.steps:
        return ""
    chosen = Styles() if styles is None else styles
    body = (
        f"<p>{text(opening(story))}</p>{_fallback(story)}{timeline(story.steps, story.hot_limit_gy)}{_lessons(story)}"
    )
    body += curves_strip(milestones(story), chosen) + _table(story)
    return section("How this plan came about", f'{body}<p class="note">{NOTE}</p>', anchor="story")


def opening(story: PlanningStory) -> str:
    """In words: who planned, in how many steps and how long, from where to where, and why it ended."""
    last = story.steps[-1]
    steps = f"{len(story.steps)} step{'s' * (len(story.steps) != 1)}"
    done = "Revised" if story.revision else "Planned"
    told = [f"Revision {story.revision}, asked for: {story.asked}."] if story.revision else []
    told += [f"{done} by {_policy(story.policy)} in {steps} and {duration(last.seconds)}."]
    told += [sentence for stage in ("exploring", "final") if (sentence := _way(story, stage))]
    if story.ended:
        told.append(f"Planning ended: {story.ended}.")
    if story.revision:
        told.append(f"How the plan before it came about is in revisions/{story.revision} of the session's folder.")
    return " ".join(told)


def best_steps(steps: Sequence[StoryStep]) -> tuple[StoryStep, ...]:
    """Those that made the best plan so far by a change, in the order of their gain."""
    gained = [step for step in steps if step.gained > 0 and step.kept and step.changed]
    return tuple(sorted(gained, key=lambda step: -step.gained)[:BEST])


def costliest(story: PlanningStory) -> tuple[StoryStep, ...]:
    """The step whose change lost most, where that is more than a little."""
    worst = min(story.steps, key=lambda step: step.gained)
    return (worst,) if worst.gained < COSTLY and worst.changed else ()


def milestones(story: PlanningStory) -> tuple[StoryStep, ...]:
    """The first and the last step with curves, and between them those that gained and cost most; in order."""
    drawn = [step for step in story.steps if step.curves]
    if len(drawn) < 2:
        return tuple(drawn)
    chosen = {drawn[0].number, drawn[-1].number, *(step.number for step in (*best_steps(drawn), *costliest(story)))}
    return tuple(step for step in drawn if step.number in chosen)


def value_of(goal: StoryGoal) -> str:
    if math.isnan(goal.value):
        return "absent"
    if not goal.comparator:
        return f"{goal.value:.2f} {goal.unit}"
    return f"{beside_limit(goal.value, goal.limit, goal.unit, goal.comparator, met=goal.met)} {goal.unit}"


def missed(goals: tuple[StoryGoal, ...]) -> tuple[StoryGoal, ...]:
    """Wishes left out: nothing is lost with them."""
    return tuple(goal for goal in goals if not goal.met and not goal.wish and not math.isnan(goal.value))


def gain_of(step: StoryStep) -> str:
    """'–' where there is nothing to set it against."""
    return "–" if step.since < 0 else f"{step.gained:+.1f}"


def _policy(policy: str) -> str:
    return {"learned": "the learned policy", "rules": "the rules", "template": "the template"}.get(
        policy, f"the policy '{policy}'"
    )


def _way(story: PlanningStory, stage: str) -> str:
    """From where to where, between the ends of a kind of dose."""
    steps = [step for step in story.steps if step.stage == stage]
    if not steps or (stage == "final" and steps[-1].since < 0):
        return ""
    first = next((s for s in story.steps if s.number == steps[-1].since), steps[0]) if stage == "final" else steps[0]
    last = max(steps, key=lambda step: step.number if stage == "final" else (step.kept, step.number))
    if first is last:
        return f"Exploring found nothing better than where it began, {first.score:.1f} % and {_goals(first)}."
    what = "The deliverable plan" if stage == "final" else "Exploring"
    begin = f"{first.score:.1f} % of the score and {_goals(first)}"
    return f"{what} came from {begin} to {last.score:.1f} % and {_goals(last)}."


def _goals(step: StoryStep) -> str:
    return f"{step.goals_met} of {step.goals_total} goals"


def _fallback(story: PlanningStory) -> str:
    if not story.fallback:
        return ""
    return f'<p><span class="tag">another policy planned</span> {text(story.fallback)}</p>'


def _lessons(story: PlanningStory) -> str:
    items = [
        f"<li><b>{gain_of(step)}</b> (step {step.number}): {text(step.told)}</li>" for step in best_steps(story.steps)
    ]
    worst = costliest(story)
    items += [f"<li><b>{gain_of(one)}</b> (step {one.number}, what cost most): {text(one.told)}</li>" for one in worst]
    return f"<h3>What gained and what cost most</h3><ul>{''.join(items)}</ul>" if items else ""


def _table(story: PlanningStory) -> str:
    """Of a long story the steps that mattered, and all of them to be opened."""
    if len(story.steps) <= LONG:
        return "<h3>Step by step</h3>" + _rows(story, story.steps, "What was seen, changed and gained.")
    key = _rows(story, turning_points(story), "First and last of each stage, and what gained and cost most.")
    whole = _rows(story, story.steps, "What was seen, changed and gained.")
    return f"<h3>Step by step</h3>{key}<details><summary>All {len(story.steps)} steps</summary>{whole}</details>"


def turning_points(story: PlanningStory) -> tuple[StoryStep, ...]:
    """The first and the last step of each stage, and those that gained and cost most; in order."""
    chosen = {step.number for step in (*best_steps(story.steps), *costliest(story))}
    for stage in STAGES:
        numbers = [step.number for step in story.steps if step.stage == stage]
        chosen |= {*numbers[:1], *numbers[-1:]}
    return tuple(step for step in story.steps if step.number in chosen)


def _rows(story: PlanningStory, steps: Sequence[StoryStep], caption: str) -> str:
    columns = ["#Step", "Stage", "Saw", "Changed", "#Gained", "#Score", "Goals met", "Hottest 0.1 cc", "#After"]
    rows = [
        [
            str(step.number),
            f'{text(STAGES[step.stage])}<br><span class="note">by {text(step.by)}</span>',
            _saw(step),
            _changed(step),
            gain_of(step),
            f"{step.score:.1f} %" + ('<br><span class="tag good">best so far</span>' if step.kept else ""),
            f"{_goals(step)}{_goals_moved(step)}",
            _hottest(step, story.hot_limit_gy),
            duration(step.seconds),
        ]
        for step in steps
    ]
    return table(caption, columns, rows, kind="story")


def _hottest(step: StoryStep, limit_gy: float) -> str:
    if math.isnan(step.hottest_gy):
        return "–"
    if step.hottest_gy <= limit_gy or math.isnan(limit_gy):
        return f"{step.hottest_gy:.1f} Gy"
    shown = beside_limit(step.hottest_gy, limit_gy, "Gy", "<=", met=False)
    return f'{shown} Gy<br><span class="tag bad">above {limit_gy:g} Gy</span>'


def _saw(step: StoryStep) -> str:
    if not step.saw:
        return '<span class="note">nothing of this kind yet</span>'
    found = missed(step.saw)
    if not found:
        return "all goals met"
    said = "; ".join(f"{text(symbols(goal.text))}: {value_of(goal)}" for goal in found[:NAMED])
    listed = "".join(f"<li>{text(symbols(goal.text))}: {value_of(goal)}, {_standing(goal)}</li>" for goal in step.saw)
    return (
        f"{len(found)} missed: {said}<details><summary>all {len(step.saw)} goals</summary><ul>{listed}</ul></details>"
    )


def _standing(goal: StoryGoal) -> str:
    return "not judged" if math.isnan(goal.value) else "met" if goal.met else "missed"


def _changed(step: StoryStep) -> str:
    if not step.told:
        return "optimised on, nothing changed" if step.saw else "–"
    listed = "".join(f"<li>{text(change.sentence)}</li>" for change in step.changed)
    if step.told == "; ".join(change.sentence for change in step.changed):
        return f"<ul>{listed}</ul>"
    details = f"<details><summary>each of them</summary><ul>{listed}</ul></details>" if listed else ""
    return f"{text(step.told)}{details}"


def _goals_moved(step: StoryStep) -> str:
    """Which goals came to be met, and which were lost, since the step that this one is compared with."""
    pairs = [(was, now) for was, now in zip(step.saw, step.reached, strict=False) if was.text == now.text]
    parts = []
    for words, moved in (
        ("met now", [now for was, now in pairs if now.met and not was.met]),
        ("lost", [now for was, now in pairs if was.met and not now.met]),
    ):
        if moved:
            parts.append(f"{words}: {', '.join(text(symbols(goal.text)) for goal in moved)}")
    return f'<br><span class="note">{"; ".join(parts)}</span>' if parts else ""
