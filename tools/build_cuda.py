"""Compiles the GPU kernels: engines/photon/kernels/photon.cu to engines/photon/photon.fatbin.

    python tools/build_cuda.py [--out FILE] [--verbose]

Looks for nvcc in COUCHSIDE_NVCC, PATH, CUDA_HOME, /usr/local/cuda*, and the packages nvidia-cuda-nvcc and friends of
this Python ('pip install .[cuda]'). Exit code 0: built, or there already from the same sources; 3: there is no nvcc, or
none that knows the architectures, with the reason on stdout; 1: nvcc failed. No GPU is needed to compile.

Machine code for sm_87 (Jetson Orin) and sm_90 (H100, H200), and PTX for compute capability 7.5: the oldest that nvcc 13
still accepts, so that the driver can compile the kernels for every GPU from Turing on, later ones included. Nothing in
the kernels needs more; what newer PTX adds (asynchronous copies, clusters) they do not use.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engines.photon.backend.fatbin import FATBIN, SOURCES, sources_digest  # noqa: E402

CUBINS, PTX = (87, 90), 75
OLDEST_NVCC = (11, 8)
"""The first that knows both sm_87 (11.4) and sm_90 (11.8)."""
# No --use_fast_math: expf and division keep their accuracy, denormals and NaN their meaning (docs/gpu.md).
FLAGS = ("-std=c++17", "-O3", "-lineinfo", "-fatbin", "-Xptxas", "-v")
NO_COMPILER, FAILED = 3, 1


def candidates() -> Iterator[Path]:
    for variable in ("COUCHSIDE_NVCC", "CUDACXX"):
        if os.environ.get(variable):
            yield Path(os.environ[variable])
    found = shutil.which("nvcc")
    if found:
        yield Path(found)
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            yield Path(os.environ[variable]) / "bin" / "nvcc"
    yield Path("/usr/local/cuda/bin/nvcc")
    yield from sorted(Path("/usr/local").glob("cuda-*/bin/nvcc"), reverse=True)
    packages = Path(sysconfig.get_path("purelib")) / "nvidia"
    yield from sorted(packages.glob("cu*/bin/nvcc"), reverse=True)


def find_nvcc() -> tuple[Path | None, str]:
    """(nvcc, its version), or (None, why there is none)."""
    rejected = []
    for nvcc in candidates():
        if not nvcc.is_file():
            continue
        answer = subprocess.run([str(nvcc), "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"release (\d+)\.(\d+), V([\d.]+)", answer)
        if found and (int(found[1]), int(found[2])) >= OLDEST_NVCC:
            return nvcc, found[3]
        rejected.append(f"{nvcc} is older than {OLDEST_NVCC[0]}.{OLDEST_NVCC[1]}" if found else f"{nvcc} does not run")
    return None, "; ".join(rejected) or "there is no nvcc (COUCHSIDE_NVCC, PATH, CUDA_HOME, /usr/local/cuda, pip's)"


def command(nvcc: Path, out: Path) -> list[str]:
    targets = [f"-gencode=arch=compute_{c},code=sm_{c}" for c in CUBINS]
    targets.append(f"-gencode=arch=compute_{PTX},code=compute_{PTX}")
    return [str(nvcc), *FLAGS, *targets, str(SOURCES / "photon.cu"), "-o", str(out)]


def build(nvcc: Path, version: str, out: Path) -> str:
    """Compiles to `out` and writes its manifest beside it; returns what nvcc said. Raises CalledProcessError."""
    part = out.with_suffix(".part")
    done = subprocess.run(command(nvcc, part), capture_output=True, text=True, check=True)
    image = part.read_bytes()
    manifest = {
        "cubins": CUBINS,
        "ptx": (PTX,),
        "compiler": version,
        "sources_sha256": sources_digest(),
        "image_sha256": hashlib.sha256(image).hexdigest(),
    }
    os.replace(part, out)
    manifest_of(out).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return done.stdout + done.stderr


def manifest_of(out: Path) -> Path:
    return out.with_name(out.name + ".json")


def is_fresh(out: Path, version: str) -> bool:
    try:
        manifest = json.loads(manifest_of(out).read_text("utf-8"))
        image = hashlib.sha256(out.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False
    wanted: dict[str, object] = {"compiler": version, "sources_sha256": sources_digest(), "image_sha256": image}
    wanted |= {"cubins": list(CUBINS), "ptx": [PTX]}
    return bool(manifest == wanted)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compiles the GPU kernels.")
    parser.add_argument("--out", type=Path, default=FATBIN)
    parser.add_argument("--verbose", action="store_true", help="show registers and spills of each kernel")
    arguments = parser.parse_args()
    nvcc, version = find_nvcc()
    if nvcc is None:
        sys.stdout.write(f"not built: {version}\n")
        return NO_COMPILER
    if is_fresh(arguments.out, version) and not arguments.verbose:
        sys.stdout.write("built already\n")
        return 0
    try:
        told = build(nvcc, version, arguments.out)
    except subprocess.CalledProcessError as error:
        sys.stdout.write(f"nvcc {version} failed:\n{error.stderr[-4000:]}\n")
        return FAILED
    targets = ", ".join([*(f"sm_{c}" for c in CUBINS), f"PTX {PTX / 10:.1f}"])
    sys.stdout.write((told if arguments.verbose else "") + f"built for {targets} by nvcc {version}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
