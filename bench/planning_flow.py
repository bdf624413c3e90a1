"""What a way of planning is worth in the end: deliverable plans of the same patients planned in several ways. The table
of quality that issue E asks for comes from here.

    ./build.sh bench planning_flow [--patients 34 66 201-240] [--cases c-shape] [--ways single rules learned]
        [--algorithm pencil_beam] [--technique vmat] [--budget-s S] [--no-prediction] [--coarse] [--json FILE.jsonl]
        [--organs]

Ways: 'single' is the planner by rules without a preliminary plan (`plan_case`); 'rules' the session's planner without
exploring; 'template' its preliminary plan alone, sequenced in full; 'learned' and 'explored' explore first, with the
network of the registry or with the rules as a policy; 'reference' is the patient's reference dose, without a plan.
Printed of each plan: goals met, the scorecard's score in percent, hottest 0.1 cc, monitor units, calls, what was kept,
CPU seconds and what was missed; then the table over the patients that every way has planned, with 95 % bootstrap
intervals over patients, and the ways against 'rules' (signed rank). --organs adds each goal and each target.

--json appends one line of JSON for each plan and plans nothing that has a line, so that a run may be ended and gone on
with; the table is then over all ways in the file that planned the cases asked for in the same manner. Built-in cases
have a table of their own. --coarse plans on wider samples, with wider beamlets and fewer apertures: quicker, to
compare ways and not to judge plans. No budget is set unless one is asked for: a busy machine must not cut plans.
Exit code 1 where another way meets fewer goals of a patient than the template.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from planning_flow_problem import Rows, table
from policies_problem import append, at_hand, hot_limit_gy, lines_of, prepared

from appliance.config import Config, PlanningConfig, PredictionConfig
from appliance.contracts import CalculatedDose, GoalResult, Plan, PlanningStory
from appliance.contracts.progress import silent
from appliance.errors import CouchsideError, PlanningError
from appliance.evaluation import GoalEvaluator, evaluate
from appliance.evaluation.dose_on_image import dose_on_image
from appliance.evaluation.evaluate import HOT_VOLUME_CC
from appliance.evaluation.judged import Judged, Regions
from appliance.evaluation.plan_scorer import plan_scorer
from appliance.execution import plan_case
from appliance.execution.policies.rules import RulesPolicy
from appliance.planning import PhotonTps, check_plan
from appliance.session_guide import guide_for
from appliance.session_plan import planned
from appliance.session_policy import Steering
from appliance.session_predict import predict_case

COARSE = {"dose_grid_mm": 6.0, "beamlet_mm": 5.0, "segments_per_beam": 10, "algorithm": "pencil_beam"}
WAYS = ("single", "template", "rules", "learned", "explored", "reference")
IN_FULL = ("fluence", "apertures", "sparing")
"""Stages of the story with rounds on the full planning system."""
SAME = ("algorithm", "technique", "coarse", "predicted", "budget_s")
"""What two plans must have in common to be set against each other."""


class Subject:
    """One case with its goals and its predicted dose, made once for all ways; each is charged what it took."""

    def __init__(self, name: str, config: Config) -> None:
        self.name = name
        self.case, self.goal_set = prepared(name)
        self.regions = Regions(self.case)
        start, began = time.process_time(), time.monotonic()
        self.predicted = predict_case(config, self.case, self.goal_set, silent).dose
        self.predict_cpu_s, self.predict_wall_s = time.process_time() - start, time.monotonic() - began


def made(subject: Subject, way: str, config: Config) -> tuple[Plan, CalculatedDose, dict[str, Any]]:
    """Plan, dose, and what is told of how it was made."""
    case, goal_set, predicted = subject.case, subject.goal_set, subject.predicted
    if way == "single":
        try:
            guide = None if predicted is None else guide_for(case, goal_set, predicted)
        except PlanningError:
            guide = None
        plan, dose = plan_case(PhotonTps(case, goal_set, config.planning), goal_set, guide=guide)
        return plan, dose, {"calls": 0, "kept": ""}
    steering = Steering(RulesPolicy()) if way == "explored" else None
    found = planned(config, case, goal_set, predicted, silent, steering=steering)
    assert found.facts is not None and found.story is not None
    facts = found.facts
    told = {"calls": facts.calls, "kept": facts.kept, "ended": facts.ended, "fallback": facts.fallback}
    return found.plan, found.dose, {**told, **steps_of(found.story)}


def steps_of(story: PlanningStory) -> dict[str, Any]:
    """rounds: looks at what the full planning system made between the preliminary plan and the last."""
    steps = [
        (s.stage, s.by, round(s.score, 2), s.goals_met, round(s.hottest_gy, 2), round(s.seconds, 1))
        for s in story.steps
    ]
    return {"rounds": sum(step.stage in IN_FULL for step in story.steps), "steps": steps}


def row(subject: Subject, way: str, config: Config) -> dict[str, Any]:
    """CPU and wall seconds are from the case to the plan with its dose, prediction included, judgement not."""
    policy = way if way in ("template", "learned") else "rules"
    configured = config.model_copy(update={"planning": config.planning.model_copy(update={"policy": policy})})
    start, began = time.process_time(), time.monotonic()
    plan, dose, told = made(subject, way, configured)
    cpu_s, wall_s = time.process_time() - start + subject.predict_cpu_s, time.monotonic() - began
    wall_s += subject.predict_wall_s
    judged = evaluate(subject.case, subject.goal_set, dose, check_plan(plan, config.planning.machine), plan=plan)
    facts = judged.plan
    return {
        "case": subject.name, "way": way,
        **figures(subject, judged.goals, Judged(subject.regions, dose_on_image(dose, subject.case.image.grid)[0])),
        "conformity": {one.structure: round(one.paddick_conformity, 3) for one in judged.targets},
        "mu": round(facts.mu), "delivery_s": round(facts.delivery_time_s, 1), "mcs": round(facts.mcs, 3),
        "deliverable": facts.deliverable, "cpu_s": round(cpu_s, 1), "wall_s": round(wall_s, 1), **told,
    }  # fmt: skip


def reference(subject: Subject) -> dict[str, Any]:
    """The dose that the archive brings along, by the same goals. Raises PlanningError where there is none."""
    dose_gy = subject.case.reference_dose_gy
    if dose_gy is None:
        raise PlanningError("there is no reference dose")
    goals = GoalEvaluator(subject.case, subject.goal_set, subject.regions).judge(dose_gy).results
    return {"case": subject.name, "way": "reference", **figures(subject, goals, Judged(subject.regions, dose_gy))}


def figures(subject: Subject, goals: Sequence[GoalResult], judged: Judged) -> dict[str, Any]:
    """What every dose has. homogeneity: (D2% - D98%) / D50%, as `evaluation.evaluate` has it."""
    hottest_gy = judged.reached(subject.case.external.tg263).dose_at_volume(HOT_VOLUME_CC)
    targets = {name: judged.volume(name).dose_at_percent for name, _ in subject.goal_set.prescription}
    return {
        "met": sum(goal.met for goal in goals), "goals": len(goals),
        "score": round(plan_scorer(subject.goal_set)(tuple(goal.value for goal in goals)), 2),
        "hottest_gy": round(hottest_gy, 2), "hot_met": hottest_gy <= hot_limit_gy(subject.goal_set),
        "values": {f"{goal.structure} {goal.metric}": round(goal.value, 3) for goal in goals},
        "missed": [f"{goal.structure} {goal.metric}" for goal in goals if not goal.met],
        "d95_gy": {name: round(float(at(95)), 2) for name, at in targets.items()},
        "d99_gy": {name: round(float(at(99)), 2) for name, at in targets.items()},
        "homogeneity": {name: round(float((at(2) - at(98)) / at(50)), 4) for name, at in targets.items()},
    }  # fmt: skip


def show(one: dict[str, Any]) -> None:
    told = f"{one['case']:>9} {one['way']:>9}: {one['met']} of {one['goals']} goals, score {one['score']:.2f}, hottest "
    told += f"{one['hottest_gy']:.2f} Gy" + ("" if one["hot_met"] else " (too hot)")
    if "mu" in one:
        told += f", {one['mu']} MU, {one['calls']} calls, {one['kept'] or '-'}, {one['cpu_s']:.1f} CPU s"
    if one.get("fallback"):
        told += f"; not by this policy: {one['fallback']}"
    missed = (f"{name} {one['values'][name]:.2f}" for name in one["missed"])
    print(told + (f"; missed: {', '.join(missed)}" if one["missed"] else ""), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="What a way of planning is worth in the end.")
    parser.add_argument("--patients", nargs="*", default=["34", "66"], help="numbers, or first-last")
    parser.add_argument("--cases", nargs="*", default=["c-shape"])
    parser.add_argument("--ways", nargs="+", default=["single", "template", "rules", "learned"], choices=WAYS)
    parser.add_argument("--algorithm", default="collapsed_cone")
    parser.add_argument("--technique", default="step_and_shoot")
    parser.add_argument("--budget-s", type=float, default=0.0)
    parser.add_argument("--no-prediction", action="store_true")
    parser.add_argument("--coarse", action="store_true")
    parser.add_argument("--organs", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    names = (*asked.cases, *(number for one in asked.patients for number in numbers(one)))
    rows = measured(names, asked)
    ways = tuple(dict.fromkeys((*asked.ways, *(one["way"] for one in rows))))
    good = True
    for is_patient in (True, False):
        if own := [one for one in rows if one["case"].isdigit() is is_patient]:
            good = table(own, ways, organs=asked.organs) and good
    return 0 if good else 1


def numbers(asked: str) -> list[str]:
    """'34' or '201-240'."""
    first, _, last = asked.partition("-")
    return [str(number) for number in range(int(first), int(last or first) + 1)]


def manner(asked: argparse.Namespace) -> dict[str, Any]:
    """Of the plans asked for, what SAME names; wide samples set the algorithm themselves."""
    algorithm = COARSE["algorithm"] if asked.coarse else asked.algorithm
    given = (algorithm, asked.technique, asked.coarse, not asked.no_prediction, asked.budget_s)
    return dict(zip(SAME, given, strict=True))


def configuration(asked: argparse.Namespace) -> Config:
    planning = {"algorithm": asked.algorithm, "technique": asked.technique, "budget_s": asked.budget_s}
    planning |= COARSE if asked.coarse else {}
    prediction = PredictionConfig(enabled=not asked.no_prediction)
    return Config(planning=PlanningConfig.model_validate(planning), prediction=prediction)


def measured(names: Sequence[str], asked: argparse.Namespace) -> Rows:
    """Of the cases asked for: what the file has, and what was asked for and it lacks, planned and appended to it."""
    mine, config = manner(asked), configuration(asked)
    here = [name for name in names if at_hand(name)]
    if absent := [name for name in names if name not in here]:
        print(f"left out, not at hand: {' '.join(absent)}")
    rows = [one for one in lines_of(asked.json) if one["case"] in here and mine.items() <= one.items()]
    for name in here:
        known = {one["way"] for one in rows if one["case"] == name}
        wanted = [way for way in asked.ways if way not in known]
        for new in planned_in(name, wanted, config) if wanted else ():
            show(new)
            rows.append({**mine, **new})
            append(asked.json, rows[-1])
    return rows


def planned_in(name: str, ways: Sequence[str], config: Config) -> Iterator[dict[str, Any]]:
    """One after the other. A case that cannot be read or planned is printed."""
    try:
        subject = Subject(name, config)
        for way in ways:
            yield reference(subject) if way == "reference" else row(subject, way, config)
    except CouchsideError as error:
        print(f"{name}: left out: {error}")


if __name__ == "__main__":
    sys.exit(main())
