"""A segmentation network in ONNX, checked against its contract; engines/runtime runs it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from engines import runtime
from engines.errors import EngineError
from engines.runtime import Network as Runner
from engines.runtime import RuntimeOptions, TensorInfo
from engines.runtime.contract import DEFAULTS
from engines.segmentation.spec import NetworkSpec

Volume = NDArray[np.float32]
RANK = 5
"""N, C, D, H, W."""


@dataclass(frozen=True, eq=False)
class Network:
    """A checked network: `probabilities` of one patch. channels: K of its output."""

    spec: NetworkSpec
    channels: int
    runner: Runner
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
            out = self.runner.run({self.input_name: tensor})[self.output_name]
        except EngineError as error:
            raise EngineError(f"the network failed on a patch of {patch.shape}: {str(error)[:200]}") from error
        if out.shape != (1, self.channels, *patch.shape):
            raise EngineError(
                f"the network gives {out.shape} for a patch of {patch.shape}; its output must be N K D H W of that size"
            )
        return _activated(out[0], self.spec)


def open_network(
    model: bytes, spec: NetworkSpec, *, name: str = "segmentation", options: RuntimeOptions = DEFAULTS
) -> Network:
    """Raises EngineError where no backend can run the bytes, its tensors are not those of the contract, or its weights
    lie in another file, which nobody has checked."""
    runner = runtime.open_network(model, name=name, options=options)
    given = _named(runner.inputs, spec.input_name, "input")
    taken = _named(runner.outputs, spec.output_name, "output")
    _check_input(given, spec)
    channels = _channels(taken, spec)
    return Network(spec, channels, runner, given.name, taken.name)


def _named(tensors: tuple[TensorInfo, ...], name: str, what: str) -> TensorInfo:
    if not name and len(tensors) == 1:
        return tensors[0]
    found = [tensor for tensor in tensors if tensor.name == name]
    if not found:
        names = ", ".join(tensor.name for tensor in tensors)
        raise EngineError(f"the network has no {what} '{name}' (it has: {names})")
    return found[0]


def _check_input(tensor: TensorInfo, spec: NetworkSpec) -> None:
    shape = list(tensor.shape)
    if len(shape) != RANK:
        raise EngineError(f"the input '{tensor.name}' has rank {len(shape)}; N C D H W has rank {RANK}")
    if tensor.dtype != "float32":
        raise EngineError(f"the input '{tensor.name}' is {tensor.dtype}; float32 is needed")
    for axis, wanted in enumerate((1, 1, *spec.patch)):
        if isinstance(shape[axis], int) and shape[axis] != wanted:
            raise EngineError(f"the input '{tensor.name}' is {shape}; the patch asks for {[1, 1, *spec.patch]}")


def _channels(tensor: TensorInfo, spec: NetworkSpec) -> int:
    shape = list(tensor.shape)
    if len(shape) != RANK:
        raise EngineError(f"the output '{tensor.name}' has rank {len(shape)}; N K D H W has rank {RANK}")
    channels = shape[1]
    if channels is None:
        raise EngineError(f"the output '{tensor.name}' does not say how many channels it has ({shape})")
    highest = max(channel for channel, _ in spec.labels)
    if highest >= channels:
        raise EngineError(f"a label has channel {highest}, but the output '{tensor.name}' has {channels} channels")
    return channels


def _activated(out: Volume, spec: NetworkSpec) -> Volume:
    if spec.values == "probabilities":
        return out
    if spec.kind == "softmax":
        out = np.exp(out - out.max(axis=0))
        return np.asarray(out / out.sum(axis=0))
    return np.asarray(1 / (1 + np.exp(-np.clip(out, -60, 60))), np.float32)
