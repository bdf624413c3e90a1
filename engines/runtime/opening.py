"""Opens a network with the best backend that works here."""

from __future__ import annotations

from engines.errors import EngineError
from engines.runtime.contract import DEFAULTS, Backend, Network, RuntimeOptions
from engines.runtime.onnx_session import OnnxNetwork
from engines.runtime.switching import SwitchingNetwork

OUTSIDE = b"\x0a\x08location"
"""Key of an ONNX tensor whose numbers lie in another file (onnx.proto, StringStringEntryProto: field 1, 8 letters)."""


def open_network(model: bytes, *, name: str, options: RuntimeOptions = DEFAULTS) -> Network:
    """The network of an ONNX file's bytes, on the first of `options.backends` that works; its notes say why not on an
    earlier one. A device that fails later hands over to the CPU, where the CPU is among the backends.

    Raises EngineError where weights lie in another file, which nobody has checked, or where no backend works: its
    sentence has each backend's reason."""
    if OUTSIDE in model:
        raise EngineError(f"network '{name}' keeps weights in another file; save it as one file")
    if not options.backends:
        raise EngineError(f"no backend is named for network '{name}'")
    reasons: list[str] = []
    for backend in options.backends:
        try:
            opened = open_on(backend, model, name, options)
        except EngineError as error:
            reasons.append(f"not {backend}: {error}")
            continue
        return SwitchingNetwork(opened, tuple(reasons), lambda: _last_resort(model, name, options))
    raise EngineError(f"network '{name}' cannot be run here ({'; '.join(reasons)})")


def open_on(backend: Backend, model: bytes, name: str, options: RuntimeOptions) -> Network:
    """On this backend and no other. Raises EngineError with the reason why not."""
    if backend in (Backend.TENSORRT, Backend.TENSORRT_RTX):
        from engines.runtime.tensorrt_network import TensorRtNetwork

        return TensorRtNetwork(model, name, backend, options)
    if backend is Backend.OPENVINO_CPU:
        from engines.runtime.openvino_network import OpenVinoNetwork

        return OpenVinoNetwork(model, name, options)
    return OnnxNetwork(model, name, backend, options)


def _last_resort(model: bytes, name: str, options: RuntimeOptions) -> Network | None:
    if Backend.ONNX_CPU not in options.backends:
        return None
    return open_on(Backend.ONNX_CPU, model, name, options)
