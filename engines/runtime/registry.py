"""The registry of networks (models/registry.toml): a network is run only if its file is the registered one.

    registry = load_registry()
    entry = registry.entry("dose")
    model = registry.verified("dose")      # bytes, hashed in the same reading that hands them out

Unknown keys, two entries of one name, or paths out of the registry's folder refuse the whole file.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from engines.errors import RegisteredFileError
from engines.runtime.entry import Registered, Strict

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "registry.toml"
MEND = "get the file again (./build.sh setup, or a fresh copy of this release)"


class _File(Strict):
    model_config = ConfigDict(title="registry")

    format: Literal["couchside-models-1"]
    model: tuple[Registered, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Registry:
    """folder: that `file` and `card` of entries are relative to. mend: what to do about a wrong file."""

    folder: Path
    entries: tuple[Registered, ...]
    mend: str = MEND

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    def entry(self, name: str) -> Registered:
        """Raises RegisteredFileError where no such model is registered."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise RegisteredFileError(f"no model '{name}' is registered (registered: {', '.join(self.names)})")

    def path(self, name: str) -> Path | None:
        """Where the file should lie; None where it is in a package that is not installed."""
        entry = self.entry(name)
        if not entry.package:
            return self.folder / entry.file
        spec = find_spec(entry.package)  # imports nothing of it
        places = list(spec.submodule_search_locations or ()) if spec else []
        return Path(places[0]) / entry.file if places else None

    def verified(self, name: str) -> bytes:
        """The file's bytes. Raises RegisteredFileError, naming model, file and remedy, where it is missing, cannot be
        read, or is not the registered one."""
        entry, path = self.entry(name), self._place(name)
        with self._readable(entry):
            content = path.read_bytes()
        self._check(entry, hashlib.sha256(content).hexdigest())
        return content

    def check(self, name: str) -> None:
        """What `verified` raises, without holding the file in memory. Nothing for an optional file that is missing."""
        entry, path = self.entry(name), self.path(name)
        if entry.optional and (path is None or not path.exists()):
            return
        with self._readable(entry), self._place(name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._check(entry, digest)

    def problems(self) -> Iterator[tuple[Registered, str]]:
        """(entry, what is wrong) of every model whose file cannot be trusted."""
        for entry in self.entries:
            try:
                self.check(entry.name)
            except RegisteredFileError as error:
                yield entry, str(error)

    def _place(self, name: str) -> Path:
        path = self.path(name)
        if path is None:
            package = self.entry(name).package
            raise RegisteredFileError(f"the package '{package}' with the model '{name}' is not installed; {self.mend}")
        return path

    @contextmanager
    def _readable(self, entry: Registered) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RegisteredFileError(
                f"the file {entry.file} of the model '{entry.name}' cannot be read ({error.strerror}); {self.mend}"
            ) from error

    def _check(self, entry: Registered, digest: str) -> None:
        if digest != entry.sha256:
            raise RegisteredFileError(
                f"the file {entry.file} of the model '{entry.name}' is not the registered one (SHA-256 differs); "
                f"{self.mend}"
            )


def load_registry(path: Path = SHIPPED) -> Registry:
    """Raises RegisteredFileError naming the file, the key and what is wrong."""
    try:
        file = _File.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise RegisteredFileError(
            f"the model registry {path.name} cannot be read ({error.strerror}); {MEND}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RegisteredFileError(f"the model registry {path.name} is not valid TOML ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise RegisteredFileError(f"the model registry {path.name}: key '{key}': {first['msg']}") from error
    names = [entry.name for entry in file.model]
    if len(set(names)) != len(names):
        raise RegisteredFileError(f"the model registry {path.name} has two models of one name")
    return Registry(path.parent, file.model)
