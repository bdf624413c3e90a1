"""Tensors that go into a network and come out of it, checked before the runtime sees them: its own messages name
nodes of the graph, ours the tensor that is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.runtime.contract import Arrays, TensorInfo


def checked_inputs(name: str, wanted: tuple[TensorInfo, ...], given: Arrays) -> dict[str, NDArray[Any]]:
    """Contiguous arrays of the network's own types, one for each input. Numbers of the same kind are converted
    (float64 to float32, int32 to int64), others refused, and so are values that are not numbers. Raises EngineError."""
    names = {tensor.name for tensor in wanted}
    if set(given) != names:
        missing, unknown = sorted(names - set(given)), sorted(set(given) - names)
        what = [f"lacks the input {', '.join(missing)}"] * bool(missing)
        what += [f"has no input {', '.join(unknown)}"] * bool(unknown)
        raise EngineError(f"network '{name}' {' and '.join(what)}")
    return {tensor.name: _checked(name, tensor, np.asarray(given[tensor.name])) for tensor in wanted}


def _checked(name: str, tensor: TensorInfo, array: NDArray[Any]) -> NDArray[Any]:
    if not shape_fits(tensor.shape, array.shape):
        raise EngineError(
            f"input '{tensor.name}' of network '{name}' has shape {array.shape}; {shown(tensor.shape)} is needed"
        )
    if not np.can_cast(array.dtype, tensor.dtype, "same_kind"):
        raise EngineError(f"input '{tensor.name}' of network '{name}' is {array.dtype}; {tensor.dtype} is needed")
    made = np.ascontiguousarray(array, tensor.dtype)
    # Not left to the result: some backends' ReLU makes 0 of what is no number.
    if np.issubdtype(made.dtype, np.floating) and not np.isfinite(made).all():
        raise EngineError(f"input '{tensor.name}' of network '{name}' has values that are not numbers")
    return made


def shape_fits(wanted: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape can go where `wanted` is asked for."""
    return len(wanted) == len(shape) and all(
        have > 0 if want is None else have == want for want, have in zip(wanted, shape, strict=True)
    )


def shown(shape: tuple[int | None, ...]) -> str:
    """For people, as in (1, 3, any)."""
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def checked_output(name: str, output: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """As float32. Raises EngineError where a value is not finite: reduced precision overflows without a word."""
    made = np.asarray(array, np.float32)
    if not np.isfinite(made).all():
        raise EngineError(f"output '{output}' of network '{name}' has values that are not numbers")
    return made
