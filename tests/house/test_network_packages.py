"""Which packages run networks on which machine, and that they are the ones pyproject.toml names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import network_packages
from tools.network_packages import Machine, Want, driver_cuda, extra, fetched, here, linked, wanted

SERVER = Machine("x86_64", 13, jetson=False)
OLD_DRIVER = Machine("x86_64", 12, jetson=False)
ORIN = Machine("aarch64", 12, jetson=True)
GRACE = Machine("aarch64", 13, jetson=False)
LAPTOP = Machine("x86_64", 0, jetson=False)


def names(machine: Machine, kind: str = "run") -> list[str]:
    return [Requirement(one).name for want in wanted(machine, kind) for one in want.install]


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (SERVER, ["onnx", "tensorrt-cu13", "onnxruntime-gpu"]),
        (OLD_DRIVER, ["onnx", "tensorrt-cu12", "onnxruntime-gpu"]),
        (GRACE, ["onnx", "tensorrt-cu13"]),
        (ORIN, ["onnx"]),
        (LAPTOP, ["openvino"]),
    ],
)
def test_a_machine_gets_what_its_driver_and_processor_take(machine, expected):
    assert names(machine) == expected


def test_a_jetson_takes_tensorrt_from_jetpack():
    assert [want.link for want in wanted(ORIN, "run")] == ["", "tensorrt"]


def test_onnxruntime_goes_before_its_gpu_build_comes():
    (want,) = (want for want in wanted(SERVER, "run") if "onnxruntime-gpu" in want.install[0])
    assert want.remove == ("onnxruntime",)


def test_tests_build_engines_with_tensorrt_rtx_where_it_exists():
    assert names(LAPTOP, "dev") == ["openvino", "tensorrt-rtx-cu13-libs", "tensorrt-rtx-cu13-bindings"]
    assert names(ORIN, "dev") == ["onnx", "openvino"]


def test_bindings_and_libraries_are_of_one_version():
    assert len({str(Requirement(line).specifier) for line in extra("rtx").values()}) == 1


def test_pycuda_comes_first_because_build_sh_takes_the_first():
    assert next(iter(extra("gpu"))) == "pycuda"


def test_what_is_here_is_left_alone():
    assert here("onnxruntime>=1.20")
    assert not here("no-such-distribution[extra]>=1")
    assert fetched(Want("numpy", ("numpy>=2",))) == "there already"


def test_what_cannot_be_had_is_said_and_removes_nothing(monkeypatch):
    """pip is not asked for a name that nobody has registered: its answer is what is given here."""
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(network_packages, "pip", lambda *words: bool(asked.append(words)))
    want = Want("ONNX Runtime", ("onnxruntime-gpu[cuda]>=1.22",), ("onnxruntime",))
    if here("onnxruntime-gpu"):
        pytest.skip("onnxruntime-gpu is installed")
    assert fetched(want) == "not to be had"
    assert [words[0] for words in asked] == ["download"]


def test_a_gpu_build_that_does_not_install_gives_the_cpu_build_back(monkeypatch):
    asked: list[tuple[str, ...]] = []

    def pip(*words: str) -> bool:
        asked.append(words)
        return words[0] != "install" or words[-1] == "onnxruntime"

    monkeypatch.setattr(network_packages, "pip", pip)
    if here("onnxruntime-gpu"):
        pytest.skip("onnxruntime-gpu is installed")
    assert fetched(Want("x", ("onnxruntime-gpu[cuda]>=1.22",), ("onnxruntime",))) == "could not be installed"
    assert asked[1] == ("uninstall", "--yes", "onnxruntime", "onnxruntime-gpu")
    assert asked[-1] == ("install", "onnxruntime")


def test_a_system_package_is_linked_only_if_this_python_can_load_it(monkeypatch, tmp_path):
    site = tmp_path / "venv" / "site-packages"
    site.mkdir(parents=True)
    system = tmp_path / "system"
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setattr(network_packages, "SYSTEM_PACKAGES", system)
    assert linked("jetpacked").startswith("not there")
    (system / "jetpacked").mkdir(parents=True)
    start = system / "jetpacked" / "__init__.py"
    start.write_text("raise ImportError('built for Python 3.10')", "utf-8")
    assert linked("jetpacked").startswith("made for another Python")
    assert not (site / "jetpacked").exists()
    start.write_text("", "utf-8")
    assert linked("jetpacked") == "linked"
    assert Path(site / "jetpacked").resolve() == (system / "jetpacked").resolve()


def test_without_a_driver_there_is_no_cuda():
    from engines.photon.backend.driver import driver_devices

    assert (driver_cuda() > 0) == (driver_devices()[0] > 0)
