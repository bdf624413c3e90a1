"""Writes range.json: what a network saw in its training, by which a session knows a case that it cannot judge.

    python -m models.policy.ranges --config models/policy/policy.toml --weights ../policy_run/best.onnx \
        --out models/policy/range.json [--episodes 480]

Plays tasks of the run again, as training did: from all by the teacher to all by the network's own draws. No torch."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.errors import CouchsideError
from appliance.execution.policies.in_range import range_bytes
from appliance.execution.steering.policy import Observation
from models.dose.console import say
from models.policy.config import TrainConfig
from models.policy.experience import Trajectory
from models.policy.rollout import Job, Orders
from models.policy.tasks import Task
from models.policy.train import crew_of, tasks_of

RANGES = 3
"""Name of the random stream (run.py has 1 and 2)."""
GUIDANCE = (1.0, 0.5, 0.0)
"""Shares of the teacher, in turn."""


def observations_of(trajectory: Trajectory) -> Iterator[Observation]:
    rows = zip(trajectory.tokens, trajectory.context, trajectory.legal, strict=True)
    return (Observation(tokens, context, legal) for tokens, context, legal in rows)


def seen(config: TrainConfig, tasks: Sequence[Task], weights: bytes) -> list[Observation]:
    """Raises RuntimeError where an episode fails."""
    orders = Orders(config.cases.cache, config.terms, weights, config.tasks.teacher_calls)
    jobs = [
        Job(number, task, (config.seed, RANGES, number), guidance=GUIDANCE[number % len(GUIDANCE)])
        for number, task in enumerate(tasks)
    ]
    crew = crew_of(config.rollouts)
    found: list[Observation] = []
    try:
        for played in crew.play(jobs, orders):
            if played.trajectory is None:
                raise RuntimeError(played.error)
            found += observations_of(played.trajectory)
    finally:
        crew.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="What a network saw in its training.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=480)
    asked = parser.parse_args()
    try:
        config, weights = TrainConfig.load(asked.config), asked.weights.read_bytes()
        rows = seen(config, tasks_of(config)[: asked.episodes], weights)
        asked.out.write_bytes(range_bytes(rows, hashlib.sha256(weights).hexdigest()))
    except (CouchsideError, OSError, RuntimeError) as error:
        say(f"no range: {error}")
        return 1
    say(f"{len(rows)} observations of {asked.episodes} episodes: {asked.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
