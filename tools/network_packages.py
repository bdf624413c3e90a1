"""Installs what runs networks fast on this machine; build.sh calls it with the environment's own Python.

    python tools/network_packages.py run     TensorRT and ONNX Runtime for a GPU, where a GPU is
    python tools/network_packages.py dev     and TensorRT-RTX, with which the tests build engines without a GPU

Without a GPU OpenVINO comes, which is faster than ONNX Runtime on a CPU.

What cannot be had is said in a line and never fails the build: networks then run in ONNX Runtime on the CPU. The
packages' versions are those of pyproject.toml's extras `gpu` and `rtx`.
"""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JETSON = Path("/etc/nv_tegra_release")
SYSTEM_PACKAGES = Path("/usr/lib/python3/dist-packages")
"""Where Debian's and JetPack's Python packages lie."""
TOO_LONG_S = 900


@dataclass(frozen=True)
class Machine:
    """cpu: as `uname -m` has it. cuda: what the driver can run, 12 or 13; 0 without a driver or device."""

    cpu: str
    cuda: int
    jetson: bool

    @staticmethod
    def this() -> Machine:
        return Machine(platform.machine(), driver_cuda(), JETSON.exists())


@dataclass(frozen=True)
class Want:
    """One line of output. install: requirements. remove: distributions that have the same files as the new ones and
    must go first. link: a package of the system to be seen from the environment. alone: without what they depend on."""

    title: str
    install: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    link: str = ""
    alone: bool = False


def driver_cuda() -> int:
    """Major version of CUDA that the driver supports, where it has a device: cuInit, cuDeviceGetCount,
    cuDriverGetVersion of the driver API."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count, number = ctypes.c_int(0), ctypes.c_int(0)
    fine = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return number.value // 1000 if fine and driver.cuDriverGetVersion(ctypes.byref(number)) == 0 else 0


def extra(name: str) -> dict[str, str]:
    """Requirements of an extra of pyproject.toml, by distribution."""
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"][name]
    bare = [line.split(";")[0].strip() for line in lines]
    return {line.partition(">")[0].partition("=")[0].partition("[")[0]: line for line in bare}


def wanted(machine: Machine, kind: str) -> tuple[Want, ...]:
    """What this machine should have, in order.

    A Jetson has TensorRT from JetPack, built for its GPU; the index has neither that nor ONNX Runtime for it. The
    packages onnxruntime and onnxruntime-gpu hold the same module: with both installed, whichever came last wins file
    by file, so the first one goes."""
    made: list[Want] = []
    if machine.cuda:
        gpu = extra("gpu")
        made.append(Want("onnx (for half precision)", (gpu["onnx"],)))
        if machine.jetson:
            made.append(Want("TensorRT of JetPack", link="tensorrt"))
        else:
            of_driver = gpu["tensorrt"].replace("tensorrt", f"tensorrt-cu{min(max(machine.cuda, 12), 13)}", 1)
            made.append(Want("TensorRT (some GB)", (of_driver,)))
            if machine.cpu == "x86_64":
                made.append(Want("ONNX Runtime for the GPU", (gpu["onnxruntime-gpu"],), ("onnxruntime",)))
    if kind == "dev" or not machine.cuda:
        made.append(Want("OpenVINO, for networks on the CPU", tuple(extra("openvino").values()), alone=True))
    if kind == "dev" and machine.cpu == "x86_64":
        made.append(Want("TensorRT-RTX, to build engines", tuple(extra("rtx").values())))
    return tuple(made)


def here(requirement: str) -> bool:
    """Whether this distribution is installed, in whichever version."""
    name = requirement.partition(">")[0].partition("=")[0].partition("[")[0]
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def fetched(want: Want) -> str:
    """Does it; in a few words what came of it."""
    if want.link:
        return linked(want.link)
    if all(here(one) for one in want.install) and not any(here(one) for one in want.remove):
        return "there already"
    start = time.monotonic()
    # A wheel first, so that a failure leaves what was there.
    if not pip("download", "--no-deps", "--dest", str(ROOT / "build" / "wheels"), *want.install):
        return "not to be had"
    if want.remove:
        pip("uninstall", "--yes", *want.remove, *(one.partition(">")[0].partition("[")[0] for one in want.install))
    alone = ["--no-deps"] if want.alone else []
    if pip("install", *alone, "--find-links", str(ROOT / "build" / "wheels"), *want.install):
        return f"installed ({time.monotonic() - start:.0f} s)"
    if want.remove:
        pip("install", *want.remove)
    return "could not be installed"


def linked(package: str) -> str:
    """A link in the environment to one package of the system: all of the system's packages would come along with
    --system-site-packages, old ones that ours are built against among them."""
    place = Path(next(path for path in sys.path if path.endswith("site-packages"))) / package
    source = SYSTEM_PACKAGES / package
    if not place.exists():
        if not source.is_dir():
            return f"not there ({source}); apt-get install python3-libnvinfer"
        place.symlink_to(source)
    if subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True, check=False).returncode == 0:
        return "linked"
    place.unlink()
    return f"made for another Python than {sys.version_info[0]}.{sys.version_info[1]}; networks run on the CPU"


def pip(*arguments: str) -> bool:
    """Its output goes to stderr, which build.sh keeps as a log."""
    command = [sys.executable, "-m", "pip", *arguments]
    try:
        return subprocess.run(command, stdout=sys.stderr, check=False, timeout=TOO_LONG_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) > 1 else "run"
    machine = Machine.this()
    if not machine.cuda:
        print(f"  {'networks on a GPU':<44}no CUDA device is here: they run on the CPU")
    for want in wanted(machine, kind):
        print(f"  {want.title:<44}", end="", flush=True)
        print(fetched(want), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
