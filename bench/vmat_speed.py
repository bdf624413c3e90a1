"""Moving-leaf plans of one case: seconds, goals, monitor units, complexity and delivery time.

    ./build.sh bench vmat_speed --study DICOM_DIR [--site openkbp] [--technique vmat|sliding_window|step_and_shoot]
                                [--beams N] [--runs N] [--machine NAME --beam-model NAME] [--algorithm NAME]
    ./build.sh bench vmat_speed --case c-shape [--technique ...]

A case is a folder of DICOM (CT and RTSTRUCT; `couchside import-openkbp` makes one of a packed patient) or a built-in
one, of which the reference day is planned. Each run is a plan from contours to final dose in this process, without
DICOM reading and writing. Printed: CPU and wall seconds (a busy machine shows in the second), goals met, hottest 0.1
cc, MU per Gy of a fraction, modulation complexity score, seconds of delivery; medians over the runs."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from appliance.approval import IdentityStore
from appliance.builtin import write_study
from appliance.config import Config, PlanningConfig
from appliance.contracts import Case, GoalSet, PlanFacts
from appliance.evaluation import evaluate
from appliance.execution import plan_case
from appliance.planning import PhotonTps, check_plan
from appliance.session_headless import read_case
from appliance.session_wiring import real_stages
from appliance.session_work import prescribed


@dataclass(frozen=True)
class Run:
    cpu_s: float
    wall_s: float
    goals: str
    hottest_gy: float
    mu_per_gy: float
    facts: PlanFacts


def case_of(folder: Path, site: str) -> tuple[Case, GoalSet]:
    stages = real_stages(Config(planning=PlanningConfig(site=site)), IdentityStore(folder / "identities"))
    received, _ = read_case(folder)
    case = stages.assemble(received)
    goals = folder / "goals.toml"
    goals.write_bytes(stages.choose_goals(case))
    goal_set = stages.goals_for_case(goals, case)
    return prescribed(case, goal_set), goal_set


def one_run(case: Case, goal_set: GoalSet, planning: PlanningConfig) -> Run:
    cpu, wall = time.process_time(), time.monotonic()
    notes: list[str] = []
    plan, dose = plan_case(PhotonTps(case, goal_set, planning), goal_set, note=notes.append)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    facts = check_plan(plan, planning.machine)
    judged = evaluate(case, goal_set, dose, facts)
    for goal in judged.goals:
        print(f"    {goal.structure} {goal.metric} {goal.comparator} {goal.limit:g}: {goal.value:.2f} {goal.unit}")
    for note in notes:
        print(f"    {note}")
    highest = max(dose_gy for _, dose_gy in goal_set.prescription) / goal_set.fractions
    met = f"{judged.goals_met} of {len(judged.goals)}"
    return Run(cpu, wall, met, judged.hottest_01cc_gy, plan.mu / highest, facts)


def report(name: str, technique: str, runs: list[Run]) -> bool:
    last = runs[-1]
    print(
        f"{name} {technique}: {statistics.median(r.cpu_s for r in runs):.1f} CPU s, "
        f"{statistics.median(r.wall_s for r in runs):.1f} s wall; goals {last.goals}, hottest 0.1 cc "
        f"{last.hottest_gy:.2f} Gy, {last.mu_per_gy:.0f} MU per Gy, {last.facts}",
        flush=True,
    )
    return last.facts.deliverable


def main() -> int:
    parser = argparse.ArgumentParser(description="Seconds and quality of moving-leaf plans.")
    parser.add_argument("--case", default="")
    parser.add_argument("--study", type=Path)
    parser.add_argument("--site", default="")
    parser.add_argument("--technique", default="vmat", choices=("vmat", "sliding_window", "step_and_shoot"))
    parser.add_argument("--beams", type=int, default=0)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--machine", default=PlanningConfig().machine)
    parser.add_argument("--beam-model", default=PlanningConfig().beam_model)
    parser.add_argument("--algorithm", default=PlanningConfig().algorithm, choices=("collapsed_cone", "pencil_beam"))
    arguments = parser.parse_args()
    planning = PlanningConfig(
        technique=arguments.technique, beams=arguments.beams, machine=arguments.machine,
        beam_model=arguments.beam_model, algorithm=arguments.algorithm,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
        folder = arguments.study
        if folder is None:
            folder = Path(scratch) / "study"
            write_study(arguments.case or "c-shape", folder, day="reference")
        case, goal_set = case_of(folder, arguments.site)
        runs = [one_run(case, goal_set, planning) for _ in range(arguments.runs)]
    name = arguments.case or (arguments.study.name if arguments.study else "c-shape")
    return 0 if report(name, arguments.technique, runs) else 1


if __name__ == "__main__":
    sys.exit(main())
