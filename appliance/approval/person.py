"""One person's identity file: public facts, and the private key sealed under the passphrase.

The Ed25519 private key (PKCS8, DER) is encrypted with AES-256-GCM under a key from scrypt (RFC 7914). Name, role,
public key and scrypt cost are authenticated along with it, so an edited role makes the file useless for signing.
PKCS8's own encryption is not used, because `cryptography` gives no say in its key derivation cost.
"""

from __future__ import annotations

import json
import os
import unicodedata
from datetime import UTC, datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import ApprovalError

ROLES = ("physician", "physicist", "demo")
ROLES_THAT_APPROVE = ("physician", "demo")
DEMO_PREFIX = "DEMO"

MINIMUM_PASSPHRASE = 10
"""Characters. Chosen, above the 8 of NIST SP 800-63B (2017) section 5.1.1.1, because the key file can be copied and
then guessed at without the lock-out. The demo's passphrase is public and may be shorter."""

MAXIMUM_PASSPHRASE = 256
MAXIMUM_NAME = 64
"""Characters of one component group of the DICOM value representation PN (PS3.5 table 6.2-1), where the name ends up
as Reviewer Name (300E,0008)."""

SCRYPT_N = 2**17
SCRYPT_R = 8
SCRYPT_P = 1
"""Cost of one guess: 128 MiB and about 0.5 s of one core here; the OWASP Password Storage Cheat Sheet's setting for
scrypt. N is kept in each file, so that it can be raised for new ones."""


class Person(BaseModel):
    """The identity file. Hex fields are lower case; `created_at` is ISO 8601 UTC. `is_demo` marks an identity whose
    passphrase is no secret: what it approves is never for a patient."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int = Field(default=1, ge=1, le=1)
    name: str
    role: str
    is_demo: bool
    created_at: str
    public_key: str = Field(pattern=r"^[0-9a-f]{64}$")
    scrypt_n: int = Field(ge=2**10, le=2**20)
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    nonce: str = Field(pattern=r"^[0-9a-f]{24}$")
    sealed_key: str = Field(pattern=r"^([0-9a-f]{2}){17,400}$")

    @staticmethod
    def create(name: str, role: str, passphrase: str, *, demo: bool, scrypt_n: int = SCRYPT_N) -> Person:
        """A new key pair. Raises ApprovalError for a name, role or passphrase that is not acceptable."""
        name = checked_name(name, demo=demo)
        if role not in ROLES or demo != (role == "demo"):
            raise ApprovalError(f"the role must be physician or physicist ('demo' only for the demo), not '{role}'")
        if len(passphrase) < (1 if demo else MINIMUM_PASSPHRASE) or len(passphrase) > MAXIMUM_PASSPHRASE:
            raise ApprovalError(f"the passphrase must have {MINIMUM_PASSPHRASE} to {MAXIMUM_PASSPHRASE} characters")
        key = Ed25519PrivateKey.generate()
        salt, nonce = os.urandom(16), os.urandom(12)
        plain = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        unsealed = Person(
            name=name,
            role=role,
            is_demo=demo,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            public_key=key.public_key().public_bytes_raw().hex(),
            scrypt_n=scrypt_n,
            salt=salt.hex(),
            nonce=nonce.hex(),
            sealed_key="00" * 17,
        )
        sealed = AESGCM(_derive(passphrase, salt, scrypt_n)).encrypt(nonce, plain, unsealed._facts())
        return unsealed.model_copy(update={"sealed_key": sealed.hex()})

    def unseal(self, passphrase: str) -> Ed25519PrivateKey | None:
        """The private key, or None if the passphrase is wrong or the file was edited. Raises ApprovalError if the
        sealed content is no Ed25519 key or there is not enough memory to derive the key."""
        if len(passphrase) > MAXIMUM_PASSPHRASE:
            return None
        cipher = AESGCM(_derive(passphrase, bytes.fromhex(self.salt), self.scrypt_n))
        try:
            plain = cipher.decrypt(bytes.fromhex(self.nonce), bytes.fromhex(self.sealed_key), self._facts())
        except InvalidTag:
            return None
        key = serialization.load_der_private_key(plain, password=None)
        if not isinstance(key, Ed25519PrivateKey) or key.public_key().public_bytes_raw().hex() != self.public_key:
            raise ApprovalError(f"the identity file of {self.name} does not hold the key it names; create it anew")
        return key

    def to_file(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()

    @staticmethod
    def from_file(content: bytes, file_name: str) -> Person:
        """Raises ApprovalError for anything but a whole identity file."""
        try:
            return Person.model_validate_json(content)
        except ValidationError as error:
            raise ApprovalError(f"the identity file {file_name} is damaged; restore it or create it anew") from error

    def _facts(self) -> bytes:
        facts = self.model_dump(include={"format", "name", "role", "is_demo", "created_at", "public_key", "scrypt_n"})
        return b"couchside identity v1\n" + json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()


def checked_name(name: str, *, demo: bool) -> str:
    """The name in Unicode NFC without outer blanks. Raises ApprovalError; only the demo's begins with DEMO."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name.isprintable() or not 2 <= len(name) <= MAXIMUM_NAME or any(c in name for c in "\\="):
        raise ApprovalError(f"a name has 2 to {MAXIMUM_NAME} printable characters, without backslash or equals sign")
    if demo and not name.startswith(DEMO_PREFIX):
        raise ApprovalError(f"the name of a demo identity begins with {DEMO_PREFIX}, so that nobody takes it for real")
    if not demo and name.casefold().startswith(DEMO_PREFIX.casefold()):
        raise ApprovalError(f"a name that begins with {DEMO_PREFIX} is kept for the demo identity")
    return name


def _derive(passphrase: str, salt: bytes, n: int) -> bytes:
    """NFKC first (NIST SP 800-63B 5.1.1.2), so that the same keys pressed on another keyboard give the same bytes."""
    try:
        text = unicodedata.normalize("NFKC", passphrase).encode()
        return Scrypt(salt=salt, length=32, n=n, r=SCRYPT_R, p=SCRYPT_P).derive(text)
    except UnicodeEncodeError as error:
        raise ApprovalError("the passphrase holds characters that cannot be encoded; type it again") from error
    except MemoryError as error:
        raise ApprovalError("too little memory to check the passphrase; close other programs and try again") from error
