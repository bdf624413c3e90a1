"""From ONNX to a serialised engine, with TensorRT or TensorRT-RTX: one class, because their APIs are nearly one.

TensorRT 11 and TensorRT-RTX know only strongly typed networks (each tensor has the type that the file gives it), and
TensorRT 10 deprecates the rest. So reduced precision is written into the ONNX file before it is parsed (`half.py`),
and the same engine definition comes out everywhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.errors import DeviceError, EngineError
from engines.runtime.contract import Backend, Precision, TensorInfo
from engines.runtime.precision import in_precision
from engines.runtime.profile import Profile
from engines.runtime.tensorrt_api import Api, Builder, BuilderConfig, Log, NetworkDefinition, Tensor, load_api


@dataclass(frozen=True, eq=False)
class BuiltEngine:
    """plan: the serialised engine. seconds: wall time of parsing and building."""

    plan: bytes
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layers: int
    seconds: float


class EngineBuilder:
    """Builds for this machine's GPU, or with TensorRT-RTX for a named one. Raises EngineError where the package is not
    here."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.api = backend, load_api(backend)
        self._log = Log(self.api)

    @property
    def version(self) -> str:
        return self.api.__version__

    def targets(self) -> tuple[str, ...]:
        """GPUs that can be named, such as 'SM89'; none with TensorRT, which builds where it runs."""
        known = getattr(self.api, "ComputeCapability", None)
        names = () if known is None else known.__members__
        return tuple(name for name in names if name not in ("NONE", "CURRENT"))

    def inputs(self, model: bytes) -> tuple[TensorInfo, ...]:
        """Of an ONNX file. Raises EngineError where it cannot be parsed."""
        builder = self.api.Builder(self._log.logger)
        network = self._parsed(builder, model)
        return tuple(self._info(network.get_input(i)) for i in range(network.num_inputs))

    def build(
        self, model: bytes, *, precision: Precision = Precision.FP32, profile: Profile | None = None, target: str = ""
    ) -> BuiltEngine:
        """profile: None is the usual one of the network's inputs. target: one of `targets`, '' this machine's GPU.

        Raises EngineError where the model cannot be parsed or built, or not in this precision; DeviceError where the
        GPU is not there or has too little memory, in TensorRT's own words."""
        start = time.perf_counter()
        model = in_precision(model, precision)
        builder = self.api.Builder(self._log.logger)
        network = self._parsed(builder, model)
        inputs = tuple(self._info(network.get_input(i)) for i in range(network.num_inputs))
        outputs = tuple(self._info(network.get_output(i)) for i in range(network.num_outputs))
        config = self._configured(builder, profile or Profile.usual(inputs), target)
        memory = builder.build_serialized_network(network, config)
        if memory is None:
            raise self._failed("cannot build an engine")
        return BuiltEngine(bytes(memory), inputs, outputs, network.num_layers, time.perf_counter() - start)

    def _parsed(self, builder: Builder, model: bytes) -> NetworkDefinition:
        network = builder.create_network(_creation_flags(self.api))
        parser = self.api.OnnxParser(network, self._log.logger)
        if not parser.parse(model):
            self._log.errors.clear()
            reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
            raise EngineError(f"{self.backend} cannot read the model: {reasons[:300]}")
        return network

    def _configured(self, builder: Builder, profile: Profile, target: str) -> BuilderConfig:
        config = builder.create_builder_config()
        # On by default: FP32 convolutions with 11 bits. What is called FP32 here has 24.
        config.clear_flag(self.api.BuilderFlag.TF32)
        if profile.inputs:
            made = builder.create_optimization_profile()
            for one in profile.inputs:
                made.set_shape(one.name, one.least, one.usual, one.greatest)
            if config.add_optimization_profile(made) < 0:
                raise EngineError(f"{self.backend} refuses the sizes {profile.text}: {self._log.reason()}")
        if target and target not in self.targets():
            known = ", ".join(self.targets()) or "the GPU of the machine alone"
            raise EngineError(f"{self.backend} cannot build for {target}; it can for {known}")
        if self.targets():
            config.num_compute_capabilities = 1
            capability = getattr(self.api, "ComputeCapability").__members__[target or "CURRENT"]  # noqa: B009 - RTX's
            if not config.set_compute_capability(capability, 0):
                raise self._failed(f"cannot build for {target or 'this GPU'}")
        return config

    def _info(self, tensor: Tensor) -> TensorInfo:
        shape = tuple(None if size < 0 else int(size) for size in tensor.shape)
        return TensorInfo(tensor.name, shape, dtype_name(self.api, tensor.dtype))

    def _failed(self, what: str) -> EngineError:
        reason = self._log.reason()
        device = any(word in reason.lower() for word in ("cuda", "memory", "gpu"))
        return (DeviceError if device else EngineError)(f"{self.backend} {what}: {reason}")


def dtype_name(api: Api, dtype: Any) -> str:
    """NumPy's name of a TensorRT type. Raises EngineError for those that NumPy lacks."""
    try:
        return str(np.dtype(api.nptype(dtype)).name)
    except TypeError as error:
        raise EngineError(f"a tensor is {dtype}, which is not supported") from error


def _creation_flags(api: Api) -> int:
    """Explicit batch (always on since TensorRT 10, gone in 11) and strongly typed (ignored in 11)."""
    known = api.NetworkDefinitionCreationFlag.__members__
    return sum(1 << int(known[name]) for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED") if name in known)
