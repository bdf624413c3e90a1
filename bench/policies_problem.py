"""What the comparison of policies plans: cases, one episode of each policy, and the figures that are kept of it."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policies_search_problem import bayes, pushes

from appliance.builtin import CASES, import_openkbp, write_study
from appliance.case import assemble
from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, Objectives
from appliance.contracts.progress import silent
from appliance.evaluation import evaluate, goal_set_for_site, goals_for_case, plan_scorer
from appliance.execution.meeting import meet
from appliance.execution.operator import Operator
from appliance.execution.policies.language import LanguagePolicy
from appliance.execution.policies.learned import LearnedPolicy
from appliance.execution.policies.random import FEW, RandomPolicy
from appliance.execution.policies.rules import RulesPolicy
from appliance.execution.policies.template import TemplatePolicy
from appliance.execution.rules import Rules, hot_shortfall
from appliance.execution.sparing import SPARING_ROUNDS, spare
from appliance.execution.steering.changes import objectives_at
from appliance.execution.steering.episode import PlanningEpisode, Step, Terms, run_policy
from appliance.planning import PhotonTps, check_plan
from appliance.planning.coarse import CoarseTps
from appliance.session_headless import read_case
from appliance.session_work import prescribed
from engines.errors import EngineError
from engines.language.llama import LocalModel
from models.policy.hindsight import HindsightPolicy, found_by_rules
from models.policy.rollout import network as opened

OPENKBP = Path(__file__).resolve().parents[2] / "shared" / "openkbp"
TRAINED_UNTIL = 200
LONG = 60
"""Calls of the rules' long search, which ends by itself before."""
MORE = 3
"""A policy's name with this at its end has so many times the calls."""

Figures = dict[str, Any]
Plans = Callable[[PlanningEpisode, Terms], Step]
"""Plans one episode from its reset on; its best step."""


def known(learned: Path | None) -> dict[str, Plans]:
    """By name. learned: the ONNX file of a policy network."""
    ways: dict[str, Plans] = {
        "template": lambda episode, _: run_policy(episode, TemplatePolicy()),
        "random": lambda episode, terms: run_policy(episode, RandomPolicy(1, terms.changes or FEW)),
        "rules": lambda episode, terms: run_policy(episode, RulesPolicy(terms)),
        "pushes": lambda episode, _: pushes(episode),
        "bayes": lambda episode, _: bayes(episode),
        "led": _led,
    }
    if learned is not None:
        ways["learned"] = lambda episode, terms: _learned(learned, episode, terms)
    return ways


def by_language(file: Path | None) -> Plans:
    """file: a GGUF model. Raises EngineError where there is none, or nothing to run it with."""
    if file is None:
        raise EngineError("no model was given (--language-model FILE.gguf)")
    model = LocalModel(file)
    return lambda episode, terms: _language(model, episode, terms)


def _language(model: LocalModel, episode: PlanningEpisode, terms: Terms) -> Step:
    """Prints what the model said at each call: a language model's planning is to be read."""
    policy = LanguagePolicy(model.complete, changes=terms.changes)
    best = run_policy(episode, policy)
    for number, answer in enumerate(policy.answers, start=1):
        print(f"        answer {number}: {answer.strip()}")
    if policy.refused:
        print(f"        refused {len(policy.refused)}: {'; '.join(policy.refused)}")
    return best


def _led(episode: PlanningEpisode, terms: Terms) -> Step:
    """By what the rules end at with many calls: no policy, but how far one that knew the end would come."""

    def other(longer: Terms) -> PlanningEpisode:
        return PlanningEpisode(episode.tps, episode.goal_set, episode.scorer, terms=longer)

    return run_policy(episode, HindsightPolicy(found_by_rules(other, terms, LONG)))


def _learned(network: Path, episode: PlanningEpisode, terms: Terms) -> Step:
    """Opened as by the rollouts of its training."""
    return run_policy(episode, LearnedPolicy(opened(network.read_bytes()), changes=terms.changes))


def lines_of(file: Path | None) -> list[Figures]:
    """What earlier runs appended."""
    if file is None or not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def append(file: Path | None, one: Figures) -> None:
    """In one write, so that several runs may share a file."""
    if file is not None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(one) + "\n")


def prepared(name: str) -> tuple[Case, GoalSet]:
    """One case with its goals, through DICOM as in a session: an OpenKBP patient by number, or a built-in case."""
    with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
        study = Path(scratch) / "study"
        if name.isdigit():
            import_openkbp(packed_of(name), study)
        else:
            write_study(name, study, day="reference")
        case = assemble(read_case(study)[0])
    goal_set = goals_for_case(goal_set_for_site("openkbp" if name.isdigit() else name), case)
    return prescribed(case, goal_set), goal_set


class Subject:
    """A case with its goals and the small planning system."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.case, self.goal_set = prepared(name)
        self.coarse = CoarseTps(self.case, self.goal_set, PlanningConfig())


def packed_of(name: str) -> Path:
    return OPENKBP / ("train" if int(name) <= TRAINED_UNTIL else "valid") / f"pt_{name}.npz"


def at_hand(name: str) -> bool:
    return packed_of(name).exists() if name.isdigit() else name in CASES


def explored(subject: Subject, policy: str, terms: Terms, plans: Plans) -> tuple[Figures, Objectives]:
    """Figures of one episode on the small planning system, and the objectives of its best step."""
    goal_set = subject.goal_set
    episode = PlanningEpisode(subject.coarse, goal_set, plan_scorer(goal_set), terms=terms)
    start = time.process_time()
    best = plans(episode, terms)
    cpu_s = time.process_time() - start
    values = best.state.goal_values
    return {
        "case": subject.name,
        "policy": policy,
        "calls": terms.calls,
        "changes": terms.changes,
        "score": best.score,
        "merit": best.merit,
        **goals_met(goal_set, values, best.state.hottest_gy),
        "used": len(episode.steps),
        "best_at": best.number + 1,
        "reward": episode.total_reward,
        "merits": [round(step.merit, 3) for step in episode.steps],
        "cpu_s": cpu_s,
    }, objectives_at(episode.levers, best.setting)


def goals_met(goal_set: GoalSet, values: tuple[float, ...], hottest_gy: float) -> Figures:
    """The hot-spot limit counts as a goal. hot_percent: the hottest 0.1 cc above its limit."""
    pairs = [(goal, v) for goal, v in zip(goal_set.goals, values, strict=True) if not math.isnan(v)]
    hot = hot_shortfall(goal_set, hottest_gy)
    return {
        "met": sum(goal.met_by(v) for goal, v in pairs) + (hot <= 0),
        "goals": len(pairs) + 1,
        "missed": [f"{goal}: {v:.2f}" for goal, v in pairs if not goal.met_by(v)],
        "hot_percent": 100 * hot,
    }


def delivered(subject: Subject, objectives: Objectives, config: PlanningConfig) -> Figures:
    """The deliverable plan that the full planning system makes of objectives, with the planner's rounds of meeting
    goals and sparing, judged by the evaluation."""
    case, goal_set = subject.case, subject.goal_set
    start = time.process_time()
    tps = PhotonTps(case, goal_set, config)
    operator, rules = Operator(tps, goal_set), Rules(goal_set, objectives)
    tps.optimise_fluence(objectives)
    tps.sequence(objectives)
    plan, dose = operator.result(spare(operator, meet(operator, rules, objectives, silent), SPARING_ROUNDS, silent))
    cpu_s = time.process_time() - start
    judged = evaluate(case, goal_set, dose, check_plan(plan, config.machine), plan=plan)
    whole = judged.plan_score
    return {
        "score": 100 * whole.score / whole.max_score,
        "met": judged.goals_met + (judged.hottest_01cc_gy <= hot_limit_gy(goal_set)),
        "goals": len(judged.goals) + 1,
        "hottest_gy": judged.hottest_01cc_gy,
        "mu": judged.plan.mu,
        "delivery_s": judged.plan.delivery_time_s,
        "mcs": judged.plan.mcs,
        "deliverable": judged.plan.deliverable,
        "values": {f"{goal.structure} {goal.metric}": round(goal.value, 3) for goal in judged.goals},
        "cpu_s": cpu_s,
    }


def hot_limit_gy(goal_set: GoalSet) -> float:
    return max(dose for _, dose in goal_set.prescription) * goal_set.hot_spot_percent / 100
