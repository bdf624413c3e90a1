"""Networks run by OpenVINO on the CPU: its convolutions of volumes take less time than ONNX Runtime's. The only file
that imports openvino."""

from __future__ import annotations

import threading
from typing import Any

from engines.errors import EngineError
from engines.runtime.contract import Arrays, Backend, Precision, Results, RuntimeOptions, TensorInfo, cpu_name
from engines.runtime.precision import in_precision
from engines.runtime.tensors import checked_inputs, checked_output
from engines.runtime.unquantised import is_quantised

FULL_PRECISION = "f32"
"""OpenVINO takes bfloat16, with 8 bits, by itself where the processor has it."""


class OpenVinoNetwork:
    """Implements Network: FP32, or a quantised file as it is. Raises EngineError where OpenVINO is not here or refuses
    the model."""

    backend = Backend.OPENVINO_CPU

    def __init__(self, model: bytes, name: str, options: RuntimeOptions) -> None:
        self.name, self.device = name, cpu_name(options.threads)
        openvino = _openvino()
        rounded = is_quantised(model) and options.precision is not Precision.FP32
        self.precision = Precision.INT8 if rounded else Precision.FP32
        settings = {
            "INFERENCE_PRECISION_HINT": FULL_PRECISION,
            "INFERENCE_NUM_THREADS": options.threads,
            "NUM_STREAMS": 1,
            # Threads bound to cores would wait for those that dose calculation keeps busy.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            core = openvino.Core()
            read = core.read_model(in_precision(model, self.precision))
            self._request = core.compile_model(read, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            last = str(error).strip().splitlines()[-1]  # the lines before it are places in OpenVINO's source
            raise EngineError(f"OpenVINO cannot run this model: {last[:200]}") from error
        # As they were read: compiled, a tensor also answers to names that optimisation made up.
        self.inputs = tuple(_info(port) for port in read.inputs)
        self.outputs = tuple(_info(port) for port in read.outputs)
        self._lock = threading.Lock()
        other = options.precision not in (None, self.precision)
        note = f"{self.backend} computes in {self.precision.upper()}, not {options.precision}"
        self.notes: tuple[str, ...] = (note,) if other else ()

    def run(self, inputs: Arrays) -> Results:
        """As in Network."""
        feed = checked_inputs(self.name, self.inputs, inputs)
        with self._lock:
            if self._request is None:
                raise EngineError(f"network '{self.name}' is closed")
            try:
                self._request.infer(feed)
            except RuntimeError as error:
                last = str(error).strip().splitlines()[-1]
                raise EngineError(f"network '{self.name}' failed on the {self.device}: {last[:200]}") from error
            # The arrays belong to the request, which writes them anew at the next call.
            found = [self._request.get_output_tensor(index).data.copy() for index in range(len(self.outputs))]
        names = [one.name for one in self.outputs]
        return {name: checked_output(self.name, name, array) for name, array in zip(names, found, strict=True)}

    def close(self) -> None:
        with self._lock:
            self._request = None


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise EngineError("the package openvino is not installed") from error
    return openvino


def _info(port: Any) -> TensorInfo:
    shape = tuple(None if size.is_dynamic else int(size.get_length()) for size in port.partial_shape)
    return TensorInfo(port.get_any_name(), shape, port.get_element_type().to_dtype().name)
