"""Salted hashes: what may stand in a log or a file name in place of an identifier.

A hospital number or birth date is guessed in seconds from a plain hash; the salt is secret to the store, so a hash says
nothing outside it. BLAKE2b with a key (RFC 7693).
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from appliance.errors import NodeError

_SALT_BYTES = 32
_DIGEST_BYTES = 20  # chosen: 160 bits, no collision among 1e9 objects (probability 3e-31), short enough for a file name


class Keys:
    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def of(self, kind: str, text: str) -> str:
        """Hex of the salted hash of `text`; '' for ''. `kind` keeps a patient ID from hashing like an equal name."""
        if not text:
            return ""
        digest = hashlib.blake2b(f"{kind}\0{text}".encode(), key=self._salt, digest_size=_DIGEST_BYTES)
        return digest.hexdigest()

    @staticmethod
    def fresh() -> Keys:
        """For one reading of a folder: hashes compare within it and nowhere else."""
        return Keys(secrets.token_bytes(_SALT_BYTES))

    @staticmethod
    def of_store(path: Path) -> Keys:
        """The store's salt, made on first use. Raises NodeError if the file is damaged."""
        try:
            salt = path.read_bytes()
        except FileNotFoundError:
            salt = secrets.token_bytes(_SALT_BYTES)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(salt)
                file.flush()
                os.fsync(file.fileno())
        if len(salt) != _SALT_BYTES:
            raise NodeError(f"{path} is damaged; restore it from a copy of the store")
        return Keys(salt)
