"""A GPU that is none: the parts of `pycuda.driver`, the CUDA driver's graphs and `tensorrt` that the runtime calls, on
host memory and with ONNX Runtime for the engine. It is strict where the real ones are undefined: memory that was not
allocated, addresses that were not set, sizes outside the profile, a recording before a first call.

It shows that we call in the right order and give everything back; never that a GPU computes the right numbers.
"""

from __future__ import annotations

import ctypes
import pickle
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime

from engines.errors import DeviceError


class CudaError(Exception):
    pass


class OutOfMemory(CudaError):
    pass


class Stream:
    """Work enqueued is done at once, or recorded while a graph is captured."""

    def __init__(self, device: Device) -> None:
        self.handle, self._device = id(self), device
        device.streams[self.handle] = self
        self.recording: list[Callable[[], None]] | None = None

    def enqueue(self, work: Callable[[], None]) -> None:
        if self.recording is None:
            work()
        else:
            self.recording.append(work)

    def synchronize(self) -> None:
        assert self.recording is None, "a stream that is being captured was waited for"


class Allocation:
    def __init__(self, device: Device, nbytes: int) -> None:
        if device.used + nbytes > device.capacity:
            raise OutOfMemory("cuMemAlloc failed: out of memory")
        self._bytes = (ctypes.c_byte * nbytes)()
        self._address, self._device, self._size = ctypes.addressof(self._bytes), device, nbytes
        device.used += nbytes
        device.live[self._address] = nbytes

    def __int__(self) -> int:
        return self._address

    def __del__(self) -> None:
        if hasattr(self, "_size"):
            self._device.used -= self._size
            del self._device.live[self._address]


class Device:
    """capacity in bytes. graphs, launches and enqueued count what was done."""

    def __init__(self, capacity: int = 2**30) -> None:
        self.capacity, self.used = capacity, 0
        self.live: dict[int, int] = {}
        self.streams: dict[int, Stream] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.launches = self.enqueued = self.builds = 0
        self.recordable = True

    def view(self, address: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        assert self.live.get(address, -1) >= size, "memory that was not allocated, or was given back"
        return np.ndarray(shape, dtype, (ctypes.c_byte * size).from_address(address))

    def pycuda(self) -> dict[str, ModuleType]:
        """For sys.modules."""
        package, driver = ModuleType("pycuda"), ModuleType("pycuda.driver")
        context = SimpleNamespace(push=lambda: None, pop=lambda: None, detach=lambda: None)
        one = SimpleNamespace(
            name=lambda: "Stand-in", compute_capability=lambda: (8, 9), retain_primary_context=lambda: context
        )
        vars(driver).update(
            Error=CudaError, MemoryError=OutOfMemory, init=lambda: None, Device=lambda number: one,
            Stream=lambda: Stream(self), mem_alloc=lambda nbytes: Allocation(self, nbytes),
            mem_get_info=lambda: (self.capacity - self.used, self.capacity),
            pagelocked_empty=np.empty, memcpy_htod_async=self._upload, memcpy_dtoh_async=self._download,
        )  # fmt: skip
        vars(package)["driver"] = driver
        return {"pycuda": package, "pycuda.driver": driver}

    def _upload(self, dest: Allocation, src: np.ndarray, stream: Stream) -> None:
        stream.enqueue(lambda: np.copyto(self.view(int(dest), src.shape, src.dtype), src))

    def _download(self, dest: np.ndarray, src: Allocation, stream: Stream) -> None:
        stream.enqueue(lambda: np.copyto(dest, self.view(int(src), dest.shape, dest.dtype)))

    # --- the driver's graphs ---

    def call(self, name: str, *arguments: Any) -> None:
        """As GraphDriver."""
        getattr(self, name)(*arguments)

    def cuStreamBeginCapture_v2(self, stream: int, mode: int) -> None:
        assert mode == 1
        self.streams[stream].recording = []

    def cuStreamEndCapture(self, stream: int, out: Any) -> None:
        recorded, self.streams[stream].recording = self.streams[stream].recording, None
        assert recorded is not None
        self._put(out, recorded)

    def cuGraphInstantiateWithFlags(self, out: Any, graph: Any, flags: int) -> None:
        assert flags == 0
        if not self.recordable:
            raise DeviceError("cuGraphInstantiateWithFlags answered 801")
        self._put(out, self.graphs[graph.value])

    def cuGraphLaunch(self, graph: Any, stream: int) -> None:
        self.launches += 1
        for work in self.graphs[graph.value]:
            self.streams[stream].enqueue(work)

    def cuGraphDestroy(self, graph: Any) -> None:
        del self.graphs[graph.value]

    cuGraphExecDestroy = cuGraphDestroy

    def _put(self, out: Any, recorded: list[Callable[[], None]]) -> None:
        out._obj.value = next(number for number in range(1, 99) if number not in self.graphs)
        self.graphs[out._obj.value] = recorded


class Context:
    def __init__(self, engine: Engine) -> None:
        self._engine, self._shapes, self._addresses = engine, dict[str, tuple[int, ...]](), dict[str, int]()
        self._settled: dict[str, tuple[int, ...]] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, high = self._engine.profile.get(name, (shape, shape))
        self._shapes[name] = shape
        return all(a <= size <= b for a, size, b in zip(low, shape, high, strict=True))

    def infer_shapes(self) -> list[str]:
        return [one.name for one in self._engine.session.get_inputs() if one.name not in self._shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._results({n: np.zeros(s, self._engine.types[n]) for n, s in self._shapes.items()})[name].shape

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert memory in self._engine.device.live
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        stream = self._engine.device.streams[stream_handle]
        if stream.recording is not None:
            assert self._settled == self._shapes, "recorded before a first call with these sizes"
        self._settled = dict(self._shapes)
        self._engine.device.enqueued += 1
        stream.enqueue(self._execute)
        return True

    def _execute(self) -> None:
        device, types = self._engine.device, self._engine.types
        for name, result in self._results(
            {name: device.view(self._addresses[name], shape, types[name]) for name, shape in self._shapes.items()}
        ).items():
            np.copyto(device.view(self._addresses[name], result.shape, result.dtype), result)

    def _results(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [one.name for one in self._engine.session.get_outputs()]
        return dict(zip(names, self._engine.session.run(names, feed), strict=True))


class Engine:
    def __init__(self, device: Device, plan: bytes) -> None:
        model, self.profile = pickle.loads(plan)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        self.device, self.session = device, onnxruntime.InferenceSession(model, settings)
        self._all = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.types = {one.name: {"tensor(float)": "float32", "tensor(int64)": "int64"}[one.type] for one in self._all}
        self.num_io_tensors = len(self._all)

    def get_tensor_name(self, index: int) -> str:
        return self._all[index].name

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name in [one.name for one in self.session.get_inputs()] else "output"

    def get_tensor_location(self, name: str) -> str:
        return "device"

    def get_tensor_dtype(self, name: str) -> str:
        return self.types[name]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        (one,) = (one for one in self._all if one.name == name)
        return tuple(size if isinstance(size, int) else -1 for size in one.shape)

    def create_runtime_config(self) -> Any:
        return SimpleNamespace(cuda_graph_strategy="disabled")

    def create_execution_context(self, config: Any = None) -> Context | None:
        if config is not None:
            assert config.cuda_graph_strategy == "whole"
        return Context(self)


def tensorrt_rtx(device: Device) -> ModuleType:
    """A module in place of `tensorrt_rtx`: it builds for a named compute capability, and has no explicit batch."""
    module = tensorrt(device)
    capabilities = {"NONE": 0, "CURRENT": 1, "SM86": 86, "SM89": 89}
    vars(module).update(
        ComputeCapability=SimpleNamespace(__members__=capabilities),
        CudaGraphStrategy=SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole"),
    )
    return module


def tensorrt(device: Device) -> ModuleType:
    """A module in place of `tensorrt`, version 10.3.0."""
    module = ModuleType("tensorrt")

    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1)

    class Builder:
        def __init__(self, logger: Any) -> None:
            pass

        def create_network(self, flags: int) -> Any:
            assert flags == 0b11
            return SimpleNamespace(num_layers=3)

        def create_builder_config(self) -> Any:
            profiles: list[Any] = []
            return SimpleNamespace(
                profiles=profiles, clear_flag=lambda flag: None,
                add_optimization_profile=lambda one: profiles.append(one) or 0,
                set_compute_capability=lambda capability, index: (capability, index) == (1, 0),
            )  # fmt: skip

        def create_optimization_profile(self) -> Any:
            sizes: dict[str, Any] = {}
            return SimpleNamespace(sizes=sizes, set_shape=lambda n, a, b, c: sizes.update({n: (a, c)}))

        def build_serialized_network(self, network: Any, config: Any) -> bytes:
            device.builds += 1
            sizes = config.profiles[0].sizes if config.profiles else {}
            return pickle.dumps((network.model, sizes))

    class OnnxParser:
        num_errors = 0

        def __init__(self, network: Any, logger: Any) -> None:
            self._network = network

        def parse(self, model: bytes) -> bool:
            graph, network = onnx.load_model_from_string(model).graph, self._network
            network.model = model
            weights = {one.name for one in graph.initializer}
            inputs, outputs = (
                [_tensor(one) for one in graph.input if one.name not in weights],
                list(map(_tensor, graph.output)),
            )
            network.num_inputs, network.num_outputs = len(inputs), len(outputs)
            network.get_input, network.get_output = inputs.__getitem__, outputs.__getitem__
            return True

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
            try:
                return Engine(device, plan)
            except pickle.UnpicklingError:
                self._logger.log(1, "Serialization assertion failed")
                return None

    flags = SimpleNamespace(__members__={"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1})
    vars(module).update(
        __version__="10.3.0", ILogger=ILogger, Builder=Builder, OnnxParser=OnnxParser, Runtime=Runtime,
        BuilderFlag=SimpleNamespace(TF32=0), NetworkDefinitionCreationFlag=flags, nptype=lambda name: name,
        TensorIOMode=SimpleNamespace(INPUT="input"), TensorLocation=SimpleNamespace(DEVICE="device"),
    )  # fmt: skip
    return module


def _tensor(value: Any) -> Any:
    kind = value.type.tensor_type
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in kind.shape.dim)
    return SimpleNamespace(name=value.name, shape=shape, dtype=onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
