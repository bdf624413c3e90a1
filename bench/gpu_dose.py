"""Dose on a GPU: one gradient of the pencil beam (180 control points, a million voxels), and collapsed-cone doses.

    ./build.sh bench gpu_dose [--beams N] [--side VOXELS] [--runs N] [--floors]

Needs a CUDA device; without one it prints floors, says what is missing and ends with exit code 0. --floors: only those.
A cube of water under a full arc; the operator is made once, then forward and adjoint run with everything on the device.
Printed: medians of the device's own clock for the kernels alone (the goal of 10 ms is theirs), of the wall clock with
fluence up and dose down, bytes and operations (`traffic`, `cone_traffic`), the floor that follows from the device's
bandwidth and peak, and the fraction that is reached. Collapsed cone: 9 beams and an arc of 180 directions (22 of
incidence) of 10 x 10 cm on a cube of 3 mm voxels; the CPU's dose of the 9 beams is timed in the same run. For the
pencil beam the floor is the peer: the same run on the CPU would be minutes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engines.errors import DeviceError  # noqa: E402
from engines.grid import Grid  # noqa: E402
from engines.photon.backend.choice import open_cuda  # noqa: E402
from engines.photon.backend.cone_sweep import SLOTS  # noqa: E402
from engines.photon.backend.cuda_dose import CudaBackend  # noqa: E402
from engines.photon.backend.protocol import Exposure  # noqa: E402
from engines.photon.beam_model import load_beam_model  # noqa: E402
from engines.photon.calibrate import square_field  # noqa: E402
from engines.photon.dose import Medium  # noqa: E402
from engines.photon.frame import beam_frame  # noqa: E402
from engines.photon.raster import Raster  # noqa: E402
from engines.photon.superposition.cones import DEGREE, SCATTER_DEGREE, cones  # noqa: E402
from engines.photon.superposition.dose import SuperpositionDose  # noqa: E402
from engines.photon.superposition.incidence import Exposure as StillExposure  # noqa: E402

GOAL_MS = 10.0
CONE_MM, FIELD_MM = 3.0, 100.0
RASTER = Raster(-198.75, -198.75, 2.5, 160, 160)
BANDWIDTH_GB_S = {"H100": 3350.0, "H200": 4800.0, "Orin": 204.8}
"""Of the SXM cards and the AGX module, NVIDIA's data sheets (H100, H200; Jetson AGX Orin technical brief)."""
PEAK_T_S = {"H100": 67.0, "H200": 67.0, "Orin": 5.3}
"""Float32, multiplication and addition counted as two; same sources."""


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


def cone_traffic(voxels: int, groups: int, exposures: int) -> tuple[dict[str, float], float, float]:
    """({part: bytes}, bytes of the sweeps where all cones swept at once share what they read, operations of the sweeps)
    of one collapsed-cone dose, if every direction of incidence releases energy in every voxel (with head scatter and
    leakage nearly so: the field and 120 mm around it). Primary goes twice through each cone on average (sets of lines),
    scatter and what is far from fields once through the voxels of their own grid, twice as wide. Operations counted in
    cone_lines: about 65 a voxel and sweep for deposition, 40 for each direction of incidence."""
    v, coarse = float(voxels), voxels / 8
    primary, scatter = (len(cones(degree).directions) for degree in (DEGREE, SCATTER_DEGREE))
    swept = 2 * primary * v + (scatter + primary) * coarse
    grids = v + 2 * coarse
    moved = {
        "released energy": exposures * ((v + coarse) * (4 + 4 + 16 + 8) + v * (4 + 4) + 4 * coarse),
        "turning and hulls": grids * groups * (8 + 2 * 4),
        "sweeps": swept * (4 + 8 + 4 * groups),
        "sum of slots": 2 * grids * (4 * SLOTS + 8),
    }
    shared = swept * 8 + swept / SLOTS * (4 + 4 * groups)
    return moved, shared, swept * (65.0 + 40.0 * groups)


def print_cone_floor(name: str, voxels: int, groups: int, exposures: int) -> None:
    moved, shared, done = cone_traffic(voxels, groups, exposures)
    print(f"collapsed cone, {name}, {voxels:,} voxels: " + ", ".join(f"{p} {b / 1e9:.1f} GB" for p, b in moved.items()))
    for card, rate in BANDWIDTH_GB_S.items():
        print(
            f"  sweeps on {card}: {moved['sweeps'] / rate / 1e6:.1f} ms by bytes ({shared / rate / 1e6:.1f} where "
            f"cones share their reads), {done / PEAK_T_S[card] / 1e9:.1f} ms by {done / 1e9:.0f} G operations"
        )


def pencil_beam(backend: CudaBackend, beams: int, side: int, runs: int) -> float:
    """Median milliseconds of the kernels of one gradient."""
    grid = Grid((-1.0 * side,) * 3, (2.0, 2.0, 2.0), (side,) * 3)
    frames = tuple(beam_frame((0.0, 0.0, 0.0), float(a)) for a in np.linspace(0, 360, beams, endpoint=False))
    medium = Medium(grid, np.ones(grid.shape, np.float32))
    model = load_beam_model(ROOT / "models/beam/generic_6mv.json")
    started = time.perf_counter()
    exposure = Exposure.of(medium, frames, grid.centres_mm(np.arange(grid.size)))
    operator = backend.dose_operator(model, RASTER, exposure)
    print(f"{backend.summary}: operator made in {time.perf_counter() - started:.2f} s")
    fluence = np.random.default_rng(0).uniform(0, 1, (beams, RASTER.nv, RASTER.nu)).astype(np.float32)
    slope = np.random.default_rng(1).uniform(-1, 1, grid.size).astype(np.float32)
    kernels, walls = [], []
    for _ in range(runs + 2):
        start = time.perf_counter()
        operator.forward(fluence)
        operator.adjoint(slope)
        walls.append(1e3 * (time.perf_counter() - start))
        kernels.append(1e3 * operator.kernel_seconds())
    ms, wall = statistics.median(kernels[2:]), statistics.median(walls[2:])
    reached = sum(traffic(grid.size, beams, RASTER)[0].values()) / ms / 1e6
    print(f"kernels {ms:.2f} ms (goal {GOAL_MS:g}), with transfers {wall:.2f} ms; {reached:.0f} GB/s moved")
    parts = [operator.seconds_by_kernel() for _ in range(runs)]
    told = {kernel: 1e3 * statistics.median(p[kernel] for p in parts) for kernel in parts[0]}
    print("  " + ", ".join(f"{kernel} {spent:.2f} ms" for kernel, spent in sorted(told.items(), key=lambda k: -k[1])))
    for name, rate in BANDWIDTH_GB_S.items():
        if name in backend.summary:
            print(f"  {100 * reached / rate:.0f} % of this device's {rate:g} GB/s")
    return ms


def collapsed_cone(backend: CudaBackend, side: int, runs: int) -> None:
    """Prints device time of each part, wall time with what the CPU draws, and the CPU's own time of the 9 beams."""
    grid = Grid((-CONE_MM * (side - 1) / 2,) * 3, (CONE_MM,) * 3, (side,) * 3)
    medium = Medium(grid, np.ones(grid.shape, np.float32))
    model = load_beam_model(ROOT / "models/beam/couchside_6mv.json").superposition
    if model is None:
        raise SystemExit("couchside_6mv.json has no superposition section")
    engine, half = backend.superposition(model, medium), FIELD_MM / 2
    for name, angles in (("9 beams", np.arange(9) * 40.0), ("arc of 180", np.arange(180) * 2.0)):
        still = [
            StillExposure(beam_frame((0, 0, 0), float(a)), lambda r: square_field(r, FIELD_MM), (-half, half) * 2)
            for a in angles
        ]
        parts = [engine.kernel_seconds(still) for _ in range(runs)]
        walls = [seconds_of(lambda still=still: engine.on_dose_grid(still)) for _ in range(runs)]
        medians = {part: 1e3 * statistics.median(p[part] for p in parts) for part in parts[0]}
        told = ", ".join(f"{part} {ms:.1f} ms" for part, ms in medians.items())
        print(
            f"collapsed cone, {name}: {told}; wall {1e3 * statistics.median(walls):.0f} ms with heads drawn on the CPU"
        )
        if len(angles) == 9:
            cpu = SuperpositionDose(model, medium)
            print(f"  the CPU of this machine: {1e3 * seconds_of(lambda s=still, c=cpu: c.on_dose_grid(s)):.0f} ms")


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description="Dose on a GPU: gradient of the pencil beam, collapsed cone.")
    parser.add_argument("--beams", type=int, default=180)
    parser.add_argument("--side", type=int, default=100)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--floors", action="store_true")
    asked = parser.parse_args()
    n = asked.side**3
    moved, done = traffic(n, asked.beams, RASTER)
    total = sum(moved.values())
    print(
        f"{asked.beams} control points, {n:,} voxels: {total / 1e9:.2f} GB, {sum(done.values()) / 1e9:.0f} G operations"
    )
    for name, rate in BANDWIDTH_GB_S.items():
        print(f"  floor by bandwidth, {name}: {total / rate / 1e6:.2f} ms")
    print_cone_floor("9 beams", n, 9, 9)
    print_cone_floor("arc of 180", n, 22, 180)
    if asked.floors:
        return 0
    try:
        backend = open_cuda()
    except DeviceError as error:
        print(f"not measured: {error}")
        return 0
    ms = pencil_beam(backend, asked.beams, asked.side, asked.runs)
    collapsed_cone(backend, asked.side, max(1, asked.runs // 4))
    return 0 if ms <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
