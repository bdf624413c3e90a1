"""docs/errors.md is made from appliance/errors.py, and the tree drawn at the top of that file is the tree there is."""

from __future__ import annotations

import re
from pathlib import Path

from appliance import errors
from appliance.errors import CouchsideError
from tools.house.report import Report

DOCUMENT = "docs/errors.md"
_BEGIN = "<!-- made by tools/check_house.py --write -->"
_INTRODUCTION = f"""# Errors and exit codes

Every failure is one of these. `key` is stable: scripts may depend on it. The command line prints the sentence, and with
`--json` an object with `key` and the sentence; it returns the exit code. 0 is success; 2 is a mistake in the command
itself (an unknown option or argument). Words in braces are filled in from the error's fields; none holds patient data.

{_BEGIN}

"""


def tree(cls: type[CouchsideError] = CouchsideError) -> list[type[CouchsideError]]:
    """The class and everything below it that appliance/errors.py defines, depth first."""
    below = [c for child in cls.__subclasses__() if child.__module__ == errors.__name__ for c in tree(child)]
    return [cls, *below]


def table() -> str:
    rows = ["| key | exit code | sentence | error |", "|---|---|---|---|"]
    rows += [
        f"| `{cls.key}` | {cls.exit_code} | {cls.template.replace('|', chr(92) + '|')} | `{cls.__name__}` |"
        for cls in tree()
    ]
    return "\n".join(rows) + "\n"


def write(root: Path) -> None:
    (root / DOCUMENT).write_text(_INTRODUCTION + table(), "utf-8")


def _drawing() -> list[tuple[int, str]]:
    """(depth, class name) of each line of the tree drawn in the docstring."""
    lines = re.findall(r"^    ((?:[│ ]   )*(?:[├└]── )?)([A-Z][A-Za-z]+)\b", errors.__doc__ or "", re.MULTILINE)
    return [(len(mark) // 4, name) for mark, name in lines]


def _depth(cls: type[CouchsideError]) -> int:
    return len([base for base in cls.__mro__ if issubclass(base, CouchsideError)]) - 1


def check(root: Path, report: Report) -> None:
    drawn, real = set(_drawing()), {(_depth(cls), cls.__name__) for cls in tree()}
    for _, name in sorted(drawn ^ real):
        report.broken.append(f"appliance/errors.py: the tree drawn at its top and the classes differ at {name}")
    keys = [cls.key for cls in tree()]
    repeated = sorted({key for key in keys if keys.count(key) > 1})
    report.broken.extend(f"appliance/errors.py: the key '{key}' is used twice" for key in repeated)
    path = root / DOCUMENT
    if not path.exists() or path.read_text("utf-8") != _INTRODUCTION + table():
        report.broken.append(f"{DOCUMENT} is not what appliance/errors.py says; run tools/check_house.py --write")
