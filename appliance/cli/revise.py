"""`couchside revise`: change what the plan in review shall reach, and see what that did to each goal."""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import Group

from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.cli.options import AsJson, ConfigFile, SessionId, StoreFolder, settings
from appliance.cli.output import progress, result, table
from appliance.config import Config
from appliance.contracts import (
    ChangeGoal,
    ChangePriority,
    Comparator,
    Edit,
    Evaluation,
    Isodose,
    Metric,
    ProtectMore,
    PushCoverage,
    RemoveHotSpot,
    Sphere,
    Undo,
)
from appliance.contracts.edit import edits_to_json
from appliance.contracts.progress import Progress
from appliance.errors import NodeError, RefusedEdit, RefusedGoals, SessionError
from appliance.node import ask
from appliance.session import Session, State, next_state
from appliance.session_artefacts import Artefacts
from appliance.session_record import Standing, replay
from appliance.session_revising import version_folder
from appliance.session_wiring import real_stages
from appliance.session_work import Workplace

Goal = Annotated[
    list[str] | None,
    typer.Option("--goal", metavar="GOAL", help="'Parotid_L Mean <= 22 Gy': a limit changed or added; may come again."),
]
Priority = Annotated[
    tuple[str, str] | None,
    typer.Option("--priority", metavar="GOAL LEVEL", help="'Larynx Mean' high: high, low or a number from 1."),
]
Protect = Annotated[
    list[str] | None,
    typer.Option("--protect", metavar="NAME", help="An organ asked for 10 % less than it has; may come again."),
]
Coverage = Annotated[
    list[str] | None,
    typer.Option("--coverage", metavar="TARGET", help="A target asked for 1 % more dose at its edge; may come again."),
]
HotSpot = Annotated[
    list[str] | None,
    typer.Option(
        "--hot-spot",
        metavar="REGION",
        help="A structure, an isodose (74Gy) or a point (X,Y,Z: mm, LPS); may come again.",
    ),
]
UndoLast = Annotated[bool, typer.Option("--undo", help="Back to the plan before the last revision, as it was.")]
Who = Annotated[
    str, typer.Option("--identity", metavar="NAME", help="Who asks for it: a registered person, without passphrase.")
]

LEVELS = {"high": 1, "low": 3}
LOOK_EVERY_S = 0.3
AT_WORK = (State.REVISING, State.PLANNING, State.EVALUATING)
_GOAL = re.compile(r"^(\S+)\s+(\S+?)\s*(<=|>=)\s*(\d+(?:\.\d+)?)\s*(Gy|%|cc)$")
_ISODOSE = re.compile(r"^(\d+(?:\.\d+)?)\s*Gy$")
_POINT = re.compile(r"^(-?\d+(?:\.\d+)?),\s*(-?\d+(?:\.\d+)?),\s*(-?\d+(?:\.\d+)?)$")


def revise(
    session: SessionId,
    goal: Goal = None,
    priority: Priority = None,
    protect: Protect = None,
    coverage: Coverage = None,
    hot_spot: HotSpot = None,
    undo: UndoLast = False,
    identity: Who = "",
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Revise the plan in review by one or several edits, planned on from where it stands; or undo the last revision."""
    edits: list[Edit] = [goal_edit(text) for text in goal or ()]
    edits += [priority_edit(*priority)] if priority else []
    edits += [ProtectMore(name) for name in protect or ()]
    edits += [PushCoverage(name) for name in coverage or ()]
    edits += [RemoveHotSpot(region_of(text)) for text in hot_spot or ()]
    edits += [Undo()] if undo else []
    if not edits:
        raise RefusedEdit("nothing was asked for; use --goal, --priority, --protect, --coverage, --hot-spot or --undo")
    chosen = settings(config, store)
    with progress("Revising") as tell:
        document = carry_out(chosen, session, tuple(edits), identity, tell)
    result(document, shown(document), as_json=as_json)


def carry_out(
    config: Config, session: str, edits: tuple[Edit, ...], identity: str, tell: Progress
) -> dict[str, JsonValue]:
    """Asks the running node, or does what it would where none runs, and returns with the plan in review again: what
    became of it. Raises RefusedEdit, SessionError, StoreBusy, the node's refusal."""
    folder = config.node.store
    if _is_served(folder):
        _asked_of_node(folder, session, edits, identity, tell)
    else:
        _done_here(config, session, edits, identity, tell)
    standing = _standing(folder, session)
    return _document(standing, Artefacts(folder / "sessions" / session, folder, lambda: standing.artefacts))


def goal_edit(text: str) -> ChangeGoal:
    """Raises RefusedEdit."""
    if (match := _GOAL.match(text.strip())) is None:
        raise RefusedEdit(f"'{text}' is no goal; write it as 'Parotid_L Mean <= 22 Gy'")
    structure, metric, comparator, limit, unit = match.groups()
    return ChangeGoal(structure, _metric(metric), Comparator(comparator), float(limit), unit)  # type: ignore[arg-type]


def priority_edit(text: str, level: str) -> ChangePriority:
    """Raises RefusedEdit."""
    name, _, metric = text.strip().partition(" ")
    if level not in LEVELS and not level.isdigit():
        raise RefusedEdit(f"'{level}' is no priority", (*LEVELS, "a number from 1 to 9"))
    number = LEVELS[level] if level in LEVELS else int(level)
    return ChangePriority(name, number, _metric(metric) if metric else None)


def region_of(text: str) -> str | Sphere | Isodose:
    if (match := _ISODOSE.match(text.strip())) is not None:
        return Isodose(float(match[1]))
    if (match := _POINT.match(text.strip())) is not None:
        return Sphere((float(match[1]), float(match[2]), float(match[3])))
    return text.strip()


def _metric(text: str) -> Metric:
    try:
        return Metric.parse(text)
    except RefusedGoals as error:
        raise RefusedEdit(str(error.fields["reason"])) from error


def _is_served(store: Path) -> bool:
    try:
        ask(store, {"command": "status"})
    except NodeError:
        return False
    return True


def _asked_of_node(store: Path, session: str, edits: tuple[Edit, ...], identity: str, tell: Progress) -> None:
    """Returns when the node has the session in review again. Raises the node's refusal, SessionError."""
    listed: JsonValue = json.loads(edits_to_json(edits))
    ask(store, {"command": "revise", "session": session, "edits": listed, "identity": identity})
    while True:
        sessions = ask(store, {"command": "status"})["sessions"]
        entries = sessions if isinstance(sessions, list) else []
        now = next((e for e in entries if isinstance(e, dict) and e["session"] == session), {})
        if now.get("state") not in AT_WORK:
            break
        done = now.get("step_done")
        tell(str(now.get("held") or now.get("step") or ""), float(done) if isinstance(done, int | float) else 0.0)
        time.sleep(LOOK_EVERY_S)
    if now.get("state") != State.IN_REVIEW:
        raise SessionError(f"The session '{session}' is now '{now.get('state')}': {now.get('why')}")


def _done_here(config: Config, session: str, edits: tuple[Edit, ...], identity: str, tell: Progress) -> None:
    """Where no node runs on the store, this process does what it would. Raises SessionError, RefusedEdit, StoreBusy."""
    folder = config.node.store.absolute()
    if not (folder / "audit.sqlite").exists():
        raise SessionError(f"There is no session '{session}': {folder} is no store")
    with ExitStack() as stack:
        audit = stack.enter_context(AuditLog.open(folder / "audit.sqlite"))
        identities = IdentityStore(folder / "identities")
        standing = replay(audit.rows(), next_state).get(session)
        if standing is None:
            raise SessionError(f"There is no session '{session}'; 'couchside sessions' lists them")
        person = identities.find(identity) if identity else None
        who = "the operator of this machine" if person is None else f"{person.name} ({person.role})"
        opened = Session(standing, real_stages(config, identities), Workplace(audit, folder, tell))
        opened.revise(who, edits)
        opened.run()
        if opened.error is not None:
            raise opened.error


def _standing(store: Path, session: str) -> Standing:
    return replay(AuditLog.read_only(store / "audit.sqlite").rows(), next_state)[session]


def _document(standing: Standing, files: Artefacts) -> dict[str, JsonValue]:
    number = standing.facts.get("revisions", 0)
    before = files.within(version_folder(number if isinstance(number, int) else 0)).evaluation()
    after = files.evaluation()
    return {
        "session": standing.session_id,
        "state": standing.state,
        "revision": number,
        "edits": standing.facts.get("edits", []),
        "goals": _goals(before, after),
        "goals_met_before": before.goals_met,
        "goals_met": after.goals_met,
        "mu_before": round(before.plan.mu, 1),
        "mu": round(after.plan.mu, 1),
        "plan_digest_before": before.plan_digest,
        "plan_digest": after.plan_digest,
        "notes": list(standing.texts("plan_notes")),
        "not_for_clinical_use": True,
    }


def _goals(before: Evaluation, after: Evaluation) -> list[JsonValue]:
    known = {goal.key: goal for goal in before.goals}
    rows: list[JsonValue] = []
    for goal in after.goals:
        then = known.get(goal.key)
        row: dict[str, JsonValue] = {"structure": goal.structure, "metric": goal.metric, "comparator": goal.comparator}
        row |= {"limit_before": None if then is None else then.limit, "limit": goal.limit, "unit": goal.unit}
        row |= {"before": None if then is None else round(then.value, 3), "after": round(goal.value, 3)}
        rows.append(row | {"met_before": None if then is None else then.met, "met": goal.met})
    return rows


def shown(document: dict[str, JsonValue]) -> Group:
    goals = document["goals"] if isinstance(document["goals"], list) else []
    rows = [_row(goal) for goal in goals if isinstance(goal, dict)]
    title = f"{document['session']}: revision {document['revision']}, {document['state']}"
    notes = document["notes"] if isinstance(document["notes"], list) else []
    met = f"Goals met: {document['goals_met_before']} before, {document['goals_met']} now"
    return Group(table(title, ("goal", "before", "now", ""), rows), met, *(f"- {note}" for note in notes))


def _row(goal: dict[str, JsonValue]) -> tuple[str, str, str, str]:
    was = goal["limit_before"]
    changed = "" if was == goal["limit"] else " (new)" if was is None else f" (was {was:g})"
    name = f"{goal['structure']} {goal['metric']} {goal['comparator']} {goal['limit']:g} {goal['unit']}{changed}"
    then = "" if goal["before"] is None else f"{goal['before']:.2f}"
    told = {(False, True): "met now", (True, False): "lost", (None, True): "met", (None, False): "missed"}
    state = told.get((goal["met_before"], goal["met"]), "met" if goal["met"] else "missed")  # type: ignore[arg-type]
    return name, then, f"{goal['after']:.2f}", state
