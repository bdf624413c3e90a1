"""The compiled GPU kernels: where they lie, what they were made from, and which devices they run on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from engines.errors import DeviceError

PHOTON = Path(__file__).resolve().parents[1]
SOURCES = PHOTON / "kernels"
FATBIN, MANIFEST = PHOTON / "photon.fatbin", PHOTON / "photon.fatbin.json"
"""Built by tools/build_cuda.py (./build.sh setup); not kept in the repository."""
SUFFIXES = (".cu", ".cuh", ".h")


def sources_digest(folder: Path = SOURCES) -> str:
    """SHA-256 of everything that photon.cu may include: a changed source makes a fat binary stale."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Fatbin:
    """`cubins`: compute capabilities with machine code (87 means 8.7). `ptx`: those of the portable code, which the
    driver compiles for newer devices. `compiler`: nvcc's version."""

    image: bytes
    cubins: tuple[int, ...]
    ptx: tuple[int, ...]
    compiler: str

    def check_runs_on(self, capability: tuple[int, int], name: str) -> None:
        """Machine code runs on its major version at the same or a later minor one, PTX from its capability on (CUDA C++
        Programming Guide, binary and PTX compatibility). Raises DeviceError."""
        major, minor = capability
        native = any(c // 10 == major and c % 10 <= minor for c in self.cubins)
        if not native and not any(c <= 10 * major + minor for c in self.ptx):
            raise DeviceError(f"the GPU kernels were not built for {name}, which is older than they need")

    @property
    def architectures(self) -> str:
        return ", ".join([*(f"sm_{c}" for c in self.cubins), *(f"PTX {c / 10:.1f}" for c in self.ptx)])


def load_fatbin(image: Path = FATBIN, manifest: Path = MANIFEST, sources: Path = SOURCES) -> Fatbin:
    """Raises DeviceError where there is none, or it was made from other sources than those that are here."""
    try:
        raw = json.loads(manifest.read_text("utf-8"))
        made = Fatbin(image.read_bytes(), tuple(raw["cubins"]), tuple(raw["ptx"]), str(raw["compiler"]))
        digests = (raw["image_sha256"], raw["sources_sha256"])
    except FileNotFoundError as error:
        raise DeviceError("the GPU kernels are not built; './build.sh setup' builds them where nvcc is") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeviceError(f"the GPU kernels cannot be read ({type(error).__name__}); run ./build.sh setup") from error
    if digests[0] != hashlib.sha256(made.image).hexdigest():
        raise DeviceError("the GPU kernels are damaged; run ./build.sh setup")
    if sources.is_dir() and digests[1] != sources_digest(sources):
        raise DeviceError("the GPU kernels were built from other sources than these; run ./build.sh setup")
    return made
