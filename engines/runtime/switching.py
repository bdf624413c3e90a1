"""A network that goes on computing on the CPU when its device fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from engines.errors import DeviceError, EngineError
from engines.runtime.contract import CPU_BACKENDS, Arrays, Backend, Network, Precision, Results, TensorInfo


class SwitchingNetwork:
    """Implements Network with the one it is given, and from the first DeviceError on with the one that `spare` opens
    (None: there is none, and the error is raised). One call at a time."""

    def __init__(self, first: Network, notes: tuple[str, ...], spare: Callable[[], Network | None]) -> None:
        self._now, self._notes = first, notes
        self._spare: Callable[[], Network | None] | None = None if first.backend in CPU_BACKENDS else spare
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._now.name

    @property
    def backend(self) -> Backend:
        return self._now.backend

    @property
    def precision(self) -> Precision:
        return self._now.precision

    @property
    def device(self) -> str:
        return self._now.device

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        return self._now.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        return self._now.outputs

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._notes, *self._now.notes)

    def run(self, inputs: Arrays) -> Results:
        """As in Network. The call that a device fails in is answered by the CPU, and so is each one after it."""
        with self._lock:
            try:
                return self._now.run(inputs)
            except DeviceError as error:
                self._switch(error)
            return self._now.run(inputs)

    def _switch(self, error: DeviceError) -> None:
        spare = self._spare() if self._spare is not None else None
        if spare is None:
            raise error
        failed, self._now, self._spare = self._now, spare, None
        self._notes += (f"{failed.backend} failed ({error}); computed on the {spare.device} since then",)
        with suppress(EngineError):  # a device that has failed may fail at this too
            failed.close()

    def close(self) -> None:
        with self._lock:
            self._now.close()
