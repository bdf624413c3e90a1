"""How well the rules read clinical notes: precision and recall of facts on the labelled sentences, by kind.

python bench/notes.py [--split fresh|last|final|blind|held-out|dev|all] [--misses]
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from appliance.contracts.notes import FactKind, NoteFact  # noqa: E402
from appliance.evaluation.notes.extract import facts_of  # noqa: E402

CORPUS = ROOT / "tests/evaluation/notes/corpus.toml"


def sentences(split: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = tomllib.loads(CORPUS.read_text("utf-8"))["sentence"]
    return [entry for entry in found if split in ("all", entry["split"])]


def as_label(fact: NoteFact, *, like: Counter[str]) -> str:
    """The fact in the corpus's words, as full as the label that it may match."""
    full = [fact.kind.value, fact.assertion.value, *([fact.value] if fact.value else [])]
    if fact.dose_gy is not None:
        full.append(f"dose={fact.dose_gy:g}")
    if fact.fractions is not None:
        full.append(f"fx={fact.fractions}")
    text = " ".join(full)
    return text if text in like or f"{full[0]} {full[1]}" not in like else f"{full[0]} {full[1]}"


def scores(split: str) -> tuple[dict[str, tuple[int, int, int]], list[str]]:
    """({kind: (right, found, wanted)}, what went wrong). A fact is right if kind, assertion, value, dose and fractions
    are those of the label; a label without a value, dose or fractions does not ask for them."""
    counts = {kind.value: [0, 0, 0] for kind in FactKind}
    wrong: list[str] = []
    for entry in sentences(split):
        wanted = Counter(str(fact) for fact in entry["facts"])  # type: ignore[attr-defined]
        found = Counter(as_label(fact, like=wanted) for fact in facts_of(str(entry["text"])))
        for label, number in wanted.items():
            counts[label.split()[0]][2] += number
        for label, number in found.items():
            counts[label.split()[0]][1] += number
            counts[label.split()[0]][0] += min(number, wanted[label])
        if wanted != found:
            wrong.append(f"{entry['text']}\n      missed {list((wanted - found).elements())}, "
                         f"wrong {list((found - wanted).elements())}")  # fmt: skip
    return {kind: (a, b, c) for kind, (a, b, c) in counts.items()}, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--split", default="fresh", choices=("fresh", "last", "final", "blind", "held-out", "dev", "all")
    )
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    table, wrong = scores(options.split)
    print(
        f"split {options.split}: {len(sentences(options.split))} sentences, {len(wrong)} not read exactly as labelled"
    )
    table["all"] = tuple(sum(row[n] for row in table.values()) for n in range(3))  # type: ignore[assignment]
    for kind, (right, found, wanted) in table.items():
        precision = right / found if found else 1.0
        recall = right / wanted if wanted else 1.0
        print(f"  {kind:20s} precision {precision:.2f} ({right}/{found})  recall {recall:.2f} ({right}/{wanted})")
    if options.misses:
        print("\n".join(f"  - {line}" for line in wrong))
    return 0


if __name__ == "__main__":
    sys.exit(main())
