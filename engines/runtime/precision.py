"""One file for each precision: what a backend is given to run."""

from __future__ import annotations

from engines.errors import EngineError
from engines.runtime.contract import Precision
from engines.runtime.half import in_half_precision
from engines.runtime.unquantised import is_quantised, unquantised


def in_precision(model: bytes, precision: Precision) -> bytes:
    """The ONNX file that computes in this precision. Raises EngineError for INT8 where the file does not say how its
    tensors are quantised: a range that nobody has calibrated is none."""
    if precision is Precision.INT8:
        if not is_quantised(model):
            raise EngineError("the model has no quantisation (QuantizeLinear nodes), so it cannot be run in INT8")
        return model
    plain = unquantised(model)
    return in_half_precision(plain) if precision is Precision.FP16 else plain
