"""`couchside train`: the training of what is learned, as a program of its own beside the product."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from appliance.errors import ConfigError

app = typer.Typer(help="Train what is learned (needs the extra 'train').", no_args_is_help=True)

TRAINER = "models.policy.train"
"""Started as a program: the product imports nothing of models/, and torch stays out of its process."""

TrainingFile = Annotated[
    Path, typer.Option("--config", metavar="FILE", help="The training run (TOML), such as models/policy/policy.toml.")
]


@app.callback()
def _group() -> None:
    """So that a single command keeps its name."""


@app.command("policy")
def policy(config: TrainingFile) -> None:
    """Train the policy of the virtual planner, or go on with a run that was ended."""
    if importlib.util.find_spec("torch") is None:
        raise ConfigError(
            "training needs PyTorch, which is not here; install the extra: pip install 'couchside[train]'"
        )
    with subprocess.Popen([sys.executable, "-m", TRAINER, "--config", str(config)]) as process:

        def pass_on(number: int, frame: FrameType | None) -> None:
            process.send_signal(number)

        before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if code:
        raise typer.Exit(code)
