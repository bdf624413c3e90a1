"""The command line in this process, as the tests of the commands run it, and a small study to spoil."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..cli.conftest import run
from ..session.small_case import SmallCase
from .bad_study import copied, write_study

__all__ = ["good", "run", "study"]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> SmallCase:
    return write_study(tmp_path_factory.mktemp("good") / "study")


@pytest.fixture
def study(good: SmallCase, tmp_path: Path) -> Path:
    return copied(good.folder, tmp_path / "study")
