"""Seconds of the pencil beam's main jobs on the CPU, each beside a floor or the same job done voxel by voxel.

    ./build.sh bench dose_speed [--runs N]

1. One full dose: nine open 10 x 10 cm beams, 100 x 100 x 100 voxels of 3 mm, each voxel wanted; a body of noisy density
   with a lung, a bone and an air cavity, so that nothing is uniform. Counted: everything from density and beams to the
   dose on the grid (kernel tables cold). Beside it: the same by BeamDose.at, which traces each voxel by itself.
2. One gradient (forward and transpose) of 9 and of 180 beams for 40,000 samples, the second as for an arc.
3. The roofline: bytes that must move and operations of each kernel, the floor that this machine's bandwidth (a copy and
   a sum by NumPy, in the same run, on one core) and vector units set for one core, and what one core takes.

Medians over the runs; wall clock needs a quiet machine, CPU seconds do not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from engines.grid import Grid
from engines.photon import _kernels, convolution
from engines.photon.beam_model import BeamModel, load_beam_model
from engines.photon.calibrate import square_field
from engines.photon.convolution import THREADS
from engines.photon.dose import BeamDose, DoseOperator, Medium, box_corners_mm, point_geometry, projected_extent
from engines.photon.frame import BeamFrame, beam_frame
from engines.photon.grid_dose import GridDose
from engines.photon.raster import Raster

MODEL = Path(__file__).resolve().parents[1] / "models" / "beam" / "generic_6mv.json"
SIDE, SPACING_MM, FIELD_MM = 100, 3.0, 100.0
SAMPLES = 40_000
OPERATIONS = {"gather": 60, "scatter": 40, "depth": 26, "dose of a row": 110}
"""Arithmetic operations of one voxel and beam (depth: of one stretch of a ray), counted in the source; conversions,
comparisons and selections count as one each."""


def phantom() -> Medium:
    n = SIDE
    z, y, x = np.ogrid[:n, :n, :n]
    density = 1.0 + 0.02 * gaussian_filter(np.random.default_rng(1).normal(size=(n, n, n)), 0.7)
    density *= ((x - 50) / 48) ** 2 + ((y - 50) / 38) ** 2 + 0 * z < 1
    density[np.broadcast_to(((x - 28) / 14) ** 2 + ((y - 48) / 22) ** 2 + ((z - 50) / 45) ** 2 < 1, density.shape)] = (
        0.3
    )
    density[np.broadcast_to(((x - 50) / 5) ** 2 + ((y - 75) / 5) ** 2 + 0 * z < 1, density.shape)] = 1.6
    density[np.broadcast_to(((x - 75) / 6) ** 2 + ((y - 45) / 8) ** 2 + 0 * z < 1, density.shape)] = 0.0
    edge = -0.5 * (n - 1) * SPACING_MM
    return Medium(Grid((edge,) * 3, (SPACING_MM,) * 3, (n, n, n)), density.astype(np.float32))


def frames(count: int) -> list[BeamFrame]:
    return [beam_frame((5.0, -3.0, 4.0), i * 360.0 / count) for i in range(count)]


def beam(model: BeamModel, medium: Medium, frame: BeamFrame, threads: int) -> BeamDose:
    half = 0.5 * FIELD_MM
    return BeamDose(
        model, medium, frame, lambda raster: square_field(raster, FIELD_MM),
        points_extent_mm=projected_extent([frame], box_corners_mm(medium.grid)),
        field_extent_mm=(-half, half, -half, half), threads=threads,
    )  # fmt: skip


@dataclass(frozen=True)
class Timing:
    wall_s: float
    cpu_s: float


def measure(work: Callable[[], object], runs: int) -> Timing:
    wall, cpu = [], []
    for _ in range(runs):
        w, c = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    return Timing(statistics.median(wall), statistics.median(cpu))


def full_dose(model: BeamModel, medium: Medium, threads: int) -> NDArray[np.float32]:
    convolution._transfer.cache_clear()
    convolution._spectrum.cache_clear()
    grid_dose = GridDose(medium, np.ones(medium.grid.shape, np.bool_))
    dose = grid_dose.empty()
    for frame in frames(9):
        grid_dose.add(beam(model, medium, frame, threads), dose)
    return grid_dose.on_grid(dose)


def point_by_point(model: BeamModel, medium: Medium, threads: int) -> NDArray[np.float32]:
    points = medium.grid.centres_mm(np.arange(medium.grid.size))
    dose = np.zeros(medium.grid.size, np.float32)
    for frame in frames(9):
        dose += beam(model, medium, frame, threads).at(points)
    return dose.reshape(medium.grid.shape)


def operator(model: BeamModel, medium: Medium, beams: int, threads: int) -> DoseOperator:
    near = np.arange(medium.grid.size).reshape(medium.grid.shape)[33:67, 33:67, 33:67].reshape(-1)
    points = medium.grid.centres_mm(near)[:SAMPLES]
    points = np.concatenate([points, points])[:SAMPLES]
    fields = [point_geometry(model, f, points, medium.depth_mm(f, points)) for f in frames(beams)]
    nodes, pitch = 130, 2.5
    raster = Raster(-0.5 * (nodes - 1) * pitch, -0.5 * (nodes - 1) * pitch, pitch, nodes, nodes)
    return DoseOperator(model, raster, np.stack(fields), (900.0,) * beams, threads=threads)


def gradient(model: BeamModel, medium: Medium, beams: int, threads: int, runs: int) -> tuple[Timing, Timing]:
    """(forward, transpose)."""
    one = operator(model, medium, beams, threads)
    rng = np.random.default_rng(2)
    fluence = rng.uniform(0, 1, (beams, one.raster.nv, one.raster.nu)).astype(np.float32)
    slope = rng.normal(size=SAMPLES).astype(np.float32)
    one.forward(fluence), one.adjoint(slope)
    return measure(lambda: one.forward(fluence), runs), measure(lambda: one.adjoint(slope), runs)


def bandwidth_gb_s(runs: int) -> tuple[float, float]:
    """(read, copy) of 144 MB on one core; a copy counts what is read and what is written."""
    source, target = np.ones(36_000_000, np.float32), np.zeros(36_000_000, np.float32)
    read, copy = measure(source.max, runs), measure(lambda: np.copyto(target, source), runs)
    return source.nbytes / read.cpu_s / 1e9, 2 * source.nbytes / copy.cpu_s / 1e9


def clock_ghz() -> float:
    lines = Path("/proc/cpuinfo").read_text("ascii").splitlines()
    return max((float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")), default=2500.0) / 1000


def roofline(model: BeamModel, medium: Medium, runs: int) -> None:
    read, copy = bandwidth_gb_s(runs)
    peak = 2 * 16 * clock_ghz() * 1e9
    print(f"\none core: reads {read:.1f} GB/s, copies {copy:.1f} GB/s; {clock_ghz():.2f} GHz x 2 x 16 lanes")
    print(f"{'kernel':28}{'MB':>8}{'10^6 operations':>17}{'floor ms':>10}{'measured ms':>13}")

    def row(name: str, megabytes: float, operations: float, taken_s: float) -> None:
        floor = max(megabytes / read, operations / peak * 1e3)
        print(f"{name:28}{megabytes:8.1f}{operations / 1e6:17.0f}{floor:10.1f}{1e3 * taken_s:13.1f}")

    dose = np.ones(SAMPLES, np.float32)
    for beams in (9, 180):
        one = operator(model, medium, beams, 1)
        r, pairs = one.raster, beams * SAMPLES
        maps = np.ones((beams, r.nv, r.nu, _kernels.INTERLEAVE), np.float32)
        place = (r.u0_mm, r.v0_mm, r.pitch_mm)
        got = measure(lambda o=one, m=maps, p=place: _kernels.forward(m, *p, o.geometry, dose, 1), runs)  # type: ignore[misc]
        put = measure(lambda o=one, m=maps, p=place: _kernels.adjoint(dose, o.geometry, *p, m, 1), runs)  # type: ignore[misc]
        moved = (20 * pairs + maps.nbytes) / 1e6
        row(f"gather, {beams} beams", moved, OPERATIONS["gather"] * pairs, got.cpu_s)
        row(f"scatter, {beams} beams", moved, OPERATIONS["scatter"] * pairs, put.cpu_s)
        transforms = 2 * 4 * beams * 2.5 * r.nu * r.nv * np.log2(r.nu * r.nv)
        fluence = maps[..., 0].copy()
        turned = measure(lambda o=one, m=maps, f=fluence: (o._maps.forward(f, m), o._maps.adjoint(m)), runs)  # type: ignore[misc]
        row(f"transforms, {beams} beams", 2 * (maps.nbytes + fluence.nbytes) / 1e6, transforms, turned.cpu_s)
    everywhere = GridDose(medium, np.ones(medium.grid.shape, np.bool_))
    ready, grid_dose = [beam(model, medium, f, 1) for f in frames(9)], everywhere.empty()
    taken = measure(lambda: [everywhere.add(b, grid_dose) for b in ready], runs)
    voxels = 9 * medium.grid.size
    stretches = 0.5 * SIDE * 1.15  # half the slabs on average, and one crossing of rows in some seven slabs
    operations = voxels * (OPERATIONS["depth"] * stretches + OPERATIONS["dose of a row"])
    row("depth and dose of 10^6, 9", voxels * 4 * 5 / 1e6, operations, taken.cpu_s)


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of the pencil beam's main jobs on the CPU.")
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    model, medium = load_beam_model(MODEL), phantom()
    fast, slow = full_dose(model, medium, THREADS), point_by_point(model, medium, THREADS)
    off = float(np.abs(fast - slow).max() / slow.max())
    whole = measure(lambda: full_dose(model, medium, THREADS), runs)
    single = measure(lambda: point_by_point(model, medium, THREADS), min(runs, 3))
    print(f"full dose, 9 beams, 10^6 voxels, {THREADS} threads: {whole.wall_s:.3f} s, {whole.cpu_s:.3f} CPU s")
    print(f"  point by point: {single.wall_s:.3f} s, {single.cpu_s:.3f} CPU s; largest difference {off:.1e} of maximum")
    for beams in (9, 180):
        there, back = gradient(model, medium, beams, THREADS, runs)
        print(
            f"gradient, {beams} beams, {SAMPLES} samples: {there.wall_s + back.wall_s:.4f} s, "
            f"forward {1e3 * there.cpu_s:.1f} and transpose {1e3 * back.cpu_s:.1f} CPU ms"
        )
    roofline(model, medium, runs)


if __name__ == "__main__":
    main()
