"""What this process computes dose with: chosen once, from `planning.device` or `--device`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from appliance.errors import DeviceUnavailable
from engines.errors import DeviceError
from engines.photon.backend.choice import Choice, DeviceName, choose
from engines.photon.backend.protocol import Backend

_asked: list[DeviceName] = ["auto"]
"""One for the process, like its number of threads: a plan and its final dose never come from two machines."""


def select_device(device: DeviceName) -> Choice:
    """From now on, dose is computed there. Raises DeviceUnavailable where 'cuda' is asked for and cannot be had."""
    with device_errors():
        choice = choose(device)
    _asked[0] = device
    return choice


def backend() -> Backend:
    """Raises DeviceUnavailable."""
    with device_errors():
        return choose(_asked[0]).backend


@contextmanager
def device_errors() -> Iterator[None]:
    """Turns what a device fails with into the sentence for a person."""
    try:
        yield
    except DeviceError as error:
        raise DeviceUnavailable(str(error)) from error
