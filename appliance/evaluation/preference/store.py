"""Decisions, candidates and activations of one clinic: an append-only, hash-chained log of their own, and model files.

STORE/preference/log.sqlite    an audit log (appliance.audit): decisions learned from, candidates, activations, watches
STORE/preference/<digest>.json a fitted model; its name is the SHA-256 of its content

A log of its own, because the node holds the one of the store while it serves, and because what is learned has to be
seen, verified and rolled back by itself. Which model is active is what the last rows say; no other file decides it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue

from appliance.audit import AuditLog, AuditRow
from appliance.contracts.preference import PlanFeatures, PreferenceExample, PreferenceVerdict
from appliance.dicomio.files import write_durable
from appliance.errors import PreferenceRefused
from appliance.evaluation.preference.model import PreferenceModel, read_model
from appliance.evaluation.preference.verdict import NO_MODEL, assess_preference
from appliance.evaluation.preference.watch import WatchReport, watch

DECISIONS, CANDIDATE = "preference.decisions", "preference.candidate"
ACTIVATED, ROLLED_BACK, WATCHED = "preference.activated", "preference.rolled_back", "preference.watched"
IN_A_ROW = 200
"""Decisions that one row of the log holds, about 0.8 MB at most. Chosen: one fsync for many instead of one for each."""


@dataclass(frozen=True)
class Step:
    """One row of the history: what happened to which model, who did it, why, and that person's signature."""

    time_utc: str
    event: str
    actor: str
    digest: str
    why: str
    endorsement: Mapping[str, str]


class PreferenceStore:
    """`folder` is made when something is first written. Readers raise PreferenceRefused for a model file that is gone
    or altered; writers AuditError, StoreBusy, DiskFull or WriteFailed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log.sqlite"

    def record(self, examples: Iterable[PreferenceExample], actor: str) -> int:
        """Keeps the decisions that are not kept yet; how many they were."""
        known = {example.id for example in self.examples()}
        new = [example for example in examples if example.id not in known]
        if new:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with AuditLog.open(self.log) as log:
                for first in range(0, len(new), IN_A_ROW):
                    part = [json.loads(example.to_json()) for example in new[first : first + IN_A_ROW]]
                    log.append(DECISIONS, actor=actor, data={"decisions": part})
        return len(new)

    def examples(self) -> tuple[PreferenceExample, ...]:
        kept = (entry for row in self._rows(DECISIONS) for entry in _entries(row))
        return tuple(PreferenceExample.from_json(json.dumps(entry).encode()) for entry in kept)

    def propose(self, model: PreferenceModel, actor: str) -> str:
        """Writes a candidate with its three records; its digest. It decides nothing yet."""
        digest = model.digest
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durable(model.to_bytes(), self._file(digest))
        records: dict[str, JsonValue] = json.loads(json.dumps(asdict(model.changes)))
        self._append(CANDIDATE, actor, {"digest": digest, "previous": model.previous, "changes": records})
        return digest

    def activate(
        self, digest: str, actor: str, *, despite: str = "", endorsement: Mapping[str, JsonValue] | None = None
    ) -> PreferenceModel:
        """actor: the named person. despite: why it is activated although an acceptance criterion is missed.
        endorsement: that person's signature. Raises PreferenceRefused: unknown, altered, compared with another model
        than the one active, or not acceptable."""
        full = self.resolve(digest)
        model, active = self.load(full), self.active_digest()
        if active == full:
            raise PreferenceRefused("it is active already")
        if model.previous != active:
            raise PreferenceRefused(
                f"it was compared with {model.previous[:16] or 'no model'}, and active is {active[:16] or 'none'}; fit "
                "it again, so that its records say what would change"
            )
        if not model.changes.acceptable and not despite.strip():
            missed = "; ".join(check.sentence for check in model.changes.protocol if not check.passed)
            raise PreferenceRefused(
                f"an acceptance criterion is missed ({missed}); fit it on more decisions, or say why it is activated"
            )
        self._append(ACTIVATED, actor, {"digest": full, "why": despite.strip(), "endorsement": dict(endorsement or {})})
        return model

    def resolve(self, digest: str) -> str:
        """The whole digest of the one candidate that begins so. Raises PreferenceRefused."""
        candidates = [step.digest for step in self.history() if step.event == CANDIDATE]
        found = [known for known in dict.fromkeys(candidates) if digest and known.startswith(digest)]
        if len(found) != 1:
            raise PreferenceRefused(f"{len(found)} candidates begin with '{digest}'; name one as the list shows it")
        return found[0]

    def roll_back(self, actor: str, why: str, *, endorsement: Mapping[str, JsonValue] | None = None) -> str:
        """Makes the model active that was active before; '' where there was none. Raises PreferenceRefused if no model
        is active, or the one before is gone or altered."""
        stack = self._stack()
        if not stack:
            raise PreferenceRefused("no model is active; there is nothing to go back from")
        if len(stack) > 1:
            self.load(stack[-2])
        to = stack[-2] if len(stack) > 1 else ""
        self._append(
            ROLLED_BACK, actor, {"digest": to, "from": stack[-1], "why": why, "endorsement": dict(endorsement or {})}
        )
        return to

    def active_digest(self) -> str:
        """'' where no model is active."""
        stack = self._stack()
        return stack[-1] if stack else ""

    def active(self) -> PreferenceModel | None:
        digest = self.active_digest()
        return self.load(digest) if digest else None

    def load(self, digest: str) -> PreferenceModel:
        """Raises PreferenceRefused for a file that is gone, altered, or not the one of this digest."""
        model = read_model(self._file(digest))
        if model.digest != digest:
            raise PreferenceRefused(f"{self._file(digest).name} holds another model than its name says; fit it again")
        return model

    def history(self) -> tuple[Step, ...]:
        """Candidates, activations and roll-backs in order."""
        return tuple(
            Step(
                row.time_utc, row.event, row.actor, str(row.data["digest"]), str(row.data.get("why", "")), _signed(row)
            )
            for row in self._rows(CANDIDATE, ACTIVATED, ROLLED_BACK)
        )

    def watch(self, actor: str) -> WatchReport | None:
        """Holds the active model against the decisions made since, and keeps what was found. None without a model."""
        model = self.active()
        if model is None:
            return None
        report = watch(model, self.examples())
        self._append(WATCHED, actor, json.loads(report.to_json()))
        return report

    def verdict(self, plan: PlanFeatures, physician: str) -> PreferenceVerdict:
        """Of the active model, with the warnings of the last watch. Never a number without an active model."""
        model = self.active()
        if model is None:
            return NO_MODEL
        return assess_preference(plan, physician, model, self.last_watch(model.digest)[1])

    def last_watch(self, digest: str) -> tuple[str, WatchReport | None]:
        """When the model of this digest was last held against decisions (UTC), and what was found; before any watch,
        when it was made active."""
        when = next((step.time_utc for step in reversed(self.history()) if step.event != CANDIDATE), "")
        for row in reversed(self._rows(WATCHED)):
            report = WatchReport.from_json(json.dumps(row.data).encode())
            if report.model_digest == digest:
                return row.time_utc, report
        return when, None

    def _stack(self) -> list[str]:
        stack: list[str] = []
        for step in self.history():
            if step.event == ACTIVATED:
                stack.append(step.digest)
            elif step.event == ROLLED_BACK and stack:
                stack.pop()
        return stack

    def _rows(self, *events: str) -> list[AuditRow]:
        if not self.log.exists():
            return []
        log = AuditLog.read_only(self.log)
        return sorted((row for event in events for row in log.rows(event=event)), key=lambda row: row.seq)

    def _append(self, event: str, actor: str, data: Mapping[str, JsonValue]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with AuditLog.open(self.log) as log:
            log.append(event, actor=actor, data=data)

    def _file(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"


def _entries(row: AuditRow) -> list[JsonValue]:
    kept = row.data.get("decisions")
    return kept if isinstance(kept, list) else []


def _signed(row: AuditRow) -> dict[str, str]:
    kept = row.data.get("endorsement")
    return {name: str(value) for name, value in kept.items()} if isinstance(kept, dict) else {}
