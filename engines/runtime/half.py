"""An ONNX file in half precision: weights and arithmetic in FP16, inputs and outputs as they were."""

from __future__ import annotations

import logging

from engines.errors import EngineError


def in_half_precision(model: bytes) -> bytes:
    """With the converter that ONNX Runtime brings, which clips what FP16 cannot hold and leaves out the operators that
    have no FP16. Raises EngineError where the package onnx or onnxruntime is missing or the file cannot be converted.

    What half precision costs must be measured with the file that comes out; `table.py` does."""
    try:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise EngineError(f"half precision needs the packages onnx and onnxruntime ({error})") from error
    quiet = logging.getLogger("onnxruntime.transformers.float16")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        made = convert_float_to_float16(onnx.load_model_from_string(model), keep_io_types=True)
        return bytes(made.SerializeToString())
    except Exception as error:
        raise EngineError(f"the model cannot be brought to half precision: {str(error)[:200]}") from error
    finally:
        quiet.setLevel(level)
