"""Figures of the machine, read from files as Linux writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.config import Config
from appliance.health import Status, hardware

CPUINFO = "processor\t: 0\nmodel name\t: First CPU @ 2.00GHz\n\nprocessor\t: 1\nmodel name\t: Second\n"
MEMINFO = (
    "MemTotal:       16384000 kB\nMemFree:         1024000 kB\nMemAvailable:    8192000 kB\nHugePages_Total:       0\n"
)


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(MEMINFO)
    return tmp_path


def test_this_machine_is_described() -> None:
    finding = hardware.check(Config())
    assert finding.status in Status
    assert finding.detail["cores"] == pytest.approx(len(os.sched_getaffinity(0)), abs=64)
    assert 0 < int(str(finding.detail["available_memory_mb"])) <= int(str(finding.detail["memory_mb"]))


def test_the_cpu_model_is_the_first_processors(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(CPUINFO)
    assert hardware.cpu_model(file) == "First CPU @ 2.00GHz"
    file.write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")
    assert hardware.cpu_model(file) == os.uname().machine


@pytest.mark.parametrize(("text", "cores"), [("50000 100000\n", 0.5), ("100000 100000", 1.0), ("max 100000\n", None)])
def test_a_cgroup_quota_counts(tmp_path: Path, text: str, cores: float | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert hardware.usable_cores(tmp_path / "cpu.max") == (cores or len(os.sched_getaffinity(0)))
    assert hardware.usable_cores(tmp_path / "missing") == len(os.sched_getaffinity(0))


def test_memory_is_in_mib_and_within_the_cgroups_limit(cgroup: Path) -> None:
    assert hardware.memory_mb(cgroup / "meminfo", cgroup) == (16000, 8000)
    (cgroup / "memory.max").write_text("max\n")
    assert hardware.memory_mb(cgroup / "meminfo", cgroup) == (16000, 8000)
    (cgroup / "memory.max").write_text(f"{2048 << 20}\n")
    (cgroup / "memory.current").write_text(f"{1536 << 20}\n")
    assert hardware.memory_mb(cgroup / "meminfo", cgroup) == (2048, 512)


def test_nvidia_display_controllers_are_counted(tmp_path: Path) -> None:
    for name, vendor, kind in (
        ("0", "0x10de", "0x030200"),
        ("1", "0x10de", "0x030000"),
        ("2", "0x10de", "0x040300"),
        ("3", "0x1002", "0x030000"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(vendor + "\n")
        (tmp_path / name / "class").write_text(kind + "\n")
    assert hardware.gpus_on_bus(tmp_path) == 2
    assert hardware.gpus_on_bus(tmp_path / "no-pci") == 0


def install(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_what_nvidia_smi_prints_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, 'echo "NVIDIA T400, 2048 MiB, 550.54"', monkeypatch)
    assert hardware.nvidia_smi() == ("NVIDIA T400, 2048 MiB, 550.54",)


def test_a_gpu_whose_driver_is_dead_is_degraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "echo 'Unable to determine the device handle' >&2; exit 15", monkeypatch)
    monkeypatch.setattr(hardware, "gpus_on_bus", lambda: 1)
    monkeypatch.setattr(hardware, "memory_mb", lambda: (16000, 8000))
    monkeypatch.setattr(hardware, "usable_cores", lambda: 2.0)
    finding = hardware.check(Config())
    assert (finding.status, "driver" in finding.sentence) == (Status.DEGRADED, True)


@pytest.mark.parametrize(("memory", "cores", "word"), [((8000, 1000), 2.0, "memory"), ((8000, 4000), 1.0, "cores")])
def test_too_little_is_degraded(
    monkeypatch: pytest.MonkeyPatch, memory: tuple[int, int], cores: float, word: str
) -> None:
    monkeypatch.setattr(hardware, "memory_mb", lambda: memory)
    monkeypatch.setattr(hardware, "usable_cores", lambda: cores)
    finding = hardware.check(Config())
    assert (finding.status, word in finding.sentence) == (Status.DEGRADED, True)
