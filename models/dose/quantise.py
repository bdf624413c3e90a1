"""Rounds a network's convolutions to eight bits, their ranges taken from training patients.

    python -m models.dose.quantise NETWORK.onnx CACHE OUT.onnx [--patients pt_3 pt_10 ...]

CACHE is a folder of cache.py. Weights get one scale a channel and signed bytes, activations one scale a tensor and
unsigned bytes with a zero of their own (Jacob et al., CVPR 2018), because SiLU leaves little below zero and because ONNX
Runtime multiplies unsigned by signed bytes twice as fast as signed by signed (measured: 0.97 against 2.05 CPU s). The
file says so by QuantizeLinear and DequantizeLinear around each convolution; engines/runtime/unquantised.py takes them out
again for backends that want half precision. What a network loses is measured, not assumed: evaluate.py scores the file.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .console import say
from .features import CHANNELS
from .network import MULTIPLE

PATIENTS = ("pt_3", "pt_10", "pt_34", "pt_66", "pt_96", "pt_150")
"""Training patients of all sizes and levels (chosen)."""
LARGEST = (64, 64, 96)
"""Voxels of a patient that ranges are read from: the superior part of a large one, where its targets are."""


def volumes(cache: Path, names: Sequence[str]) -> Iterator[NDArray[np.float32]]:
    """(1, CHANNELS, ...) of patients, cut to LARGEST and padded to what the network takes."""
    for name in names:
        kept = np.load(cache / f"{name}.npy", mmap_mode="r")[: len(CHANNELS)]
        cut = np.asarray(kept[:, : LARGEST[0], : LARGEST[1], : LARGEST[2]], np.float32)
        cut = np.pad(cut, [(0, 0), *((0, -side % MULTIPLE) for side in cut.shape[1:])])
        grown = np.zeros((1, len(CHANNELS), *cut.shape[1:]), np.float32)
        grown[0, : len(cut)] = cut
        yield grown


def quantised(network: Path, feeds: Iterator[NDArray[np.float32]], out: Path, keep: Sequence[str] = ()) -> None:
    """Writes `out`. keep: names of nodes that stay as they are. Needs the packages onnx and onnxruntime."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            feed = next(feeds, None)
            return None if feed is None else {"features": feed}

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"  # half weights folded to float32: only then are they weights to quantise
        quant_pre_process(str(network), str(plain), skip_symbolic_shape=True)
        quantize_static(
            str(plain), str(out), Reader(), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "ConvTranspose"], per_channel=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax, nodes_to_exclude=list(keep),
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True, "CalibMovingAverage": True},
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Rounds a network's convolutions to eight bits.")
    parser.add_argument("network", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", nargs="+", default=list(PATIENTS))
    parser.add_argument("--keep", nargs="*", default=[], help="nodes that stay in floating point")
    asked = parser.parse_args()
    quantised(asked.network, volumes(asked.cache, asked.patients), asked.out, asked.keep)
    say(f"{asked.out.name}: {asked.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
