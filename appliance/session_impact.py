"""Past sessions of a store, judged again under two versions of a guideline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from appliance.audit import AuditLog
from appliance.case import assemble
from appliance.contracts import GoalSet
from appliance.errors import AuditError, CouchsideError
from appliance.evaluation.guidelines.impact import Impact, PlanImpact, judge_again
from appliance.evaluation.guidelines.package import Package
from appliance.session import next_state
from appliance.session_artefacts import Artefacts
from appliance.session_record import Standing, replay

MOST_PLANS = 25
"""Newest plans that are judged again. Chosen: each costs some seconds of reading and judging."""

NEEDED = ("received.json", "dose.npz", "evaluation.json")


def past_impact(store: Path, old: Package | None, new: Package, *, most: int = MOST_PLANS) -> Impact:
    """The newest plans of the store that a goal set of either version judged. Each is read back only if its files are
    what the audit log says they were; one that is not is named in `left_out`."""
    before = {} if old is None else {one.name: one for one in old.goal_sets}
    after = {one.name: one for one in new.goal_sets}
    plans: list[PlanImpact] = []
    left_out: list[str] = []
    for standing in _planned(store, {*before, *after}):
        name = str(standing.facts["goal_set"])
        if len(plans) == most:
            left_out.append(f"Older plans were not judged again: at most {most} are")
            break
        try:
            plans.append(_judged(store, standing, (before.get(name), after.get(name))))
        except CouchsideError as error:
            left_out.append(f"{standing.session_id}: {error.sentence}")
    return Impact(tuple(plans), tuple(left_out))


def _planned(store: Path, names: set[str]) -> Iterator[Standing]:
    """Newest first. A store without a log has no plans."""
    try:
        rows = list(AuditLog.read_only(store / "audit.sqlite").rows())
    except AuditError:
        return
    for standing in reversed(replay(rows, next_state).values()):
        if standing.facts.get("goal_set") in names and all(name in standing.artefacts for name in NEEDED):
            yield standing


def _judged(store: Path, standing: Standing, versions: tuple[GoalSet | None, GoalSet | None]) -> PlanImpact:
    files = Artefacts(store / "sessions" / standing.session_id, store, lambda: standing.artefacts)
    case, dose, facts = assemble(files.received()), files.dose(), files.evaluation().plan
    return judge_again(standing.session_id, case, dose, facts, versions)
