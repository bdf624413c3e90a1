"""Built engines kept on disk. An engine fits one model, GPU, TensorRT version, precision and profile; the file says
for which it was built and what its bytes hash to, and anything else is built anew.

The hash finds a file that was damaged or cut short. It is no protection against somebody who writes files here: an
engine is code, so the folder belongs to the service's user alone (mode 0700).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from engines.runtime.contract import Backend, Precision

MAGIC = b"couchside engine 1\n"
LONGEST_HEADER = 65536


@dataclass(frozen=True)
class EngineKey:
    """What an engine depends on. gpu: name and compute capability, such as 'NVIDIA A2 (sm_86)'."""

    model_sha256: str
    gpu: str
    tensorrt: str
    backend: Backend
    precision: Precision
    profile: str

    @property
    def file_name(self) -> str:
        """Without GPU and version: an engine of another one is replaced, not kept beside."""
        sizes = hashlib.sha256(self.profile.encode("utf-8")).hexdigest()[:8]
        return f"{self.model_sha256[:16]}-{self.backend}-{self.precision}-{sizes}.engine"


SPOKEN = {
    "model_sha256": "model",
    "gpu": "GPU",
    "tensorrt": "TensorRT version",
    "backend": "backend",
    "precision": "precision",
    "profile": "sizes",
}


class _Unusable(Exception):
    """In words why a file cannot be used."""


class EngineCache:
    """Engine files in `folder`; None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def engine(self, key: EngineKey, build: Callable[[], bytes]) -> tuple[bytes, str]:
        """(engine, note): the kept one, or one that `build` makes and that is kept from now on. The note says why a
        file was not used, or could not be written; '' where there is nothing to say."""
        plan, note = self._kept(key)
        if plan is not None:
            return plan, ""
        made = build()
        return made, "; ".join(filter(None, (note, self._keep(key, made))))

    def forget(self, key: EngineKey) -> None:
        """Removes an engine that TensorRT itself refuses."""
        if self._folder is not None:
            (self._folder / key.file_name).unlink(missing_ok=True)

    def _kept(self, key: EngineKey) -> tuple[bytes | None, str]:
        if self._folder is None:
            return None, ""
        path = self._folder / key.file_name
        try:
            return _plan_of(path.read_bytes(), key), ""
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"the engine file {path.name} cannot be read ({error.strerror}); built anew"
        except _Unusable as why:
            return None, f"the engine file {path.name} {why}; built anew"

    def _keep(self, key: EngineKey, plan: bytes) -> str:
        if self._folder is None:
            return ""
        facts = {**asdict(key), "bytes": len(plan), "engine_sha256": hashlib.sha256(plan).hexdigest()}
        header = json.dumps(facts, sort_keys=True, ensure_ascii=True).encode("ascii") + b"\n"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_whole(self._folder / key.file_name, MAGIC + header + plan)
        except OSError as error:
            return f"the engine could not be kept in {self._folder} ({error.strerror}); it is built at every start"
        return ""


def _plan_of(data: bytes, key: EngineKey) -> bytes:
    """Raises _Unusable."""
    if not data.startswith(MAGIC):
        raise _Unusable("is no engine file")
    end = data.find(b"\n", len(MAGIC), len(MAGIC) + LONGEST_HEADER)
    try:
        facts = json.loads(data[len(MAGIC) : max(end, 0)])
        sealed = facts["engine_sha256"]
        other = [SPOKEN[field.name] for field in fields(key) if facts[field.name] != getattr(key, field.name)]
    except (ValueError, KeyError, TypeError):
        raise _Unusable("is damaged (its header cannot be read)") from None
    if other:
        raise _Unusable(f"was built for another {' and '.join(other)}")
    plan = data[end + 1 :]
    if hashlib.sha256(plan).hexdigest() != sealed:
        raise _Unusable("is damaged (its SHA-256 differs)")
    return plan


def _write_whole(path: Path, data: bytes) -> None:
    """The file is whole and on the disk, or not there. Two that write at once write the same; the later one wins."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
