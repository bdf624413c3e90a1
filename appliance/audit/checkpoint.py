"""Signed statements 'the log has this many rows and ends in this hash', and the key that signs them.

The chain alone cannot show that the tail was cut off or that the whole file was computed anew. A checkpoint can: it
is signed with Ed25519 (RFC 8032), kept in its own append-only table and appended to a side file of JSON lines that
can be copied off the machine. Who holds the key file can still forge; the copy outside is what such a person
cannot reach.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.audit.durable import write_durable, write_whole
from appliance.dicomio.files import sync_folder
from appliance.errors import AuditError

_DOMAIN = b"couchside audit checkpoint v1\n"
_GENESIS = b"couchside audit log v1\n"


@dataclass(frozen=True)
class Checkpoint:
    """count rows existed at time_utc and the last one had the hash `head` (count 0: the genesis hash of the key)."""

    count: int
    head: str
    time_utc: str
    public_key: str
    signature: str

    @staticmethod
    def sign(key: Ed25519PrivateKey, count: int, head: str, time_utc: str) -> Checkpoint:
        public = public_hex(key)
        return Checkpoint(count, head, time_utc, public, key.sign(_message(count, head, time_utc, public)).hex())

    def is_signed_by(self, public_key: str) -> bool:
        """True only if it carries this public key (hex) and the signature is right."""
        if self.public_key != public_key:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
                bytes.fromhex(self.signature), _message(self.count, self.head, self.time_utc, public_key)
            )
        except (InvalidSignature, ValueError):
            return False
        return True

    def to_line(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _message(count: int, head: str, time_utc: str, public_key: str) -> bytes:
    content = {"count": count, "head": head, "public_key": public_key, "time_utc": time_utc}
    return _DOMAIN + json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def public_hex(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def genesis_hash(public_key: str) -> str:
    """Previous hash of row 1. It contains the public key, so a chain cannot be moved under another key."""
    return hashlib.sha256(_GENESIS + public_key.encode()).hexdigest()


def key_path(database: Path) -> Path:
    return database.with_suffix(".key")


def side_path(database: Path) -> Path:
    return database.with_suffix(".checkpoints.jsonl")


def load_key(path: Path) -> Ed25519PrivateKey:
    """Raises AuditError if the file is missing, readable by others, or not an Ed25519 key."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise AuditError(f"the signing key {path} is open to other users; run: chmod 600 {path}")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise AuditError(f"the signing key {path} cannot be read ({error.strerror}); restore it") from error
    except ValueError as error:
        raise AuditError(f"the signing key {path} is damaged; restore it") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditError(f"the signing key {path} is not an Ed25519 key; restore it")
    return key


def create_key(path: Path) -> Ed25519PrivateKey:
    """A new key in a file of mode 0600, whole and durable before its name exists. Raises OSError."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_durable(path, pem, replace=False)
    return key


def read_side(path: Path) -> tuple[Checkpoint, ...]:
    """Checkpoints of a side file, in its order. A last line without its line end was torn by a crash and is left
    out. Raises AuditError for any other line that is no checkpoint, and OSError."""
    lines = path.read_bytes().split(b"\n")[:-1]
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            checkpoint = Checkpoint(**entry)
        except (ValueError, TypeError) as error:
            raise AuditError(f"line {number} of {path.name} is not a checkpoint") from error
        if not isinstance(checkpoint.count, int) or not all(
            isinstance(v, str) for k, v in entry.items() if k != "count"
        ):
            raise AuditError(f"line {number} of {path.name} is not a checkpoint")
        found.append(checkpoint)
    return tuple(found)


def append_side(path: Path, checkpoints: tuple[Checkpoint, ...]) -> None:
    """Durable append; a torn last line is cut off first. Creates the file (0600). Raises OSError."""
    created = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            os.ftruncate(descriptor, whole)
    except OSError:
        os.close(descriptor)
        raise
    write_whole(descriptor, b"".join(checkpoint.to_line() for checkpoint in checkpoints))
    if created:
        sync_folder(path.parent)
