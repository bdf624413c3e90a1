"""How many calls of a planning system does our learner need, and how many Stable-Baselines3's?

    ./build.sh bench learners [--steps 6000] [--seeds 2] [--only NAME]

The toy problem of models/policy/toy.py, a new one each episode, whose best plan is known: two organs, three levers, at
most five decisions. After the same number of decisions each learner plays, without drawing, 40 problems that it never
saw; given is its reward as a share of what the best play earns over stopping at once (0: no better). Compared:

- ours: models/policy, attention over levers, once without a teacher, and once with cloning and rules as guidance;
- MaskablePPO of sb3-contrib with its own settings, n_steps 256, over a fixed list of three levers;
- the rules alone, which learn nothing.

DQN of Stable-Baselines3 is no candidate: its actions are one list, and three levers of six changes make 216. Neither
peer takes a number of levers that differs from case to case. Needs torch; the peers only where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from appliance.execution.policies.learned import LearnedPolicy
from appliance.execution.steering.changes import Change
from appliance.execution.steering.episode import run_policy
from appliance.execution.steering.policy import STOP, Action, Policy, View
from models.policy.behaviour import Behaviour, record
from models.policy.toy import TERMS, Toy, ToyRules, drawn, optimum, toy_episode

LEVERS, TESTS, JUDGED = 3, 40, 6
"""judged: times, evenly over the run."""
Judge = Callable[[Policy], float]


def judge_of() -> Judge:
    """The share of what can be earned, on problems that nobody trains on."""
    random = np.random.default_rng(20261128)
    toys = [drawn(random) for _ in range(TESTS)]
    most, least = sum(optimum(toy).reward for toy in toys), sum(_played(toy, _Stops()) for toy in toys)

    def judge(policy: Policy) -> float:
        return (sum(_played(toy, policy) for toy in toys) - least) / (most - least)

    return judge


class _Stops:
    name = "stop"

    def act(self, view: View) -> Action:
        return STOP


def _played(toy: Toy, policy: Policy) -> float:
    episode = toy_episode(toy)
    run_policy(episode, policy)
    return episode.total_reward


def ours(judge: Judge, steps: int, seed: int, *, guided: bool) -> list[float]:
    import torch

    from models.policy.clone import Cloning
    from models.policy.learner import Lessons, PolicyLearner
    from models.policy.network import Shape
    from models.policy.ppo import Improving
    from models.policy.rollout import network

    torch.set_num_threads(1)
    none = {} if guided else {"guidance": 0.0, "teacher_weight": 0.0}
    lessons = Lessons(
        seed=seed, shape=Shape(width=32, heads=2, blocks=1, hidden=64), rate=2e-3,
        cloning=Cloning(updates=3 if guided else 0, minibatch=64),
        improving=Improving(minibatch=64, entropy_weight=0.02, furthest=0.3, kept=0.8, **none),
    )  # fmt: skip
    learner, random, told, done = PolicyLearner(lessons), np.random.default_rng(seed), [], 0
    for mark in _marks(steps):
        while done < mark:
            behaviour = Behaviour(network(learner.weights()), ToyRules(), random, learner.guidance)
            episodes = [record(toy_episode(drawn(random)), behaviour) for _ in range(96)]
            done += sum(map(len, episodes))
            learner.update(episodes)
        told.append(judge(LearnedPolicy(network(learner.weights()))))
    return told


def _marks(steps: int) -> list[int]:
    return [steps * (i + 1) // JUDGED for i in range(JUDGED)]


def peer(judge: Judge, steps: int, seed: int) -> list[float]:
    """MaskablePPO."""
    import gymnasium
    import torch
    from sb3_contrib import MaskablePPO

    torch.set_num_threads(1)

    class ToyEnvironment(gymnasium.Env[Any, Any]):
        """Three levers in the template's order, flat."""

        def __init__(self) -> None:
            self.random = np.random.default_rng(seed)
            self.episode = toy_episode(Toy())
            self.view = self.episode.reset()
            size = len(flat(self.view))
            self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
            self.action_space = gymnasium.spaces.MultiDiscrete([2, *[len(Change)] * LEVERS])

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
            self.episode = toy_episode(drawn(self.random))
            self.view = self.episode.reset()
            return flat(self.view), {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            before = self.episode.total_reward
            self.view = self.episode.step(action_of(action))
            return flat(self.view), (self.episode.total_reward - before) / 10, self.episode.done, False, {}

        def action_masks(self) -> Any:
            return masks(self.view)

    class Peer:
        name = "MaskablePPO"

        def act(self, view: View) -> Action:
            return action_of(model.predict(flat(view), action_masks=masks(view), deterministic=True)[0])

    model = MaskablePPO("MlpPolicy", ToyEnvironment(), n_steps=256, seed=seed, gamma=1.0, device="cpu")
    told = []
    for _ in range(JUDGED):
        model.learn(steps // JUDGED, reset_num_timesteps=False)
        told.append(judge(Peer()))
    return told


def flat(view: View) -> Any:
    return np.concatenate([view.observation.tokens.ravel(), view.observation.context])


def masks(view: View) -> Any:
    return np.concatenate([np.ones(2, np.bool_), view.observation.legal.ravel()])


def action_of(action: Sequence[int]) -> Action:
    return STOP if action[0] else Action(tuple(Change(int(change)) for change in action[1:]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="", help="learners whose name has this in it")
    asked = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        sys.exit("learners: PyTorch is not installed (extra 'train'); nothing is measured")
    learners: dict[str, Callable[[Judge, int, int], list[float]]] = {
        "ours, no teacher": lambda judge, steps, seed: ours(judge, steps, seed, guided=False),
        "ours, guided by rules": lambda judge, steps, seed: ours(judge, steps, seed, guided=True),
    }
    if importlib.util.find_spec("sb3_contrib") is None:
        print("MaskablePPO: missing, the package sb3-contrib is not installed")
    else:
        learners["MaskablePPO"] = peer
    judge = judge_of()
    print(f"rules alone: {judge(ToyRules()):.2f} of what can be earned in {TERMS.calls - 1} decisions")
    print("decisions: " + "  ".join(f"{mark:5d}" for mark in _marks(asked.steps)), flush=True)
    for name, learn in ((name, learn) for name, learn in learners.items() if asked.only in name):
        for seed in range(asked.seeds):
            start = time.process_time()
            shares = learn(judge, asked.steps, seed)
            told, spent = "  ".join(f"{share:5.2f}" for share in shares), time.process_time() - start
            print(f"{name}, seed {seed}: {told}  ({spent:.0f} CPU s)", flush=True)


if __name__ == "__main__":
    main()
