"""A file being received: written through, hashed on the way, and gone if it does not become an object.

`os.write` may write less than it is given (a disk that fills up); a receiver that does not look has answered Success
for a file that is cut off. So every write loops, and every failure is told apart: no room, or another fault.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import secrets
from pathlib import Path

from appliance.dicomio.files import sync_folder
from appliance.errors import CouchsideError, DiskFull, WriteFailed

SUFFIX = ".part"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def failure(error: OSError, where: Path) -> CouchsideError:
    """DiskFull or WriteFailed, whichever the operating system reported."""
    if error.errno in _NO_ROOM:
        return DiskFull(f"the disk of {where} is full")
    return WriteFailed(f"{where} ({error.strerror or error})")


class PartFile:
    """Created exclusively under a random name in `folder`. Raises DiskFull, WriteFailed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{secrets.token_hex(16)}{SUFFIX}"
        self.size = 0
        self._hash = hashlib.sha256()
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise failure(error, folder) from error

    def write(self, data: bytes | memoryview) -> None:
        """All of `data`. Raises DiskFull, WriteFailed; the file is then worth nothing and must be discarded."""
        view = memoryview(data)
        try:
            written = 0
            while written < len(view):
                written += os.write(self._descriptor, view[written:])
        except OSError as error:
            raise failure(error, self.path.parent) from error
        self.size += len(view)
        self._hash.update(view)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def mapped(self) -> mmap.mmap | bytes:
        """What was written, readable without a copy."""
        return mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ) if self.size else b""

    def rename_durable(self, target: Path) -> None:
        """On the disk under its final name when it returns. Raises DiskFull, WriteFailed."""
        try:
            os.fsync(self._descriptor)
            self.path.rename(target)
            sync_folder(target.parent)
        except OSError as error:
            raise failure(error, target.parent) from error
        self._close()

    def discard(self) -> None:
        """Harmless after the file was renamed, and twice."""
        self._close()
        self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
