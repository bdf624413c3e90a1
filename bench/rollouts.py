"""Throughput of training episodes: one and two workers, as processes and on Ray, and what many cores would need.

    ./build.sh bench rollouts [--episodes N] [--workers 1 2] [--backends processes ray] [--weights FILE] [--json FILE]

Plays the same N random tasks (built-in cases, and OpenKBP training patients 1 to 8 where they are at hand) with each
backend and each number of workers: recorded episodes of the network of --weights (models/policy/policy.onnx), or the
rules where there is none. Printed of each: wall seconds, episodes and calls of the planning system an hour, CPU seconds
an episode, the share of the wall time in which a worker computed, and the scaling efficiency: episodes an hour for each
worker, of those with one worker of the same backend. Starting the workers and their first episode each, which reads a
case and imports, are not counted. On a machine that does other things too the last two say what was left of it, not
what the workers can do: with one worker it computed all the time where the machine is free.

The projection at the end is arithmetic, not a measurement: 10,000 episodes on 16 and 64 cores that do nothing else, at
the CPU seconds that an episode cost with the most workers, as if they never waited; and again at the efficiency seen
here. Both leave out what is not played: the learner's updates, and memory that many cores share. Results of all runs
must be equal, or the exit code is 1. Left out, and said: Ray where it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.execution.steering.episode import Terms
from models.policy.cases import builtin_cases, openkbp_cases
from models.policy.making import make_tasks
from models.policy.rollout import Job, Orders, Played, Player
from models.policy.varied import Variation
from models.policy.workers import Crew, Processes

ROOT = Path(__file__).resolve().parents[1]
OPENKBP = ROOT.parent / "shared" / "openkbp" / "train"
PATIENTS = range(1, 9)
WEIGHTS = ROOT / "models" / "policy" / "policy.onnx"
CACHE = Path(tempfile.gettempdir()) / "couchside-bench-policy-cache"
"""Outside the repository, which patient data never enter."""
PROJECTED_EPISODES, PROJECTED_CORES = 10_000, (16, 64)
TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Measured:
    backend: str
    workers: int
    episodes: int
    calls: int
    wall_s: float
    cpu_s: float

    @property
    def episodes_per_hour(self) -> float:
        return 3600 * self.episodes / self.wall_s

    @property
    def calls_per_hour(self) -> float:
        return 3600 * self.calls / self.wall_s


def crew_of(backend: str, workers: int) -> Crew:
    if backend == "processes":
        return Processes(workers, TIMEOUT_S)
    from models.policy.workers_ray import RayCrew

    return RayCrew(workers, TIMEOUT_S)


def measured(backend: str, workers: int, jobs: Sequence[Job], orders: Orders) -> tuple[Measured, list[Played]]:
    crew = crew_of(backend, workers)
    try:
        crew.play([Job(place, jobs[0].task, jobs[0].seed, "template") for place in range(workers)], orders)
        start = time.perf_counter()
        played = crew.play(jobs, orders)
        wall_s = time.perf_counter() - start
    finally:
        crew.close()
    if failed := [one.error for one in played if one.error]:
        sys.exit(f"{len(failed)} episodes failed, such as {failed[0]}")
    calls, cpu_s = sum(one.calls for one in played), sum(one.cpu_s for one in played)
    return Measured(backend, workers, len(played), calls, wall_s, cpu_s), played


def scaling(one: Measured, single: Measured) -> float:
    return one.episodes_per_hour / one.workers / (single.episodes_per_hour / single.workers)


def shown(one: Measured, single: Measured) -> str:
    efficiency = scaling(one, single)
    return (
        f"{one.backend:10} {one.workers:7d} {one.wall_s:8.1f} {one.episodes_per_hour:11.0f} {one.calls_per_hour:9.0f}"
        f" {one.cpu_s / one.episodes:13.2f} {one.cpu_s / one.wall_s / one.workers:9.2f} {efficiency:10.2f}"
    )


def projection(results: Sequence[Measured]) -> list[str]:
    lines = []
    for backend in dict.fromkeys(one.backend for one in results):
        own = [one for one in results if one.backend == backend]
        single, most = min(own, key=lambda one: one.workers), max(own, key=lambda one: one.workers)
        efficiency = min(scaling(most, single), 1.0)
        for cores in PROJECTED_CORES:
            hours = PROJECTED_EPISODES * most.cpu_s / most.episodes / cores / 3600
            lines.append(
                f"projection, not measured: {PROJECTED_EPISODES} episodes on {cores} cores with {backend}: "
                f"{hours:.2f} h without waiting, {hours / efficiency:.2f} h at efficiency {efficiency:.2f}"
            )
    return lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Throughput of training episodes.")
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--backends", nargs="+", default=["processes", "ray"], choices=["processes", "ray"])
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    names = builtin_cases(CACHE)
    if OPENKBP.is_dir():
        names += openkbp_cases(OPENKBP, PATIENTS, CACHE)
    tasks = make_tasks(names, CACHE, count=asked.episodes, seed=1, variation=Variation())
    weights = asked.weights.read_bytes() if asked.weights.is_file() else b""
    player: Player = "behaviour" if weights else "rules"
    jobs = [Job(place, task, (1, place), player) for place, task in enumerate(tasks)]
    print(f"{len(jobs)} episodes of up to {Terms().calls} calls by {'the network' if weights else 'the rules'}")
    print("backend    workers   wall s  episodes/h   calls/h CPU s/episode computing efficiency")
    results: list[Measured] = []
    rewards: set[tuple[float, ...]] = set()
    for backend in asked.backends:
        if backend == "ray" and importlib.util.find_spec("ray") is None:
            print("ray        left out: it is not installed (the extra 'ray')")
            continue
        for workers in asked.workers:
            one, played = measured(backend, workers, jobs, Orders(CACHE, Terms(), weights))
            results.append(one)
            rewards.add(tuple(episode.reward for episode in played))
            print(shown(one, next(r for r in results if r.backend == backend)), flush=True)
    print(*projection(results), sep="\n")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in results], indent=1) + "\n", "utf-8")
    if len(rewards) != 1:
        sys.exit("the backends played different episodes")


if __name__ == "__main__":
    main()
