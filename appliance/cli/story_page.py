"""A planning story as a command shows it: a table on the terminal, JSON and a page in a folder."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType

from appliance.cli.output import table
from appliance.cli.question_page import write_answer
from appliance.cli.reviewed import session_files
from appliance.config import Config
from appliance.contracts import STORY_FILE, PlanningStory, StoryStep
from appliance.errors import RefusedObject
from appliance.export.report_html import duration
from appliance.export.report_story import STAGES, gain_of, missed, opening, story_section, value_of

NONE = "How this plan came about was not recorded; plans made by this release are."


def story_of(asked: str, config: Config) -> PlanningStory | None:
    """Of a session of the store, or of the folder of a replan or demo; None where none was recorded. Raises
    SessionError, ArtefactAltered, RefusedObject."""
    if Path(asked).is_dir():
        return _of_folder(Path(asked))
    return session_files(asked, config.node.store)[1].story()


def _of_folder(folder: Path) -> PlanningStory | None:
    path = folder / STORY_FILE
    if not path.is_file():
        return None
    try:
        return PlanningStory.from_json(path.read_bytes())
    except ValueError as error:
        remedy = "Take the folder as replan or demo wrote it"
        raise RefusedObject("it is not a planning story", what=str(path), remedy=remedy, rule="story") from error


def write_story(out: Path, story: PlanningStory) -> None:
    """`out`/story.json, as the session has it, and story.html. Raises DiskFull or WriteFailed."""
    write_answer(out, "story", "Planning story", story.to_json().rstrip(b"\n"), story_section(story))


def story_text(story: PlanningStory | None) -> RenderableType:
    if story is None or not story.steps:
        return NONE
    columns = ("step", "stage", "by", "saw", "changed", "gained", "score", "goals", "after")
    lines = [opening(story), *([f"Another policy planned: {story.fallback}."] if story.fallback else [])]
    return Group(*lines, table("How this plan came about", columns, [_row(step) for step in story.steps]))


def _row(step: StoryStep) -> tuple[str, ...]:
    found = missed(step.saw)
    worst = f"{len(found)} missed, {found[0].text}: {value_of(found[0])}" if found else "all met" if step.saw else "–"
    return (
        str(step.number), STAGES[step.stage], step.by, worst, step.told or "nothing",
        gain_of(step), f"{step.score:.1f} %{' kept' if step.kept else ''}", f"{step.goals_met} of {step.goals_total}",
        duration(step.seconds),
    )  # fmt: skip
