"""One engine on a GPU: its tensors bound to pinned and device memory, run on a stream. Made and used inside Gpu.run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import DeviceError, EngineError
from engines.runtime.contract import Backend, TensorInfo
from engines.runtime.cuda_graph import CudaGraph, GraphDriver
from engines.runtime.engine_build import dtype_name
from engines.runtime.gpu import Buffer, Gpu
from engines.runtime.tensorrt_api import Api, Context, Engine, Log

Shapes = tuple[tuple[int, ...], ...]


def engine_tensors(api: Api, engine: Engine) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """(inputs, outputs). Raises EngineError for tensors that live on the host, which shapes of other tensors do."""
    inputs: list[TensorInfo] = []
    outputs: list[TensorInfo] = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        if engine.get_tensor_location(name) != api.TensorLocation.DEVICE:
            raise EngineError(f"the tensor '{name}' of the network is a shape, which is not supported")
        shape = tuple(None if size < 0 else int(size) for size in engine.get_tensor_shape(name))
        info = TensorInfo(name, shape, dtype_name(api, engine.get_tensor_dtype(name)))
        (inputs if engine.get_tensor_mode(name) == api.TensorIOMode.INPUT else outputs).append(info)
    return tuple(inputs), tuple(outputs)


class Execution:
    """An execution context and the buffers of the sizes that came last. From the second call with the same sizes on,
    copies and kernels are one CUDA graph: TensorRT says that a first call must come before a recording, because it
    settles then what depends on the sizes. TensorRT-RTX records by itself."""

    def __init__(self, backend: Backend, api: Api, engine: Engine, gpu: Gpu, log: Log) -> None:
        self._gpu, self._log = gpu, log
        self.inputs, self.outputs = engine_tensors(api, engine)
        self._context = _context(backend, api, engine, log)
        self._own_graphs = backend is Backend.TENSORRT
        self._shapes: Shapes = ()
        self._buffers: dict[str, Buffer] = {}
        self._graph: CudaGraph | None = None
        self.notes: list[str] = []

    def run(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Checked arrays in, copies of the results out. Raises DeviceError where TensorRT or the device fails."""
        shapes = tuple(feed[tensor.name].shape for tensor in self.inputs)
        again = shapes == self._shapes
        if not again:
            self._bind(shapes)
        for tensor in self.inputs:
            np.copyto(self._buffers[tensor.name].host, feed[tensor.name])
        if again and self._own_graphs and self._graph is None:
            self._record()
        if self._graph is not None:
            self._graph.launch()
        else:
            self._enqueue()
        self._gpu.stream.synchronize()
        return {tensor.name: self._buffers[tensor.name].host.copy() for tensor in self.outputs}

    def close(self) -> None:
        """Gives back graph, buffers and context; also where the device does not answer any more."""
        try:
            self._release()
        finally:
            self._graph, self._buffers, self._shapes, self._context = None, {}, (), None

    def _release(self) -> None:
        self._gpu.stream.synchronize()
        if self._graph is not None:
            self._graph.close()
            self._graph = None
        self._buffers, self._shapes = {}, ()

    def _bind(self, shapes: Shapes) -> None:
        """Sizes first: those of the outputs follow from them. What was bound before is given back first, so that two
        sizes of a large network need not fit side by side."""
        self._release()
        context = self._opened()
        for tensor, shape in zip(self.inputs, shapes, strict=True):
            if not context.set_input_shape(tensor.name, shape):
                raise EngineError(f"TensorRT refuses {shape} for '{tensor.name}': {self._log.reason()}")
        try:
            unknown = list(context.infer_shapes())
        except RuntimeError as error:
            raise EngineError(f"TensorRT cannot work out sizes from {shapes}: {error}") from error
        if unknown:
            raise EngineError(f"TensorRT cannot tell the size of {', '.join(unknown)}")
        sizes = dict(zip((tensor.name for tensor in self.inputs), shapes, strict=True))
        sizes |= {tensor.name: tuple(context.get_tensor_shape(tensor.name)) for tensor in self.outputs}
        for tensor in (*self.inputs, *self.outputs):
            if min(sizes[tensor.name], default=0) < 0:
                raise EngineError(f"the size of '{tensor.name}' depends on values, which is not supported")
            buffer = Buffer(self._gpu.driver, sizes[tensor.name], tensor.dtype)
            self._buffers[tensor.name] = buffer
            if not context.set_tensor_address(tensor.name, buffer.address):
                raise DeviceError(f"TensorRT refuses memory for '{tensor.name}': {self._log.reason()}")
        self._shapes = shapes

    def _enqueue(self) -> None:
        stream = self._gpu.stream
        for tensor in self.inputs:
            self._buffers[tensor.name].upload(stream)
        if not self._opened().execute_async_v3(stream.handle):
            raise DeviceError(f"TensorRT cannot run the network on {self._gpu.name}: {self._log.reason()}")
        for tensor in self.outputs:
            self._buffers[tensor.name].download(stream)

    def _record(self) -> None:
        """Some engines cannot be recorded (control flow, copies from the host): they run as before, with a note."""
        try:
            self._graph = CudaGraph(GraphDriver(), self._gpu.stream.handle, self._enqueue)
        except (DeviceError, self._gpu.driver.Error) as error:
            self._own_graphs = False
            self._log.errors.clear()
            self.notes.append(f"runs without a CUDA graph ({error})")

    def _opened(self) -> Context:
        if self._context is None:
            raise EngineError("the network is closed")
        return self._context


def _context(backend: Backend, api: Api, engine: Engine, log: Log) -> Context | None:
    """Raises DeviceError: a context reserves the memory of the greatest sizes."""
    arguments: list[Any] = []
    if backend is Backend.TENSORRT_RTX:
        config = engine.create_runtime_config()
        config.cuda_graph_strategy = getattr(api, "CudaGraphStrategy").WHOLE_GRAPH_CAPTURE  # noqa: B009 - RTX's alone
        arguments = [config]
    made = engine.create_execution_context(*arguments)
    if made is None:
        raise DeviceError(f"there is too little GPU memory for the network: {log.reason()}")
    return made
