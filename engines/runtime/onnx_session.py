"""Networks run by ONNX Runtime, on the CPU or through its CUDA and TensorRT execution providers. The only file that
imports onnxruntime."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

from engines.errors import DeviceError, EngineError
from engines.runtime.contract import Arrays, Backend, Precision, Results, RuntimeOptions, TensorInfo, cpu_name
from engines.runtime.precision import in_precision
from engines.runtime.tensors import checked_inputs, checked_output
from engines.runtime.unquantised import is_quantised

PROVIDERS = {
    Backend.ONNX_TENSORRT: "TensorrtExecutionProvider",
    Backend.ONNX_CUDA: "CUDAExecutionProvider",
    Backend.ONNX_CPU: "CPUExecutionProvider",
}

ELEMENT_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
"""ONNX Runtime's names of element types, and NumPy's."""

ERRORS_ONLY = 3
"""ORT_LOGGING_LEVEL_ERROR."""


class OnnxNetwork:
    """Implements Network. Raises EngineError where ONNX Runtime or the provider is not here, or refuses the model."""

    def __init__(self, model: bytes, name: str, backend: Backend, options: RuntimeOptions) -> None:
        self.name, self.backend = name, backend
        runtime = _runtime()
        wanted = PROVIDERS[backend]
        if wanted not in runtime.get_available_providers():
            raise EngineError(f"this onnxruntime has no {wanted}")
        if backend is not Backend.ONNX_CPU:
            _load_cuda(runtime)
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = ERRORS_ONLY
        self.precision = _precision(model, backend, options)
        content = in_precision(model, self.precision)
        try:
            self._session = runtime.InferenceSession(content, settings, providers=_providers(backend))
        except Exception as error:
            raise EngineError(f"ONNX Runtime cannot run this model with {wanted}: {str(error)[:200]}") from error
        # A provider that cannot start is left out by ONNX Runtime with no more than a line in its log.
        if wanted not in self._session.get_providers():
            self._session = None
            raise DeviceError(f"{wanted} could not start (driver, device or libraries are missing, or memory)")
        self.inputs = tuple(_info(tensor) for tensor in self._session.get_inputs())
        self.outputs = tuple(_info(tensor) for tensor in self._session.get_outputs())
        self.device = cpu_name(options.threads) if backend is Backend.ONNX_CPU else "GPU 0"
        lower = options.precision not in (None, self.precision)
        self.notes: tuple[str, ...] = (
            (f"{backend} computes in {self.precision.upper()}, not {options.precision}",) if lower else ()
        )

    def run(self, inputs: Arrays) -> Results:
        """As in Network."""
        if self._session is None:
            raise EngineError(f"network '{self.name}' is closed")
        feed = checked_inputs(self.name, self.inputs, inputs)
        names = [tensor.name for tensor in self.outputs]
        try:
            arrays = self._session.run(names, feed)
        except Exception as error:
            kind = EngineError if self.backend is Backend.ONNX_CPU else DeviceError
            raise kind(f"network '{self.name}' failed on the {self.device}: {str(error)[:200]}") from error
        return {name: checked_output(self.name, name, array) for name, array in zip(names, arrays, strict=True)}

    def close(self) -> None:
        self._session = None


def _precision(model: bytes, backend: Backend, options: RuntimeOptions) -> Precision:
    """A CPU has no arithmetic in half precision (it would convert to and fro), and runs a quantised file as it is
    unless FP32 is asked for; a GPU gains nothing from the roundings of such a file."""
    if backend is Backend.ONNX_CPU:
        return Precision.INT8 if is_quantised(model) and options.precision is not Precision.FP32 else Precision.FP32
    return Precision.FP16 if options.precision is Precision.FP16 else Precision.FP32


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError("the package onnxruntime is not installed") from error
    return onnxruntime


def _load_cuda(runtime: Any) -> None:
    """CUDA's and cuDNN's libraries from their Python packages, where a provider would not look for them. What it cannot
    find it prints, and a session that needs it fails with a reason of its own."""
    if hasattr(runtime, "preload_dlls"):
        with redirect_stdout(io.StringIO()):
            runtime.preload_dlls()


def _providers(backend: Backend) -> list[Any]:
    """Each with those that take over the nodes it does not have."""
    if backend is Backend.ONNX_CPU:
        return [PROVIDERS[backend]]
    # EXHAUSTIVE would time every convolution algorithm at the first call; growth by request keeps memory for dose; TF32
    # computes with 11 bits what is called FP32.
    choices = {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
    cuda = (PROVIDERS[Backend.ONNX_CUDA], choices)
    rest: list[Any] = [cuda, PROVIDERS[Backend.ONNX_CPU]]
    return [PROVIDERS[backend], *rest] if backend is Backend.ONNX_TENSORRT else rest


def _info(tensor: Any) -> TensorInfo:
    # A size without a number is a name such as 'batch', or None.
    shape = tuple(size if isinstance(size, int) else None for size in tensor.shape)
    if tensor.type not in ELEMENT_TYPES:
        raise EngineError(f"tensor '{tensor.name}' is {tensor.type}, which is not supported")
    return TensorInfo(tensor.name, shape, ELEMENT_TYPES[tensor.type])
