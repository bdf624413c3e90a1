"""The command line in this process, as the tests of the commands run it."""

from __future__ import annotations

from ..cli.conftest import run

__all__ = ["run"]
