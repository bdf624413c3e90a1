"""The state of a training run between two updates: written whole or not at all, and read back to the bit."""

from __future__ import annotations

import json
import os
import re
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from appliance.errors import ConfigError

_NAME = re.compile(r"^checkpoint-(\d{6})\.npz$")


@dataclass
class Progress:
    """update, improving: how many are done, in all and of the improving phase. episodes: played. looks: score of the
    first look by task number. judged: merit of the rules by name of a case, which never changes. judged_at: update of
    the last evaluation. best: highest mean gain over the rules so far."""

    update: int = 0
    improving: int = 0
    episodes: int = 0
    looks: dict[int, float] = field(default_factory=dict)
    judged: dict[str, float] = field(default_factory=dict)
    judged_at: int = 0
    best: float | None = None


def save(folder: Path, progress: Progress, learner: bytes, decisive: dict[str, Any], keep: int) -> Path:
    """Writes checkpoint-UPDATE.npz and removes all but the latest `keep`."""
    facts = json.dumps({"progress": asdict(progress), "decisive": decisive}).encode()
    path = folder / f"checkpoint-{progress.update:06d}.npz"
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, facts=np.frombuffer(facts, np.uint8), learner=np.frombuffer(learner, np.uint8))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    for old in known(folder)[:-keep]:
        old.unlink()
    return path


def known(folder: Path) -> list[Path]:
    """The earliest first."""
    return sorted(path for path in folder.glob("checkpoint-*.npz") if _NAME.match(path.name))


def load(path: Path, decisive: dict[str, Any]) -> tuple[Progress, bytes]:
    """Raises ConfigError for a file that is damaged, or of a run with other settings."""
    try:
        with np.load(path, allow_pickle=False) as file:
            facts, learner = json.loads(file["facts"].tobytes()), file["learner"].tobytes()
        told = facts["progress"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} cannot be read ({error}); remove it to go on from the one before") from error
    if different := _difference(facts["decisive"], json.loads(json.dumps(decisive))):
        raise ConfigError(
            f"{path} is of a run with another '{different}'; restore that, or name another folder to begin a new run"
        )
    told["looks"] = {int(number): score for number, score in told["looks"].items()}
    return Progress(**told), learner


def _difference(one: Any, other: Any, path: str = "") -> str:
    """The first key under which two trees differ, '' if none."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return "" if one == other else path
    for key in sorted(one.keys() | other.keys()):
        if found := _difference(one.get(key), other.get(key), f"{path}.{key}".lstrip(".")):
            return found
    return ""
