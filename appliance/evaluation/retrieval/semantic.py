"""Search by meaning: vectors of the passages, made once and shipped, against that of the question.

The shipped vectors (models/guidelines/passages/vectors.npz, float16) carry the SHA-256 of the weights and of each text
they were made of. A passage whose text has changed since, or of a clinic's own, is turned into a vector when opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.passage import Passage
from engines.language.encoder import DIMENSIONS, WEIGHTS_SHA256, SentenceEncoder

VECTORS = "vectors.npz"


def meaning_text(passage: Passage) -> str:
    """What stands for the passage: its title, its text, and the harm it speaks of."""
    return f"{passage.title}. {passage.text} ({passage.endpoint})"


def text_digest(passage: Passage) -> str:
    return hashlib.sha256(meaning_text(passage).encode("utf-8")).hexdigest()


class MeaningIndex:
    def __init__(self, passages: Sequence[Passage], encoder: SentenceEncoder) -> None:
        self._ids = [passage.id for passage in passages]
        self._encoder = encoder
        known = stored_vectors()
        rows = [known.get(text_digest(passage)) for passage in passages]
        missing = [number for number, row in enumerate(rows) if row is None]
        if missing:
            made = encoder.encode([meaning_text(passages[number]) for number in missing])
            for number, vector in zip(missing, made, strict=True):
                rows[number] = vector
        self._vectors = np.stack([row for row in rows if row is not None])
        self.made_now = len(missing)

    def similarities(self, question: str) -> dict[str, float]:
        """Cosine with every passage, by id."""
        values = self._vectors @ self._encoder.encode([question])[0]
        return dict(zip(self._ids, (float(value) for value in values), strict=True))


def stored_vectors() -> dict[str, NDArray[np.float32]]:
    """By digest of the text; empty where the file is of other weights or is not there."""
    with as_file(files("models") / "guidelines" / "passages" / VECTORS) as path:
        if not path.is_file():
            return {}
        with np.load(path, allow_pickle=False) as content:
            if str(content["weights_sha256"]) != WEIGHTS_SHA256 or content["vectors"].shape[1] != DIMENSIONS:
                return {}
            vectors = content["vectors"].astype(np.float32)
            return dict(zip(content["text_sha256"].tolist(), vectors, strict=True))


def write_vectors(path: Path, passages: Sequence[Passage], encoder: SentenceEncoder) -> None:
    np.savez_compressed(
        path,
        weights_sha256=np.array(WEIGHTS_SHA256),
        text_sha256=np.array([text_digest(passage) for passage in passages]),
        vectors=encoder.encode([meaning_text(passage) for passage in passages]).astype(np.float16),
    )
