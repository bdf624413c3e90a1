"""`couchside serve` as a real process, watched through the audit log by a second, read-only connection."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from appliance.approval import IdentityStore
from appliance.errors import NodeError
from appliance.node import ask
from appliance.node.wire import Message

from ..session.small_case import SmallCase

PASSPHRASE = "a long enough passphrase"
PHYSICIAN = "Dr Test"
T = TypeVar("T")
STILL_NS = 50_000_000
"""A file not written to for so long is told from its next state by its times (chosen: five ticks of a slow clock)."""
FRESH_S = 0.02
"""For so long what was read is believed of a log that looks the same (chosen: what was written becomes a row only once
it is on the disk, which the file does not show)."""


def config_text(small: SmallCase, store: Path, peer_ae: str, peer_port: int) -> str:
    return f"""
[node]
port = 0
store = "{store}"
settle_s = 0.5
minimum_free_mb = 1
[peer]
ae_title = "{peer_ae}"
port = {peer_port}
attempts = 2
retry_s = 0.2
[planning]
beams = 3
beamlet_mm = 10.0
dose_grid_mm = 6.0
segments_per_beam = 2
sparing_rounds = 0
goals = "{small.goals}"
[evaluation]
robustness = false
explain_budget_s = 0.0
"""


@dataclass
class Served:
    store: Path
    config: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    died_in: list[str] = field(default_factory=list)
    _read: dict[str, tuple[tuple[int, ...], float, list[dict[str, object]]]] = field(default_factory=dict)

    @staticmethod
    def prepare(folder: Path, small: SmallCase, peer_ae: str, peer_port: int) -> Served:
        config = folder / "couchside.toml"
        config.write_text(config_text(small, folder / "store", peer_ae, peer_port), "utf-8")
        IdentityStore(folder / "store" / "identities", scrypt_n=2**14).create(PHYSICIAN, "physician", PASSPHRASE)
        return Served(folder / "store", config, folder / "serve.log")

    def start(self) -> None:
        before = self.count("node.started")
        command = [sys.executable, "-m", "appliance", "serve", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log)
        self.wait(lambda: self.count("node.started") > before, 60)

    def end(self, number: int = signal.SIGTERM) -> int:
        process = self.process
        if process is None:
            return 0
        process.send_signal(number)
        code = process.wait(30)
        self.process = None
        return code

    def wait_dead(self) -> None:
        until = time.monotonic() + 30
        while self.process is not None and time.monotonic() < until:
            time.sleep(0.01)

    def rows(self, event: str) -> list[dict[str, object]]:
        """Asked hundreds of times a second; the log is opened again at once when it has been written to, and otherwise
        every FRESH_S."""
        stamp, now = self._stamp(), time.monotonic()
        known, read_at, found = self._read.get(event, (None, 0.0, []))
        if stamp is None or known != stamp or now - read_at > FRESH_S:
            found = self._rows(event)
            if stamp is not None:
                self._read[event] = stamp, now, found
        return found

    def _stamp(self) -> tuple[int, ...] | None:
        """Tells one state of the log from the next; None while it is being written."""
        stamp: list[int] = []
        for name in ("audit.sqlite", "audit.sqlite-wal"):
            with contextlib.suppress(FileNotFoundError):
                status = (self.store / name).stat()
                if time.time_ns() - status.st_mtime_ns < STILL_NS:
                    return None
                stamp += [status.st_ino, status.st_size, status.st_mtime_ns]
        return tuple(stamp)

    def _rows(self, event: str) -> list[dict[str, object]]:
        path = self.store / "audit.sqlite"
        if not path.exists():
            return []
        query = "SELECT data FROM audit WHERE event = ? ORDER BY seq"
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
                found = connection.execute(query, (event,)).fetchall()
        except sqlite3.OperationalError:
            return []  # the log is just being made
        return [json.loads(text) for (text,) in found]

    def count(self, event: str) -> int:
        return len(self.rows(event))

    def state(self) -> str:
        moves = self.rows("session.transition")
        if moves:
            return str(moves[-1]["to"])
        return "waiting for image" if self.count("session.opened") else ""

    def wait(self, what: Callable[[], T], seconds: float = 120.0) -> T:
        until = time.monotonic() + seconds
        while not (found := what()):
            alive = self.process is not None and self.process.poll() is None
            assert alive and time.monotonic() < until, (self.state(), self.log.read_text()[-2000:])
            time.sleep(0.002)
        return found

    def kill_in(self, state: str, later: Sequence[str]) -> bool:
        """Lets the process run a millisecond at a time until the log says `state`, and kills it there: even a state
        that lasts as long as one commit is met, unless the machine is so busy that the log already says one of `later`
        when it is read. Then it is left running, and the answer is False."""
        process = self.process
        assert process is not None
        until = time.monotonic() + 120
        while (now := self.state()) != state:
            assert time.monotonic() < until and process.poll() is None, (now, self.log.read_text()[-2000:])
            os.kill(process.pid, signal.SIGCONT)
            if now in later:
                return False
            time.sleep(0.001)
            os.kill(process.pid, signal.SIGSTOP)
        self.end(signal.SIGKILL)
        self.died_in.append(self.state())
        return True

    def ask(self, command: str, **fields: str) -> Message:
        return ask(self.store, {"command": command, **fields})

    def port(self) -> int:
        self.wait(self._answers, 30)
        node = self.ask("status")["node"]
        assert isinstance(node, dict)
        return int(str(node["port"]))

    def _answers(self) -> bool:
        try:
            self.ask("status")
        except NodeError:
            return False
        return True

    def session_id(self) -> str:
        listed = self.ask("status")["sessions"]
        assert isinstance(listed, list) and isinstance(listed[0], dict)
        return str(listed[0]["session"])
