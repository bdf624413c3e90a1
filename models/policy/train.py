"""Trains the policy: episodes by the rules, cloning, then improving from easy tasks to hard ones.

    python -m models.policy.train --config models/policy/policy.toml

Goes on from the latest checkpoint in the configuration's folder `out` where there is one. SIGTERM and Ctrl-C end it
after the last whole update, saved, with exit code 130; the same command goes on. docs/training.md says what is written.
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from appliance.errors import ConfigError, CouchsideError
from models.policy.cases import builtin_cases, openkbp_cases
from models.policy.config import RolloutsConfig, TrainConfig, read_table
from models.policy.experience import Learner
from models.policy.making import make_tasks, plain_tasks
from models.policy.run import Figures, History, Tell, TooManyFailed, TrainingRun
from models.policy.tasks import Task
from models.policy.workers import Crew, InProcess, Processes, Stopped

STOPPED, FAILED = 130, 1
NEEDED = ("torch", "onnx", "tensorboard")
TOLD = ("reward", "score", "merit_gained", "guidance", "held_out/gain")
"""Figures of an update that are shown on its line."""


def check_packages(rollouts: RolloutsConfig) -> None:
    """Raises ConfigError naming what training wants and this installation lacks."""
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"training needs the package {name}; install the extra: pip install 'couchside[train]'")
    if rollouts.backend == "ray" and importlib.util.find_spec("ray") is None:
        raise ConfigError("rollouts on Ray need the package ray; install the extra: pip install 'couchside[ray]'")


def crew_of(rollouts: RolloutsConfig) -> Crew:
    if rollouts.backend == "in_process":
        return InProcess()
    if rollouts.backend == "processes":
        return Processes(rollouts.workers, rollouts.timeout_s)
    from models.policy.workers_ray import RayCrew

    return RayCrew(rollouts.workers, rollouts.timeout_s, rollouts.address)


def learner_of(config: TrainConfig) -> Learner:
    """Imports torch, which no process that plays episodes shall have. Raises ConfigError."""
    import torch

    from models.policy.learner import Lessons, PolicyLearner

    torch.set_num_threads(1)  # the same bits at every run, and the cores are the players'
    lessons = {"seed": config.seed, "changes": config.terms.changes, **config.lessons}
    return PolicyLearner(read_table(Lessons, lessons, "lessons"))


class Board:
    """TensorBoard's own event files. A run that goes on takes back what came after its checkpoint."""

    def __init__(self, folder: Path, update: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=update + 1)

    def __call__(self, update: int, figures: Figures) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name if "/" in name else f"training/{name}", value, update)
        self._writer.flush()


class Asked:
    """Whether somebody wants the run to end."""

    def __init__(self) -> None:
        self.to_stop = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.to_stop = True

    def __call__(self) -> bool:
        return self.to_stop


def tasks_of(config: TrainConfig) -> tuple[Task, ...]:
    """Those that the run learns from; their cases are in the cache then. Raises RefusedInput."""
    cases, names = config.cases, builtin_cases(config.cases.cache)
    if cases.openkbp:
        names += openkbp_cases(Path(cases.openkbp), range(cases.first, cases.last + 1), cases.cache)
    return make_tasks(
        names, cases.cache, count=config.tasks.count, seed=config.seed, variation=config.tasks.variation,
        foreseen=config.tasks.foreseen,
    )  # fmt: skip


def prepared(config: TrainConfig, crew: Crew, say: Callable[[str], None]) -> TrainingRun:
    """The run as it stands: at its beginning, or where it was ended. Raises ConfigError, RefusedInput."""
    say("Preparing cases")
    tasks, held_out = tasks_of(config), tuple[str, ...]()
    if config.cases.openkbp:
        held_out = openkbp_cases(Path(config.cases.openkbp), config.evaluation.patients, config.cases.cache)
    say(f"{len({task.case for task in tasks})} cases, {len(tasks)} tasks, {len(held_out)} cases to be judged on")
    run = TrainingRun(config, learner_of(config), crew, tasks, plain_tasks(held_out, config.cases.cache), say=say)
    config.out.mkdir(parents=True, exist_ok=True)
    if run.resume():
        say(f"Going on after update {run.progress.update}")
    return run


def train(config: TrainConfig, console: Console, asked: Callable[[], bool]) -> None:
    """Raises Stopped, TooManyFailed, CouchsideError."""
    check_packages(config.rollouts)
    crew = crew_of(config.rollouts)
    try:
        run = prepared(config, crew, console.print)
        tellers: list[Tell] = [
            History(config.out / "history.jsonl", run.progress.update),
            Board(config.out / "tensorboard", run.progress.update),
        ]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as bar:
            line = bar.add_task("updates", total=config.updates, completed=run.progress.update)

            def tell(update: int, figures: Figures) -> None:
                for teller in tellers:
                    teller(update, figures)
                shown = (f"{name} {figures[name]:.2f}" for name in TOLD if name in figures)
                phase = "improve" if run.progress.improving else "clone"
                console.print(f"{phase:8} {update:5d}  " + "  ".join(shown))
                bar.update(line, completed=update)

            run.tell = tell
            run.run(asked)
    finally:
        crew.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the policy of the virtual planner.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    console, asked = Console(), Asked()
    try:
        train(TrainConfig.load(parser.parse_args().config), console, asked)
    except Stopped:
        console.print("Stopped; the last whole update is saved, and the same command goes on from it")
        sys.exit(STOPPED)
    except CouchsideError as error:
        console.print(error.sentence, style="red")
        sys.exit(error.exit_code)
    except TooManyFailed as error:
        console.print(f"The run ended, with its last whole update saved: {error}", style="red")
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
