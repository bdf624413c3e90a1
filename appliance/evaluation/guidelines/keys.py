"""Keys that sign guideline packages: the project's, which ships, and those a clinic trusts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field

from appliance.errors import RefusedPackage
from appliance.evaluation.tables import Table, read_table

_Model = TypeVar("_Model", bound=Table)

_DOMAIN = b"couchside guideline package v1\n"

_HEX_KEY = r"^[0-9a-f]{64}$"
_HEX_SIGNATURE = r"^[0-9a-f]{128}$"


class PublicKey(Table):
    """A key file (TOML): whose key it is, and its Ed25519 public half (RFC 8032) in hex."""

    signer: str = Field(min_length=2, max_length=64)
    public_key: str = Field(pattern=_HEX_KEY)

    @property
    def fingerprint(self) -> str:
        """Short enough to read over the telephone."""
        return " ".join(self.public_key[i : i + 4] for i in range(0, 16, 4))


class Signature(Table):
    """signature.toml: by which key the list of files was signed."""

    public_key: str = Field(pattern=_HEX_KEY)
    signature: str = Field(pattern=_HEX_SIGNATURE)


def read_key(content: bytes, what: str) -> PublicKey:
    """Raises RefusedPackage for anything but a key file."""
    return _read(PublicKey, content, what, "Ask its owner for the key file that 'couchside guidelines key' wrote")


def signed_by(signature: bytes, file_list: bytes, keys: Sequence[PublicKey], what: str) -> PublicKey:
    """The trusted key that signed `file_list`. Raises RefusedPackage."""
    remedy = "Ask its author for the package as it was signed"
    found = _read(Signature, signature, what, remedy)
    key = next((key for key in keys if key.public_key == found.public_key), None)
    if key is None:
        mark = PublicKey(signer="unknown", public_key=found.public_key).fingerprint
        raise RefusedPackage(
            f"it is signed with a key that is not trusted here ({mark} …)",
            what=what,
            remedy="If its owner has confirmed these digits to you, add the key with 'couchside guidelines trust'",
        )
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public_key))
        public.verify(bytes.fromhex(found.signature), _DOMAIN + file_list)
    except (InvalidSignature, ValueError) as error:
        raise RefusedPackage(
            f"its signature does not fit its list of files, although it names the key of {key.signer}",
            what=what,
            remedy=remedy,
        ) from error
    return key


def sign(key: Ed25519PrivateKey, file_list: bytes) -> bytes:
    """The content of signature.toml."""
    public, signature = key.public_key().public_bytes_raw().hex(), key.sign(_DOMAIN + file_list).hex()
    return f'public_key = "{public}"\nsignature = "{signature}"\n'.encode()


def key_file(signer: str, key: Ed25519PrivateKey) -> bytes:
    """The content of a public key file. Raises RefusedPackage for a name that is none."""
    quoted = signer.replace("\\", "\\\\").replace('"', '\\"')
    content = f'signer = "{quoted}"\npublic_key = "{key.public_key().public_bytes_raw().hex()}"\n'.encode()
    read_key(content, "key")
    return content


def read_keys(folder: Path) -> tuple[PublicKey, ...]:
    """Every key file of a folder; none where there is no folder. Raises RefusedPackage for a damaged one."""
    return tuple(read_key(path.read_bytes(), path.name) for path in sorted(folder.glob("*.toml")))


def _read(kind: type[_Model], content: bytes, what: str, remedy: str) -> _Model:
    name = f"its {kind.__name__} file"
    return read_table(kind, content, name, lambda reason: RefusedPackage(reason, what=what, remedy=remedy))
