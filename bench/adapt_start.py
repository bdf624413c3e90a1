"""Where planning of today begins: at the plan that is adapted (`planning.start = "reference"`) or at the goals. The
planner's time, what its plan is worth, and how much of the plan that people know can be recognised in it.

    ./build.sh bench adapt_start [--cases c-shape prostate] [--patients 34 66] [--starts reference goals]
        [--technique step_and_shoot] [--algorithm pencil_beam] [--policy learned] [--deform 1.0] [--coarse]
        [--json FILE.jsonl]

A reference plan is made of each case from its goals; then today's case is planned in each way. Built-in cases have the
today that they are shipped with; OpenKBP patients are deformed by DAY (times --deform): a set-up shift, a target that
moves against it, and a flank that gives way. The set-up shift is known here, as a registration would find it, so that
only planning is measured; nothing is predicted. One thread (OMP_NUM_THREADS=1), so that CPU seconds are seconds of one
core: to the first deliverable plan with its dose, and to the end.

Recognised, of today's plan against the reference plan, each in the view of its own isocentre: `dice`, twice the fluence
that both share over the sum of both, beam by beam, weighed by monitor units (without transmission and penumbra);
monitor units and modulation complexity score (MCS) as ratios. --coarse plans as in planning_flow: to
compare ways, not to judge plans. --json appends a line for each plan and skips those that have one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from planning_flow import COARSE
from policies_problem import append, at_hand, lines_of, prepared
from scipy.ndimage import map_coordinates

from appliance.builtin import CASES, write_study
from appliance.builtin.deformation import Bump, Deformation
from appliance.case import assemble
from appliance.config import Config, PlanningConfig
from appliance.contracts import Case, GoalSet, Image, Plan, Planned
from appliance.contracts.progress import silent
from appliance.errors import CouchsideError
from appliance.evaluation import GoalEvaluator, goal_set_for_site, goals_for_case, plan_scorer
from appliance.evaluation.judged import Judged, Regions
from appliance.planning import check_plan
from appliance.planning.old_beams import OldBeam, old_beams, same_axes
from appliance.session_headless import read_case
from appliance.session_plan import planned
from appliance.session_work import prescribed
from engines.grid import VoxelSet

Move = tuple[float, float, float]
BUMPS = ((2.5, -2.0, 1.5), 30.0), ((-3.0, 1.5, 0.0), 25.0)
"""Amplitudes and widths, mm, of what gives way: at the middle of the targets, and 60 mm to the right of it."""
SHIFT: Move = (2.0, -1.5, 2.5)
PITCH_MM, REACH_MM = 2.5, 200.0


def shifted(points: NDArray[np.floating], shift: Move) -> NDArray[np.float64]:
    return np.asarray(points, np.float64) - np.asarray(shift)


def centroid(case: Case) -> NDArray[np.float64]:
    """Of all targets together, each voxel by its share."""
    parts = [s.voxels for s in case.targets if not s.voxels.empty]
    points = np.concatenate([case.image.grid.centres_mm(part.index) for part in parts])
    return np.asarray(np.average(points, axis=0, weights=np.concatenate([part.fraction for part in parts])))


def day_of(name: str, before: Case, strength: float) -> tuple[Case, Move]:
    """Today's case without a plan, and the set-up shift: a point x of the reference lies at x - shift today."""
    if name in CASES:
        with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
            write_study(name, Path(scratch) / "study", day="today")
            return assemble(read_case(Path(scratch) / "study")[0]), CASES[name].deformation.shift_mm
    x, y, z = centroid(before).tolist()
    places = (x, y, z), (x - 60.0, y, z)
    bumps = tuple(
        Bump(place, (strength * a[0], strength * a[1], strength * a[2]), sigma)
        for place, (a, sigma) in zip(places, BUMPS, strict=True)
    )
    return deformed(before, Deformation(SHIFT, bumps)), SHIFT


def deformed(case: Case, deformation: Deformation) -> Case:
    """Image and structures read through a map from today's points to the reference's; organs of few voxels may lose
    some at their rim."""
    grid = case.image.grid
    step, origin = np.asarray(grid.spacing_mm), np.asarray(grid.origin_mm)
    z, y, x = np.meshgrid(*(axis for axis in reversed(grid.axes_mm())), indexing="ij", sparse=True)
    at = np.stack([np.broadcast_to(a, grid.shape) for a in deformation.to_reference(x, y, z)])
    index = [(at[axis] - origin[axis]) / step[axis] for axis in (2, 1, 0)]
    hu = map_coordinates(case.image.hu.astype(np.float32), index, order=1, cval=-1000.0)
    structures = []
    for one in case.structures:
        share = map_coordinates(one.voxels.dense(grid.shape).astype(np.float32), index, order=1, cval=0.0)
        structures.append(replace(one, contours=(), voxels=VoxelSet.from_dense(np.where(share < 0.01, 0.0, share))))
    return replace(
        case, image=Image(grid, hu.round().astype(np.int16)), structures=tuple(structures), reference_dose_gy=None
    )


def adapted(today: Case, before: Case, plan: Plan, shift: Move) -> Case:
    """Today's case with the plan at the isocentre that the table shift brings it to."""
    beams = tuple(
        replace(beam, isocentre_mm=tuple(shifted(np.asarray(beam.isocentre_mm), shift).round(2).tolist()))
        for beam in plan.beams
    )
    x, y, z = (centroid(today) - shifted(centroid(before), shift)).tolist()
    return replace(today, reference_plan=replace(plan, beams=beams), target_shift_mm=(x, y, z))


class FirstPlan:
    """Listens to progress for the CPU time at which the first deliverable plan stood."""

    def __init__(self) -> None:
        self.begin_s, self.at_s = time.process_time(), float("nan")

    def __call__(self, step: str, part: float) -> None:
        is_later = step.startswith("planner: ") and not step.startswith("planner: preliminary")
        if is_later and np.isnan(self.at_s):
            self.at_s = time.process_time() - self.begin_s


def fluence_maps(plan: Plan) -> list[tuple[OldBeam, NDArray[np.float64]]]:
    """MU on points of each direction's isocentre plane."""
    line = np.arange(-REACH_MM, REACH_MM, PITCH_MM) + PITCH_MM / 2
    u, v = (part.ravel() for part in np.meshgrid(line, line))
    return [(beam, beam.fluence_at(u, v)) for beam in old_beams(plan)]


def dice(plan: Plan, reference: Plan) -> float:
    """0 for beams of which the other has none of the same angles."""
    own, other = fluence_maps(plan), fluence_maps(reference)
    shared = 0.0
    for beam, fluence in own:
        same = [theirs for before, theirs in other if same_axes(before.piece.frame, beam.piece.frame)]
        shared += float(np.minimum(fluence, sum(same)).sum()) if same else 0.0
    return 2 * shared / sum(float(fluence.sum()) for _, fluence in (*own, *other))


def figures(case: Case, goal_set: GoalSet, made: Planned, reference: Plan, machine: str) -> dict[str, Any]:
    results = GoalEvaluator(case, goal_set, Regions(case)).judge(made.dose.dose_gy).results
    hottest = Judged(Regions(case), made.dose.dose_gy).reached(case.external.tg263).dose_at_volume(0.1)
    now, then = check_plan(made.plan, machine), check_plan(reference, machine)
    return {
        "met": sum(one.met for one in results), "goals": len(results),
        "score": round(plan_scorer(goal_set)(tuple(one.value for one in results)), 2),
        "hottest_gy": round(hottest, 2), "deliverable": now.deliverable,
        "dice": round(dice(made.plan, reference), 3), "mu": round(now.mu), "mu_ratio": round(now.mu / then.mu, 3),
        "mcs_ratio": round(now.mcs / then.mcs, 3),
        "missed": [f"{one.structure} {one.metric} {one.value:.2f}" for one in results if not one.met],
        "kept": made.facts.kept if made.facts else "", "began": made.facts.start if made.facts else "",
        "ended": made.facts.ended if made.facts else "",
    }  # fmt: skip


def day(name: str, asked: argparse.Namespace, known: set[str]) -> list[dict[str, Any]]:
    wanted = [start for start in asked.starts if start not in known]
    if not wanted:
        return []
    before, goal_set = prepared(name)
    before = replace(before, reference_plan=None, reference_dose_gy=None)
    site = goal_set_for_site("openkbp" if name.isdigit() else name)
    options = {"algorithm": asked.algorithm, "technique": asked.technique, "policy": asked.policy}
    untimed = {"budget_s": 0.0, "hang_s": 3600.0}
    config = Config(planning=PlanningConfig.model_validate((COARSE if asked.coarse else {}) | options | untimed))
    first = planned(config, before, goal_set, None, silent)
    own = figures(before, goal_set, first, first.plan, config.planning.machine)
    print(f"{name:>12} the reference: {own['met']} of {own['goals']} goals, score {own['score']:.2f}, {own['mu']} MU")
    plain, shift = day_of(name, before, asked.deform)
    plain = prescribed(plain, site)
    goal_set = goals_for_case(site, plain)
    today = adapted(plain, before, first.plan, shift)
    rows = []
    for start in wanted:
        planning = config.planning.model_copy(update={"start": start})
        heard = FirstPlan()
        made = planned(config.model_copy(update={"planning": planning}), today, goal_set, None, heard)
        seconds = time.process_time() - heard.begin_s
        rows.append({
            "case": name, "start": start, **options, "deform": asked.deform, "coarse": asked.coarse,
            "first_s": round(heard.at_s, 1), "cpu_s": round(seconds, 1),
            "shift_mm": [round(value, 2) for value in today.target_shift_mm or ()],
            **figures(today, goal_set, made, first.plan, planning.machine),
            "reference_met": own["met"], "reference_score": own["score"],
        })  # fmt: skip
        show(rows[-1])
    return rows


def show(one: dict[str, Any]) -> None:
    print(
        f"{one['case']:>12} {one['start']:>9}: first {one['first_s']} s, end {one['cpu_s']} s; {one['met']} of "
        f"{one['goals']} goals, score {one['score']:.2f}, hottest {one['hottest_gy']:.2f} Gy; dice {one['dice']:.3f}, "
        f"MU {one['mu_ratio']:.2f}, MCS {one['mcs_ratio']:.2f}; {one['kept']} ({one['began']}); {one['ended']}; "
        f"missed: {', '.join(one['missed']) or 'none'}{'' if one['deliverable'] else '; NOT DELIVERABLE'}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Where planning of today begins, and what that is worth.")
    parser.add_argument("--cases", nargs="*", default=["c-shape", "prostate"])
    parser.add_argument("--patients", nargs="*", default=[])
    parser.add_argument("--starts", nargs="+", default=["reference", "goals"], choices=["reference", "goals"])
    parser.add_argument("--technique", default="step_and_shoot")
    parser.add_argument("--algorithm", default="pencil_beam")
    parser.add_argument("--policy", default="learned")
    parser.add_argument("--deform", type=float, default=1.0)
    parser.add_argument("--coarse", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    good = True
    for name in (*asked.cases, *asked.patients):
        if not at_hand(name):
            print(f"{name}: left out, not at hand")
            continue
        same = {key: getattr(asked, key) for key in ("technique", "algorithm", "policy", "deform", "coarse")}
        old = [one for one in lines_of(asked.json) if one["case"] == name and same.items() <= one.items()]
        try:
            for one in day(name, asked, {row["start"] for row in old}):
                append(asked.json, one)
                good = good and one["deliverable"]
        except CouchsideError as error:
            print(f"{name}: left out: {error}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
