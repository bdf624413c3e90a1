"""The dose network on this machine's backends: a call, opening it, and what an engine takes to build.

- OpenVINO and ONNX Runtime on the CPU with one and with two threads: CPU seconds (all threads) and wall time of a call.
- On a GPU: TensorRT in FP32 and FP16 against ONNX Runtime CUDA with the same file, in turns in this one run, so that
  clocks and temperature are the same for all (bar 30 ms at 128 x 128 x 128 on an H200, aim 10 ms, copies included).
- TensorRT-RTX: parsing and building, which needs no GPU.

    ./build.sh bench runtime [--size 64 96 96] [--runs 3] [--model models/dose/dose.onnx]

Medians. What is not here is said in a line. Exit 1 where a backend differs from the CPU by more than its limit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engines.errors import EngineError  # noqa: E402
from engines.runtime import Backend, Network, Precision, RuntimeOptions  # noqa: E402
from engines.runtime.engine_build import EngineBuilder  # noqa: E402
from engines.runtime.opening import open_on  # noqa: E402
from engines.runtime.registry import load_registry  # noqa: E402
from engines.runtime.table import ELSEWHERE, difference  # noqa: E402

LIMITS = load_registry().entry("dose").precision
"""Largest difference from the CPU, in units of the highest prescription."""

GPU = (
    (Backend.ONNX_CUDA, Precision.FP32),
    (Backend.ONNX_CUDA, Precision.FP16),
    (Backend.TENSORRT, Precision.FP32),
    (Backend.TENSORRT, Precision.FP16),
    (Backend.TENSORRT_RTX, Precision.FP32),
    (Backend.TENSORRT_RTX, Precision.FP16),
    (Backend.ONNX_TENSORRT, Precision.FP16),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--size", nargs=3, type=int, default=(64, 96, 96), help="inferior, posterior, left")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", type=Path, default=ROOT / "models/dose/dose.onnx")
    options = parser.parse_args()
    model = options.model.read_bytes()
    print(f"{options.model.name}, {len(model) / 2**20:.1f} MiB, {' x '.join(map(str, options.size))} voxels")
    feed, reference = on_the_cpu(model, tuple(options.size), options.runs)
    building(model)
    return on_a_gpu(model, feed, reference, options.runs)


def opened(backend: Backend, model: bytes, precision: Precision, threads: int = 0) -> Network:
    return open_on(backend, model, "dose", RuntimeOptions(precision=precision, threads=threads))


def on_the_cpu(model: bytes, size: tuple[int, ...], runs: int):
    """(what was fed, what came out)."""
    feed: dict[str, NDArray[np.float32]] = {}
    for backend, threads in (
        (Backend.OPENVINO_CPU, 1),
        (Backend.OPENVINO_CPU, 2),
        (Backend.ONNX_CPU, 1),
        (Backend.ONNX_CPU, 2),
    ):
        spent = time.process_time()
        try:
            network = opened(backend, model, Precision.FP32, threads)
        except EngineError as error:
            print(f"  {backend}: not run: {error}")
            continue
        opening = time.process_time() - spent
        (tensor,) = network.inputs
        if not feed:
            shape = (*(tensor.shape[:2]), *size)
            feed = {tensor.name: np.random.default_rng(11).uniform(0, 1, shape).astype(np.float32)}
        wall, cpu = [], []
        for _ in range(runs):
            begin, spent = time.perf_counter(), time.process_time()
            reference = network.run(feed)
            wall.append(time.perf_counter() - begin)
            cpu.append(time.process_time() - spent)
        network.close()
        a_call = f"{statistics.median(cpu):.2f} CPU s, {statistics.median(wall):.2f} s a call"
        print(f"  {backend}, {threads} thread(s): {a_call}; opening {opening:.2f} CPU s")
    return feed, reference


def building(model: bytes) -> None:
    try:
        builder = EngineBuilder(Backend.TENSORRT_RTX)
    except EngineError as error:
        print(f"  tensorrt_rtx builds nothing: {error}")
        return
    for precision in LIMITS:
        spent = time.process_time()
        made = builder.build(model, precision=precision, target=ELSEWHERE)
        spent = time.process_time() - spent
        what = f"{made.layers} layers, {len(made.plan) / 2**20:.1f} MiB"
        print(f"  tensorrt_rtx {builder.version} builds {precision} for {ELSEWHERE}: {spent:.2f} CPU s, {what}")


def on_a_gpu(model: bytes, feed: Mapping[str, NDArray[np.float32]], reference, runs: int) -> int:
    networks = []
    for backend, precision in GPU:
        try:
            networks.append((precision, opened(backend, model, precision)))
        except EngineError as error:
            print(f"  {backend} {precision}: not run: {error}")
    times: list[list[float]] = [[] for _ in networks]
    for turn in range(2 + 10 * runs):
        for own, (_, network) in zip(times, networks, strict=True):
            begin = time.perf_counter()
            network.run(feed)
            if turn >= 2:  # the first binds, the second records
                own.append(1000 * (time.perf_counter() - begin))
    wrong = 0
    peer = statistics.median(times[0]) if networks and networks[0][1].backend is Backend.ONNX_CUDA else None
    for own, (precision, network) in zip(times, networks, strict=True):
        middle, off = statistics.median(own), difference(network.run(feed), reference)
        wrong += off > LIMITS[precision]
        ratio = f", {peer / middle:.1f} times as fast as onnx_cuda" if peer else ""
        print(f"  {network.backend} {precision} on {network.device}: {middle:.2f} ms{ratio}; off by {off:.1e}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
