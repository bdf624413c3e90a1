"""A BERT of two layers and four heads with random weights, small enough to follow by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from engines.language.weights import BertSizes, Tensors

SIZES = BertSizes(layers=2, heads=4, hidden=16, epsilon=1e-12)
INNER, WORDS, PLACES = 32, 50, 24


def tensors(seed: int = 1) -> Tensors:
    random = np.random.default_rng(seed)

    def made(*shape: int) -> np.ndarray:
        return random.normal(0.0, 0.5, shape).astype(np.float32)

    hidden = SIZES.hidden
    found = {
        "embeddings.word_embeddings.weight": made(WORDS, hidden),
        "embeddings.position_embeddings.weight": made(PLACES, hidden),
        "embeddings.token_type_embeddings.weight": made(2, hidden),
    }
    norms = ["embeddings.LayerNorm"]
    for number in range(SIZES.layers):
        layer = f"encoder.layer.{number}"
        widths = {f"attention.self.{part}": (hidden, hidden) for part in ("query", "key", "value")}
        widths |= {"attention.output.dense": (hidden, hidden), "intermediate.dense": (INNER, hidden)}
        for name, shape in (widths | {"output.dense": (hidden, INNER)}).items():
            found[f"{layer}.{name}.weight"], found[f"{layer}.{name}.bias"] = made(*shape), made(shape[0])
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name in norms:
        found[f"{name}.weight"], found[f"{name}.bias"] = 1 + made(hidden), made(hidden)
    return found


def write_safetensors(path: Path, content: Tensors) -> None:
    header, data = {}, b""
    for name, array in content.items():
        raw = array.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
