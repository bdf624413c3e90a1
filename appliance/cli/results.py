"""What demo and replan leave behind and show: the files of a session in an output folder, and the scorecard."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import JsonValue
from rich.console import Group, RenderableType
from rich.text import Text

from appliance.cli.output import table
from appliance.contracts import RECORD_FILES, SECOND_DOSE_FILE, STORY_FILE
from appliance.dicomio.files import sync_folder, write_durable
from appliance.errors import WriteFailed
from appliance.session import Session
from appliance.session_traded import NAVIGATION_FILE, NAVIGATION_JSON

COPIED = (
    "scorecard.json", "scheduled-scorecard.json", "timeline.json", STORY_FILE, "report.html", "goals.toml",
    NAVIGATION_FILE, NAVIGATION_JSON,
)  # fmt: skip

ANATOMY = ("anatomy.json", "contours.html", "REG.dcm", "DEFORM.dcm")
"""Of today's anatomy, under today/ in the session's folder."""

BESIDE = (SECOND_DOSE_FILE, *RECORD_FILES)
"""Files beside an export set that stay at home."""

Document = dict[str, JsonValue]


def copy_results(session: Session, out: Path) -> None:
    """The session's result files, whole or not at all. A file of an earlier run that this one lacks is taken away."""
    _copy(session.files.folder, COPIED, out)
    _copy(session.files.folder / "today", ANATOMY, out)


def copy_anatomy(store: Path, out: Path) -> None:
    """That of the newest session of a store, with its structures: what a person must look at before anything else."""
    folders = sorted((store / "sessions").iterdir(), key=lambda folder: folder.stat().st_mtime)
    _copy(folders[-1] / "today", (*ANATOMY, "RS.dcm"), out)


def copy_beside(session: Session, out: Path) -> None:
    """What lies beside its export set and does not arrive with it."""
    _copy(session.files.folder / "export", BESIDE, out)


def _copy(folder: Path, names: tuple[str, ...], out: Path) -> None:
    for name in names:
        source = folder / name
        if source.exists():
            write_durable(source.read_bytes(), out / name)
        else:
            (out / name).unlink(missing_ok=True)


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder within `out` (made if need be) for files that shall appear there together, by `publish`, or not at all.
    Raises WriteFailed before anything else is done if `out` cannot be written."""
    is_new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=out))
    except OSError as error:
        raise WriteFailed(f"{out} ({error.strerror})") from error
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if is_new:
            with suppress(OSError):  # it holds the results
                out.rmdir()


def publish(staging: Path, out: Path) -> None:
    """Moves the files into `out`. A result file of an earlier run that this one lacks is taken away."""
    try:
        for name in (*COPIED, *BESIDE, *ANATOMY):
            if not (staging / name).exists():
                (out / name).unlink(missing_ok=True)
        for path in sorted(staging.iterdir()):
            os.replace(path, out / path.name)
        sync_folder(out)
    except OSError as error:
        raise WriteFailed(f"{out} ({error.strerror})") from error


def load(path: Path) -> Document | None:
    if not path.exists():
        return None
    document = json.loads(path.read_bytes())
    return document if isinstance(document, dict) else None


def scorecard_table(out: Path, whose: str = "adapted plan") -> RenderableType:
    """The goals with what the plan reaches, `whose` at the column's head, beside what the scheduled plan would
    on today's anatomy."""
    adapted = load(out / "scorecard.json") or {}
    scheduled = load(out / "scheduled-scorecard.json")
    rows = [
        (
            str(goal["structure"]),
            f"{goal['metric']} {goal['comparator']} {goal['limit']:g} {goal['unit']}",
            *((_value(other),) if scheduled else ()),
            _value(goal),
        )
        for goal, other in zip(_goals(adapted), _goals(scheduled) or _goals(adapted), strict=True)
    ]
    columns = ("structure", "goal", *(("scheduled plan today",) if scheduled else ()), whose)
    plan = adapted.get("plan")
    facts = plan if isinstance(plan, dict) else {}
    line = (
        f"{adapted.get('goals_met')} of {adapted.get('goals_total')} goals met; {facts.get('beams')} beams, "
        f"{facts.get('segments')} segments, {float(str(facts.get('mu', 0))):.0f} MU a fraction; "
        f"{'deliverable' if facts.get('deliverable') else 'NOT deliverable'}"
    )
    return Group(table(f"Goals ({adapted.get('goal_set')})", columns, rows), Text(line))


def findings_to_look_at(card: Document | None) -> list[str]:
    """A line for each finding of a scorecard that stops or warns, those that stop first."""
    parts = [card or {}, *(part for part in (card or {}).values() if isinstance(part, dict))]
    lists = [part["findings"] for part in parts if isinstance(part.get("findings"), list)]
    found = [one for each in lists if isinstance(each, list) for one in each if isinstance(one, dict)]
    check = (card or {}).get("second_check")
    differs = isinstance(check, dict) and not check.get("agrees")
    first = [f"- STOP the second calculation does not agree: {_first(check)}"] if differs else []
    told = [one for one in found if one["outcome"] == "found" or str(one["id"]).startswith("evaluation.")]
    return first + [
        f"- {sign}{one['title']}: {one['evidence']}"
        for severity, sign in (("stop", "STOP "), ("warn", ""))
        for one in told
        if one["severity"] == severity
    ]


def _first(check: JsonValue) -> str:
    sentences = check.get("sentences") if isinstance(check, dict) else None
    return str(sentences[0]) if isinstance(sentences, list) and sentences else "there was none"


def _goals(card: Document | None) -> list[Document]:
    goals = (card or {}).get("goals")
    return [goal for goal in goals if isinstance(goal, dict)] if isinstance(goals, list) else []


def _value(goal: Document) -> str:
    return f"{float(str(goal['value'])):.2f} {goal['unit']} {'met' if goal['met'] else 'MISSED'}"
