"""Where what is built from networks is kept: compiled engines, the sentence encoder's ONNX file, what ran here."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """COUCHSIDE_CACHE, or the service's CACHE_DIRECTORY, or couchside in the user's cache folder (XDG base
    directories)."""
    for name in ("COUCHSIDE_CACHE", "CACHE_DIRECTORY"):
        if os.environ.get(name):
            return Path(os.environ[name])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "couchside"


def engine_cache() -> Path:
    """Of built engines: whoever opens a registered network hands it to RuntimeOptions."""
    return cache_folder() / "engines"
