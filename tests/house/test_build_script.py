"""build.sh: what it answers without building anything, from any folder, in any locale, with odd environments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BARE = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"}


def run(*arguments: str, script: Path = ROOT / "build.sh", where: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(script), *arguments], cwd=where, env=BARE, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The script alone, in a folder whose name has spaces: nothing it does can touch this tree."""
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    shutil.copy(ROOT / "build.sh", folder)
    return folder / "build.sh"


def test_the_verb_of_a_later_release_says_so_with_exit_code_2(copied, tmp_path):
    answer = run("bundle", script=copied, where=tmp_path)
    assert (answer.returncode, "later release" in answer.stdout) == (2, True)


def test_an_unknown_verb_prints_the_verbs_and_exits_with_2(copied, tmp_path):
    answer = run("bild", script=copied, where=tmp_path)
    assert answer.returncode == 2
    assert "setup" in answer.stderr and "demo" in answer.stderr


def test_without_a_verb_it_explains_itself_and_changes_nothing(copied, tmp_path):
    answer = run(script=copied, where=tmp_path)
    assert (answer.returncode, answer.stdout.startswith("usage:")) == (0, True)
    assert [path.name for path in copied.parent.iterdir()] == ["build.sh"]


@pytest.fixture
def as_ordinary_user() -> Iterator[tuple[Path, list[str]]]:
    """(the script in a folder anybody may enter, the words that start it as a user without rights)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "build.sh", folder)
        words = ["bash", str(folder / "build.sh")]
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("running as root without setpriv (util-linux), so an ordinary user cannot be played")
            os.chown(folder, 65534, 65534)
            words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words]
        yield folder, words


def test_a_missing_compiler_is_named_with_the_line_that_installs_it(as_ordinary_user):
    """As an ordinary user: a sentence, the line to run and a failure; nothing is installed behind the caller's back."""
    folder, words = as_ordinary_user
    answer = subprocess.run(
        [*words, "setup"],
        cwd=folder, env={**BARE, "CXX": "no-such-compiler"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert answer.returncode == 1
    assert "g++" in answer.stdout.splitlines()[-1]
    assert "apt-get install -y --no-install-recommends" in answer.stdout
    assert "as root" in answer.stderr
    assert not (folder / ".venv").exists()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", ["build.sh", ".ci/run", "bench/peer_pyradplan_env.sh"])
def test_shellcheck_finds_nothing(script):
    found = subprocess.run(["shellcheck", str(ROOT / script)], capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout == ""


PIP = """#!/usr/bin/env bash
# Stands for the environment's Python, without torch, gymnasium, ray and tensorboard; pip answers with a plan and writes
# down what it was asked.
case "$*" in
  "-c import torch" | "-c import gymnasium, ray, tensorboard") exit 1 ;;
  "-m pip"*) printf '%s\\n' "$*" >>"{folder}/asked"
    while [ $# -gt 0 ]; do if [ "$1" = --report ]; then cp "{folder}/plan.json" "$2"; fi; shift; done ;;
  *) exec "{python}" "$@" ;;
esac
"""


def pytorch_for(
    extras: str, packages: list[str], copied: Path, tmp_path: Path, *, want: str = "want_training"
) -> tuple[str, list[str]]:
    """(what build.sh says, what it asked of pip), where installing torch would bring `packages`."""
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "pyproject.toml", copied.parent)
    plan = {"install": [{"metadata": {"name": name}} for name in packages]}
    (tmp_path / "plan.json").write_text(json.dumps(plan), "utf-8")
    (tmp_path / "bin" / "python").write_text(PIP.format(folder=tmp_path, python=sys.executable), "utf-8")
    (tmp_path / "bin" / "python").chmod(0o755)
    words = f'source "$1" help >/dev/null; venv=$2; logs=$2; {want}'
    answer = subprocess.run(
        ["bash", "-c", words, "bash", str(copied), str(tmp_path)],
        env={**BARE, "COUCHSIDE_EXTRAS": extras}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    asked = tmp_path / "asked"
    return answer.stdout, asked.read_text("utf-8").splitlines() if asked.exists() else []


def test_pytorch_is_installed_only_where_asked_for(copied, tmp_path):
    assert pytorch_for("", ["torch"], copied, tmp_path) == ("", [])


def test_a_cpu_build_of_pytorch_is_installed(copied, tmp_path):
    said, asked = pytorch_for("train", ["torch", "sympy"], copied, tmp_path)
    assert "installed" in said
    assert ["--dry-run" in line for line in asked] == [True, False]
    assert all("torch==" in line for line in asked)


def test_a_cuda_build_of_pytorch_is_left_out_and_tests_are_skipped(copied, tmp_path):
    said, asked = pytorch_for("train", ["torch", "nvidia-cublas", "triton"], copied, tmp_path)
    assert "no CPU build is to be had" in said and "Training tests are skipped" in said
    assert ["--dry-run" in line for line in asked] == [True, True]


def test_what_else_training_needs_is_installed_where_it_is_asked_for(copied, tmp_path):
    said, asked = pytorch_for("train", [], copied, tmp_path, want="want_rollouts")
    assert "installed" in said
    (words,) = (line.split() for line in asked)
    assert [word.split(">=")[0] for word in words if ">=" in word] == ["gymnasium", "tensorboard", "ray"]


def test_what_else_training_needs_is_not_installed_unasked(copied, tmp_path):
    assert pytorch_for("", [], copied, tmp_path, want="want_rollouts") == ("", [])
