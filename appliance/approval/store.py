"""The register of persons: one file each in STORE/identities, and signing in their name."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.approval.attempts import forget_attempts, note_attempt
from appliance.approval.person import SCRYPT_N, Person, checked_name
from appliance.approval.signature import approval_bytes, demand_may_approve, endorsement_bytes
from appliance.audit.durable import write_durable
from appliance.contracts import Approval, Shown
from appliance.errors import ApprovalError


class IdentityStore:
    """Files `<name>-<hash>.json` of mode 0600 in `folder` (made 0700 if missing), beside each, while a wrong
    passphrase is remembered, `<name>-<hash>.attempts`. Names are told apart without regard to case.

    scrypt_n: cost of new identities; lower it only in tests. Raises ApprovalError if the folder cannot be made.
    """

    def __init__(self, folder: Path, *, scrypt_n: int = SCRYPT_N) -> None:
        self._folder = folder
        self._scrypt_n = scrypt_n
        with _disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create(self, name: str, role: str, passphrase: str, demo: bool = False) -> Person:
        """Registers a person. Role physician or physicist, or demo with `demo` and a name that begins with DEMO.

        Raises ApprovalError: name taken, or name, role or passphrase not acceptable.
        """
        person = Person.create(name, role, passphrase, demo=demo, scrypt_n=self._scrypt_n)
        with _disk_errors(self._folder):
            try:
                write_durable(self._file(person.name), person.to_file(), replace=False)
            except FileExistsError as error:
                raise ApprovalError(f"the name {person.name} is taken; choose another") from error
        return person

    def list(self) -> tuple[Person, ...]:
        """All persons by name. Raises ApprovalError if a file is damaged."""
        with _disk_errors(self._folder):
            return tuple(
                sorted(map(self._read, self._folder.glob("*.json")), key=lambda person: person.name.casefold())
            )

    def find(self, name: str) -> Person:
        """Raises ApprovalError if nobody of this name is registered."""
        path = self._file(name)
        with _disk_errors(self._folder):
            if not path.exists():
                raise ApprovalError(f"nobody called '{name[:64]}' is registered; see 'couchside identity list'")
            return self._read(path)

    def sign(self, name: str, passphrase: str, shown: Shown, acknowledged: str = "") -> Approval:
        """Approves exactly what `shown` names, as this person, now. One attempt at a time over all processes.
        acknowledged: the person's reason for approving a plan that no second calculation agrees with; signed too.

        Raises ApprovalError: not registered, role does not approve, wrong passphrase (says how many attempts
        remain), locked after five wrong ones in a row.
        """
        person = self.find(name)
        demand_may_approve(person)
        key = self._unlock(person, passphrase)
        unsigned = Approval(
            shown=shown,
            approver=person.name,
            role=person.role,
            public_key=person.public_key,
            signature="",
            approved_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            is_demo=person.is_demo,
            acknowledged=acknowledged,
        )
        return replace(unsigned, signature=key.sign(approval_bytes(unsigned)).hex())

    def sign_statement(self, name: str, passphrase: str, statement: bytes) -> str:
        """The person's Ed25519 signature (hex) over `statement`: a decision about the clinic's rules, not about a plan.
        Its first line names its purpose, so that it can never pass for an approval.

        Raises ApprovalError as `sign` does; a physicist may decide too, the demo identity may not.
        """
        person = self.find(name)
        if person.is_demo:
            raise ApprovalError(f"{person.name} is a demo identity, whose passphrase is no secret; name a real person")
        return self._unlock(person, passphrase).sign(statement).hex()

    def confirm(self, name: str, passphrase: str, statement: bytes) -> tuple[Person, str]:
        """The person, and the signature (hex) under something of a case that comes before its plan, such as today's
        contours. Raises ApprovalError as `sign` does: who approves plans confirms what they are made on."""
        person = self.find(name)
        demand_may_approve(person)
        return person, self._unlock(person, passphrase).sign(statement).hex()

    def endorse(self, name: str, passphrase: str, statement: str) -> tuple[Person, str]:
        """The person, and the signature (hex) under the activation of a model, in words. Raises as `sign_statement`."""
        return self.find(name), self.sign_statement(name, passphrase, endorsement_bytes(statement))

    def _unlock(self, person: Person, passphrase: str) -> Ed25519PrivateKey:
        """One attempt, counted; several wrong ones in a row lock the identity. Raises ApprovalError."""
        counter = self._file(person.name).with_suffix(".attempts")
        with _disk_errors(self._folder), self._one_at_a_time():
            remaining = note_attempt(counter)
            key = person.unseal(passphrase)
            if key is None:
                left = f"{remaining} attempts remain" if remaining else "this identity is locked now"
                raise ApprovalError(f"the passphrase of {person.name} is wrong; {left}")
            forget_attempts(counter)
        return key

    def _file(self, name: str) -> Path:
        """From the name's hash, so no name can leave the folder; the readable part is for the administrator."""
        key = unicodedata.normalize("NFC", name).strip().casefold()
        readable = re.sub(r"[^a-z0-9]+", "-", key)[:40].strip("-")
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / f"{readable}-{digest[:16]}.json"

    def _read(self, path: Path) -> Person:
        """A file copied under another person's name is refused."""
        person = Person.from_file(path.read_bytes(), path.name)
        if self._file(checked_name(person.name, demo=person.is_demo)).name != path.name:
            raise ApprovalError(f"the identity file {path.name} does not belong to the name it holds; remove it")
        return person

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ApprovalError(f"the identities in {folder} cannot be read or written ({error.strerror})") from error
