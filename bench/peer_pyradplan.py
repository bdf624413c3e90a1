"""Plans the TG-119 phantom with pyRadPlan 0.5.0 and records what it cost. Runs in bench/.venv-pyradplan only
(peer_pyradplan_env.sh makes it); everything that is compared goes through the npz that this writes.

Nine beams at 0, 40 ... 320 degrees, 5 mm beamlets, objectives as bundled with the phantom: OuterTarget squared
deviation from 50 Gy, penalty 1000; Core squared overdose above 25 Gy, penalty 300; BODY squared overdose above 30 Gy,
penalty 100.
SVD pencil beam, machine photons_Generic 6 MV, its defaults otherwise (50 mm lateral cutoff). L-BFGS-B from zero.

CPU seconds are process_time, which counts every thread of the process. Left out on both sides: imports, loading the
phantom and just-in-time compilation (a coarse one-beam problem is run first). Counted: steering, dose influence matrix,
optimisation. Peak memory is that of the whole process, imports included; the size after the warm-up is given too.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import SimpleITK as sitk
from pyRadPlan import PhotonPlan, calc_dose_influence, generate_stf, load_tg119
from pyRadPlan.ct import default_hlut
from pyRadPlan.optimization.problems._nonlin_fluence import NonLinearFluencePlanningProblem
from pyradplan_problem import Term, objective_value, peak_rss_mb, term_values

GANTRY_DEG = [40.0 * i for i in range(9)]
BEAMLET_MM = 5.0
OBJECTIVES = (
    ("OuterTarget", "squared_deviation", "Squared Deviation", 50.0, 1000.0),
    ("Core", "squared_overdose", "Squared Overdosing", 25.0, 300.0),
    ("BODY", "squared_overdose", "Squared Overdosing", 30.0, 100.0),
)
SNAPSHOT_EVERY = 10
"""Weights are kept at every tenth evaluation (chosen: 50 points of a 500-iteration run, half a megabyte)."""


class RecordedProblem(NonLinearFluencePlanningProblem):  # type: ignore[misc]
    """pyRadPlan's own problem; each objective evaluation is also written down, with the CPU time it ended at."""

    def _initialize(self) -> None:
        super()._initialize()
        self.trajectory: list[tuple[float, float]] = []
        self.snapshots: list[tuple[int, float, np.ndarray]] = []
        self.cpu_start_s = time.process_time()

    def _objective_function(self, x: Any) -> Any:
        value = super()._objective_function(x)
        now_s = time.process_time() - self.cpu_start_s
        self.trajectory.append((now_s, float(value)))
        if len(self.trajectory) % SNAPSHOT_EVERY == 0:
            self.snapshots.append((len(self.trajectory), now_s, np.asarray(x, np.float32).copy()))
        return value


def plan_of(grid_mm: float, gantry_deg: list[float], max_iterations: int) -> PhotonPlan:
    plan = PhotonPlan(machine="Generic")
    plan.prop_stf = {"gantry_angles": gantry_deg, "couch_angles": [0.0] * len(gantry_deg), "bixel_width": BEAMLET_MM}
    plan.prop_dose_calc = {"dose_grid": {"resolution": {"x": grid_mm, "y": grid_mm, "z": grid_mm}}}
    plan.prop_opt = {"solver": "scipy", "max_iter": max_iterations, "display": False}
    return plan


def check_bundled_objectives(cst: Any) -> None:
    """The phantom must carry exactly the objectives we compare on; SystemExit otherwise."""
    bundled = {(v.name, o.name, float(o.parameters[0]), float(o.priority)) for v in cst.vois for o in v.objectives}
    wanted = {(name, peer_kind, dose, penalty) for name, _, peer_kind, dose, penalty in OBJECTIVES}
    if bundled != wanted:
        raise SystemExit(f"the bundled objectives are {sorted(bundled)}, expected {sorted(wanted)}")


def masks_of(cst: Any) -> dict[str, np.ndarray]:
    return {voi.name: sitk.GetArrayFromImage(voi.mask).astype(bool) for voi in cst.vois}


def terms_of(masks: dict[str, np.ndarray]) -> tuple[Term, ...]:
    return tuple(Term(name, kind, dose, penalty, masks[name]) for name, kind, _, dose, penalty in OBJECTIVES)


class Stopwatch:
    """CPU and wall seconds of named steps."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}
        self.wall_s: dict[str, float] = {}

    def run(self, name: str, work: Any) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.cpu_s[name] = time.process_time() - cpu
        self.wall_s[name] = time.perf_counter() - wall
        print(
            f"{name}: {self.cpu_s[name]:.1f} CPU s, {self.wall_s[name]:.1f} s, peak {peak_rss_mb():.0f} MB", flush=True
        )
        return result


def warm_up(ct: Any, cst: Any) -> None:
    """Compiles what pyRadPlan compiles on first use: one beam on a 15 mm grid, two iterations."""
    plan = plan_of(15.0, [0.0], 2)
    stf = generate_stf(ct, cst, plan)
    RecordedProblem(plan).solve(ct, cst, stf, calc_dose_influence(ct, cst, stf, plan))


def beamlets_of(stf: Any) -> tuple[np.ndarray, np.ndarray]:
    """(beam index (m,), centres (m, 2) as x, z in beam's eye view at the isocentre plane), in the matrix's order."""
    rays = [(i, ray) for i, beam in enumerate(stf.beams) for ray in beam.rays for _ in ray.beamlets]
    beam = np.array([i for i, _ in rays], np.int32)
    return beam, np.array([[ray.ray_pos_bev[0], ray.ray_pos_bev[2]] for _, ray in rays], np.float64)


def grid_arrays(prefix: str, grid: Any) -> dict[str, np.ndarray]:
    return {f"{prefix}_origin_mm": np.asarray(grid.origin), f"{prefix}_spacing_mm": np.asarray(grid.resolution_vector)}


def judge(dij: Any, terms_dose: tuple[Term, ...], path: Path) -> None:
    """Prints the objective that pyRadPlan's own matrix gives to somebody else's weights (npz, key 'weights')."""
    with np.load(path) as z:
        weights = np.asarray(z["weights"], np.float64)
    dose = (dij.physical_dose.flat[0] @ weights).reshape(dij.dose_grid.dimensions[::-1])
    print(
        json.dumps(
            {"objective_dose_grid": objective_value(dose, terms_dose), **term_values(dose, terms_dose)}, indent=2
        )
    )


class Planned(NamedTuple):
    """pyRadPlan's own objects: image, structures, steering information, dose influence."""

    ct: Any
    cst: Any
    stf: Any
    dij: Any


def write(path: Path, planned: Planned, *, arrays: dict[str, Any], measured: dict[str, Any]) -> None:
    """Phantom, geometry, masks and result in one compressed npz, with the keys that pyradplan_problem.load reads."""
    ct, cst, stf, dij = planned
    beam, xz_mm = beamlets_of(stf)
    meta = {
        "objectives": [{"structure": n, "kind": k, "dose_gy": d, "penalty": p} for n, k, _, d, p in OBJECTIVES],
        "sad_mm": float(stf.beams[0].sad),
        "beamlet_mm": BEAMLET_MM,
        "machine": "photons_Generic, 6 MV",
        "measured": measured,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        meta=json.dumps(meta),
        ct_hu=np.rint(sitk.GetArrayFromImage(ct.cube_hu)).astype(np.int16),
        hlut=np.asarray(default_hlut(), np.float64),
        gantry_deg=np.asarray([b.gantry_angle for b in stf.beams], np.float64),
        isocentre_mm=np.asarray(stf.beams[0].iso_center, np.float64),
        beamlet_beam=beam,
        beamlet_xz_mm=xz_mm,
        **grid_arrays("ct", ct.grid),
        **grid_arrays("dose", dij.dose_grid),
        **{f"drawn_{name}": mask for name, mask in masks_of(cst).items()},
        **arrays,
    )
    print(f"wrote {path}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Plan TG-119 with pyRadPlan 0.5.0 and record its cost.")
    parser.add_argument("--grid-mm", type=float, default=5.0, help="dose grid spacing, 3 or 5")
    parser.add_argument("--max-iterations", type=int, default=500, help="pyRadPlan's own default is 500")
    parser.add_argument("--out", type=Path, help="npz to write (default bench/results/pyradplan_<grid>mm.npz)")
    parser.add_argument("--judge", type=Path, help="do not optimise: print the objective of these weights (npz)")
    return parser.parse_args()


def grid_masks(planned: Planned) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Masks as its optimiser sees them (CT grid, dose grid): overlaps removed on the CT, then nearest voxel."""
    no_overlap = planned.cst.apply_overlap_priorities()
    dose_image = planned.ct.resample_to_grid(planned.dij.dose_grid)
    return masks_of(no_overlap), masks_of(no_overlap.resample_on_new_ct(dose_image))


def optimise(planned: Planned, plan: PhotonPlan, watch: Stopwatch) -> tuple[dict[str, Any], dict[str, Any]]:
    """Runs the optimiser; returns (arrays to save, figures measured)."""
    problem = RecordedProblem(plan)
    weights, info = watch.run("optimisation", lambda: problem.solve(*planned))
    peak_mb = peak_rss_mb()
    dij = planned.dij
    dose = sitk.GetArrayFromImage(dij.compute_result_dose_grid(weights)["physical_dose"])
    dose_ct = sitk.GetArrayFromImage(dij.compute_result_ct_grid(weights)["physical_dose"])
    ct_masks, dose_masks = grid_masks(planned)
    measured = {
        "peak_rss_mb": peak_mb,
        "beamlets": int(weights.size),
        "nonzeros": int(dij.physical_dose.flat[0].nnz),
        "iterations": int(info["nit"]),
        "stopped": str(info["message"]),
        "evaluations": len(problem.trajectory),
        "objective_its_own": float(info["fun"]),
        "objective_dose_grid": objective_value(dose, terms_of(dose_masks)),
        "objective_ct_grid_interpolated": objective_value(dose_ct, terms_of(ct_masks)),
    }
    arrays = {
        **{f"mask_ct_{name}": mask for name, mask in ct_masks.items()},
        **{f"mask_dose_{name}": mask for name, mask in dose_masks.items()},
        "weights": np.asarray(weights, np.float64),
        "dose_grid_gy": dose.astype(np.float32),
        "dose_ct_gy": dose_ct.astype(np.float32),
        "trajectory": np.asarray(problem.trajectory, np.float64),
        "snapshot_evaluation": np.asarray([s[0] for s in problem.snapshots], np.int32),
        "snapshot_cpu_s": np.asarray([s[1] for s in problem.snapshots], np.float64),
        "snapshots": np.asarray([s[2] for s in problem.snapshots], np.float32),
    }
    return arrays, measured


def main() -> None:
    args = arguments()
    logging.getLogger("pyRadPlan").setLevel(logging.ERROR)
    ct, cst = load_tg119()
    check_bundled_objectives(cst)
    warm_up(ct, cst)
    base_mb = peak_rss_mb()
    watch = Stopwatch()
    plan = plan_of(args.grid_mm, GANTRY_DEG, args.max_iterations)
    stf = watch.run("stf", lambda: generate_stf(ct, cst, plan))
    dij = watch.run("dij", lambda: calc_dose_influence(ct, cst, stf, plan))
    planned = Planned(ct, cst, stf, dij)
    if args.judge:
        judge(dij, terms_of(grid_masks(planned)[1]), args.judge)
        return
    arrays, measured = optimise(planned, plan, watch)
    measured |= {"pyradplan": version("pyRadPlan"), "pydantic": version("pydantic"), "grid_mm": args.grid_mm}
    measured |= {"cpu_s": watch.cpu_s, "wall_s": watch.wall_s, "cpu_s_total": sum(watch.cpu_s.values())}
    measured |= {"rss_before_mb": base_mb, "threads": os.environ.get("OMP_NUM_THREADS", "not set")}
    print(json.dumps(measured, indent=2))
    out = args.out or Path(__file__).parent / "results" / f"pyradplan_{args.grid_mm:g}mm.npz"
    write(out, planned, arrays=arrays, measured=measured)


if __name__ == "__main__":
    main()
