"""Weights of a BERT-type encoder: read from a safetensors file, with the sizes its config.json states.

The format (https://github.com/huggingface/safetensors, README, "Format"): eight bytes, little-endian, give the length
of a JSON header that names each tensor's type, shape and byte range; the bytes follow.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Tensors = dict[str, NDArray[np.float32]]

_TYPES = {"F32": np.float32, "F16": np.float16}
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class BertSizes:
    """layers, heads, hidden width and the epsilon of its layer norms."""

    layers: int
    heads: int
    hidden: int
    epsilon: float

    @staticmethod
    def load(path: Path) -> BertSizes:
        """From config.json. Raises EngineError for anything but a BERT with exact GELU."""
        try:
            config = json.loads(path.read_text("utf-8"))
            sizes = BertSizes(
                int(config["num_hidden_layers"]),
                int(config["num_attention_heads"]),
                int(config["hidden_size"]),
                float(config["layer_norm_eps"]),
            )
        except (OSError, ValueError, KeyError) as error:
            raise EngineError(f"{path.name} of the encoder cannot be read ({error})") from error
        if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
            raise EngineError("only encoders of type BERT with the exact GELU are known")
        return sizes


def read_safetensors(path: Path) -> Tensors:
    """Every floating-point tensor of the file as float32, those of other types left out. Raises EngineError where the
    file is cut short or contradicts its header."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path.name} cannot be read ({error.strerror})") from error
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, _LONGEST_HEADER):
        raise EngineError(f"{path.name} is no safetensors file or is cut short")
    try:
        header = cast(dict[str, dict[str, object]], json.loads(data[8 : 8 + length]))
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {name: _tensor(data, 8 + length, entry) for name, entry in entries.items() if entry["dtype"] in _TYPES}
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{path.name} contradicts its header ({error})") from error


def _tensor(data: bytes, base: int, entry: dict[str, object]) -> NDArray[np.float32]:
    shape = cast(list[int], entry["shape"])
    start, end = cast(list[int], entry["data_offsets"])
    kind = np.dtype(_TYPES[cast(str, entry["dtype"])]).newbyteorder("<")
    if end - start != math.prod(shape) * kind.itemsize or base + end > len(data):
        raise ValueError("a tensor's bytes do not fit its shape")
    raw = np.frombuffer(data, kind, count=math.prod(shape), offset=base + start)
    return raw.reshape(shape).astype(np.float32, copy=False)
