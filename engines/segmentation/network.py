"""A network in ONNX, run by ONNX Runtime on the CPU. The runtime is loaded only here, when a network is opened."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.segmentation.spec import NetworkSpec

Volume = NDArray[np.float32]
RANK = 5
"""N, C, D, H, W."""
OUTSIDE = b"\x0a\x08location"
"""Key of an ONNX tensor whose numbers lie in another file (onnx.proto, StringStringEntryProto: field 1, 8 letters)."""


@dataclass(frozen=True, eq=False)
class Network:
    """A checked network: `probabilities` of one patch. channels: K of its output."""

    spec: NetworkSpec
    channels: int
    session: Any
    input_name: str
    output_name: str

    def probabilities(self, patch: Volume) -> Volume:
        """(K, D, H, W) of a patch (D, H, W), averaged over the mirrored ones."""
        axes = self.spec.mirror_axes
        flips = [flip for count in range(len(axes) + 1) for flip in combinations(axes, count)]
        total = np.zeros((self.channels, *patch.shape), np.float32)
        for flip in flips:
            mirrored = np.flip(patch, flip)
            total += np.flip(self._run(mirrored), tuple(axis + 1 for axis in flip))
        return np.asarray(total / len(flips), np.float32)

    def _run(self, patch: Volume) -> Volume:
        tensor = np.ascontiguousarray(patch[None, None], np.float32)
        try:
            out = np.asarray(self.session.run([self.output_name], {self.input_name: tensor})[0], np.float32)
        except Exception as error:
            raise EngineError(f"the network failed on a patch of {patch.shape}: {str(error)[:200]}") from error
        if out.shape != (1, self.channels, *patch.shape):
            raise EngineError(
                f"the network gives {out.shape} for a patch of {patch.shape}; its output must be N K D H W of that size"
            )
        if not np.isfinite(out).all():
            raise EngineError("the network gives values that are not numbers")
        return _activated(out[0], self.spec)


def open_network(model: bytes, spec: NetworkSpec, *, threads: int = 0) -> Network:
    """Raises EngineError where ONNX Runtime is missing, the bytes are no network, its tensors are not those of the
    contract, or its weights lie in another file, which nobody has checked. threads: of the CPU, 0 as many as there
    are."""
    if OUTSIDE in model:
        raise EngineError("the network keeps weights in another file; save it as one file")
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError("segmentation networks need the package onnxruntime, which is not installed") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineError(f"the file is no network that ONNX Runtime can run: {str(error)[:200]}") from error
    given = _named(session.get_inputs(), spec.input_name, "input")
    taken = _named(session.get_outputs(), spec.output_name, "output")
    _check_input(given, spec)
    channels = _channels(taken, spec)
    return Network(spec, channels, session, given.name, taken.name)


def _runtime_errors() -> tuple[type[Exception], ...]:
    """The runtime's own errors, which have no common type but Exception, and what it raises for wrong arguments."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception))
    return (*own, RuntimeError, ValueError, TypeError)


def _named(tensors: Any, name: str, what: str) -> Any:
    if not name and len(tensors) == 1:
        return tensors[0]
    found = [tensor for tensor in tensors if tensor.name == name]
    if not found:
        names = ", ".join(tensor.name for tensor in tensors)
        raise EngineError(f"the network has no {what} '{name}' (it has: {names})")
    return found[0]


def _check_input(tensor: Any, spec: NetworkSpec) -> None:
    shape = list(tensor.shape)
    if len(shape) != RANK:
        raise EngineError(f"the input '{tensor.name}' has rank {len(shape)}; N C D H W has rank {RANK}")
    if tensor.type != "tensor(float)":
        raise EngineError(f"the input '{tensor.name}' is {tensor.type}; float32 is needed")
    for axis, wanted in enumerate((1, 1, *spec.patch)):
        if isinstance(shape[axis], int) and shape[axis] != wanted:
            raise EngineError(f"the input '{tensor.name}' is {shape}; the patch asks for {[1, 1, *spec.patch]}")


def _channels(tensor: Any, spec: NetworkSpec) -> int:
    shape = list(tensor.shape)
    if len(shape) != RANK:
        raise EngineError(f"the output '{tensor.name}' has rank {len(shape)}; N K D H W has rank {RANK}")
    if not isinstance(shape[1], int):
        raise EngineError(f"the output '{tensor.name}' does not say how many channels it has ({shape})")
    highest = max(channel for channel, _ in spec.labels)
    if highest >= shape[1]:
        raise EngineError(f"a label has channel {highest}, but the output '{tensor.name}' has {shape[1]} channels")
    return int(shape[1])


def _activated(out: Volume, spec: NetworkSpec) -> Volume:
    if spec.values == "probabilities":
        return out
    if spec.kind == "softmax":
        out = np.exp(out - out.max(axis=0))
        return np.asarray(out / out.sum(axis=0))
    return np.asarray(1 / (1 + np.exp(-np.clip(out, -60, 60))), np.float32)
