"""One thread that does all the work of one device.

pycuda ties a context, and everything made in it, to the thread that made it: memory that Python's garbage collector
frees in another thread is not freed at all. So one thread owns the device, and every other thread hands its work to it.
"""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Context(Protocol):
    """What is used of pycuda's."""

    def push(self) -> object: ...

    def pop(self) -> object: ...


CLOSING_S = 5.0
"""Longest wait for the device to close when the program ends (chosen)."""


class Owner:
    """`around` is called with each piece of work and calls it, in the owning thread: there a context is made current.
    `last` runs in the owning thread when the program ends."""

    def __init__(self, name: str, around: Callable[[Callable[[], Any]], Any], last: Callable[[], None]) -> None:
        self._around, self._last = around, last
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._late: list[BaseException] = []
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def run(self, work: Callable[[], Result]) -> Result:
        """Waits for `work` and returns or raises what it does; first raises what earlier posted work failed with."""
        if threading.current_thread() is self._thread:
            return work()
        done, outcome = threading.Event(), _Outcome()

        def task() -> None:
            try:
                if self._late:
                    raise self._late.pop(0)
                outcome.value = self._around(work)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, whatever it is
                outcome.error = error
            finally:
                done.set()

        self._work.put(task)
        done.wait()
        if outcome.error is not None:
            raise outcome.error
        value: Result = outcome.value
        return value

    def post(self, work: Callable[[], None]) -> None:
        """Has `work` done without waiting; what it fails with is raised by the next `run`."""

        def task() -> None:
            try:
                self._around(work)
            except Exception as error:  # noqa: BLE001 - nobody waits here; the next run tells
                self._late.append(error)

        self._work.put(task)

    def close(self) -> None:
        """Ends the thread after the work that is already there, and `last`."""
        atexit.unregister(self.close)
        self._work.put(None)
        self._thread.join(CLOSING_S)

    def _serve(self) -> None:
        while (task := self._work.get()) is not None:
            task()
            del task  # a finished task must not keep what it referred to until the next one comes
        self._last()


def within(context: Context | None, work: Callable[[], Result]) -> Result:
    """`work` with the context on top of its thread's stack, which is left as it was; without one (whoever makes the
    context) as it is."""
    if context is None:
        return work()
    context.push()
    try:
        return work()
    finally:
        context.pop()


class _Outcome:
    value: Any = None
    error: BaseException | None = None
