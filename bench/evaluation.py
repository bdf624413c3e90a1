"""The judgement of a plan: all of it, the goals alone as in planning's loop, and DVHs against dicompyler-core.

Case: 30 structures of a million voxels in all (image voxels of 2 x 2 x 3 mm), two goals for each, a dose given by a
formula, and a plan of nine beams with 20 shapes each for its complexity. Everything is drawn here.

- `evaluate` with every curve, index, goal, score and finding, the plan's machine check and complexity, all digests and
  the scorecard as JSON: bar 1.5 s on two cores, aim 0.5 s.
- The goals alone on a new dose, prepared once (`GoalEvaluator`): bar 0.05 s.
- DVHs of the 30 structures from their contours (rasterised by us with partial volumes, by the peer where a voxel's
  centre is inside) and the same dose: at least 10 times less CPU than dicompyler-core 0.5.6, both given what they need
  in memory. The peer runs in an environment of its own (bench/peer_dicompyler_env.sh).

    ./build.sh bench evaluation [--runs 5] [--without-peer]

CPU seconds (process time, all threads), medians. Exit 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from appliance.builtin.stamp import Stamp
from appliance.builtin.writer import StudyWriter
from appliance.config import Config, EvaluationConfig
from appliance.contracts import (
    Attachments,
    Beam,
    CalculatedDose,
    Case,
    ClinicalGoal,
    Comparator,
    Contour,
    ControlPoint,
    GoalSet,
    Identity,
    Image,
    Jaws,
    Metric,
    Plan,
    SourceObject,
    Structure,
    StructureKind,
)
from appliance.contracts.progress import silent
from appliance.evaluation import GoalEvaluator, evaluate, scorecard
from appliance.planning import check_plan
from appliance.planning.machine import load_machine
from appliance.session_deepen import deepened
from appliance.session_stages import Subject
from engines.dvh import DoseVolume, cumulative_dvh
from engines.grid import Grid, VoxelSet
from engines.grid.rasterise import rasterise

HERE = Path(__file__).resolve().parent
PEER = HERE / ".venv-dicompyler" / "bin" / "python"
FULL_BAR_S, FULL_AIM_S, GOALS_BAR_S, DVH_BAR = 1.5, 0.5, 0.05, 10.0
GRID = Grid((-219.0, -159.0, -133.5), (2.0, 2.0, 3.0), (90, 160, 220))
ORGANS, CORNERS = 27, 90
QUICK = Config(evaluation=EvaluationConfig(robustness=False, explain_budget_s=0.0))
BODY_MM = (190.0, 120.0, 115.0)


def ellipse(centre_mm: tuple[float, float, float], half_mm: tuple[float, float, float]) -> tuple[Contour, ...]:
    """An ellipsoid's contours, one on each slice that it reaches."""
    angle = np.arange(CORNERS) * 2 * np.pi / CORNERS
    found = []
    for z in GRID.axes_mm()[2]:
        share = 1 - ((z - centre_mm[2]) / half_mm[2]) ** 2
        if share <= 0.01:
            continue
        x = centre_mm[0] + half_mm[0] * np.sqrt(share) * np.cos(angle)
        y = centre_mm[1] + half_mm[1] * np.sqrt(share) * np.sin(angle)
        found.append(Contour(float(z), np.stack([x, y], axis=1)))
    return tuple(found)


def voxels(contours: tuple[Contour, ...]) -> VoxelSet:
    return rasterise({contour.z_mm: [contour.points_mm] for contour in contours}, GRID)


def structures() -> tuple[Structure, ...]:
    rng = np.random.default_rng(4)
    drawn = [("External", StructureKind.EXTERNAL, ellipse((0, 0, 0), BODY_MM))]
    for name, half in (("PTV_High", 30.0), ("PTV_Low", 45.0)):
        drawn.append((name, StructureKind.TARGET, ellipse((5.0, -4.0, 3.0), (half, 0.8 * half, half))))
    for number in range(ORGANS):
        centre = tuple(float(v) for v in rng.uniform(-0.55, 0.55, 3) * BODY_MM)
        half = tuple(float(v) for v in rng.uniform(14.0, 34.0, 3))
        drawn.append((f"Organ_{number:02d}", StructureKind.ORGAN, ellipse(centre, half)))
    return tuple(Structure(n, name, name, kind, lines, voxels(lines)) for n, (name, kind, lines) in enumerate(drawn, 1))


def made_case() -> Case:
    source = SourceObject("1.2", "1.2.3", "1.2.4", "RTSTRUCT", Path("rs.dcm"), "0" * 64)
    return Case(
        digest="c" * 64,
        identity=Identity("BENCH", "Bench", "", "O", "1.2.6"),
        frame_of_reference_uid="1.2.5",
        patient_position="HFS",
        image=Image(GRID, np.zeros(GRID.shape, np.int16)),
        structures=structures(),
        prescription=(),
        fractions=35,
        images=(),
        structure_set=source,
    )


def goals(case: Case) -> GoalSet:
    made = []
    by_kind = {
        StructureKind.EXTERNAL: (("D0.1cc", "<=", 73.0, "Gy"), ("V35Gy", "<=", 20.0, "%")),
        StructureKind.TARGET: (("D95%", ">=", 55.0, "Gy"), ("D2%", "<=", 73.0, "Gy")),
        StructureKind.ORGAN: (("Mean", "<=", 20.0, "Gy"), ("CV20Gy", ">=", 60.0, "%")),
    }
    for structure in case.structures:
        texts = by_kind[structure.kind]
        for metric, comparator, limit, unit in texts:
            parsed = Metric.parse(metric), Comparator(comparator), limit, unit
            made.append(ClinicalGoal(structure.tg263, *parsed, 1, "bench", variation=None))
    return GoalSet("bench", "Bench", "bench", 35, (("PTV_High", 66.0), ("PTV_Low", 56.0)), tuple(made), "0" * 64)


def made_dose(plan_digest: str, scale: float = 1.0) -> CalculatedDose:
    x, y, z = GRID.axes_mm()
    radius = (x[None, None, :] / 75) ** 2 + (y[None, :, None] / 60) ** 2 + (z[:, None, None] / 70) ** 2
    dose_gy = scale * (1.0 + 68.0 * np.exp(-(radius**1.5)) + 0.01 * x[None, None, :])
    return CalculatedDose(GRID, np.maximum(dose_gy, 0).astype(np.float32), plan_digest, "formula", "none")


def made_plan() -> Plan:
    """Nine beams of 20 random shapes."""
    machine, rng = load_machine("millennium120"), np.random.default_rng(5)
    borders = tuple(float(b) for b in machine.mlc.boundaries_mm)
    pairs, jaws = len(borders) - 1, Jaws(-50.0, 50.0, -50.0, 50.0)
    beams = []
    for number in range(9):
        points = []
        for shape in range(20):
            left = rng.uniform(-50, 0, pairs)
            right = left + rng.uniform(10, 50, pairs)
            leaves = tuple(left.round(1).tolist()), tuple(right.round(1).tolist())
            points += [ControlPoint(5.0 * (shape + end), 40.0 * number, 0.0, 0.0, jaws, *leaves) for end in (0, 1)]
        fixed = machine.treatment_machine, 6.0, "STANDARD", (0.0, 0.0, 0.0), 1000.0, 600.0, borders
        beams.append(Beam(number + 1, f"B{number}", *fixed, tuple(points)))
    return Plan("Bench", tuple(beams), 35, "HFS")


def cpu_s(act: Callable[[], object], runs: int) -> float:
    act()
    seconds = []
    for _ in range(runs):
        began = time.process_time()
        act()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def curves_from_contours(case: Case, dose_gy: np.ndarray) -> None:
    flat = dose_gy.reshape(-1)
    for structure in case.structures:
        found = voxels(structure.contours)
        volume = DoseVolume.of(flat[found.index], found.fraction * np.float32(GRID.voxel_volume_cc))
        cumulative_dvh(volume.dose_gy, volume.weight, 0.01)


def peer(case: Case, dose_gy: np.ndarray) -> tuple[float, float]:
    """(its CPU seconds, largest difference of a curve in percent of the volume)."""
    subprocess.run(["bash", HERE / "peer_dicompyler_env.sh", sys.executable], check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stamp = Stamp("bench", "bench")
        writer = StudyWriter(folder, case.identity, case.frame_of_reference_uid, stamp)
        images = writer.write_images(case.image, "bench")
        drawn = writer.write_structures(case.structures, images, label="bench", description="bench")
        dose = writer.write_dose(GRID, dose_gy, drawn, description="bench")
        out = folder / "out.json"
        subprocess.run([PEER, HERE / "peer_dicompyler.py", drawn.path, dose.path, out], check=True)
        found = json.loads(out.read_text("utf-8"))
    return float(found["cpu_s"]), max(
        _difference(case, dose_gy, found["structures"][s.name], s) for s in case.structures
    )


def _difference(case: Case, dose_gy: np.ndarray, theirs: dict, structure: Structure) -> float:
    volume = DoseVolume.of(dose_gy.reshape(-1)[structure.voxels.index], structure.voxels.fraction)
    ours = np.array([100 * volume.volume_at_dose(level) / volume.total for level in theirs["level_gy"]])
    return float(np.abs(ours - theirs["volume_percent"]).max())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--without-peer", action="store_true")
    args = parser.parse_args()
    case, plan = made_case(), made_plan()
    goal_set, dose = goals(case), made_dose(plan.digest)
    evaluator = GoalEvaluator(case, goal_set)
    others = iter([made_dose(plan.digest, 1 + 0.01 * number).dose_gy for number in range(args.runs + 1)])

    def whole() -> str:
        """As a session does it, but for robustness and re-optimised explanations, which have benches of their own."""
        judged = evaluate(case, goal_set, dose, check_plan(plan, "millennium120"))
        subject = Subject(case, goal_set, plan, dose, dose.dose_gy, None, Attachments())
        return json.dumps(scorecard(deepened(QUICK, subject, judged, silent)))

    figures: dict[str, float] = {
        "structures": len(case.structures),
        "voxels": sum(structure.voxels.index.size for structure in case.structures),
        "goals": len(goal_set.goals),
        "full_cpu_s": cpu_s(whole, args.runs),
        "goals_cpu_s": cpu_s(lambda: evaluator.judge(next(others)), args.runs),
        "dvh_cpu_s": cpu_s(lambda: curves_from_contours(case, dose.dose_gy), args.runs),
    }
    good = figures["full_cpu_s"] < FULL_BAR_S and figures["goals_cpu_s"] < GOALS_BAR_S
    if not args.without_peer:
        peer_s, differs = peer(case, dose.dose_gy)
        figures |= {"dvh_peer_cpu_s": peer_s, "ratio": peer_s / figures["dvh_cpu_s"], "curves_differ_percent": differs}
        good = good and figures["ratio"] >= DVH_BAR
    print(json.dumps(figures, indent=1))
    print(
        f"evaluation {figures['full_cpu_s']:.2f} CPU s (bar {FULL_BAR_S:g}, aim {FULL_AIM_S:g}), goals alone "
        f"{1e3 * figures['goals_cpu_s']:.0f} ms (bar {1e3 * GOALS_BAR_S:.0f})"
        + (
            f", DVHs {figures['ratio']:.0f} times less CPU than dicompyler-core (bar {DVH_BAR:g})"
            if "ratio" in figures
            else ""
        )
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
