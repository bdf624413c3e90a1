"""Where an arc begins: leaf optimisation of the same case and objectives from different first paths.

    ./build.sh bench vmat_start [--cases c-shape prostate 201 202] [--starts NAME ...] [--policy FILE.onnx]

Cases are built-in ones and OpenKBP patients by number. Starts, of which the present one is always run:

- present: the fluence optimum (80 evaluations at most), sequenced;
- short: the same after 10 evaluations of the fluence;
- conformal: open fields, sequenced; no fluence is optimised;
- near, far: the finished arc of the present start with smooth errors (5 and 15 mm rms of each leaf, 20 and 50 % of each
  meterset), made legal. They stand for a network that proposes arcs like finished ones with such errors, and cost
  nothing before the leaves are optimised;
- learned: the present start, then a few steps of the network of `models/arc_policy` (`--policy`), whose looks and
  answers are paid for like everything else.

Then leaves and metersets are optimised in the rounds of `moving_leaves.DEVELOP_BUDGETS` (`--rounds` for others), all
of their evaluations whether goals are met or not; objectives never change. Organs and targets keep one in `--thin` of
their samples. Every round prints CPU seconds since the start, geometry left out, the merit, and the planner's score
of the optimiser's own doses. The last plan gets its true dose (pencil beam), whose seconds are not counted. In the
end: CPU seconds until the present start's last merit is reached (between rounds its logarithm on a straight line; a
start that never reaches it has none), and differences from the present start on the same cases, with 95 % bootstrap
intervals. The fluence stage's own pushing of goals is left out: objectives are the template's."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from policies_problem import Subject, at_hand, goals_met
from scipy.ndimage import gaussian_filter1d

from appliance.config import PlanningConfig
from appliance.contracts import Objectives, PlanningState, Working
from appliance.evaluation import evaluate
from appliance.execution.score import score
from appliance.planning import check_plan
from appliance.planning.leaf_layers import leaf_layers
from appliance.planning.leaf_paths import PathLimits, legal
from appliance.planning.machine import load_machine
from appliance.planning.moving_leaves import DEVELOP_BUDGETS
from engines.statistics import paired
from models.arc_policy.steps import Answer, follow, opened
from models.arc_policy.system import THIN, ArcTps

OPEN, SHORT, WHOLE = 1, 10, 80
"""Evaluations of the fluence; the first one is of open fields."""
SMOOTH_INTERVALS = 3.0
"""Errors of a proposal are alike over so many intervals (chosen: rougher ones would break the leaves' travel, and
making them legal would take most of the error away)."""
ERRORS = {"near": (5.0, 0.2), "far": (15.0, 0.5)}
LEARNED = "learned"
EVALUATIONS = {"present": WHOLE, LEARNED: WHOLE, "short": SHORT, "conformal": OPEN}
STARTS = ("present", "short", "conformal", *ERRORS, LEARNED)


@dataclass(frozen=True)
class Round:
    cpu_s: float
    merit: float
    score: float


@dataclass(frozen=True)
class Run:
    case: str
    start: str
    before_s: float
    rounds: tuple[Round, ...]
    true_score: float
    met: int
    goals: int
    deliverable: bool


def smooth_errors(shape: tuple[int, ...], rms: float, seed: int) -> NDArray[np.float64]:
    """Normal, alike along the first axis, of the given root mean square."""
    drawn = gaussian_filter1d(np.random.default_rng(seed).standard_normal(shape), SMOOTH_INTERVALS, axis=0)
    return np.asarray(drawn * (rms / math.sqrt(float((drawn * drawn).mean()))), np.float64)


def proposed(working: Working, layers: tuple[int, ...], error: tuple[float, float], seed: int) -> Working:
    """The arcs of `working` with errors of leaves (mm rms) and metersets (share), legal. layers: pairs in each layer of
    leaves. Metersets keep their sum as far as their bounds allow: one factor for all of them is soon mended."""
    arrays = dict(working.arrays)
    for number, row in enumerate(arrays["delivery_limits"]):
        gap, travel, a0, a1, b0, b1, span, passes, least, most = (float(value) for value in row)
        limits = PathLimits(gap, travel, (a0, a1), (b0, b1), span, layers, bool(passes))
        names = [f"delivery_{kind}_{number}" for kind in ("left_mm", "right_mm", "mu")]
        left, right, mu = (arrays[name] for name in names)
        wrong = [smooth_errors(left.shape, error[0], seed + 3 * number + side) for side in (0, 1)]
        spread = np.clip(mu * (1.0 + smooth_errors(mu.shape, error[1], seed + 3 * number + 2)), least, most)
        spread = np.clip(spread * (mu.sum() / spread.sum()), least, most)
        arrays |= dict(zip(names, (*legal(left + wrong[0], right + wrong[1], limits), spread), strict=True))
    return Working(working.technique, working.goals, working.objectives, arrays)


@dataclass(frozen=True)
class Asked:
    """rounds: evaluations of each; answer: of the network, if one was given."""

    rounds: tuple[int, ...]
    seed: int
    thin: int
    answer: Answer | None = None


class Bench:
    """One case: its planning system, and what every start is measured by."""

    def __init__(self, subject: Subject, config: PlanningConfig, asked: Asked) -> None:
        self.subject, self._config, self._asked = subject, config, asked
        start = time.process_time()
        self._tps = ArcTps(subject.case, subject.goal_set, config, thin=asked.thin)
        self.geometry_s = time.process_time() - start
        self._objectives: Objectives = self._tps.initial_objectives()
        self._finished: Working | None = None

    def run(self, start: str) -> Run:
        begun = time.process_time()
        if start in ERRORS:
            self._resume(start)
        else:
            self._sequence(start)
        before_s = clock_s = time.process_time() - begun
        rounds: list[Round] = []
        for evaluations in self._asked.rounds:
            begun = time.process_time()
            state = self._tps.improve(self._objectives, evaluations)
            clock_s += time.process_time() - begun
            rounds.append(Round(clock_s, state.merit, score(self.subject.goal_set, state)))
            print(f"  {start}: {clock_s:.1f} s, merit {state.merit:.2f}, score {rounds[-1].score:.2f}", flush=True)
        if start == "present":
            self._finished = self._tps.working()
        return self._judged(start, before_s, tuple(rounds))

    def _sequence(self, start: str) -> None:
        self._tps.forget()
        self._tps.approach(self._objectives, EVALUATIONS[start])
        self._tps.begin()
        if start == LEARNED:
            if self._asked.answer is None:
                raise ValueError("'learned' needs the network (--policy FILE.onnx)")
            looks = follow(self._tps, self._tps.watch(self._objectives), self._asked.answer)
            print("  learned: merit " + ", ".join(f"{look.merit:.1f}" for look in looks))

    def _resume(self, start: str) -> None:
        if self._finished is None:
            raise ValueError(f"'{start}' needs the finished arc of 'present' before it")
        layers = leaf_layers(load_machine(self._config.machine)).counts
        self._tps.resume(proposed(self._finished, layers, ERRORS[start], self._asked.seed))

    def _judged(self, start: str, before_s: float, rounds: tuple[Round, ...]) -> Run:
        case, goal_set = self.subject.case, self.subject.goal_set
        plan, dose = self._tps.finish()
        facts = check_plan(plan, self._config.machine)
        judged = evaluate(case, goal_set, dose, facts, plan=plan)
        values = tuple(goal.value for goal in judged.goals)
        met = goals_met(goal_set, values, judged.hottest_01cc_gy)
        state = PlanningState(values, math.nan, judged.hottest_01cc_gy, 0, "full", plan.mu)
        true_score = score(goal_set, state)
        return Run(self.subject.name, start, before_s, rounds, true_score, met["met"], met["goals"], facts.deliverable)


def reached_s(rounds: Sequence[Round], merit: float) -> float:
    """CPU seconds at which the merit is reached, its logarithm on a straight line between rounds; NaN where never."""
    before: Round | None = None
    for each in rounds:
        if each.merit <= merit:
            if before is None:
                return each.cpu_s
            share = math.log(before.merit / merit) / math.log(before.merit / each.merit)
            return before.cpu_s + share * (each.cpu_s - before.cpu_s)
        before = each
    return math.nan


def tell(run: Run) -> None:
    print(
        f"{run.case} {run.start}: {run.before_s:.1f} s before the leaves; true score {run.true_score:.2f}, "
        f"goals {run.met} of {run.goals}{'' if run.deliverable else ', NOT DELIVERABLE'}",
        flush=True,
    )


def against(own: Sequence[float], present: Sequence[float]) -> str:
    """Mean difference from the present start; its interval where there are two cases or more."""
    difference = np.asarray(own) - np.asarray(present)
    if len(difference) < 2:
        return f"{difference[0]:+.2f}"
    found = paired(difference)
    return f"{found.mean:+.2f} ({found.low:+.2f} to {found.high:+.2f}), {found.count} cases"


def summary(runs: Sequence[Run]) -> None:
    present = {run.case: run for run in runs if run.start == "present"}
    for start in STARTS[1:]:
        own = [run for run in runs if run.start == start and run.case in present]
        if not own:
            continue
        others = [present[run.case] for run in own]
        reached = [reached_s(run.rounds, other.rounds[-1].merit) for run, other in zip(own, others, strict=True)]
        print(f"{start}: reaches the present start's last merit after " + ", ".join(f"{x:.1f}" for x in reached) + " s")
        figures: tuple[tuple[str, Callable[[Run], float]], ...] = (
            ("CPU s at the end", lambda run: run.rounds[-1].cpu_s),
            ("CPU s before the leaves", lambda run: run.before_s),
            *(
                (f"log10 of merit after round {n + 1}", lambda run, n=n: math.log10(run.rounds[n].merit))
                for n in range(len(own[0].rounds))
            ),
            ("score on the samples at the end", lambda run: run.rounds[-1].score),
            ("true score", lambda run: run.true_score),
        )
        for name, figure in figures:
            print(f"  {name}: {against([figure(r) for r in own], [figure(r) for r in others])}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Leaf optimisation of arcs from different starts.")
    parser.add_argument("--cases", nargs="+", default=["c-shape", "prostate", "201", "202"])
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=STARTS)
    parser.add_argument("--grid-mm", type=float, default=6.0)
    parser.add_argument("--beamlet-mm", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, nargs="+", default=list(DEVELOP_BUDGETS))
    parser.add_argument("--thin", type=int, default=THIN)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--policy", type=Path, help="ONNX file of models/arc_policy")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    config = PlanningConfig(
        technique="vmat", dose_grid_mm=asked.grid_mm, beamlet_mm=asked.beamlet_mm, algorithm="pencil_beam"
    )
    answer = None if asked.policy is None else opened(asked.policy.read_bytes())
    wanted = Asked(tuple(asked.rounds), asked.seed, asked.thin, answer)
    starts = [each for each in STARTS[1:] if each in asked.starts and (each != LEARNED or answer is not None)]
    runs: list[Run] = []
    for name in asked.cases:
        if not at_hand(name):
            print(f"{name}: left out, it is not at hand")
            continue
        bench = Bench(Subject(name), config, wanted)
        print(f"{name}: geometry {bench.geometry_s:.1f} CPU s", flush=True)
        for start in ("present", *starts):
            runs.append(bench.run(start))
            tell(runs[-1])
            if asked.json is not None:
                asked.json.write_text(json.dumps([asdict(run) for run in runs], indent=1), "utf-8")
    summary(runs)
    return 0 if runs and all(run.deliverable for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
