"""Lines on standard output, at once: a run on a machine is read while it goes on."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
