"""One gradient of the dose on a GPU: 180 control points, a million voxels.

    ./build.sh bench gpu_dose [--beams N] [--side VOXELS] [--runs N]

Needs a CUDA device; without one it says what is missing and ends with exit code 0. A cube of water under a full arc;
the operator is made once, then forward and adjoint run with everything on the device. Printed: medians of the device's
own clock for the kernels alone (the goal of 10 ms is theirs), of the wall clock with fluence up and dose down, bytes
and operations (`traffic`), the floor that follows from the device's bandwidth, and the fraction of it that is reached.
The floor is the peer here: the same run on the CPU would be minutes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engines.errors import DeviceError  # noqa: E402
from engines.grid import Grid  # noqa: E402
from engines.photon.backend.choice import open_cuda  # noqa: E402
from engines.photon.backend.protocol import Exposure  # noqa: E402
from engines.photon.beam_model import load_beam_model  # noqa: E402
from engines.photon.dose import Medium  # noqa: E402
from engines.photon.frame import beam_frame  # noqa: E402
from engines.photon.raster import Raster  # noqa: E402

GOAL_MS = 10.0
RASTER = Raster(-198.75, -198.75, 2.5, 160, 160)
BANDWIDTH_GB_S = {"H100": 3350.0, "H200": 4800.0, "Orin": 204.8}
"""Of the SXM cards and the AGX module, NVIDIA's data sheets (H100, H200; Jetson AGX Orin technical brief)."""


def traffic(n: int, beams: int, raster: Raster) -> tuple[dict[str, float], dict[str, float]]:
    """({part: bytes}, {part: operations}) of one gradient, each array counted once a kernel that touches it; what
    caches spare or repeat is not counted. Operations: multiplications and additions; a point under a beam takes about
    110, its four exponentials (some ten instructions each) among them."""
    pairs, pixels = float(n) * beams, float(raster.nu * raster.nv * beams)
    product = 2.0 * raster.nu * raster.nv * (raster.nu + raster.nv) * beams
    moved = {
        "forward": 4 * pairs + 20 * n + 16 * pixels,
        "adjoint": 8 * pairs + 24 * n + 2 * 48 * pixels + 12 * pixels,
        "convolutions": 2 * 4 * pixels * (2 + 2 + 2 + 4 + 6 + 6),
    }
    return moved, {"forward": 110 * pairs, "adjoint": 110 * pairs, "convolutions": 2 * 4 * product}


def main() -> int:
    parser = argparse.ArgumentParser(description="One gradient of the dose on a GPU.")
    parser.add_argument("--beams", type=int, default=180)
    parser.add_argument("--side", type=int, default=100)
    parser.add_argument("--runs", type=int, default=20)
    asked = parser.parse_args()
    n = asked.side**3
    moved, done = traffic(n, asked.beams, RASTER)
    total = sum(moved.values())
    print(
        f"{asked.beams} control points, {n:,} voxels: {total / 1e9:.2f} GB, {sum(done.values()) / 1e9:.0f} G operations"
    )
    for name, rate in BANDWIDTH_GB_S.items():
        print(f"  floor by bandwidth, {name}: {total / rate / 1e6:.2f} ms")
    try:
        backend = open_cuda()
    except DeviceError as error:
        print(f"not measured: {error}")
        return 0
    grid = Grid((-1.0 * asked.side,) * 3, (2.0, 2.0, 2.0), (asked.side,) * 3)
    frames = tuple(beam_frame((0.0, 0.0, 0.0), float(a)) for a in np.linspace(0, 360, asked.beams, endpoint=False))
    medium, model = (
        Medium(grid, np.ones(grid.shape, np.float32)),
        load_beam_model(ROOT / "models/beam/generic_6mv.json"),
    )
    started = time.perf_counter()
    exposure = Exposure.of(medium, frames, grid.centres_mm(np.arange(grid.size)))
    operator = backend.dose_operator(model, RASTER, exposure)
    print(f"{backend.summary}: operator made in {time.perf_counter() - started:.2f} s")
    fluence = np.random.default_rng(0).uniform(0, 1, (asked.beams, RASTER.nv, RASTER.nu)).astype(np.float32)
    slope = np.random.default_rng(1).uniform(-1, 1, n).astype(np.float32)
    kernels, walls = [], []
    for _ in range(asked.runs + 2):
        start = time.perf_counter()
        operator.forward(fluence)
        operator.adjoint(slope)
        walls.append(1e3 * (time.perf_counter() - start))
        kernels.append(1e3 * operator.kernel_seconds())
    ms, wall = statistics.median(kernels[2:]), statistics.median(walls[2:])
    reached = total / ms / 1e6
    print(f"kernels {ms:.2f} ms (goal {GOAL_MS:g}), with transfers {wall:.2f} ms; {reached:.0f} GB/s moved")
    for name, rate in BANDWIDTH_GB_S.items():
        if name in backend.summary:
            print(f"  {100 * reached / rate:.0f} % of this device's {rate:g} GB/s")
    return 0 if ms <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
