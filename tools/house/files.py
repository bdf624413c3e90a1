"""Which files a rule looks at: found by walking the tree, so that the rules also hold in an unpacked archive."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

PRODUCT = ("appliance", "engines", "models", "firmware_bridge")
WRITTEN = (*PRODUCT, "tools", "bench", "tests")
_SKIPPED = {"__pycache__", "results", "build"}


def walk(root: Path, folders: tuple[str, ...], suffixes: tuple[str, ...] = ()) -> Iterator[Path]:
    """Sorted files below the folders, with one of the suffixes (none: all); no hidden folder, cache or build output."""
    for folder in folders:
        for where, names, files in os.walk(root / folder):
            names[:] = sorted(n for n in names if n not in _SKIPPED and not n.startswith("."))
            for name in sorted(files):
                path = Path(where, name)
                if (not suffixes or path.suffix in suffixes) and path.suffix not in {".so", ".pyc"}:
                    yield path


def shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def parsed(path: Path) -> ast.Module | None:
    """The syntax tree; None where the file is no Python, which ruff and mypy report."""
    try:
        return ast.parse(path.read_text("utf-8"))
    except SyntaxError:
        return None
