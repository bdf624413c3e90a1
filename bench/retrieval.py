"""How well questions find their passage: by words, by meaning, fused; and how well the unanswerable ones are told
apart.

    python bench/retrieval.py [--split fresh|test|dev|all] [--misses] [--write-vectors]

--write-vectors makes models/guidelines/passages/vectors.npz anew; to be done when passages change.
"""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from appliance.evaluation.retrieval.passages import shipped_passages  # noqa: E402
from appliance.evaluation.retrieval.search import CONSIDERED, Library  # noqa: E402
from appliance.evaluation.retrieval.semantic import VECTORS, write_vectors  # noqa: E402
from engines.language.encoder import SentenceEncoder  # noqa: E402
from engines.ranking import area_under_curve, found_within, fused, shares  # noqa: E402

QUESTIONS = ROOT / "models/guidelines/questions/why.toml"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--split", default="test", choices=("fresh", "test", "dev", "all"))
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--write-vectors", action="store_true")
    options = parser.parse_args()
    encoder = SentenceEncoder.open()
    if options.write_vectors:
        write_vectors(ROOT / "models/guidelines/passages" / VECTORS, shipped_passages(), encoder)
    library = Library(shipped_passages(), encoder=encoder)
    questions = tomllib.loads(QUESTIONS.read_text("utf-8"))["question"]
    chosen = [q for q in questions if options.split in ("all", q["split"])]
    answerable = {q["text"]: q["accept"] for q in chosen if q["accept"]}
    orders = {name: {} for name in ("by words", "by meaning", "fused")}
    begin = time.process_time()
    for text in answerable:
        by_words, similarities = library.orders(text)
        by_meaning = sorted(similarities, key=lambda name: -similarities[name])[:CONSIDERED]
        orders["by words"][text], orders["by meaning"][text] = by_words, by_meaning
        orders["fused"][text] = [name for name, _ in fused([by_words, by_meaning])]
    spent = time.process_time() - begin
    print(f"split {options.split}: {len(answerable)} answerable questions, {len(library.passages)} passages")
    for name, order in orders.items():
        at_3, mean_rank = shares(order, answerable, first=3)
        at_1, _ = shares(order, answerable, first=1)
        print(f"  {name:12s} recall@1 {at_1:.3f}  recall@3 {at_3:.3f}  MRR {mean_rank:.3f}")
    for kind in ("plain", "paraphrase", "abbreviation", "misspelt"):
        part = {q["text"]: q["accept"] for q in chosen if q["kind"] == kind}
        figures = "  ".join(f"{name} {shares(order, part, first=3)[0]:.2f}" for name, order in orders.items())
        print(f"  recall@3 of {kind:12s} ({len(part):2d}): {figures}")
    print(f"  {1000 * spent / max(len(answerable), 1):.1f} ms of processor time a question")
    _rejection(library, chosen)
    if options.misses:
        for text, wanted in answerable.items():
            if not found_within(orders["fused"][text], wanted, first=3):
                print("  missed:", text, "->", orders["fused"][text][:3], "| words", orders["by words"][text][:3],
                      "| meaning", orders["by meaning"][text][:3])  # fmt: skip
    return 0


def _rejection(library: Library, chosen: list[dict[str, object]]) -> None:
    answers = {str(q["text"]): library.ask(str(q["text"])) for q in chosen}
    best = {text: max(m.similarity or 0.0 for m in answer.matches) for text, answer in answers.items()}
    real = [str(q["text"]) for q in chosen if q["accept"]]
    none = [str(q["text"]) for q in chosen if not q["accept"]]
    auc = area_under_curve([best[text] for text in real], [best[text] for text in none])
    kept = sum(answers[text].answered for text in real)
    refused = sum(not answers[text].answered for text in none)
    print(f"  answerable called answered: {kept} of {len(real)}; unanswerable called so: {refused} of {len(none)}; "
          f"AUC of the similarity {auc:.3f}")  # fmt: skip
    bare = Library(library.passages)
    alone = {str(q["text"]): bare.ask(str(q["text"])).answered for q in chosen}
    print(f"  by words alone: answered {sum(alone[t] for t in real)} of {len(real)}; "
          f"unanswerable called so {sum(not alone[t] for t in none)} of {len(none)}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
