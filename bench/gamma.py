"""Gamma 3 %/2 mm of a plan's dose on a million points: ours against pymedphys 0.41 in the same run.

Doses: two calculations of one plan (three 16 x 16 cm fields on a water cylinder, 1.5 mm voxels, our pencil beam), the
second with its isocentre moved by 2.0 and 1.2 mm and 2.5 % more monitor units. Every voxel of at least 10 % of the
maximum is judged; the box is chosen so that these are about a million. The peer runs in its own environment
(bench/peer_pymedphys_env.sh) with numba, the fastest of its two interpolations, after a warm-up that compiles it, and
with the same largest gamma (2); each side's time is the CPU seconds of the call alone, one thread.

    ./build.sh bench gamma [--points 1000000] [--runs 3]

Goal 20 times less CPU, aim 100. Exit 1 below the goal, or where pass and fail differ on more than 0.2 % of the points.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEER = HERE / ".venv-pymedphys" / "bin" / "python"
GOAL, AIM, MOST_VERDICTS = 20.0, 100.0, 0.002

PEER_SCRIPT = """
import json, sys, time
import numpy as np, pymedphys
a = np.load(sys.argv[1])
axes = tuple(a[k] for k in "zyx")
def gamma(dose, other, axes):
    return pymedphys.gamma(axes, dose, axes, other, 3, 2, lower_percent_dose_cutoff=10, max_gamma=2)
middle = tuple(slice(n // 2 - 5, n // 2 + 5) for n in a["reference"].shape)
gamma(a["reference"][middle], a["evaluated"][middle], tuple(x[s] for x, s in zip(axes, middle)))
began = time.process_time()
found = gamma(a["reference"], a["evaluated"], axes)
seconds = time.process_time() - began
np.savez(sys.argv[2], gamma=found, cpu_s=seconds)
"""


def doses(points: int, spacing_mm: float = 1.5) -> dict[str, object]:
    """Both doses with their grid, z-extent chosen for `points` voxels above 10 %."""
    from dataclasses import replace

    import numpy as np

    from appliance.config import PlanningConfig
    from appliance.contracts import Beam, ControlPoint, Image, Jaws, Plan
    from appliance.planning import calculate_dose, dose_options, load_machine
    from engines.grid import Grid, VoxelSet

    machine = load_machine("millennium120")
    borders = tuple(float(b) for b in machine.mlc.boundaries_mm)
    pairs, jaws = len(borders) - 1, Jaws(-80.0, 80.0, -80.0, 80.0)

    def beam(number: int, gantry_deg: float, isocentre_mm: tuple[float, float, float], mu: float) -> Beam:
        start, end = (ControlPoint(m, gantry_deg, 0.0, 0.0, jaws, (-80.0,) * pairs, (80.0,) * pairs) for m in (0.0, mu))
        return Beam(
            number, "B", machine.treatment_machine, 6.0, "STANDARD", isocentre_mm, 1000.0, 600.0, borders, (start, end)
        )

    def plan(isocentre_mm: tuple[float, float, float], mu: float) -> Plan:
        return Plan("T", tuple(beam(i + 1, 120.0 * i, isocentre_mm, mu) for i in range(3)), 1, "HFS")

    n = int(220 / spacing_mm)
    nz = max(8, round(points / (n * n * 0.78)))
    grid = Grid((-110.0, -110.0, -spacing_mm * nz / 2), (spacing_mm,) * 3, (nz, n, n))
    x, y, _ = grid.axes_mm()
    body = np.broadcast_to(np.hypot(x[None, None, :], y[None, :, None]) < 105, grid.shape)
    image = Image(grid, np.where(body, 0, -1000).astype(np.int16))
    outline = VoxelSet.from_dense(body.astype(np.float32))
    options = dose_options(PlanningConfig(algorithm="pencil_beam", density="generic_ct"), ())
    first = calculate_dose(plan((0.0, 0.0, 0.0), 100.0), image, outline, **options)
    second = calculate_dose(replace(plan((2.0, 0.0, 1.2), 102.5)), image, outline, **options)
    return {"grid": grid, "reference": first.dose_gy, "evaluated": second.dose_gy}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3, help="of ours; the peer runs once")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import numpy as np

    from engines.gamma import gamma_index

    made = doses(args.points)
    grid, reference, evaluated = made["grid"], made["reference"], made["evaluated"]
    seconds = []
    for _ in range(args.runs):
        began = time.process_time()
        ours = gamma_index(reference, grid, evaluated, grid)
        seconds.append(time.process_time() - began)
    subprocess.run(["bash", HERE / "peer_pymedphys_env.sh", sys.executable], check=True)
    environment = os.environ | {"NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder, "given.npz"), Path(folder, "taken.npz")
        x, y, z = grid.axes_mm()
        np.savez(given, reference=reference, evaluated=evaluated, x=x, y=y, z=z)
        subprocess.run([PEER, "-c", PEER_SCRIPT, given, taken], check=True, env=environment)
        with np.load(taken) as stored:
            theirs, peer_s = stored["gamma"], float(stored["cpu_s"])
    judged = np.isfinite(theirs) & np.isfinite(ours.gamma)
    differ = float(np.mean((theirs[judged] <= 1) != (ours.gamma[judged] <= 1)))
    ours_s = statistics.median(seconds)
    figures = {
        "points": ours.points,
        "same_points": bool(np.array_equal(np.isfinite(theirs), np.isfinite(ours.gamma))),
        "cpu_s_ours": ours_s,
        "cpu_s_peer": peer_s,
        "ratio": peer_s / ours_s,
        "pass_percent_ours": ours.pass_percent,
        "pass_percent_peer": 100.0 * float(np.mean(theirs[judged] <= 1)),
        "verdicts_that_differ_percent": 100.0 * differ,
        "mean_peer_above_ours": float(np.mean(theirs[judged] - ours.gamma[judged])),
        "least_peer_above_ours": float(np.min(theirs[judged] - ours.gamma[judged])),
    }
    print(json.dumps(figures, indent=1))
    print(f"gamma on {ours.points} points: {figures['ratio']:.0f} times less CPU (goal {GOAL:g}, aim {AIM:g})")
    return 0 if figures["ratio"] >= GOAL and differ <= MOST_VERDICTS and figures["same_points"] else 1


if __name__ == "__main__":
    sys.exit(main())
