"""The learner that a training run drives: first it clones the rules, then it becomes better than they are.

It is handed episodes, and gives back weights to play the next ones with and the share of the rules in them. On one
thread the same episodes give the same bits, before and after `restore`."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from .clone import Cloning, clone
from .experience import Trajectory, from_bytes, to_bytes
from .export import onnx_bytes
from .network import PolicyNetwork, Shape
from .ppo import Improving, improve
from .pupil import Pupil


@dataclass(frozen=True)
class Lessons:
    """changes: as in the episode's Terms, 0 (any number of levers a call) or 1. reward_unit: points that the value
    counts as one. clone_rate, rate: of Adam in either phase. clip: of the gradient's norm."""

    seed: int = 1
    changes: int = 0
    shape: Shape = field(default_factory=Shape)
    reward_unit: float = 10.0
    clone_rate: float = 1e-3
    rate: float = 3e-4
    clip: float = 0.5
    cloning: Cloning = field(default_factory=Cloning)
    improving: Improving = field(default_factory=Improving)


class PolicyLearner:
    """Implements experience.Learner. Raises ValueError for lessons with more than one change a call but not any."""

    def __init__(self, lessons: Lessons | None = None) -> None:
        self.lessons = lessons = Lessons() if lessons is None else lessons
        if lessons.changes not in (0, 1):
            raise ValueError("the learner draws changes of one lever a call (1), or of any number (0)")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(lessons.seed)
            self.network = PolicyNetwork(lessons.shape)
        self.optimiser = torch.optim.Adam(self.network.parameters(), eps=1e-5)
        self.random = torch.Generator().manual_seed(lessons.seed)
        self.memory: list[Trajectory] = []
        self.updates = 0

    @property
    def phase(self) -> str:
        return "clone" if self.updates < self.lessons.cloning.updates else "improve"

    @property
    def guidance(self) -> float:
        cloning, improving = self.lessons.cloning, self.lessons.improving
        if self.phase == "clone":
            return float(cloning.kept**self.updates)
        return float(improving.guidance * self._faded)

    @property
    def _faded(self) -> float:
        return float(self.lessons.improving.kept ** (self.updates - self.lessons.cloning.updates))

    def update(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        if not trajectories:
            raise ValueError("there is no episode to learn from")
        lessons, phase, guidance = self.lessons, self.phase, self.guidance
        pupil = Pupil(
            self.network, self.optimiser, self.random, lessons.changes == 1, lessons.reward_unit, lessons.clip
        )
        for group in self.optimiser.param_groups:
            group["lr"] = lessons.clone_rate if phase == "clone" else lessons.rate
        if phase == "clone":
            self.memory = [*self.memory, *trajectories][-lessons.cloning.memory :]
            figures = clone(pupil, self.memory, lessons.cloning)
        else:
            self.memory = []
            fading = lessons.improving.teacher_weight * self._faded
            figures = improve(pupil, trajectories, lessons.improving, teacher_weight=fading)
        self.updates += 1
        rewards = [one.total_reward for one in trajectories]
        decisions = [len(one) for one in trajectories]
        return {
            **figures, "reward": float(np.mean(rewards)), "decisions": float(np.mean(decisions)), "guidance": guidance,
        }  # fmt: skip

    def weights(self) -> bytes:
        return onnx_bytes(self.network)

    def state(self) -> bytes:
        written = io.BytesIO()
        memory = np.frombuffer(to_bytes(self.memory), np.uint8)
        state = {
            "lessons": asdict(self.lessons), "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(), "random": self.random.get_state(), "updates": self.updates,
            "memory": torch.from_numpy(memory.copy()),
        }  # fmt: skip
        torch.save(state, written)
        return written.getvalue()

    def restore(self, state: bytes) -> None:
        told = _read(state)
        if told["lessons"]["shape"] != asdict(self.lessons)["shape"]:
            raise ValueError(f"this state is of a network of shape {told['lessons']['shape']}")
        self.network.load_state_dict(told["network"])
        self.optimiser.load_state_dict(told["optimiser"])
        self.random.set_state(told["random"])
        self.memory = from_bytes(told["memory"].numpy().tobytes())
        self.updates = told["updates"]


def network_of(state: bytes) -> PolicyNetwork:
    """The network of a learner's state. Raises ValueError for what is none."""
    told = _read(state)
    network = PolicyNetwork(Shape(**told["lessons"]["shape"]))
    network.load_state_dict(told["network"])
    return network.eval()


def _read(state: bytes) -> dict[str, Any]:
    try:
        told = torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ValueError(f"this is no state of a policy learner: {error}") from error
    return dict(told)
