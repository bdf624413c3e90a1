"""What really ran on this machine, and how near the CPU's result it came: kept beside the built engines.

A record is evidence, not a lock: one that cannot be read counts as none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.runtime.contract import Backend, Precision
from engines.runtime.entry import Registered

FILE = "ran.json"


@dataclass(frozen=True)
class Ran:
    """One network (by SHA-256) on one backend and device (as `Network.device` names it). difference: largest from the
    CPU's float32 result, in units of the outputs. day: ISO date, UTC."""

    sha256: str
    backend: Backend
    precision: Precision
    device: str
    difference: float
    day: str

    @property
    def key(self) -> tuple[str, Backend, Precision, str]:
        return self.sha256, self.backend, self.precision, kind_of(self.device)


def kind_of(device: str) -> str:
    """Of a device's name what tells the kind: how many threads it was given does not."""
    return device.partition(",")[0].strip().lower()


def read_ran(cache: Path) -> tuple[Ran, ...]:
    """Nothing where there is no record or it cannot be read."""
    try:
        rows = json.loads((cache / FILE).read_text("utf-8"))
        return tuple(
            Ran(
                str(row["sha256"]),
                Backend(row["backend"]),
                Precision(row["precision"]),
                str(row["device"]),
                float(row["difference"]),
                str(row["day"]),
            )
            for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def remember(cache: Path, news: Iterable[Ran]) -> None:
    """Adds to the record; the later run of a combination replaces the earlier. Raises OSError."""
    kept = {row.key: row for row in (*read_ran(cache), *news)}
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = cache / f".{FILE}.new"
    draft.write_text(json.dumps([asdict(row) for row in kept.values()], indent=1), "utf-8")
    draft.replace(cache / FILE)


def tried_precision(entry: Registered, ran: Sequence[Ran]) -> Precision | None:
    """FP16 where the registry allows it and every run of this file on a GPU of this machine came within the limit;
    None (FP32) where one did not or none is on record: nobody computes in a precision that was not tried here."""
    limit = entry.precision.get(Precision.FP16)
    tried = [
        one.difference
        for one in ran
        if one.sha256 == entry.sha256 and one.precision is Precision.FP16 and one.backend is not Backend.ONNX_CPU
    ]
    return Precision.FP16 if limit is not None and tried and max(tried) <= limit else None
