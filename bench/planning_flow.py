"""What exploring with a policy is worth in the end: deliverable plans of the same patients planned in several ways.

    ./build.sh bench planning_flow [--patients 34 66] [--cases c-shape] [--ways single rules learned]
        [--algorithm pencil_beam] [--technique vmat] [--budget-s S] [--no-prediction] [--coarse] [--json FILE]

Ways: 'single' is the planner by rules without a preliminary plan (`plan_case`); 'rules' the session's planner without
exploring; 'template' its preliminary plan alone; 'learned' and 'explored' explore first, with the network of the
registry or with the rules as a policy. Printed of each plan: goals met, the scorecard's score in percent, hottest
0.1 cc, monitor units, calls of exploring, what was kept and CPU seconds; then the sums. --json keeps each step too.
--coarse plans on wider samples, with wider beamlets and fewer apertures: quicker, to compare ways and not to judge
plans. Exit code 1 where another way meets fewer goals of a patient than the template.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.builtin import import_openkbp, write_study
from appliance.case import assemble
from appliance.config import Config, PlanningConfig
from appliance.contracts import CalculatedDose, Plan
from appliance.contracts.progress import silent
from appliance.errors import PlanningError
from appliance.evaluation import evaluate, goal_set_for_site, goals_for_case
from appliance.evaluation.plan_scorer import plan_scorer
from appliance.execution import plan_case
from appliance.execution.policies.rules import RulesPolicy
from appliance.planning import PhotonTps, check_plan
from appliance.session_guide import guide_for
from appliance.session_headless import read_case
from appliance.session_plan import planned
from appliance.session_policy import Steering
from appliance.session_predict import predict_case
from appliance.session_work import prescribed

OPENKBP = Path(__file__).resolve().parents[2] / "shared" / "openkbp"
TRAINED_UNTIL = 200
COARSE = {"dose_grid_mm": 6.0, "beamlet_mm": 5.0, "segments_per_beam": 10, "algorithm": "pencil_beam"}
WAYS = ("single", "template", "rules", "learned", "explored")


class Subject:
    """One case with its goals and prediction."""

    def __init__(self, name: str, *, predict: bool, config: Config) -> None:
        self.name = name
        with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
            study = Path(scratch) / "study"
            if name.isdigit():
                folder = "train" if int(name) <= TRAINED_UNTIL else "valid"
                import_openkbp(OPENKBP / folder / f"pt_{name}.npz", study)
            else:
                write_study(name, study, day="reference")
            case = assemble(read_case(study)[0])
        self.goal_set = goals_for_case(goal_set_for_site("openkbp" if name.isdigit() else name), case)
        self.case = prescribed(case, self.goal_set)
        self.predicted = predict_case(config, self.case, self.goal_set, silent).dose if predict else None


def made(subject: Subject, way: str, config: Config) -> tuple[Plan, CalculatedDose, dict[str, Any]]:
    case, goal_set = subject.case, subject.goal_set
    if way == "single":
        try:
            guide = None if subject.predicted is None else guide_for(case, goal_set, subject.predicted)
        except PlanningError:
            guide = None
        plan, dose = plan_case(PhotonTps(case, goal_set, config.planning), goal_set, guide=guide)
        return plan, dose, {"calls": 0, "kept": "", "steps": []}
    steering = Steering(RulesPolicy()) if way == "explored" else None
    found = planned(config, case, goal_set, subject.predicted, silent, steering=steering)
    assert found.facts is not None and found.story is not None
    steps = [(s.stage, s.by, round(s.score, 2), s.goals_met, round(s.seconds, 1)) for s in found.story.steps]
    told = {"calls": found.facts.calls, "kept": found.facts.kept, "ended": found.facts.ended, "steps": steps}
    return found.plan, found.dose, told


def row(subject: Subject, way: str, config: Config) -> dict[str, Any]:
    policy = way if way in ("template", "learned") else "rules"
    configured = config.model_copy(update={"planning": config.planning.model_copy(update={"policy": policy})})
    start = time.process_time()
    plan, dose, told = made(subject, way, configured)
    cpu_s = time.process_time() - start
    judged = evaluate(subject.case, subject.goal_set, dose, check_plan(plan, config.planning.machine))
    return {
        "case": subject.name, "way": way, "met": judged.goals_met, "goals": len(judged.goals),
        "score": round(plan_scorer(subject.goal_set)(tuple(goal.value for goal in judged.goals)), 2),
        "hottest_gy": round(judged.hottest_01cc_gy, 2), "mu": round(sum(beam.mu for beam in plan.beams)),
        "deliverable": judged.plan.deliverable, "cpu_s": round(cpu_s, 1), **told,
    }  # fmt: skip


def show(one: dict[str, Any]) -> None:
    print(
        f"{one['case']:>9} {one['way']:>9}: {one['met']} of {one['goals']} goals, score {one['score']:.2f}, hottest "
        f"{one['hottest_gy']:.2f} Gy, {one['mu']} MU, {one['calls']} calls, "
        f"{one['kept'] or '-'}, {one['cpu_s']:.1f} CPU s",
        flush=True,
    )


def report(rows: Sequence[dict[str, Any]], ways: Sequence[str]) -> bool:
    good = True
    met = {(one["case"], one["way"]): one["met"] for one in rows}
    for way in ways:
        own = [one for one in rows if one["way"] == way]
        fewer = [one["case"] for one in own if one["met"] < met.get((one["case"], "template"), 0)]
        good = good and not fewer
        print(
            f"{way}: {sum(o['met'] for o in own)} of {sum(o['goals'] for o in own)} goals, mean score "
            f"{sum(o['score'] for o in own) / len(own):.2f}, {sum(o['cpu_s'] for o in own):.0f} CPU s"
            + (f"; fewer goals than the template: {', '.join(fewer)}" if fewer else "")
        )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description="What exploring with a policy is worth in the end.")
    parser.add_argument("--patients", nargs="*", default=["34", "66"])
    parser.add_argument("--cases", nargs="*", default=["c-shape"])
    parser.add_argument("--ways", nargs="+", default=["single", "template", "rules", "learned"], choices=WAYS)
    parser.add_argument("--algorithm", default="collapsed_cone")
    parser.add_argument("--technique", default="step_and_shoot")
    parser.add_argument("--budget-s", type=float, default=0.0)
    parser.add_argument("--no-prediction", action="store_true")
    parser.add_argument("--coarse", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    planning = {"algorithm": asked.algorithm, "technique": asked.technique, "budget_s": asked.budget_s}
    planning |= COARSE if asked.coarse else {}
    config = Config(planning=PlanningConfig.model_validate(planning))
    rows = []
    for name in (*asked.cases, *asked.patients):
        if name.isdigit() and not any((OPENKBP / part / f"pt_{name}.npz").exists() for part in ("train", "valid")):
            print(f"OpenKBP {name}: left out, it is not at hand")
            continue
        subject = Subject(name, predict=not asked.no_prediction and name.isdigit(), config=config)
        for way in asked.ways:
            rows.append(row(subject, way, config))
            show(rows[-1])
            if asked.json is not None:
                asked.json.write_text(json.dumps(rows, indent=1), "utf-8")
    return 0 if report(rows, asked.ways) else 1


if __name__ == "__main__":
    sys.exit(main())
