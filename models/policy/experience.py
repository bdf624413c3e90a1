"""What the learned policy learns from: whole episodes as arrays, one file for many, and the learner's own face.

No torch here: rollout workers, which run the planning system, write these."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.execution.steering.changes import Change

UNKNOWN = -1
"""In the place of a teacher's choice that nobody asked for."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One whole episode of T decisions on n levers: from the first look to the stop or the last call.

    tokens (T, n, features) float32, context (T, features) float32, legal (T, n, changes) bool: as observed before each
    decision. actions (T, n) int8: the changes made; all KEEP where it stopped. stop (T,) bool. logprob (T, n) float32:
    the logarithm of the probability with which each lever's change was drawn, guidance included; where one call may
    change one lever only there is one choice among all, and the first column has it. stop_logprob (T,) float32: that of
    going on or stopping. reward (T,) float32: points that followed, the end's bonus included. teacher (T, n) int8 and
    teacher_stop (T,) int8: what the rules would have done there, or UNKNOWN."""

    tokens: NDArray[np.float32]
    context: NDArray[np.float32]
    legal: NDArray[np.bool_]
    actions: NDArray[np.int8]
    stop: NDArray[np.bool_]
    logprob: NDArray[np.float32]
    stop_logprob: NDArray[np.float32]
    reward: NDArray[np.float32]
    teacher: NDArray[np.int8]
    teacher_stop: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.stop)

    @property
    def total_reward(self) -> float:
        return float(self.reward.sum())


FIELDS = tuple(field.name for field in fields(Trajectory))


@dataclass(frozen=True, eq=False)
class Batch:
    """Decisions of many episodes, one under the other, levers padded to the most that one has. The fields of
    Trajectory with a first axis of all decisions; present (decisions, levers) float32: 1 where there is a lever, 0
    where there is padding, for which only KEEP is legal. Without rewards: what follows an action is the learner's."""

    tokens: NDArray[np.float32]
    present: NDArray[np.float32]
    context: NDArray[np.float32]
    legal: NDArray[np.float32]
    actions: NDArray[np.int64]
    stop: NDArray[np.bool_]
    logprob: NDArray[np.float32]
    stop_logprob: NDArray[np.float32]
    teacher: NDArray[np.int64]
    teacher_stop: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.stop)


def batch_of(trajectories: Sequence[Trajectory]) -> Batch:
    """Raises ValueError where there is none."""
    if not trajectories:
        raise ValueError("there is no episode to make a batch of")
    most = max(one.actions.shape[1] for one in trajectories)
    legal = np.concatenate([_padded(one.legal.astype(np.float32), most) for one in trajectories])
    present = [_padded(np.ones(one.actions.shape, np.float32), most) for one in trajectories]
    legal[..., Change.KEEP] = 1.0
    return Batch(
        tokens=np.concatenate([_padded(one.tokens, most) for one in trajectories]),
        present=np.concatenate(present),
        context=np.concatenate([one.context for one in trajectories]),
        legal=legal,
        actions=np.concatenate([_padded(one.actions.astype(np.int64), most) for one in trajectories]),
        stop=np.concatenate([one.stop for one in trajectories]),
        logprob=np.concatenate([_padded(one.logprob, most) for one in trajectories]),
        stop_logprob=np.concatenate([one.stop_logprob for one in trajectories]),
        teacher=np.concatenate([_padded(one.teacher.astype(np.int64), most, UNKNOWN) for one in trajectories]),
        teacher_stop=np.concatenate([one.teacher_stop.astype(np.int64) for one in trajectories]),
    )


def _padded(values: NDArray[Any], most: int, filling: int = 0) -> NDArray[Any]:
    """(T, n, ...) to (T, most, ...)."""
    beyond = [(0, 0), (0, most - values.shape[1]), *((0, 0) for _ in values.shape[2:])]
    return np.pad(values, beyond, constant_values=filling)


def to_bytes(trajectories: Sequence[Trajectory]) -> bytes:
    """One npz file, lossless."""
    arrays = {f"{i:06d}.{name}": getattr(one, name) for i, one in enumerate(trajectories) for name in FIELDS}
    written = io.BytesIO()
    np.savez_compressed(written, **arrays)
    return written.getvalue()


def from_bytes(content: bytes) -> list[Trajectory]:
    """In the order they were given. Raises ValueError for what is no file of such episodes."""
    try:
        with np.load(io.BytesIO(content)) as file:
            numbers = sorted({name.split(".")[0] for name in file.files})
            return [Trajectory(*(file[f"{number}.{name}"] for name in FIELDS)) for number in numbers]
    except (KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"these are no episodes as this release writes them: {error}") from error


def save_trajectories(trajectories: Sequence[Trajectory], path: Path) -> None:
    """Written beside and then put in place."""
    part = path.with_suffix(".part")
    part.write_bytes(to_bytes(trajectories))
    part.replace(path)


def load_trajectories(path: Path) -> list[Trajectory]:
    """Raises ValueError for another file."""
    return from_bytes(path.read_bytes())


class Learner(Protocol):
    """What a training run drives: rollouts are made with `weights` and `guidance`, and handed to `update`."""

    @property
    def phase(self) -> str:
        """What the next update does, for logs."""
        ...

    @property
    def guidance(self) -> float:
        """With which probability the next rollouts do what the rules would."""
        ...

    def update(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Figures for the log. Raises ValueError for no episodes."""
        ...

    def weights(self) -> bytes:
        """The network as an ONNX file."""
        ...

    def state(self) -> bytes:
        """All that the next update depends on."""
        ...

    def restore(self, state: bytes) -> None:
        """Goes on where `state` was taken, to the bit on one thread. Raises ValueError for another learner's."""
        ...
