"""Seconds of one step of a planning episode: a call of the coarse planning system and what the policy sees of it.

    ./build.sh bench policy_step [--patients 34 54 96 17] [--steps 14] [--against]

Four OpenKBP patients with nine beams, where they are at hand, and the built-in TG-119 C-shape. Legal changes are drawn
by lot under a seed, one episode a case. Prints of each case what setting it up took, and of its steps wall and CPU
seconds, median and 95th percentile, the least CPU seconds, and the evaluations of the merit. Bar: a median of 0.15 s on
two cores, of wall or of CPU time, because with other jobs on the machine wall time says nothing; CPU time is the more,
and busy neighbours make it longer too. Exit code 1 above the bar.

OMP_NUM_THREADS=1 gives what a rollout worker has. --against also steps the full planning system's fluence stage with
its own samples and 80 evaluations, the peer that a coarse step is to be cheaper than.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from appliance.builtin import import_openkbp, write_study
from appliance.case import assemble
from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, SteerableTps
from appliance.evaluation import goal_set_for_site, goals_for_case, plan_scorer
from appliance.execution.steering.changes import Change
from appliance.execution.steering.episode import PlanningEpisode, Terms
from appliance.execution.steering.policy import Action
from appliance.planning import PhotonTps
from appliance.planning.coarse import CoarseTps
from appliance.session_headless import read_case
from appliance.session_work import prescribed

OPENKBP = Path(__file__).resolve().parents[2] / "shared" / "openkbp"
PATIENTS = (34, 54, 96, 17)
BAR_S = 0.15
SEED = 1
CONFIG = PlanningConfig(algorithm="pencil_beam")


def patient(number: int) -> tuple[Case, GoalSet] | None:
    packed = OPENKBP / ("train" if number <= 200 else "valid") / f"pt_{number}.npz"
    if not packed.exists():
        print(f"OpenKBP {number}: left out, {packed.name} is not at hand")
        return None
    with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
        import_openkbp(packed, Path(scratch) / "study")
        return with_goals(Path(scratch) / "study", "openkbp")


def phantom() -> tuple[Case, GoalSet]:
    with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
        write_study("c-shape", Path(scratch) / "study", day="reference")
        return with_goals(Path(scratch) / "study", "c-shape")


def with_goals(study: Path, site: str) -> tuple[Case, GoalSet]:
    case = assemble(read_case(study)[0])
    goal_set = goals_for_case(goal_set_for_site(site), case)
    return prescribed(case, goal_set), goal_set


def drawn(episode: PlanningEpisode, rng: np.random.Generator) -> Action:
    legal = episode.view().observation.legal
    return Action(tuple(Change(int(rng.choice(np.flatnonzero(row)))) for row in legal))


def stepped(name: str, tps: SteerableTps, goal_set: GoalSet, steps: int) -> tuple[float, float]:
    """Median wall and CPU seconds of a step, printed with the rest."""
    episode = PlanningEpisode(tps, goal_set, plan_scorer(goal_set), terms=Terms(calls=steps + 1))
    start = time.process_time()
    episode.reset()
    first_s = time.process_time() - start
    rng, wall, cpu = np.random.default_rng(SEED), [], []
    while not episode.done:
        action = drawn(episode, rng)
        at, used = time.perf_counter(), time.process_time()
        episode.step(action)
        wall.append(time.perf_counter() - at)
        cpu.append(time.process_time() - used)
    evaluations = statistics.median(step.state.iterations for step in episode.steps[1:])
    print(
        f"| {name} | {len(episode.levers)} | {first_s:.2f} | {statistics.median(wall):.3f} | {late(wall):.3f} | "
        f"{statistics.median(cpu):.3f} | {late(cpu):.3f} | {min(cpu):.3f} | {evaluations:g} |",
        flush=True,
    )
    return statistics.median(wall), statistics.median(cpu)


def late(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 95))


def main() -> int:
    parser = argparse.ArgumentParser(description="Seconds of one step of a planning episode.")
    parser.add_argument("--patients", nargs="*", type=int, default=list(PATIENTS))
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--against", action="store_true", help="also the full planning system's fluence stage")
    asked = parser.parse_args()
    cases = {f"OpenKBP {number}": found for number in asked.patients if (found := patient(number)) is not None}
    cases["TG-119 C-shape"] = phantom()
    head = ("case", "levers", "first look, CPU s", "wall s", "95 %", "CPU s", "95 %", "least", "evaluations")
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    slow = []
    for name, (case, goal_set) in cases.items():
        start = time.process_time()
        tps = CoarseTps(case, goal_set, CONFIG)
        built_s = time.process_time() - start
        found = stepped(f"{name} (built in {built_s:.2f} CPU s)", tps, goal_set, asked.steps)
        if min(found) > BAR_S:
            slow.append(name)
        if asked.against:
            stepped(f"{name}, full", PhotonTps(case, goal_set, CONFIG), goal_set, asked.steps)
    if slow:
        print(f"above {BAR_S} s: {', '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
