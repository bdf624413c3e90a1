"""What physicians decided in past sessions, as the preference model learns from it: read from the audit log and from
the evaluations that were shown, each held against its recorded hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, ValidationError

from appliance.approval import IdentityStore, verify_endorsement
from appliance.audit import AuditLog, AuditRow
from appliance.audit import verify as verify_log
from appliance.contracts.preference import Decision, PreferenceExample
from appliance.errors import ArtefactAltered, AuditError, EvaluationError
from appliance.evaluation.preference.decisions import Occasion, example_of_review, physician_of
from appliance.evaluation.preference.store import ACTIVATED, ROLLED_BACK, PreferenceStore
from appliance.session import next_state
from appliance.session_artefacts import Artefacts
from appliance.session_record import OPENED, TRANSITION, Standing
from appliance.session_states import Event

DECISIONS: Mapping[str, Decision] = {
    Event.APPROVE.value: Decision.APPROVED,
    Event.REJECT.value: Decision.REJECTED,
    Event.CHOOSE_SCHEDULED.value: Decision.CHOSE_SCHEDULED,
}
USER = "uid "
"""How the node names whoever rejected or chose: the operating system's user, not a person of the register."""


@dataclass(frozen=True)
class Collected:
    """examples: in the order of the log. skipped: (session, why nothing is learned from its decision). strangers: users
    whose decisions are left out because nobody said who they are."""

    examples: tuple[PreferenceExample, ...]
    skipped: tuple[tuple[str, str], ...]
    strangers: tuple[str, ...]


def examples_from_sessions(store: Path, people: Mapping[str, str]) -> Collected:
    """people: the physician behind a user of the log ('uid 1000': 'Dr A'); '' leaves that user's decisions out, because
    several persons use it. Raises AuditError if the log cannot be read or contradicts itself."""
    audit = AuditLog.read_only(store / "audit.sqlite")
    examples: list[PreferenceExample] = []
    skipped: list[tuple[str, str]] = []
    strangers: dict[str, None] = {}
    for standing, row in _decided(audit.rows()):
        physician = people.get(row.actor, physician_of(row.actor))
        if physician.startswith(USER):
            strangers[row.actor] = None
            continue
        if not physician:
            skipped.append((row.session_id, f"several persons decide as {row.actor}"))
            continue
        found = _example(store, standing, row, physician)
        if isinstance(found, str):
            skipped.append((row.session_id, found))
        else:
            examples.append(found)
    return Collected(tuple(examples), tuple(skipped), tuple(strangers))


def verify_preference(store: Path) -> None:
    """The preference log is whole, and whoever a row of it names signed what it did. Raises AuditError, ApprovalError,
    PreferenceRefused."""
    kept = PreferenceStore(store / "preference")
    if kept.log.exists() and not (found := verify_log(kept.log)).ok:
        raise AuditError(found.reason)
    for step in kept.history():
        if step.event in (ACTIVATED, ROLLED_BACK):
            person = IdentityStore(store / "identities").find(physician_of(step.actor))
            verify_endorsement(step.endorsement.get("statement", ""), step.endorsement.get("signature", ""), person)


def decided_since(store: Path, time_utc: str) -> int:
    """How many plans were approved, rejected or given up for the scheduled one after a time of the log."""
    path = store / "audit.sqlite"
    rows = AuditLog.read_only(path).rows(event=TRANSITION) if path.exists() else ()
    return sum(row.data.get("event") in DECISIONS and row.time_utc > time_utc for row in rows)


def _decided(rows: Iterable[AuditRow]) -> Iterable[tuple[Standing, AuditRow]]:
    """Each decision with the session as it stood before."""
    standings: dict[str, Standing] = {}
    for row in rows:
        if row.event == OPENED:
            standings[row.session_id] = Standing(row.session_id)
        standing = standings.get(row.session_id)
        if standing is None:
            continue
        if row.event == TRANSITION and row.data.get("event") in DECISIONS:
            yield standing, row
        standing.apply(row, next_state)


def _example(store: Path, standing: Standing, row: AuditRow, physician: str) -> PreferenceExample | str:
    """The example, or why there is none."""
    facts: JsonValue = row.data.get("facts")
    told = facts if isinstance(facts, dict) else {}
    if told.get("demo_identity"):
        return "decided by a demo identity"
    if "evaluation.json" not in standing.artefacts:
        return "decided before there was a plan"
    files = Artefacts(store / "sessions" / row.session_id, store, lambda: standing.artefacts)
    case_digest = str(standing.facts.get("case_digest", "")) or row.session_id
    occasion = Occasion(row.row_hash, physician, row.time_utc, case_digest, row.session_id)
    decision, why = DECISIONS[str(row.data["event"])], str(told.get("why", ""))
    try:
        return example_of_review(occasion, decision, files.evaluation(), scheduled=files.scheduled(), why=why)
    except (ArtefactAltered, EvaluationError) as error:
        return error.sentence
    except ValidationError:
        return "its evaluation was written by another release and cannot be read"
