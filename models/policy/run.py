"""One training run: rounds of episodes, an update after each, and now and then the rules as a measure.

Everything that is drawn comes from the run's seed and the number of the update, so that a run that goes on from a
checkpoint gives the numbers of one that was never interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.policy import checkpoint
from models.policy.checkpoint import Progress
from models.policy.config import TrainConfig
from models.policy.curriculum import drawn, in_turn, share_open
from models.policy.experience import Learner
from models.policy.rollout import Job, Orders, Played, Player
from models.policy.tasks import Task
from models.policy.workers import Crew, never

EPISODES, JUDGED = 1, 2
"""Names of the random streams of a round and of an evaluation."""
Figures = dict[str, float]
Tell = Callable[[int, Figures], None]


class TooManyFailed(Exception):
    """More of a round's episodes failed than may; the sentence has the first reason."""


@dataclass
class TrainingRun:
    """tasks: to learn from; held_out: to be judged on. tell is given each update's number and figures; say: lines for
    people."""

    config: TrainConfig
    learner: Learner
    crew: Crew
    tasks: Sequence[Task]
    held_out: Sequence[Task]
    tell: Tell = lambda update, figures: None
    say: Callable[[str], None] = lambda line: None
    progress: Progress = field(default_factory=Progress)

    def resume(self) -> bool:
        """Goes on from the latest checkpoint in the run's folder, where there is one. Raises ConfigError for one of
        another run."""
        if not (found := checkpoint.known(self.config.out)):
            return False
        self.progress, state = checkpoint.load(found[-1], self.config.decisive)
        self.learner.restore(state)
        return True

    def save(self) -> None:
        self.config.out.mkdir(parents=True, exist_ok=True)
        plan = self.config.checkpoints
        checkpoint.save(self.config.out, self.progress, self.learner.state(), self.config.decisive, plan.keep)
        write_whole(self.config.out / "policy.onnx", self.learner.weights())

    def run(self, asked: Callable[[], bool] = never) -> None:
        """Until all updates are done. asked: whether to stop. Raises Stopped then, and TooManyFailed; in both cases the
        state is that after the last whole update, saved."""
        progress = self.progress
        try:
            while True:
                if self._is_to_be_judged:
                    self.tell(progress.update, self.judge(asked))
                    progress.judged_at = progress.update
                    self.save()
                if progress.update >= self.config.updates:
                    return
                self._round(asked)
                if progress.update % self.config.checkpoints.every == 0:
                    self.save()
        finally:
            self.save()

    @property
    def _is_to_be_judged(self) -> bool:
        every, update = self.config.evaluation.every, self.progress.update
        due = bool(self.held_out) and every > 0 and update > 0 and update % every == 0
        return due and self.progress.judged_at < update

    def _round(self, asked: Callable[[], bool]) -> None:
        progress, learner, phase = self.progress, self.learner, self.learner.phase
        seed = (self.config.seed, progress.update)
        jobs = [
            Job(place, task, (*seed, EPISODES, place), guidance=learner.guidance)
            for place, task in enumerate(self._chosen(phase, seed))
        ]
        played = self._play(jobs, asked)
        figures = learner.update([one.trajectory for one in played if one.trajectory is not None])
        progress.update += 1
        progress.improving += phase != "clone"
        progress.episodes += len(played)
        progress.looks |= {jobs[one.number].task.number: one.first for one in played}
        figures |= {
            "first_look": mean(one.first for one in played), "score": mean(one.best for one in played),
            "merit_gained": mean(one.merit - one.first for one in played), "calls": mean(one.calls for one in played),
            "failed": len(jobs) - len(played), "cpu_s": sum(one.cpu_s for one in played),
        }  # fmt: skip
        self.tell(progress.update, figures)

    def _chosen(self, phase: str, seed: tuple[int, int]) -> list[Task]:
        count, progress = self.config.rollouts.episodes, self.progress
        if phase == "clone":
            return in_turn(self.tasks, progress.episodes, count)
        share = share_open(self.config.curriculum, progress.improving)
        return drawn(self.tasks, progress.looks, share, count, seed=seed)

    def _play(self, jobs: Sequence[Job], asked: Callable[[], bool]) -> list[Played]:
        """Those that did not fail. Raises TooManyFailed."""
        config = self.config
        orders = Orders(config.cases.cache, config.terms, self.learner.weights(), config.tasks.teacher_calls)
        played = self.crew.play(jobs, orders, asked)
        failed = [one.error for one in played if one.error]
        for error in failed:
            self.say(f"failed: {error}")
        if len(failed) > self.config.rollouts.most_failed * len(jobs) or len(failed) == len(jobs):
            raise TooManyFailed(f"{len(failed)} of {len(jobs)} episodes failed, such as {failed[0]}")
        return [one for one in played if not one.error]

    def judge(self, asked: Callable[[], bool] = never) -> Figures:
        """The policy against the rules on the held-out cases; keeps the weights that were the best so far."""
        ruled = self.progress.judged
        if unknown := [task for task in self.held_out if task.case not in ruled]:
            ruled |= self._merits(unknown, "rules", asked)
        learned = self._merits(self.held_out, "learned", asked)
        gains = [learned[name] - ruled[name] for name in learned if name in ruled]
        gain = mean(gains)
        if self.progress.best is None or gain > self.progress.best:
            self.progress.best = gain
            self.config.out.mkdir(parents=True, exist_ok=True)
            write_whole(self.config.out / "best.onnx", self.learner.weights())
        return {
            "held_out/learned": mean(learned.values()), "held_out/rules": mean(ruled.values()),
            "held_out/gain": gain, "held_out/better": mean(one > 0 for one in gains),
        }  # fmt: skip

    def _merits(self, tasks: Sequence[Task], player: Player, asked: Callable[[], bool]) -> dict[str, float]:
        jobs = [Job(place, task, (self.config.seed, JUDGED, place), player) for place, task in enumerate(tasks)]
        return {tasks[one.number].case: one.merit for one in self._play(jobs, asked)}


def mean(values: Iterable[float]) -> float:
    """NaN of nothing."""
    found = np.asarray(list(values), np.float64)
    return float(found.mean()) if found.size else float("nan")


def write_whole(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


class History:
    """history.jsonl: one line an update. A run that goes on drops what came after its checkpoint."""

    def __init__(self, path: Path, update: int) -> None:
        self._path = path
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        kept = [line for line in lines if json.loads(line)["update"] <= update]
        write_whole(path, "".join(f"{line}\n" for line in kept).encode())

    def __call__(self, update: int, figures: Figures) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"update": update, **figures}) + "\n")
