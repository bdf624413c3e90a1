"""Runs the networks of models/: one interface, with the best of TensorRT, ONNX Runtime on a GPU, and ONNX Runtime on
the CPU behind it."""

from engines.runtime.contract import Backend, Network, Precision, RuntimeOptions, TensorInfo
from engines.runtime.opening import open_network

__all__ = ["Backend", "Network", "Precision", "RuntimeOptions", "TensorInfo", "open_network"]
