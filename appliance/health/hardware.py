"""Check 'hardware': the processor, the memory and the graphics processor that are really there.

Reads /proc/cpuinfo, the cores this process may use (affinity and cgroup v2 quota, so a container tells the truth),
/proc/meminfo with the cgroup's memory limit, the PCI bus for NVIDIA display controllers, and nvidia-smi if it is
installed. Degraded with fewer than MINIMUM_CORES cores, less than MINIMUM_MEMORY_MB available, or a GPU on the bus
that its driver does not answer for. A machine without a GPU is in order: this release computes on the CPU.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from pydantic import JsonValue

from appliance.config import Config
from appliance.health.result import Finding, Status

MINIMUM_CORES = 2
MINIMUM_MEMORY_MB = 1536
"""What the largest planned case (OpenKBP, 9 beams) may use resident by this release's own limit, 1.5 GiB."""

NVIDIA_VENDOR = "0x10de"
DISPLAY_CLASSES = ("0x0300", "0x0302")
"""PCI class codes 03h/00h VGA controller and 03h/02h 3-D controller (PCI Code and ID Assignment Specification)."""


def check(config: Config) -> Finding:
    cores, (total_mb, available_mb), gpus = usable_cores(), memory_mb(), gpus_on_bus()
    driver = nvidia_smi()
    detail: dict[str, JsonValue] = {
        "cpu": cpu_model(),
        "cores": cores,
        "memory_mb": total_mb,
        "available_memory_mb": available_mb,
        "gpus_on_bus": gpus,
        "gpus": list(driver),
    }
    gpu = f"GPU: {', '.join(driver)}" if driver else "no GPU"
    found = f"{detail['cpu']}, {cores:g} cores, {total_mb / 1024:.1f} GiB memory, {gpu}"
    if available_mb < MINIMUM_MEMORY_MB:
        sentence = (
            f"Only {available_mb} MB of memory are free; planning may need {MINIMUM_MEMORY_MB}. Close other programs."
        )
        return Finding(Status.DEGRADED, sentence, detail)
    if cores < MINIMUM_CORES:
        sentence = f"Only {cores:g} cores may be used; planning is sized for {MINIMUM_CORES} and will be slow."
        return Finding(Status.DEGRADED, sentence, detail)
    if gpus and not driver:
        return Finding(
            Status.DEGRADED, f"{gpus} NVIDIA GPU on the bus, but its driver does not answer: install it.", detail
        )
    return Finding(Status.OK, f"{found}.", detail)


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """'model name' on x86; other architectures name the part or nothing."""
    fields: dict[str, str] = {}
    for line in cpuinfo.read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields.get("model name") or fields.get("Model") or os.uname().machine


def usable_cores(cpu_max: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """Cores of the affinity mask, or the cgroup v2 quota if that is less ('max' or 'quota period' in microseconds)."""
    cores = float(len(os.sched_getaffinity(0)))
    quota, _, period = cpu_max.read_text().strip().partition(" ") if cpu_max.is_file() else ("max", "", "")
    return cores if quota == "max" else min(cores, int(quota) / int(period))


def memory_mb(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """(total, available) in MiB, within the cgroup v2 limit if there is one."""
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    total, available = (int(fields[name].split()[0]) // 1024 for name in ("MemTotal", "MemAvailable"))
    limit_file, current_file = cgroup / "memory.max", cgroup / "memory.current"
    limit = limit_file.read_text().strip() if limit_file.is_file() else "max"
    if limit != "max":
        limit_mb, used_mb = int(limit) >> 20, int(current_file.read_text()) >> 20
        total, available = min(total, limit_mb), min(available, max(limit_mb - used_mb, 0))
    return total, available


def gpus_on_bus(devices: Path = Path("/sys/bus/pci/devices")) -> int:
    def is_gpu(device: Path) -> bool:
        vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        return vendor == NVIDIA_VENDOR and kind.startswith(DISPLAY_CLASSES)

    return sum(map(is_gpu, devices.iterdir())) if devices.is_dir() else 0


def nvidia_smi() -> tuple[str, ...]:
    """'name, memory, driver' of each GPU as nvidia-smi tells; empty without nvidia-smi or without its answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=5.0, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())
