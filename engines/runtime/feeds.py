"""Arrays to try a registered network with: of its typical shape, in the range that its entry states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.runtime.contract import TensorInfo
from engines.runtime.entry import Registered, Tensor

Feeds = Callable[[str, tuple[TensorInfo, ...]], Mapping[str, NDArray[Any]]]
SEED = 20261127
"""Chosen; the same numbers on every machine, so that two tables can be laid beside each other."""


def feeds_for(entries: Sequence[Registered]) -> Feeds:
    """(name, inputs) to arrays for the networks of these entries. It raises EngineError where a network is none of
    them, or where neither its entry nor its file says how large an input is."""
    known = {entry.name: entry for entry in entries}

    def feeds(name: str, inputs: tuple[TensorInfo, ...]) -> Mapping[str, NDArray[Any]]:
        if name not in known:
            raise EngineError(f"no model '{name}' is registered, so nothing is known to feed it")
        random = np.random.default_rng(SEED)
        return {info.name: _array(known[name], info, random) for info in inputs}

    return feeds


def _array(entry: Registered, info: TensorInfo, random: np.random.Generator) -> NDArray[Any]:
    tensor = _stated(entry, info)
    shape = tuple(size for size in (tensor.shape or info.shape) if size is not None)
    if len(shape) != len(info.shape):
        raise EngineError(f"the entry '{entry.name}' states no typical shape of its input '{info.name}'")
    if np.issubdtype(np.dtype(info.dtype), np.integer):
        return random.integers(int(tensor.low), int(tensor.high) + 1, shape).astype(info.dtype)
    return random.uniform(tensor.low, tensor.high, shape).astype(info.dtype)


def _stated(entry: Registered, info: TensorInfo) -> Tensor:
    """By name; a network of one input needs none."""
    named = [tensor for tensor in entry.inputs if tensor.name == info.name]
    if not named and len(entry.inputs) == 1:
        return entry.inputs[0]
    if not named:
        raise EngineError(f"the entry '{entry.name}' states no input '{info.name}'")
    return named[0]
