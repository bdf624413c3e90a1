"""Our engine on the problem that pyRadPlan was given: same beamlets, same machine file, same objectives. Run by
compare_pyradplan.py in a process of its own, so that its peak memory is its own.

    python bench/ours_on_tg119.py PROBLEM.npz MACHINE.mat OUT.npz

Contract of `plan_with_ours(problem, machine)`:
- in: the Problem of pyradplan_problem.py and the path of the photon machine file the peer used;
- out: OurResult: weights (m,) of the beamlets in the problem's order, in the machine file's unit; dose_ct_gy (z, y, x),
  the dose of these weights on every voxel of the CT grid inside the body, 0 elsewhere, without any lateral cutoff;
  cpu_s of each step (process_time, all threads) and snapshots of the weights on the way, so that the caller can judge
  the way on the full grid without that judging being counted.
Counted: density and ray tracing, kernel transforms, the whole optimisation, the final dose on the full grid. Left out,
as for the peer: imports, reading the problem and the machine file.

The optimiser sees target and core whole and thins the rest of the body, with weights, as the planner does (one voxel
in 2 within 25 mm of the target and one in 8 beyond). Of the body it holds only what comes near its limit: a voxel well
below an overdose limit gives neither value nor gradient. It works in rounds, each warm from the one before, on 2.5, 2.5
and 1.67 mm fluence; between rounds the dose on 1.25 mm fluence is computed once for all samples, which says what to
hold and what the coarser dose is off by; that difference is added in the next round (the hybrid scheme of Siebers et
al., Med Phys 34:2853, 2007, as in the product). The coarse dose alone ends 1.3 % above the peer's value on the full
grid, because its penumbra is too soft. The objective's terms are the product's own penalties.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyradplan_problem import Problem, Term, load_problem, peak_rss_mb
from scipy.ndimage import distance_transform_edt

from engines.grid import Grid
from engines.objectives import SquaredDeviation, SquaredOverdose
from engines.optimise.bounded import minimise
from engines.photon.beam_model import BeamModel
from engines.photon.bixels import bixel_fluence
from engines.photon.convolution import THREADS
from engines.photon.dose import (
    BeamDose,
    DoseOperator,
    Medium,
    bounds,
    box_corners_mm,
    point_geometry,
    projected_extent,
)
from engines.photon.frame import BeamFrame, beam_frame
from engines.photon.grid_dose import GridDose
from engines.photon.matrad import import_matrad
from engines.photon.raster import Raster, raster_for

FINAL_PITCH_MM, FINE_PITCH_MM, START_PITCH_MM = 1.0, 1.25, 2.5
NEAR_MM, NEAR_ONE_IN, FAR_ONE_IN = 25.0, 2, 8
ROUNDS = ((2.5, 0.4, 1e-3), (2.5, 0.75, 3e-4), (5 / 3, 0.75, 5e-5))
"""Each round's pitch in mm, the share of its limit above which a body voxel is held (by the dose at the start of the
round), and its tolerance."""
BUDGET = 300
SNAPSHOT_EVERY = 5


TermOnSamples = tuple[Any, NDArray[np.int64], NDArray[np.float32], float]


@dataclass(frozen=True)
class OurResult:
    """See the contract above. merit: (evaluation, value on the sampled voxels) of each snapshot."""

    weights: NDArray[np.float64]
    dose_ct_gy: NDArray[np.float32]
    cpu_s: dict[str, float]
    snapshots: NDArray[np.float32]
    snapshot_cpu_s: NDArray[np.float64]
    evaluations: int
    reason: str


class Geometry:
    """The problem's beams and medium in our terms. Pixels of any raster made here divide the beamlets exactly."""

    def __init__(self, problem: Problem, model: BeamModel) -> None:
        self.problem, self.model = problem, model
        self.grid = Grid(problem.origin_mm, problem.spacing_mm, problem.hu.shape)  # type: ignore[arg-type]
        table, lowest = problem.hlut, int(problem.hu.min())
        every_hu = np.interp(np.arange(lowest, int(problem.hu.max()) + 1), table[:, 0], table[:, 1]).astype(np.float32)
        density = every_hu[problem.hu - np.int16(lowest)]
        density *= problem.body
        self.medium = Medium(self.grid, density)
        self.frames = [beam_frame(problem.isocentre_mm, g, sad_mm=problem.sad_mm) for g in problem.gantry_deg]
        half, xz = 0.5 * problem.beamlet_mm, problem.beamlet_xz_mm
        (x0, z0), (x1, z1) = xz.min(0) - half, xz.max(0) + half
        self.field_extent_mm = (float(x0), float(x1), float(z0), float(z1))

    def raster(self, frames: list[BeamFrame], points_mm: NDArray[Any], pitch_mm: float) -> Raster:
        reach = float(self.model.kernels[0].radius_mm[-1])
        align = 0.5 * self.problem.beamlet_mm
        extent = projected_extent(frames, points_mm)
        return raster_for(extent, self.field_extent_mm, pitch_mm, reach_mm=reach, align_mm=align)

    def beamlets_on(self, raster: Raster) -> tuple[NDArray[np.int64], int]:
        """(first pixel (m,) flat in (v, u), pixels along one side of a beamlet)."""
        side = round(self.problem.beamlet_mm / raster.pitch_mm)
        low = self.problem.beamlet_xz_mm - 0.5 * (self.problem.beamlet_mm - raster.pitch_mm)
        i = np.rint((low[:, 0] - raster.u0_mm) / raster.pitch_mm).astype(np.int64)
        j = np.rint((low[:, 1] - raster.v0_mm) / raster.pitch_mm).astype(np.int64)
        return j * raster.nu + i, side

    def sampled(self) -> NDArray[np.uint8]:
        """(z, y, x): how many voxels each kept voxel stands for, 0 where not kept."""
        problem = self.problem
        whole = np.logical_or.reduce([t.mask for t in problem.terms_ct if t.structure != "BODY"])
        z, y, x = (np.arange(n, dtype=np.int16) for n in whole.shape)
        lattice = x + 7 * y[:, None] + 31 * z[:, None, None]
        kept = np.zeros(whole.shape, np.uint8)
        kept[lattice % FAR_ONE_IN == 0] = FAR_ONE_IN
        target = next(t.mask for t in problem.terms_ct if t.kind == "squared_deviation")
        room = [int(np.ceil(NEAR_MM / s)) for s in problem.spacing_mm[::-1]]
        (low, high) = bounds(target)
        box = tuple(slice(max(0, a - r), b + r) for a, b, r in zip(low, high, room, strict=True))
        near = distance_transform_edt(~target[box], sampling=problem.spacing_mm[::-1]) <= NEAR_MM
        kept[box][near] = np.where(lattice[box] % NEAR_ONE_IN == 0, NEAR_ONE_IN, 0)[near]
        kept[~problem.body] = 0
        kept[whole] = 1
        return kept


class Samples:
    """The sampled voxels: points (n, 3), geometry (beams, n, 5), terms as (penalty, positions, shares, factor)."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        kept = geometry.sampled()
        self.index = np.flatnonzero(kept)
        self.points = geometry.grid.centres_mm(self.index)
        self.fields = np.empty((len(geometry.frames), self.index.size, 5), np.float32)
        for number, frame in enumerate(geometry.frames):
            depth_mm = geometry.medium.depth_mm(frame, self.points)
            self.fields[number] = point_geometry(geometry.model, frame, self.points, depth_mm)
        self.ssd_mm = tuple(geometry.medium.ssd_mm(frame) for frame in geometry.frames)
        self.terms = [self._term(t, kept.reshape(-1)[self.index]) for t in geometry.problem.terms_ct]

    def _term(self, term: Term, kept: NDArray[np.uint8]) -> TermOnSamples:
        position = np.flatnonzero(term.mask.reshape(-1)[self.index])
        share = kept[position] / kept[position].sum(dtype=np.float64)
        penalty = {"squared_deviation": SquaredDeviation, "squared_overdose": SquaredOverdose}[term.kind]
        return penalty(term.dose_gy), position, share.astype(np.float32), term.penalty

    def held(self, dose: NDArray[np.float32], share: float) -> NDArray[np.int64]:
        """Samples of the target and those above `share` of a limit."""
        keep = np.zeros(dose.size, np.bool_)
        for penalty, position, _, _ in self.terms:
            near = isinstance(penalty, SquaredDeviation) | (dose[position] > share * penalty.dose_gy)
            keep[position[near]] = True
        return np.flatnonzero(keep)


class Doses:
    """Dose of beamlet weights at some of the samples, on one pitch, and the transpose."""

    def __init__(self, samples: Samples, held: NDArray[np.int64], pitch_mm: float) -> None:
        geometry, points = samples.geometry, samples.points[held]
        fields = np.ascontiguousarray(samples.fields[:, held])
        self.raster = geometry.raster(geometry.frames, points, pitch_mm)
        self.operator = DoseOperator(geometry.model, self.raster, fields, samples.ssd_mm)
        first, side = geometry.beamlets_on(self.raster)
        first = first + geometry.problem.beamlet_beam.astype(np.int64) * self.raster.nu * self.raster.nv
        self.pixels = [first + j * self.raster.nu + i for j in range(side) for i in range(side)]
        self.shape = (len(geometry.frames), self.raster.nv, self.raster.nu)

    def __call__(self, weights: NDArray[Any]) -> NDArray[np.float32]:
        fluence = np.zeros(self.shape, np.float32)
        for pixels in self.pixels:
            fluence.reshape(-1)[pixels] = weights
        return self.operator.forward(fluence)

    def transpose(self, slope: NDArray[np.float32]) -> NDArray[np.float64]:
        on_raster = self.operator.adjoint(slope).reshape(-1)
        return np.sum([on_raster[pixels] for pixels in self.pixels], axis=0, dtype=np.float64)


class Merit:
    """f(weights) and its gradient on the held samples; keeps snapshots of the best weights and their CPU time.

    `dose` is that of `weights` on every sample, as exact as it is known: the coarse dose is corrected to it."""

    def __init__(
        self, samples: Samples, dose: NDArray[np.float32], weights: NDArray[Any], *, share: float, pitch_mm: float
    ) -> None:
        held = samples.held(dose, share)
        self.doses = Doses(samples, held, pitch_mm)
        self.correction = dose[held] - self.doses(weights)
        place = np.full(dose.size, -1)
        place[held] = np.arange(held.size)
        self.terms = [
            (penalty, place[position[inside]], part[inside], factor)
            for penalty, position, part, factor in samples.terms
            for inside in (place[position] >= 0,)
        ]
        self.evaluations, self.best = 0, np.inf
        self.snapshots: list[tuple[float, NDArray[np.float32]]] = []

    def __call__(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        dose = self.doses(weights) + self.correction
        value, slope = 0.0, np.zeros_like(dose)
        for penalty, position, share, factor in self.terms:
            part, gradient = penalty(dose[position], share)
            value += factor * part
            slope[position] += np.float32(factor) * gradient
        self.evaluations += 1
        if value < self.best:
            self.best = value
            if self.evaluations % SNAPSHOT_EVERY == 0:
                self.snapshots.append((time.process_time(), weights.astype(np.float32)))
        return value, self.doses.transpose(slope)


def dose_at_all(samples: Samples, weights: NDArray[Any], pitch_mm: float) -> NDArray[np.float32]:
    """Dose at every sample, beam by beam, which needs less memory."""
    geometry = samples.geometry
    raster = geometry.raster(geometry.frames, samples.points, pitch_mm)
    first, side = geometry.beamlets_on(raster)
    dose = np.zeros(len(samples.points), np.float32)
    for number, ssd_mm in enumerate(samples.ssd_mm):
        mine = geometry.problem.beamlet_beam == number
        fluence = np.zeros((1, raster.nv, raster.nu), np.float32)
        for pixel in (j * raster.nu + i for j in range(side) for i in range(side)):
            fluence.reshape(-1)[first[mine] + pixel] = weights[mine]
        fields = samples.fields[number : number + 1]
        dose += DoseOperator(geometry.model, raster, fields, (ssd_mm,)).forward(fluence)
    return dose


def start(samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Uniform fluence that gives the target its prescribed dose on average, and its coarse dose on every sample."""
    flat = np.ones(samples.geometry.problem.beamlet_beam.size)
    dose = dose_at_all(samples, flat, START_PITCH_MM)
    penalty, position, share, _ = samples.terms[0]
    factor = penalty.dose_gy / float(share @ dose[position])
    return flat * factor, dose * np.float32(factor)


def full_dose(geometry: Geometry, weights: NDArray[Any]) -> NDArray[np.float32]:
    """Dose (z, y, x) of beamlet weights on every voxel of the body, at FINAL_PITCH_MM, no cutoff; 0 outside."""
    grid_dose = GridDose(geometry.medium, geometry.problem.body)
    dose = grid_dose.empty()
    extents = box_corners_mm(grid_dose.grid)
    for number, frame in enumerate(geometry.frames):
        mine = geometry.problem.beamlet_beam == number
        fluence, extent = bixel_fluence(
            geometry.problem.beamlet_xz_mm[mine], weights[mine], width_mm=geometry.problem.beamlet_mm
        )
        beam = BeamDose(
            geometry.model,
            geometry.medium,
            frame,
            fluence,
            points_extent_mm=projected_extent([frame], extents),
            field_extent_mm=extent,
            pitch_mm=FINAL_PITCH_MM,
        )
        grid_dose.add(beam, dose)
    return grid_dose.on_grid(dose)


def plan_with_ours(problem: Problem, model: BeamModel) -> OurResult:
    """Plans the problem with the product's engine; see the contract at the top."""
    began = time.process_time()
    geometry = Geometry(problem, model)
    samples = Samples(geometry)
    weights, dose_gy = start(samples)
    setup_s = time.process_time() - began
    evaluations, snapshots = 0, []
    for number, (pitch_mm, share, tolerance) in enumerate(ROUNDS):
        if number > 0:
            dose_gy = dose_at_all(samples, weights, FINE_PITCH_MM)
        merit = Merit(samples, dose_gy, weights, share=share, pitch_mm=pitch_mm)
        outcome = minimise(merit, weights, tolerance=tolerance, budget=BUDGET)
        weights = outcome.x
        evaluations += outcome.evaluations
        snapshots += merit.snapshots
        print(
            f"round {number + 1}: {merit.correction.size} samples held, {outcome.evaluations} evaluations, "
            f"value {outcome.value:.1f}, {time.process_time() - began:.2f} CPU s"
        )
    optimise_s = time.process_time() - began - setup_s
    del samples, merit
    mark = time.process_time()
    dose = full_dose(geometry, outcome.x)
    cpu_s = {"geometry": setup_s, "optimisation": optimise_s, "final dose": time.process_time() - mark}
    return OurResult(
        weights=outcome.x,
        dose_ct_gy=dose,
        cpu_s=cpu_s,
        snapshots=np.asarray([w for _, w in snapshots], np.float32),
        snapshot_cpu_s=np.asarray([t - began for t, _ in snapshots]),
        evaluations=evaluations,
        reason=outcome.reason,
    )


def main() -> None:
    problem_path, machine_path, out = (Path(a) for a in sys.argv[1:4])
    problem = load_problem(problem_path)
    model = import_matrad(machine_path, name="photons_Generic")
    base_mb = peak_rss_mb()
    result = plan_with_ours(problem, model)
    measured = {
        "cpu_s": result.cpu_s, "cpu_s_total": sum(result.cpu_s.values()), "peak_rss_mb": peak_rss_mb(),
        "rss_before_mb": base_mb, "evaluations": result.evaluations, "stopped": result.reason, "threads": THREADS,
    }  # fmt: skip
    np.savez(
        out,
        weights=result.weights,
        dose_ct_gy=result.dose_ct_gy,
        snapshots=result.snapshots,
        snapshot_cpu_s=result.snapshot_cpu_s,
        measured=json.dumps(measured),
    )


if __name__ == "__main__":
    main()
