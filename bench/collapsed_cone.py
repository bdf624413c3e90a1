"""Time of the collapsed cone on a million 3 mm voxels of water: 9 beams of 10 x 10 cm, an arc of 180 directions, and
the same arc with head scatter and 1.5 % of leakage everywhere, as a plan's arc has.

    python bench/collapsed_cone.py [repeats]

Prints median wall and CPU seconds, and what memory bandwidth alone would ask for.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the program does: its idle threads would spin

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engines.photon.superposition.cones import DEGREE, cones  # noqa: E402
from engines.photon.superposition.dose import SuperpositionDose  # noqa: E402
from engines.photon.superposition.incidence import Exposure  # noqa: E402
from engines.photon.superposition.model import ExtraFocal  # noqa: E402
from tests.engines.photon.superposition.cases import box, point_source, square  # noqa: E402

VOXELS, MM = 100, 3.0
LEAKAGE = 0.015


def leaking(exposure: Exposure) -> Exposure:
    return replace(exposure, draw=lambda raster: (1 - LEAKAGE) * exposure.draw(raster) + np.float32(LEAKAGE))


def run(name: str, gantry_deg: np.ndarray, repeats: int, *, head: bool = False) -> None:
    half = VOXELS * MM / 2
    model = point_source(extra_focal=ExtraFocal(0.07, 25.0, 125.0, 450.0)) if head else point_source()
    engine = SuperpositionDose(model, box((half, half, half), MM))
    exposures = [square(50.0, gantry_deg=float(g)) for g in gantry_deg]
    exposures = [leaking(exposure) for exposure in exposures] if head else exposures
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
    half = VOXELS * MM / 2
    engine = SuperpositionDose(point_source(), box((half, half, half), MM))
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    run("9 beams", np.arange(9) * 40.0, repeats)
    run("arc of 180", np.arange(180) * 2.0, 1)
    run("arc of 180, head scatter and leakage", np.arange(180) * 2.0, 1, head=True)
    grids = [where.density.size for where in (engine.where, engine.scatter_grid)]
    moved = (
        sum(12 * len(cones(DEGREE).directions) * size for size in grids) / 1e9
    )  # density read, dose read and written
    speed = bandwidth_gb_s()
    print(
        f"sweeps through {grids[0]} and {grids[1]} voxels move at least {moved:.1f} GB; at {speed:.1f} GB/s that is "
        f"{moved / speed:.2f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
