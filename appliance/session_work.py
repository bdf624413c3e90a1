"""What a session works with beside its stages: the log, its folder, progress, and the timeline made from the log."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import JsonValue

from appliance.audit import AuditLog
from appliance.contracts import Case, GoalSet, Planned, PrescribedTarget
from appliance.contracts.progress import Progress, silent, step_name
from appliance.errors import NodeError
from appliance.session_artefacts import Artefacts, as_json
from appliance.session_record import Standing, seconds_between

Facts = dict[str, JsonValue]
Saved = dict[str, str]

PEOPLE = ("waiting for image", "contour review", "in review", "revising")
"""States in which the session waits for something outside; their seconds are not the machine's."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Workplace:
    """`store` is the root that received objects are kept in; sessions are under `store`/sessions. `changed` is told
    after each transition, when its row is on the disk and the session shows it."""

    audit: AuditLog
    store: Path
    progress: Progress = silent
    changed: Callable[[Standing], None] = lambda _: None

    def artefacts(self, session_id: str, known: Callable[[], Mapping[str, str]]) -> Artefacts:
        return Artefacts(self.store / "sessions" / session_id, self.store, known)

    def write_timeline(self, standing: Standing, files: Artefacts) -> None:
        """timeline.json is made from the log and can be made again, so a full disk does not undo the transition."""
        try:
            files.save("timeline.json", as_json(timeline(standing)))
        except NodeError as error:
            _log.warning("timeline.json was not written", session=standing.session_id, reason=error.key)

    def tell(self, standing: Standing) -> None:
        _log.info("session", session=standing.session_id, state=standing.state)
        self.changed(standing)


class StepTimer:
    """A Progress that adds up the seconds of each step (whatever its detail says), passes the call on, and first gives
    `check` the chance to end the stage by raising."""

    def __init__(self, progress: Progress, check: Callable[[], None]) -> None:
        self._progress, self._check = progress, check
        self._seconds: dict[str, float] = {}
        self._step, self._since = "", time.monotonic()

    def __call__(self, step: str, fraction: float, /) -> None:
        self._check()
        self._book()
        self._step = step_name(step)
        self._progress(step, fraction)

    def _book(self) -> None:
        now = time.monotonic()
        if self._step:
            self._seconds[self._step] = self._seconds.get(self._step, 0.0) + now - self._since
        self._since = now

    def seconds(self) -> dict[str, float]:
        self._book()
        return {name: round(seconds, 3) for name, seconds in self._seconds.items()}


def prescribed(case: Case, goal_set: GoalSet) -> Case:
    """The case with the prescription and fractions that its goals ask for: what is planned for is what is exported.
    Where the received plan says otherwise, the goal set's notes say so."""
    targets = tuple(PrescribedTarget(structure, dose_gy) for structure, dose_gy in goal_set.prescription)
    return replace(case, prescription=targets, fractions=goal_set.fractions)


def goal_facts(goal_set: GoalSet) -> Facts:
    """Which goals, and of which version of which guideline package, if of one."""
    facts: Facts = {"goal_set": goal_set.name}
    if (source := goal_set.guideline) is not None:
        facts["guideline"] = {"name": source.name, "version": source.version, "digest": source.digest}
    return facts


def planned_facts(made: Planned) -> Facts:
    """Digests of plan and dose, the planner's notes, and how it planned."""
    facts: Facts = {"plan_digest": made.plan.digest, "dose_digest": made.dose.digest, "plan_notes": list(made.notes)}
    if made.facts is not None:
        facts["planning"] = asdict(made.facts)
    return facts


ENDS = ("exported", "delivered", "rejected", "scheduled plan chosen", "stopped", "failed")
"""States whose length says nothing while they last."""


def stage_seconds(standing: Standing) -> list[dict[str, JsonValue]]:
    """One entry a visit to a state, in order, from the log's own times; the present one counts up to now."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    entries: list[dict[str, JsonValue]] = []
    for stay in standing.stays:
        if stay.seconds is None and stay.state in ENDS:
            continue
        seconds = seconds_between(stay.entered_utc, now) if stay.seconds is None else stay.seconds
        entries.append(
            {
                "stage": stay.state,
                "by": "people" if stay.state in PEOPLE else "machine",
                "entered_utc": stay.entered_utc,
                "seconds": round(seconds, 3),
                "steps": dict(stay.steps),
            }
        )
    return entries


def timeline(standing: Standing) -> dict[str, JsonValue]:
    """The content of timeline.json (docs/interfaces.md)."""
    stages = stage_seconds(standing)

    def total_s(who: str) -> float:
        return round(sum(float(str(entry["seconds"])) for entry in stages if entry["by"] == who), 3)

    return {
        "schema": "couchside.timeline/1",
        "not_for_clinical_use": True,
        "session": standing.session_id,
        "state": standing.state,
        "stages": [dict(entry) for entry in stages],
        "machine_s": total_s("machine"),
        "people_s": total_s("people"),
        "last_object_to_review_s": _last_object_to(standing, "in review"),
        "last_object_to_export_s": _last_object_to(standing, "exported"),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def _last_object_to(standing: Standing, state: str) -> float | None:
    """Seconds from the last object received to the first time the session came to `state`."""
    since = standing.facts.get("last_object_utc")
    reached = next((stay.entered_utc for stay in standing.stays if stay.state == state), None)
    return None if since is None or reached is None else round(seconds_between(str(since), reached), 3)
