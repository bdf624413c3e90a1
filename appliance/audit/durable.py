"""Small files that are either there whole after a power cut, or not there."""

from __future__ import annotations

import os
from pathlib import Path

from appliance.dicomio.files import sync_folder


def write_durable(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Temporary file of mode 0600, fsync, rename, fsync of the folder. Raises FileExistsError if not `replace` and
    the name is taken (decided by the file system, so two processes cannot both win), and OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_whole(descriptor, content)
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_whole(descriptor: int, content: bytes) -> None:
    """Writes every byte, fsyncs and closes; a short write (disk nearly full) is continued, never taken for done."""
    with os.fdopen(descriptor, "ab") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
