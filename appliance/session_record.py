"""What the audit log says of a session: where it stands, and the SHA-256 of every artefact that still counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import JsonValue

from appliance.audit import AuditRow
from appliance.errors import AuditError

OPENED, TRANSITION, ARTEFACTS, NOTE = "session.opened", "session.transition", "session.artefacts", "session.note"
EDITED = "session.edit"

PLAN_FILES = ("plan.json", "dose.npz", "evaluation.json", "scorecard.json", "report.html", "approval.json",
              "second-dose.npz", "story.json", "working.npz")  # fmt: skip
"""Made anew with every plan; so are the files under export/, those of the scheduled plan, and what could be traded
around it."""

BEFORE_PLANNING = ("received.json", "reference.json", "goals.toml", "attached/", "today/")
OF_THE_CASE = ("case_digest", "goal_set", "guideline", "contours_edited")
"""Artefacts and facts that hold when today's contours are edited again."""

ABOUT_THE_SET = ("last_object_utc", "set_digest", "seen_seq", "revisions")
"""Facts that hold as long as the session is about the same objects.

set_digest: SHA-256 over the objects' hashes. seen_seq: the audit row of the newest object of the patient that was
looked at; a later one opens another session. revisions: how many there were, whose numbers are not used again."""

Follow = Callable[[str, str], str]
"""(state, event) -> next state; raises IllegalTransition."""


@dataclass(frozen=True)
class Stay:
    """One visit to one state. `seconds` is None while it lasts. steps: seconds of each named step within."""

    state: str
    entered_utc: str
    seconds: float | None = None
    steps: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Standing:
    """Rebuilt from rows by `replay`. A session that others look at meanwhile replaces it by `after` for each row."""

    session_id: str
    state: str = ""
    patient_key: str = ""
    opened_seq: int = 0
    artefacts: dict[str, str] = field(default_factory=dict)
    facts: dict[str, JsonValue] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)

    def after(self, row: AuditRow, follow: Follow) -> Standing:
        """A new record with the row applied. This one stays as it is, so whoever holds it never sees half a step."""
        grown = replace(
            self,
            artefacts=dict(self.artefacts),
            facts=dict(self.facts),
            notes=list(self.notes),
            stays=list(self.stays),
        )
        grown.apply(row, follow)
        return grown

    def apply(self, row: AuditRow, follow: Follow) -> None:
        """Raises AuditError if the row does not follow from those before it."""
        if row.event == OPENED:
            self.patient_key, self.opened_seq = str(row.data["patient_key"]), row.seq
            self._enter(str(row.data["state"]), row)
        elif row.event == TRANSITION:
            expected = follow(self.state, str(row.data["event"]))
            if (row.data["from"], row.data["to"]) != (self.state, expected):
                raise AuditError(f"row {row.seq} is not a step of the session's state table")
            self._forget(str(row.data["event"]), expected)
            self._enter(expected, row)
        elif row.event == NOTE:
            note = str(row.data["note"])
            self.notes += [] if note in self.notes else [note]
        if row.event in (TRANSITION, ARTEFACTS):
            self.artefacts.update(_texts(row.data.get("artefacts")))
            facts = row.data.get("facts")
            self.facts.update(facts if isinstance(facts, dict) else {})

    def texts(self, fact: str) -> tuple[str, ...]:
        """A fact that is a list of sentences; () where it was never stated."""
        value = self.facts.get(fact)
        return tuple(str(entry) for entry in value) if isinstance(value, list) else ()

    def summary(self) -> dict[str, JsonValue]:
        """For people and machines: no patient data, no identifiers but the session's own."""
        return {
            "session": self.session_id,
            "state": self.state,
            "opened_utc": self.stays[0].entered_utc if self.stays else "",
            "since_utc": self.stays[-1].entered_utc if self.stays else "",
            "why": str(self.facts.get("why", "")),
            "goal_set": str(self.facts.get("goal_set", "")),
            "goals_met": self.facts.get("goals_met"),
            "goals_total": self.facts.get("goals_total"),
            "to_acknowledge": str(self.facts.get("to_acknowledge", "")),
            "to_confirm": str(self.facts.get("to_confirm", "")),
            "second_check_agrees": self.facts.get("second_check_agrees"),
            "second_check": str(self.facts.get("second_check", "")),
            "notes": list(self.notes),
        }

    def _enter(self, state: str, row: AuditRow) -> None:
        if self.stays:
            last = self.stays[-1]
            steps = {name: float(seconds) for name, seconds in _texts(row.data.get("steps")).items()}
            self.stays[-1] = Stay(last.state, last.entered_utc, seconds_between(last.entered_utc, row.time_utc), steps)
        self.stays.append(Stay(str(state), row.time_utc))
        self.state = str(state)

    def _forget(self, event: str, state: str) -> None:
        """Work that is about to be done again no longer counts, whatever is still on the disk."""
        if state == "assembling":
            kept = {"received.json", "reference.json"}
            # Today's contours as far as somebody has seen them; what failed before that is found anew.
            found = "today/" if "case_digest" in self.facts else ""
            self.artefacts = {
                name: sha for name, sha in self.artefacts.items() if name in kept or (found and name.startswith(found))
            }
            self.facts = {name: value for name, value in self.facts.items() if name in ABOUT_THE_SET}
            self.notes.clear()
        elif event == "edit contours":
            # Everything that was made of the contours as they were: predictions, plans, revisions, judgements.
            self.artefacts = {name: sha for name, sha in self.artefacts.items() if name.startswith(BEFORE_PLANNING)}
            self.facts = {name: value for name, value in self.facts.items() if name in (*ABOUT_THE_SET, *OF_THE_CASE)}
        elif state == "planning":
            made = ("export", "scheduled", "navigation")
            stale = {name for name in self.artefacts if name in PLAN_FILES or name.startswith(made)}
            self.artefacts = {name: sha for name, sha in self.artefacts.items() if name not in stale}
        if event != "fail":
            self.facts.pop("why", None)


def replay(rows: Iterable[AuditRow], follow: Follow) -> dict[str, Standing]:
    """Every session of the log in the order of opening. Raises AuditError for a row that cannot be."""
    standings: dict[str, Standing] = {}
    for row in rows:
        if row.event == OPENED:
            if row.session_id in standings:
                raise AuditError(f"row {row.seq} opens a session that is already open")
            standings[row.session_id] = Standing(row.session_id)
        if row.session_id in standings:
            standings[row.session_id].apply(row, follow)
    return standings


def seconds_between(earlier_utc: str, later_utc: str) -> float:
    """Not negative: a clock set back between two rows must not make a stage take less than no time."""
    return max(0.0, (_time(later_utc) - _time(earlier_utc)).total_seconds())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _texts(value: JsonValue) -> dict[str, str]:
    return {name: str(entry) for name, entry in value.items()} if isinstance(value, dict) else {}
