"""The networks that ship (models/registry.toml), for whoever needs one: with errors for a clinician."""

from __future__ import annotations

from pathlib import Path

from appliance.errors import ModelError
from engines.errors import RegisteredFileError
from engines.runtime.registry import SHIPPED, Registry, load_registry


def shipped(path: Path = SHIPPED) -> Registry:
    """Raises ModelError where the registry is missing or not exactly right."""
    try:
        return load_registry(path)
    except RegisteredFileError as error:
        raise ModelError(str(error)) from error


def verified_model(name: str, path: Path = SHIPPED) -> bytes:
    """The registered file's bytes. Raises ModelError that names model, file and remedy where it is not the registered
    one."""
    registry = shipped(path)
    try:
        return registry.verified(name)
    except RegisteredFileError as error:
        raise ModelError(str(error)) from error
