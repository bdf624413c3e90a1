"""The virtual planner at an outside planning system: pyRadPlan 0.5.0 in a process of its own, steered through the same
interface as ours, on the built-in TG-119 C-shape.

    ./build.sh bench outside_planner [--case c-shape] [--calls 15] [--grid-mm 6]

Two policies at each planning system, the same number of calls: template (nothing is changed, the optimisation goes on)
and rules. Printed of each: score, hottest 0.1 cc and goals of the first look and of the best step, calls used, and CPU
seconds (of the peer: its own; of ours: this process's). Each planning system judges its own dose on its own voxels, so
that only the differences between its own rows say something of the planner; nothing here says which system plans
better. It is shown that the planner is not married to ours: exit code 1 where the rules do not better the first look
at either, or end below the template by more than LESS points.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from typing import NamedTuple

from outside_tps import Effort, PyRadPlanTps
from policies_problem import Subject, goals_met

from appliance.contracts import GoalSet, SteerableTps
from appliance.evaluation import plan_scorer
from appliance.execution.policies.rules import RulesPolicy
from appliance.execution.policies.template import TemplatePolicy
from appliance.execution.steering.episode import PlanningEpisode, Step, Terms, run_policy

LESS = 0.1


class Planned(NamedTuple):
    """calls: used. cpu_s: of the planning system and, for ours, of the planner too."""

    first: Step
    best: Step
    calls: int
    cpu_s: float


def cpu_s_of(tps: SteerableTps) -> float:
    return tps.cpu_s if isinstance(tps, PyRadPlanTps) else time.process_time()


def planned(tps: SteerableTps, goal_set: GoalSet, policy: str, terms: Terms) -> Planned:
    before = cpu_s_of(tps)
    episode = PlanningEpisode(tps, goal_set, plan_scorer(goal_set), terms=terms)
    best = run_policy(episode, TemplatePolicy() if policy == "template" else RulesPolicy(terms))
    return Planned(episode.steps[0], best, len(episode.steps), cpu_s_of(tps) - before)


def row(goal_set: GoalSet, step: Step) -> str:
    met = goals_met(goal_set, step.state.goal_values, step.state.hottest_gy)
    values = zip(goal_set.goals, step.state.goal_values, strict=True)
    goals = ", ".join(f"{goal.structure} {goal.measure} {v:.2f}" for goal, v in values if not math.isnan(v))
    return (
        f"score {step.score:6.2f}, merit {step.merit:6.2f}, {met['met']} of {met['goals']} met, hottest "
        f"{step.state.hottest_gy:.2f} Gy: {goals}"
    )


def compared(name: str, tps: SteerableTps, goal_set: GoalSet, terms: Terms) -> bool:
    """Prints both policies at one planning system; whether the rules did what they are for."""
    found = {policy: planned(tps, goal_set, policy, terms) for policy in ("template", "rules")}
    for policy, run in found.items():
        print(f"{name}, {policy}: {run.calls} calls (best at {run.best.number + 1}), {run.cpu_s:.1f} CPU s")
        print(f"    first {row(goal_set, run.first)}")
        print(f"    best  {row(goal_set, run.best)}", flush=True)
    template, rules = found["template"].best.points, found["rules"].best.points
    return rules > found["rules"].first.points and rules >= template - LESS


def main() -> int:
    parser = argparse.ArgumentParser(description="The virtual planner at pyRadPlan and at our planning system.")
    parser.add_argument("--case", default="c-shape", help="a built-in case")
    parser.add_argument("--calls", type=int, default=15)
    parser.add_argument("--grid-mm", type=float, default=Effort.grid_mm, help="of the peer's image and dose")
    asked = parser.parse_args()
    subject, terms = Subject(asked.case), Terms(calls=asked.calls)
    start = time.perf_counter()
    with PyRadPlanTps(subject.case, subject.goal_set, effort=Effort(grid_mm=asked.grid_mm)) as tps:
        left_out = ", ".join(f"{one.kind.value} of {one.structure}" for one in tps.left_out) or "nothing"
        print(f"pyRadPlan has its matrix after {time.perf_counter() - start:.1f} s; left out: {left_out}", flush=True)
        held = [compared("pyRadPlan", tps, subject.goal_set, terms)]
    held.append(compared("ours, coarse", subject.coarse, subject.goal_set, terms))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
