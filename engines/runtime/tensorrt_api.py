"""The part of TensorRT's Python API that is used here, as types, and the two packages that have it: `tensorrt` (10 and
11; JetPack brings 10.3) and TensorRT-RTX, whose bindings have the same classes.

Written after NVIDIA's API reference and compared with the packages themselves: names and arguments with
tensorrt-cu12-bindings 10.3.0, 10.16.1.11 and 11.4.0.106, and with tensorrt-rtx-cu13-bindings 1.7.1.116, which a test
repeats. What only one of them has is asked for with `hasattr` where it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, cast

from engines.errors import EngineError
from engines.runtime.contract import Backend

MODULES = {
    Backend.TENSORRT: ("tensorrt",),
    # The package tensorrt_rtx is a wrapper that only names the bindings; these wheels work alone.
    Backend.TENSORRT_RTX: ("tensorrt_rtx", "tensorrt_rtx_bindings"),
}

Shape = tuple[int, ...]


class Tensor(Protocol):
    """ITensor. A size that is not known is -1."""

    name: str
    dtype: Any

    @property
    def shape(self) -> Sequence[int]: ...


class NetworkDefinition(Protocol):
    """INetworkDefinition."""

    @property
    def num_inputs(self) -> int: ...
    @property
    def num_outputs(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    def get_input(self, index: int) -> Tensor: ...
    def get_output(self, index: int) -> Tensor: ...


class OptimizationProfile(Protocol):
    """IOptimizationProfile."""

    def set_shape(self, input: str, min: Shape, opt: Shape, max: Shape) -> None: ...


class BuilderConfig(Protocol):
    """IBuilderConfig. The compute capabilities are TensorRT-RTX's alone."""

    num_compute_capabilities: int

    def clear_flag(self, flag: Any) -> None: ...
    def add_optimization_profile(self, profile: OptimizationProfile) -> int: ...
    def set_compute_capability(self, compute_capability: Any, index: int) -> bool: ...


class HostMemory(Protocol):
    """IHostMemory: bytes() copies it."""

    @property
    def nbytes(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...


class Builder(Protocol):
    def create_network(self, flags: int) -> NetworkDefinition: ...
    def create_builder_config(self) -> BuilderConfig: ...
    def create_optimization_profile(self) -> OptimizationProfile: ...
    def build_serialized_network(self, network: NetworkDefinition, config: BuilderConfig) -> HostMemory | None: ...


class Parser(Protocol):
    """OnnxParser."""

    @property
    def num_errors(self) -> int: ...
    def parse(self, model: bytes) -> bool: ...
    def get_error(self, index: int) -> Any: ...


class Context(Protocol):
    """IExecutionContext."""

    def set_input_shape(self, name: str, shape: Shape) -> bool: ...
    def infer_shapes(self) -> Iterable[str]: ...
    def get_tensor_shape(self, name: str) -> Sequence[int]: ...
    def set_tensor_address(self, name: str, memory: int) -> bool: ...
    def execute_async_v3(self, stream_handle: int) -> bool: ...


class Engine(Protocol):
    """ICudaEngine."""

    @property
    def num_io_tensors(self) -> int: ...
    def get_tensor_name(self, index: int) -> str: ...
    def get_tensor_mode(self, name: str) -> Any: ...
    def get_tensor_dtype(self, name: str) -> Any: ...
    def get_tensor_shape(self, name: str) -> Sequence[int]: ...
    def get_tensor_location(self, name: str) -> Any: ...
    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Sequence[Sequence[int]]: ...
    def create_execution_context(self, *config: Any) -> Context | None: ...
    def create_runtime_config(self) -> Any: ...


class Runtime(Protocol):
    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None: ...


class Api(Protocol):
    """The module. Enumerations are `Any`: each package has its own."""

    __version__: str
    BuilderFlag: Any
    NetworkDefinitionCreationFlag: Any
    TensorIOMode: Any
    TensorLocation: Any
    ILogger: Any

    def Builder(self, logger: Any) -> Builder: ...
    def Runtime(self, logger: Any) -> Runtime: ...
    def OnnxParser(self, network: NetworkDefinition, logger: Any) -> Parser: ...
    def nptype(self, trt_type: Any) -> Any: ...


def check_installed(backend: Backend) -> None:
    """Raises EngineError that names the missing package; loads nothing."""
    if not any(find_spec(name) for name in MODULES[backend]):
        raise EngineError(f"the package {MODULES[backend][0]} is not installed")


def load_api(backend: Backend) -> Api:
    """Raises EngineError that names the missing package."""
    check_installed(backend)
    name = next(name for name in MODULES[backend] if find_spec(name))
    try:
        return cast(Api, import_module(name))
    except (ImportError, OSError) as error:  # something that it needs, or a shared library that does not load
        raise EngineError(f"the package {name} cannot be loaded ({error})") from error


class Log:
    """What TensorRT says: it answers None or False where it fails, and the reason is only in its log."""

    def __init__(self, api: Api) -> None:
        self.errors: list[str] = []
        self.logger = _logger(api, self.errors)

    def reason(self) -> str:
        """The first error since the last call, which later ones follow from."""
        first = self.errors[0][:300] if self.errors else "no reason given"
        self.errors.clear()
        return first


def _logger(api: Api, errors: list[str]) -> Any:
    severity = api.ILogger.Severity
    serious = (severity.INTERNAL_ERROR, severity.ERROR)

    class Collecting(api.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            api.ILogger.__init__(self)

        def log(self, level: Any, message: str) -> None:
            if level in serious:
                errors.append(message)

    return Collecting()
