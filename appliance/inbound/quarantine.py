"""Where refused objects go: a copy of the bytes, and beside it in JSON why they were refused.

Quarantine holds patient data, as the store does; the JSON holds none.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import JsonValue

from appliance.dicomio.files import write_durable
from appliance.errors import NodeError
from appliance.inbound.partfile import PartFile

# Chosen: a whole study of the largest kind; a sender gone wrong must not fill the disk with its evidence. Beyond it
# the reason is still written, without the copy.
LIMIT_BYTES = 4 * 1024**3

_log = structlog.get_logger(__name__)


class Quarantine:
    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self._limit_bytes = limit_bytes
        self._mutex = threading.Lock()
        self._used = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())

    def keep(self, part: PartFile, reason: dict[str, JsonValue]) -> str:
        """Moves the file here with its reason; returns the name both share. Never raises: an object that cannot be
        quarantined is refused all the same, and the log says so."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{part.path.stem[:12]}"
        with self._mutex:
            has_room = self._used + part.size <= self._limit_bytes
            self._used += part.size if has_room else 0
        record = {**reason, "bytes": part.size, "sha256": part.sha256, "copy_kept": has_room}
        try:
            if has_room:
                part.rename_durable(self.folder / f"{name}.dcm")
            write_durable(json.dumps(record, indent=1).encode(), self.folder / f"{name}.json")
        except NodeError as error:
            _log.warning("quarantine failed", key=error.key, sentence=error.sentence)
        finally:
            part.discard()
        return name

    def keep_file(self, path: Path, reason: dict[str, JsonValue]) -> str:
        """Moves a file of the store here. Raises NodeError."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{path.stem[:12]}"
        write_durable(json.dumps({**reason, "copy_kept": True}, indent=1).encode(), self.folder / f"{name}.json")
        path.rename(self.folder / f"{name}.dcm")
        return name
