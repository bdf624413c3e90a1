"""The house rules that no other tool checks: sizes, words, weights, and documents that must agree with the code.

    python tools/check_house.py            check; exit 1 and one line for each broken rule
    python tools/check_house.py --write    rewrite the tables that are made from the code, then check

One rule, one file, in tools/house/. Notices are printed and do not fail.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.house import (  # noqa: E402
    beam_cards,
    check_table,
    config_keys,
    error_keys,
    functions,
    machine_table,
    paths,
    readme,
    sizes,
    state_table,
    weights,
    words,
)
from tools.house.report import Report  # noqa: E402

RULES = (
    sizes,
    functions,
    words,
    paths,
    weights,
    config_keys,
    error_keys,
    state_table,
    machine_table,
    beam_cards,
    check_table,
    readme,
)


def check(root: Path) -> Report:
    """Every rule on the tree at `root`."""
    report = Report()
    for rule in RULES:
        rule.check(root, report)
    return report


def main() -> int:
    if "--write" in sys.argv[1:]:
        error_keys.write(ROOT)
        state_table.write(ROOT)
        machine_table.write(ROOT)
        beam_cards.write(ROOT)
        check_table.write(ROOT)
    report = check(ROOT)
    for line in report.notices:
        print(f"notice: {line}")
    for line in report.broken:
        print(f"broken: {line}")
    print(f"{len(RULES)} house rules, {len(report.broken)} broken, {len(report.notices)} notices")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
