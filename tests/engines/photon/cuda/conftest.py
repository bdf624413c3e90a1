"""The kernels of photon.cu on the host: compiled once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .emulated import EmulatedDevice, compiled


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = compiled(tmp_path_factory.mktemp("emulation"))
    if made is None:
        pytest.skip("there is no C++ compiler to compile photon.cu for the host")
    return made


@pytest.fixture
def device(library: Path) -> Iterator[EmulatedDevice]:
    made = EmulatedDevice(library)
    yield made
    made.check_guards()
