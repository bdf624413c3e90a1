"""Where guidelines, persons, audit log and past sessions meet: installing, activating, rolling back, trusting a key.

Each act writes its records whole, then its audit row, and only then takes effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from appliance.approval import IdentityStore, is_signed
from appliance.audit import AuditLog
from appliance.errors import ApprovalError, RefusedPackage, WriteFailed
from appliance.evaluation.guidelines.decision import Decision, Kind, version_before
from appliance.evaluation.guidelines.diff import Change, diff
from appliance.evaluation.guidelines.impact import Impact
from appliance.evaluation.guidelines.keys import read_key
from appliance.evaluation.guidelines.package import Package, read_package
from appliance.evaluation.guidelines.records import Event, change_records, records_digest, write_records
from appliance.evaluation.guidelines.store import GuidelineStore
from appliance.session_impact import past_impact

FOLDER = "guidelines"
_EVENTS: dict[Kind, str] = {
    "trust": "guidelines.key_trusted",
    "activate": "guidelines.activated",
    "rollback": "guidelines.rolled_back",
}


@dataclass(frozen=True)
class Done:
    """What an act came to: the package, what it changes against what was active, and where its records are."""

    package: Package
    changes: tuple[Change, ...]
    impact: Impact
    records: Path


def guideline_store(store: Path) -> GuidelineStore:
    """The guidelines of a store; a decision counts if the key of the person it names, registered there, signed it. A
    store that is not there has what ships."""

    def verify(decision: Decision) -> None:
        person = IdentityStore(store / "identities").find(decision.person)
        if not is_signed(decision.statement(), decision.signature, person.public_key):
            raise ApprovalError(
                f"decision {decision.number} about guidelines is not signed by {person.name}; restore "
                "guidelines/decisions.jsonl from a backup"
            )
        if person.is_demo or person.role != decision.role:
            raise ApprovalError(f"{person.name} may not decide about guidelines as {decision.role}")

    return GuidelineStore(store / FOLDER, verify)


def decisions_on_record(audit: AuditLog) -> int:
    """The number of the last decision about guidelines that the audit log has; 0 without one. Reads the whole log."""
    last = 0
    for row in audit.rows():
        decision = row.data.get("decision") if row.event in _EVENTS.values() else None
        if isinstance(decision, dict) and isinstance(number := decision.get("number"), int):
            last = max(last, number)
    return last


def lost_decisions(store: Path) -> str:
    """A sentence where the audit log knows decisions that the store's guidelines no longer have; '' otherwise."""
    path = store / "audit.sqlite"
    recorded = decisions_on_record(AuditLog.read_only(path)) if path.exists() else 0
    here = len(guideline_store(store).decisions())
    if recorded <= here:
        return ""
    return f"The list of decisions ends with number {here}, the audit log has {recorded}: restore it from a backup"


@dataclass(frozen=True)
class GuidelineDesk:
    """The acts. `store` is the root of the node's store; `audit` its open log."""

    store: Path
    audit: AuditLog
    identities: IdentityStore

    @property
    def guidelines(self) -> GuidelineStore:
        return guideline_store(self.store)

    def install(self, folder: Path, actor: str) -> Done:
        """Verifies a package and lays it beside the others; none becomes active. Raises RefusedPackage (recorded)."""
        guidelines = self.guidelines
        try:
            package = read_package(folder, guidelines.trusted_keys())
            self._demand_unexpired(package, allow_future=True)
            guidelines.demand_new(package)
        except RefusedPackage as error:
            self.audit.append("guidelines.refused", actor=actor, data={"what": folder.name[:64], "why": error.sentence})
            raise
        active = guidelines.active_version(package.manifest.name)
        done, records = self._prepared(Event("install", actor, _now()), active.package if active else None, package)
        write_records(records, done.records)
        self.audit.append("guidelines.installed", actor=actor, data=self._facts(done, records))
        with _disk_errors(self.store / FOLDER):
            guidelines.add(package)
        return done

    def activate(self, name: str, version: str, person: str, passphrase: str, reason: str = "") -> Done:
        """Raises RefusedPackage, ApprovalError."""
        package = self.guidelines.find(name, version)
        self._demand_unexpired(package)
        self._demand_own_names(package)
        return self._put_in_force("activate", package, person, passphrase, reason)

    def rollback(self, name: str, person: str, passphrase: str, reason: str = "") -> Done:
        """Back to the version that was active before the present one was activated; what was rolled back once does not
        come back this way. Raises RefusedPackage if there is none."""
        guidelines = self.guidelines
        earlier = version_before(guidelines.decisions(), name)
        if not earlier:
            raise RefusedPackage(
                "no other version was active before", what=name, remedy="See 'couchside guidelines list' for what is"
            )
        package = guidelines.find(name, earlier)
        self._demand_unexpired(package)
        return self._put_in_force("rollback", package, person, passphrase, reason)

    def trust(self, key_file: Path, person: str, passphrase: str, reason: str = "") -> str:
        """Packages signed with this key may be installed from now on. Returns the signer's name. Raises RefusedPackage,
        ApprovalError."""
        what = key_file.name
        try:
            content = key_file.read_bytes()
        except OSError as error:
            raise RefusedPackage(f"it cannot be read ({error.strerror})", what=what, remedy="Check its path") from error
        key, guidelines = read_key(content, what), self.guidelines
        if any(key.public_key == known.public_key for known in guidelines.trusted_keys()):
            raise RefusedPackage("its key is trusted already", what=what, remedy="Nothing is left to do")
        who, digest = self.identities.find(person), hashlib.sha256(content).hexdigest()
        unsigned = Decision(
            number=self._next_number(),
            kind="trust",
            name=key.signer,
            version="",
            digest=digest,
            reason=reason,
            person=who.name,
            role=who.role,
            at=_now(),
        )
        decision = self._signed(unsigned, passphrase)
        with _disk_errors(self.store / FOLDER):
            guidelines.add_key(content)
        self._take_effect(decision, {"signer": key.signer, "public_key": key.public_key})
        return key.signer

    def _put_in_force(self, kind: Kind, package: Package, person: str, passphrase: str, reason: str) -> Done:
        manifest = package.manifest
        active = self.guidelines.active_version(manifest.name)
        before = active.package if active else None
        if before is not None and before.digest == package.digest:
            what = f"{manifest.name} {manifest.version}"
            raise RefusedPackage("it is active already", what=what, remedy="Nothing is left to do")
        who = self.identities.find(person)
        done, records = self._prepared(Event(kind, who.name, _now(), reason), before, package)
        decision = self._signed(
            Decision(
                number=self._next_number(),
                kind=kind,
                name=manifest.name,
                version=manifest.version,
                digest=package.digest,
                before="" if before is None else before.manifest.version,
                records=records_digest(records),
                reason=reason,
                person=who.name,
                role=who.role,
                at=_now(),
            ),
            passphrase,
        )
        write_records(records, done.records)
        self._take_effect(decision, self._facts(done, records))
        return done

    def _next_number(self) -> int:
        """Raises RefusedPackage where the list of decisions has lost some that the audit log has."""
        number = len(self.guidelines.decisions())
        recorded = decisions_on_record(self.audit)
        if recorded > number:
            raise RefusedPackage(
                f"its list of decisions ends with number {number}, the audit log has {recorded}",
                what="store",
                remedy="Restore guidelines/decisions.jsonl from a backup; the audit log has every decision",
            )
        return number + 1

    def _signed(self, decision: Decision, passphrase: str) -> Decision:
        """Raises ApprovalError."""
        signature = self.identities.sign_statement(decision.person, passphrase, decision.statement())
        return decision.model_copy(update={"signature": signature})

    def _take_effect(self, decision: Decision, facts: dict[str, JsonValue]) -> None:
        """The audit row first: what is in force is on record."""
        row: dict[str, JsonValue] = {**facts, "decision": decision.model_dump()}
        self.audit.append(_EVENTS[decision.kind], actor=f"{decision.person} ({decision.role})", data=row)
        with _disk_errors(self.store / FOLDER):
            self.guidelines.decide(decision)

    def _prepared(self, event: Event, old: Package | None, new: Package) -> tuple[Done, dict[str, bytes]]:
        """(what it comes to, the records' files), nothing written yet."""
        changes = diff(old, new)
        impact = past_impact(self.store, old, new)
        stamp = event.at.replace(":", "").replace("-", "")[:15]
        folder = self.store / FOLDER / "records" / f"{stamp}-{event.kind}-{new.manifest.name}-{new.manifest.version}"
        return Done(new, changes, impact, folder), change_records(event, old, new, changes, impact)

    def _facts(self, done: Done, records: dict[str, bytes]) -> dict[str, JsonValue]:
        return {
            "package": done.package.manifest.name,
            "version": done.package.manifest.version,
            "digest": done.package.digest,
            "signer": done.package.signer,
            "impact": done.impact.sentence,
            "records": done.records.relative_to(self.store).as_posix(),
            "records_digest": records_digest(records),
        }

    def _demand_unexpired(self, package: Package, *, allow_future: bool = False) -> None:
        today = self.guidelines.today()
        why = package.expired(today)
        if why and not (allow_future and today < package.manifest.valid_from):
            raise RefusedPackage(
                why,
                what=f"{package.manifest.name} {package.manifest.version}",
                remedy="Ask its author for a version that is valid today",
            )

    def _demand_own_names(self, package: Package) -> None:
        own = {one.name for one in package.goal_sets}
        others: Sequence[Package] = [
            one.package for one in self.guidelines.active() if one.package.manifest.name != package.manifest.name
        ]
        for other in others:
            if taken := sorted(own & {one.name for one in other.goal_sets}):
                raise RefusedPackage(
                    f"its goal set '{taken[0]}' is one of {other.manifest.name} {other.manifest.version} too",
                    what=f"{package.manifest.name} {package.manifest.version}",
                    remedy="Its author must name the goal set otherwise",
                )


class _disk_errors:
    """Turns what the disk refuses into WriteFailed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise WriteFailed(f"{self._folder} ({error.strerror})") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
