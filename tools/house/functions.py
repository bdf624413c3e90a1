"""Function bodies stay under 40 lines (noticed) and never pass 60 (broken). A body is what follows the docstring; a
nested function counts in the one around it."""

from __future__ import annotations

import ast
from pathlib import Path

from tools.house.files import PRODUCT, parsed, shown, walk
from tools.house.report import Report

NOTICE_LINES = 40
HARD_LINES = 60


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the end."""
    body = function.body
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        body = body[1:]
    return 0 if not body else (function.end_lineno or 0) - body[0].lineno + 1


def check(root: Path, report: Report) -> None:
    for path in walk(root, (*PRODUCT, "tools", "bench"), (".py",)):
        for node in ast.walk(parsed(path) or ast.Module([], [])):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = body_lines(node)
            where = f"{shown(path, root)}:{node.lineno} {node.name}"
            if lines > HARD_LINES:
                report.broken.append(f"{where} has a body of {lines} lines; {HARD_LINES} is the limit")
            elif lines >= NOTICE_LINES:
                report.notices.append(f"{where} has a body of {lines} lines; the aim is under {NOTICE_LINES}")
