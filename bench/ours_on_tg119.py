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

The optimiser sees target and core whole and thins the rest of the body, with weights, as the planner does. It works in
two stages, each warm from the one before: coarse (one voxel in 4 within 25 mm of the target and one in 18 beyond,
fluence on 2.5 mm), then fine (one in 2 and in 8, 1.25 mm): the coarse stage alone ends 1.3 % above the peer's value on
the full grid, because its penumbra is too soft. The objective's terms are the product's own penalties.
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
from pyradplan_problem import Problem, Term, load, peak_rss_mb
from scipy.ndimage import distance_transform_edt

from engines.grid import Grid
from engines.objectives import SquaredDeviation, SquaredOverdose
from engines.optimise.bounded import minimise
from engines.photon.beam_model import BeamModel
from engines.photon.convolution import THREADS
from engines.photon.dose import BeamDose, DoseOperator, Medium, box_corners_mm, point_geometry, projected_extent
from engines.photon.frame import BeamFrame, beam_frame
from engines.photon.matrad import import_matrad
from engines.photon.raster import Raster, raster_for

FINAL_PITCH_MM = 1.0
NEAR_MM = 25.0


@dataclass(frozen=True)
class Stage:
    pitch_mm: float
    near_one_in: int
    far_one_in: int
    tolerance: float


STAGES = (Stage(2.5, 4, 18, 1e-3), Stage(1.25, 2, 8, 2e-5))
BUDGET = 500
SNAPSHOT_EVERY = 5
CHUNK = 400_000
"""Voxels of one call for the final dose: bounds its memory (chosen: 8 MB a beam)."""


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
        table = problem.hlut
        density = np.interp(problem.hu, table[:, 0], table[:, 1]) * problem.body
        self.medium = Medium(self.grid, np.ascontiguousarray(density, np.float32))
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

    def sampled(self, stage: Stage) -> NDArray[np.float32]:
        """(z, y, x): how many voxels each kept voxel stands for, 0 where not kept."""
        problem = self.problem
        whole = np.logical_or.reduce([t.mask for t in problem.terms_ct if t.structure != "BODY"])
        target = next(t.mask for t in problem.terms_ct if t.kind == "squared_deviation")
        near = distance_transform_edt(~target, sampling=problem.spacing_mm[::-1]) <= NEAR_MM
        z, y, x = np.ogrid[: whole.shape[0], : whole.shape[1], : whole.shape[2]]
        lattice = x + 7 * y + 31 * z
        body = problem.body & ~whole
        kept = np.zeros(whole.shape, np.float32)
        kept[body & near & (lattice % stage.near_one_in == 0)] = stage.near_one_in
        kept[body & ~near & (lattice % stage.far_one_in == 0)] = stage.far_one_in
        kept[whole] = 1.0
        return kept


class Merit:
    """f(weights) and its gradient on the sampled voxels; keeps snapshots of the best weights and their CPU time."""

    def __init__(self, geometry: Geometry, stage: Stage) -> None:
        self.geometry = geometry
        kept = geometry.sampled(stage)
        index = np.flatnonzero(kept)
        points = geometry.grid.centres_mm(index)
        raster = geometry.raster(geometry.frames, points, stage.pitch_mm)
        fields = [
            point_geometry(geometry.model, frame, points, geometry.medium.depth_mm(frame, points))
            for frame in geometry.frames
        ]
        ssd = tuple(geometry.medium.ssd_mm(frame) for frame in geometry.frames)
        self.operator = DoseOperator(geometry.model, raster, np.stack(fields), ssd)
        self.first, self.side = geometry.beamlets_on(raster)
        self.first = self.first + geometry.problem.beamlet_beam.astype(np.int64) * raster.nu * raster.nv
        self.shape, self.nu = (len(geometry.frames), raster.nv, raster.nu), raster.nu
        self.terms = [self._term(t, kept.reshape(-1)[index], index) for t in geometry.problem.terms_ct]
        self.evaluations, self.best = 0, np.inf
        self.snapshots: list[tuple[float, NDArray[np.float32]]] = []

    @staticmethod
    def _term(term: Term, kept: NDArray[np.float32], index: NDArray[np.int64]) -> tuple[Any, Any, Any, float]:
        position = np.flatnonzero(term.mask.reshape(-1)[index])
        share = kept[position] / kept[position].sum(dtype=np.float64)
        penalty = {"squared_deviation": SquaredDeviation, "squared_overdose": SquaredOverdose}[term.kind]
        return penalty(term.dose_gy), position, share.astype(np.float32), term.penalty

    def _pixels(self) -> list[NDArray[np.int64]]:
        return [self.first + j * self.nu + i for j in range(self.side) for i in range(self.side)]

    def dose(self, weights: NDArray[Any]) -> NDArray[np.float32]:
        fluence = np.zeros(self.shape, np.float32)
        for pixels in self._pixels():
            fluence.reshape(-1)[pixels] = weights
        return self.operator.forward(fluence)

    def __call__(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        dose = self.dose(weights)
        value, slope = 0.0, np.zeros_like(dose)
        for penalty, position, share, factor in self.terms:
            part, gradient = penalty(dose[position], share)
            value += factor * part
            slope[position] += np.float32(factor) * gradient
        on_raster = self.operator.adjoint(slope).reshape(-1)
        self.evaluations += 1
        if value < self.best:
            self.best = value
            if self.evaluations % SNAPSHOT_EVERY == 0:
                self.snapshots.append((time.process_time(), weights.astype(np.float32)))
        return value, np.sum([on_raster[pixels] for pixels in self._pixels()], axis=0, dtype=np.float64)

    def start(self) -> NDArray[np.float64]:
        """Uniform fluence that gives the target its prescribed dose on average."""
        flat = np.ones(self.first.size)
        penalty, position, share, _ = self.terms[0]
        return flat * (penalty.dose_gy / float(share @ self.dose(flat)[position]))


def full_dose(geometry: Geometry, weights: NDArray[Any]) -> NDArray[np.float32]:
    """Dose (z, y, x) of beamlet weights on every voxel of the body, at FINAL_PITCH_MM, no cutoff; 0 outside."""
    index = np.flatnonzero(geometry.problem.body)
    corners = box_corners_mm(geometry.grid)
    dose = np.zeros(geometry.grid.size, np.float32)
    for number, frame in enumerate(geometry.frames):
        mine = geometry.problem.beamlet_beam == number
        low = geometry.problem.beamlet_xz_mm[mine] - 0.5 * geometry.problem.beamlet_mm
        high = low + geometry.problem.beamlet_mm
        share = np.asarray(weights[mine], np.float32)[:, None]

        def fluence(raster: Raster, low: Any = low, high: Any = high, share: Any = share) -> NDArray[np.float32]:
            along_u = raster.coverage("u", low[:, 0], high[:, 0])
            along_v = raster.coverage("v", low[:, 1], high[:, 1])
            return np.asarray(along_v.T @ (share * along_u), np.float32)

        beam = BeamDose(
            geometry.model,
            geometry.medium,
            frame,
            fluence,
            points_extent_mm=projected_extent([frame], corners),
            field_extent_mm=geometry.field_extent_mm,
            pitch_mm=FINAL_PITCH_MM,
        )
        for start in range(0, index.size, CHUNK):
            part = index[start : start + CHUNK]
            dose[part] += beam.at(geometry.grid.centres_mm(part))
    return dose.reshape(geometry.grid.shape)


def plan_with_ours(problem: Problem, model: BeamModel) -> OurResult:
    """Plans the problem with the product's engine; see the contract at the top."""
    began = time.process_time()
    geometry = Geometry(problem, model)
    setup_s = optimise_s = 0.0
    weights, evaluations, reason, snapshots = None, 0, "", []
    for stage in STAGES:
        mark = time.process_time()
        merit = Merit(geometry, stage)
        start = merit.start() if weights is None else weights
        setup_s += time.process_time() - mark
        mark = time.process_time()
        outcome = minimise(merit, start, tolerance=stage.tolerance, budget=BUDGET)
        optimise_s += time.process_time() - mark
        weights, reason = outcome.x, outcome.reason
        evaluations += outcome.evaluations
        snapshots += merit.snapshots
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
        reason=reason,
    )


def main() -> None:
    problem_path, machine_path, out = (Path(a) for a in sys.argv[1:4])
    problem, _ = load(problem_path)
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
