"""The device is chosen for the process, and a GPU that cannot be had is refused in a person's words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance.config import Config, PlanningConfig
from appliance.errors import DeviceUnavailable
from appliance.planning import compute
from appliance.planning.compute import backend, device_errors, select_device
from engines.errors import DeviceError
from engines.photon.backend.driver import driver_devices


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    asked = compute._asked[0]
    yield
    compute._asked[0] = asked


def test_the_cpu_stays_chosen_once_it_is_asked_for():
    choice = select_device("cpu")
    assert (choice.backend.name, backend()) == ("cpu", choice.backend)


def test_a_demanded_gpu_that_is_missing_is_refused_and_changes_nothing():
    devices, missing = driver_devices()
    if devices:
        pytest.skip("this machine has a CUDA device")
    select_device("cpu")
    with pytest.raises(DeviceUnavailable, match="With --device cpu everything is computed without it") as refused:
        select_device("cuda")
    assert missing in refused.value.sentence
    assert backend().name == "cpu"


def test_auto_says_why_it_took_the_cpu():
    if driver_devices()[0]:
        pytest.skip("this machine has a CUDA device")
    choice = select_device("auto")
    assert (choice.backend.name, choice.why) == ("cpu", f"no GPU is used: {driver_devices()[1]}")


def test_what_a_device_fails_with_becomes_a_sentence():
    with pytest.raises(DeviceUnavailable, match="The compute device cannot be used: out of memory"), device_errors():
        raise DeviceError("out of memory")


def test_the_configuration_knows_the_devices():
    assert {PlanningConfig(device=name).device for name in ("auto", "cpu", "cuda")} == {"auto", "cpu", "cuda"}
    assert Config().planning.device == "auto"
