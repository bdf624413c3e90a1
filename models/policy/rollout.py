"""One episode on one task, wherever it is played: the same job gives the same result in any process on any machine.

No torch here: it would make the planning system's kernels three times slower."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort

from appliance.errors import CouchsideError
from appliance.evaluation.plan_scorer import plan_scorer
from appliance.execution.policies.learned import Array, LearnedPolicy, Run
from appliance.execution.policies.rules import RulesPolicy
from appliance.execution.policies.template import TemplatePolicy
from appliance.execution.steering.episode import PlanningEpisode, Terms, run_policy
from appliance.execution.steering.policy import Policy
from models.policy.behaviour import Behaviour, record
from models.policy.experience import Trajectory
from models.policy.hindsight import HindsightPolicy, found_by_rules, path_of, remembered
from models.policy.tasks import Task, foreseen_of, system_of

Player = Literal["behaviour", "learned", "rules", "template"]
"""behaviour: what the policy learns from, recorded. The others are judged: the network's likeliest choices, the rules,
nothing at all after the first look."""

INPUTS, OUTPUTS = ("tokens", "present", "context", "legal"), ("logits", "stop", "value")


@dataclass(frozen=True)
class Job:
    """number: its place in a round. seed: of what is drawn. guidance: probability of doing what the rules would."""

    number: int
    task: Task
    seed: tuple[int, ...]
    player: Player = "behaviour"
    guidance: float = 0.0


@dataclass(frozen=True)
class Orders:
    """What every job of a round shares. weights: the network as an ONNX file, b'' where no player needs one. cache: the
    folder of cases, under this path on every machine. teacher_calls: of the rules, whose end the teacher of 'behaviour'
    knows; 0: the rules themselves teach."""

    cache: Path
    terms: Terms
    weights: bytes = b""
    teacher_calls: int = 0


@dataclass(frozen=True, eq=False)
class Played:
    """What came of a job. trajectory: of the player 'behaviour'. first, best: score in percent of the most on the first
    look and of the state kept; hot: price of the kept state's hot spot in points, so that `best - hot` is what decides.
    cpu_s: of the process that played. error: why there is no result, '' where there is one."""

    number: int
    trajectory: Trajectory | None = None
    first: float = float("nan")
    best: float = float("nan")
    hot: float = float("nan")
    reward: float = float("nan")
    calls: int = 0
    cpu_s: float = 0.0
    error: str = ""

    @property
    def merit(self) -> float:
        return self.best - self.hot


def play(job: Job, orders: Orders) -> Played:
    """Never raises what a case or the planning system raises: that is told in `error`, or a round would end with fewer
    episodes than it began with."""
    start = time.process_time()
    try:
        episode = episode_of(job.task, orders)
        trajectory = _played(episode, job, orders)
    except CouchsideError as error:
        return Played(job.number, error=f"{job.task.case}, task {job.task.number}: {error.sentence}")
    best = episode.best
    return Played(
        job.number, trajectory, episode.steps[0].score, best.score, best.score - best.merit,
        episode.total_reward, len(episode.steps), time.process_time() - start,
    )  # fmt: skip


def episode_of(task: Task, orders: Orders, terms: Terms | None = None) -> PlanningEpisode:
    return PlanningEpisode(
        system_of(task, orders.cache), task.goal_set, plan_scorer(task.goal_set),
        terms=orders.terms if terms is None else terms, foreseen=foreseen_of(task, orders.cache),
    )  # fmt: skip


def _teacher(task: Task, orders: Orders) -> Policy:
    terms, calls = orders.terms, orders.teacher_calls
    if not calls:
        return RulesPolicy(terms)
    path = path_of(orders.cache, task, terms, calls)
    longer = partial(episode_of, task, orders)
    return HindsightPolicy(remembered(path, lambda: found_by_rules(longer, terms, calls)))


def _played(episode: PlanningEpisode, job: Job, orders: Orders) -> Trajectory | None:
    one_only, random = orders.terms.changes == 1, np.random.default_rng(job.seed)
    if job.player == "behaviour":
        run = network(orders.weights)
        return record(episode, Behaviour(run, _teacher(job.task, orders), random, job.guidance, one_only))
    policies: dict[str, Policy] = {"rules": RulesPolicy(orders.terms), "template": TemplatePolicy()}
    if job.player == "learned":
        policies["learned"] = LearnedPolicy(network(orders.weights), changes=orders.terms.changes)
    run_policy(episode, policies[job.player])
    return None


@lru_cache(2)
def network(weights: bytes) -> Run:
    """The network on one thread: it is small, and the other cores play other episodes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"])

    def run(*inputs: Array) -> tuple[Array, Array, Array]:
        logits, stop, value = session.run(OUTPUTS, dict(zip(INPUTS, inputs, strict=True)))
        return logits, stop, value

    return run
