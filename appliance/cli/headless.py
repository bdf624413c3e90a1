"""What `replan` and `adapt` share: folders planned by the stages of a session, and the results in a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from rich.console import Group

from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.cli.anatomy_page import anatomy_tables
from appliance.cli.attach import attached
from appliance.cli.output import progress, result
from appliance.cli.results import (
    BESIDE,
    copy_anatomy,
    copy_results,
    findings_to_look_at,
    load,
    publish,
    scorecard_table,
    staged,
)
from appliance.config import Config
from appliance.contracts import PriorStated
from appliance.contracts.progress import Progress
from appliance.errors import AnatomyNotConfirmed
from appliance.inbound import Completeness
from appliance.session_headless import run_to_review, write_proposal
from appliance.session_navigation import add_trade_offs
from appliance.session_wiring import real_stages
from appliance.session_work import Workplace


@dataclass(frozen=True)
class Given:
    """config: with the command's options in it. read: the objects of the case. notes, prior, stated: laid beside it.
    store: of the session, None: a temporary one. navigate: also make the plans to move between."""

    config: Config
    read: Callable[[], Completeness]
    notes: list[Path] | None
    prior: Path | None
    stated: PriorStated
    store: Path | None
    navigate: bool


def plan_into(out: Path, given: Given, title: str, *, as_json: bool) -> None:
    """Plans and writes what a session leaves, UNAPPROVED, into `out`: all of it or, where something fails, nothing but
    today's anatomy, for a person to see why."""
    with ExitStack() as stack:
        staging = stack.enter_context(staged(out))
        store = given.store or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="couchside-")))
        tell = stack.enter_context(progress(title))
        document = _planned(given, store, staging, out, tell, stack)
    told = document["notes"] if isinstance(document["notes"], list) else []
    lines = [*findings_to_look_at(load(out / "scorecard.json")), *(f"- {text}" for text in told)]
    lines.append(f"UNAPPROVED plan, dose and structures are in {out}; open {out / 'report.html'}")
    shown = [*anatomy_tables(out), scorecard_table(out), *lines]
    del document["notes"]
    result(document, Group(*shown), as_json=as_json)


def _planned(
    given: Given, store: Path, staging: Path, out: Path, tell: Progress, stack: ExitStack
) -> dict[str, JsonValue]:
    tell("reading", 0.0)
    found = given.read()
    audit = stack.enter_context(AuditLog.open(store / "audit.sqlite"))
    laid_beside = attached(store, given.notes, given.prior, given.stated)
    stages = real_stages(given.config, IdentityStore(store / "identities"), laid_beside)
    try:
        session = run_to_review(found, stages, Workplace(audit, store.absolute(), tell))
    except AnatomyNotConfirmed:
        copy_anatomy(store, staging)
        publish(staging, out)
        raise
    if given.navigate:
        add_trade_offs(session, tell)
    tell("writing", 1.0)
    written = write_proposal(session, staging)
    copy_results(session, staging)
    files = [path.name for path in written.files] + [name for name in BESIDE if (staging / name).exists()]
    publish(staging, out)
    summary = session.standing.summary()
    return {
        "out": str(out),
        "session": summary,
        "approved": False,
        "files": list(files),
        "anatomy": load(out / "anatomy.json"),
        "scorecard": load(out / "scorecard.json"),
        "timeline": load(out / "timeline.json"),
        "notes": summary["notes"],
    }
