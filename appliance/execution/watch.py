"""Calls of a TPS that may fail or never return, made where they can be given up.

A thread of its own makes them. One that gives no sign of life for too long is abandoned: what runs inside a library
cannot be ended from outside, so the thread goes on until it next tells its progress or the process ends, and nothing
more is asked of that TPS.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from appliance.contracts.progress import Progress, silent
from appliance.errors import (
    CouchsideError,
    DeviceUnavailable,
    ModelError,
    PlanningError,
    PlanningSystemFailed,
    PlanningSystemHung,
)
from appliance.execution.deadline import Deadline, TimeUp

Result = TypeVar("Result")
Explain = Callable[[Exception], CouchsideError]

HANG_S = 120.0
"""Seconds without a sign of life after which a call counts as hung (chosen: our own steps tell their progress about
once a second, and a full dose on a busy machine once in ten)."""
LOOK_S = 1.0
TPS_FAILURES = (PlanningError, ModelError, DeviceUnavailable)
"""What a planning system fails with, as far as planning can go on without it. A person's stop is none of them."""
MOST_TOLD = 200
"""Letters of a foreign error's text that are told."""


def failed(error: Exception) -> CouchsideError:
    """What an error that is none of ours is told as."""
    return PlanningSystemFailed(f"{type(error).__name__}: {error}"[:MOST_TOLD])


def reason_of(error: CouchsideError) -> str:
    """Why a planning system was given up, as a part of a sentence, and what is to be done about one that hangs."""
    remedy = "; restart the service before the next session" if isinstance(error, PlanningSystemHung) else ""
    return f"{error.fields['reason']}{remedy}"


class Watch:
    """progress: told from that thread; what it raises ends the call and reaches the caller. deadline: a call is ended
    at its next sign of life after it, while `may_stop`. explain: errors of the TPS that are not of our tree. hang_s:
    see above."""

    def __init__(
        self,
        progress: Progress = silent,
        deadline: Deadline | None = None,
        *,
        explain: Explain = failed,
        hang_s: float = HANG_S,
    ) -> None:
        self.deadline = Deadline() if deadline is None else deadline
        self.may_stop = False
        self._told, self._explain, self._hang_s = progress, explain, hang_s
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._alive_s, self._hung = time.monotonic(), ""
        self._callers: BaseException | None = None

    def __call__(self, what: str, call: Callable[[], Result]) -> Result:
        """Raises what the call raises: our own errors and the caller's as they are, others explained;
        PlanningSystemHung; TimeUp at a sign of life after the deadline, while `may_stop`."""
        if self._hung:
            raise PlanningSystemHung(self._hung)
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="planning", daemon=True)
            self._thread.start()
        future: Future[Result] = Future()
        self._alive_s = time.monotonic()
        self._work.put((call, future))
        while not wait([future], timeout=min(LOOK_S, self._hang_s)).done:
            if time.monotonic() - self._alive_s > self._hang_s:
                self._hung = f"{what} gave no sign of life for {self._hang_s:g} s"
                raise PlanningSystemHung(self._hung)
        error = future.exception()
        if error is None:
            return future.result()
        is_known = error is self._callers or isinstance(error, CouchsideError | TimeUp)
        if is_known or not isinstance(error, Exception):
            raise error
        raise self._explain(error) from error

    def progress(self, step: str, fraction: float, /) -> None:
        """To hand to the TPS: passes it on."""
        self._alive_s = time.monotonic()
        if self._hung:
            raise PlanningSystemHung(self._hung)
        try:
            self._told(step, fraction)
        except BaseException as error:
            self._callers = error
            raise
        self.check_time()

    def check_time(self) -> None:
        """Raises TimeUp after the deadline, while `may_stop`."""
        if self.may_stop:
            self.deadline.check()

    def close(self) -> None:
        """Lets the thread end."""
        self._work.put(None)

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            call, future = item
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, whatever it is
                future.set_exception(error)
