"""`couchside train policy`: the trainer is started as a program, and its answer is the command's."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path


def train(config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance", "train", "policy", "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_unknown_key_ends_it_with_the_code_of_a_configuration(tmp_path):
    """Also where nothing can be trained: then that is what is said, with the same code."""
    (tmp_path / "train.toml").write_text('out = "x"\nepochs = 3\n', "utf-8")
    done = train(tmp_path / "train.toml")
    is_here = importlib.util.find_spec("torch") is not None
    said = "key 'epochs': there is no such key" if is_here else "training needs PyTorch"
    assert done.returncode == 3
    assert said in " ".join((done.stdout + done.stderr).split())
