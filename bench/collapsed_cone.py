"""Time of the collapsed cone: 9 beams of 10 x 10 cm, and an arc of 180 directions, on a million 3 mm voxels of water.

    python bench/collapsed_cone.py [repeats]

Prints median wall and CPU seconds, the sweep's own share, and what memory bandwidth alone would ask for.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engines.photon.superposition.cones import cones  # noqa: E402
from engines.photon.superposition.dose import SETS, SuperpositionDose  # noqa: E402
from tests.engines.photon.superposition.cases import box, point_source, square  # noqa: E402

VOXELS, MM = 100, 3.0


def run(name: str, gantry_deg: np.ndarray, repeats: int) -> None:
    half = VOXELS * MM / 2
    engine = SuperpositionDose(point_source(), box((half, half, half), MM))
    exposures = [square(50.0, gantry_deg=float(g)) for g in gantry_deg]
    wall, cpu = [], []
    for _ in range(repeats):
        at, used = time.perf_counter(), time.process_time()
        engine.calculate(exposures)
        wall.append(time.perf_counter() - at)
        cpu.append(time.process_time() - used)
    print(f"{name}: {median(wall):.1f} s wall, {median(cpu):.1f} s CPU")


def bandwidth_gb_s() -> float:
    """Of a copy that no cache holds: read and write."""
    a, b = np.ones(1 << 26, np.float32), np.empty(1 << 26, np.float32)
    times = []
    for _ in range(5):
        at = time.perf_counter()
        np.copyto(b, a)
        times.append(time.perf_counter() - at)
    return 2 * a.nbytes / median(times) / 1e9


def main() -> int:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    run("9 beams", np.arange(9) * 40.0, repeats)
    run("arc of 180", np.arange(180) * 2.0, 1)
    sweeps = SETS * len(cones().directions)
    moved = sweeps * VOXELS**3 * 12 / 1e9  # density read, dose read and written
    speed = bandwidth_gb_s()
    print(f"{sweeps} sweeps move at least {moved:.1f} GB; at {speed:.1f} GB/s that is {moved / speed:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
