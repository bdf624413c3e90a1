"""One row of the log and its hash.

The hash is SHA-256 over the row's canonical JSON: the keys actor, data, event, previous_hash, seq, session_id,
time_utc in that order, no white space, UTF-8, inner keys sorted, no NaN or infinity. Anyone can recompute it with a
few lines in any language. `data` is stored as its canonical text, so the hash covers the very bytes on disk.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring as _quote

from pydantic import JsonValue

from appliance.errors import AuditError

MAXIMUM_DATA_BYTES = 4 * 1024 * 1024
"""Chosen, because a whole evaluation with its DVH curves is below 1 MiB; anything larger is a file, not an event."""

MAXIMUM_DEPTH = 32
"""Nesting of `data`. Chosen, because no event needs more and a bound keeps readers in other languages safe."""

MAXIMUM_NAME_CHARACTERS = 200

_canonical = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode

Stored = tuple[int, str, str, str, str, str, str, str]
"""seq, time_utc, session_id, actor, event, data text, previous_hash, row_hash: the columns in the table's order."""


@dataclass(frozen=True)
class AuditRow:
    """`time_utc` is ISO 8601 with microseconds and Z; hashes are SHA-256 in lower-case hex."""

    seq: int
    time_utc: str
    session_id: str
    actor: str
    event: str
    data: dict[str, JsonValue]
    previous_hash: str
    row_hash: str

    @staticmethod
    def from_stored(stored: Stored) -> AuditRow:
        """Raises AuditError if the stored columns are not what was hashed when the row was written."""
        seq, time_utc, session_id, actor, event, text, previous_hash, row_hash = stored
        if row_digest(stored) != row_hash:
            raise AuditError(f"row {seq} was changed after it was written; run 'couchside audit verify'")
        return AuditRow(seq, time_utc, session_id, actor, event, json.loads(text), previous_hash, row_hash)


def row_digest(stored: Stored) -> str:
    """SHA-256 (hex) of the canonical JSON of everything in the row but its own hash.

    The text of `data` is embedded as stored. That is unambiguous: the quotes of every other field are escaped, so no
    other split of the same bytes into fields exists. Raises TypeError if a column has the wrong type.
    """
    seq, time_utc, session_id, actor, event, text, previous_hash, _ = stored
    canonical = (
        f'{{"actor":{_quote(actor)},"data":{text},"event":{_quote(event)},"previous_hash":{_quote(previous_hash)},'
        f'"seq":{seq:d},"session_id":{_quote(session_id)},"time_utc":{_quote(time_utc)}}}'
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def canonical_data(data: Mapping[str, JsonValue], event: str) -> str:
    """Canonical JSON text of a row's data. Raises AuditError naming the key (never the value) that is not JSON."""
    if not isinstance(data, Mapping):
        raise AuditError(f"the data of '{event}' is not a JSON object but of type {type(data).__name__}")
    content = dict(data)
    _demand_json(content, event, "data", 0)
    try:
        text = _canonical(content)
        size = len(text.encode("utf-8"))
    except ValueError as error:  # lone surrogates; integers too long to print
        raise AuditError(f"the data of '{event}' cannot be written as UTF-8 JSON ({type(error).__name__})") from error
    if size > MAXIMUM_DATA_BYTES:
        raise AuditError(f"the data of '{event}' is {size} bytes; at most {MAXIMUM_DATA_BYTES} are allowed")
    return text


def _demand_json(value: object, event: str, where: str, depth: int) -> None:
    if depth > MAXIMUM_DEPTH:
        raise AuditError(f"the data of '{event}' is nested deeper than {MAXIMUM_DEPTH} levels")
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if math.isfinite(value):
            return
        raise AuditError(f"the data of '{event}' is not JSON: {where} is not a finite number")
    if isinstance(value, list):
        for index, item in enumerate(value):
            _demand_json(item, event, f"{where}[{index}]", depth + 1)
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise AuditError(f"the data of '{event}' is not JSON: {where} has a key of type {type(key).__name__}")
            _demand_json(item, event, f"{where}.{key}", depth + 1)
        return
    raise AuditError(f"the data of '{event}' is not JSON: {where} is of type {type(value).__name__}")


def demand_name(text: str, what: str, *, empty_allowed: bool = False) -> str:
    """A short printable text for the columns event, actor and session_id. Raises AuditError for anything else."""
    if not isinstance(text, str) or not text.isprintable() or len(text) > MAXIMUM_NAME_CHARACTERS:
        raise AuditError(
            f"the {what} of an audit row must be printable text of at most {MAXIMUM_NAME_CHARACTERS} characters"
        )
    if not text and not empty_allowed:
        raise AuditError(f"the {what} of an audit row must not be empty")
    return text
