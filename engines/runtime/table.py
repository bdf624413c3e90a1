"""What each network does on each backend of this machine: whether it runs, how fast, and how far from the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.runtime.contract import Backend, Network, Precision, Results, RuntimeOptions, TensorInfo
from engines.runtime.engine_build import EngineBuilder
from engines.runtime.opening import open_on
from engines.runtime.precision import in_precision
from engines.runtime.unquantised import is_quantised

Feeds = Callable[[str, tuple[TensorInfo, ...]], Mapping[str, NDArray[Any]]]

WARM, TIMED = 2, 5
"""Calls before the clock starts (the second records a CUDA graph), and calls of which the middle one counts. Chosen."""
PATIENCE_S = 3.0
"""Of one row: a network that a CPU needs seconds for is not called seven times. Chosen."""

ELSEWHERE = "SM89"
"""What an engine is built for where there is no GPU: an RTX 4000 of the Ada generation, as beside a console. Chosen."""


@dataclass(frozen=True)
class Row:
    """ms: wall time of a call, copies included, the middle of TIMED; None where it was not run. difference: largest
    from the CPU's result in FP32, of INT8 from the CPU's in INT8, over all outputs, in their units. note: what a person
    should know; why it was not run. device: what it ran on, as `Network.device` names it."""

    model: str
    backend: Backend
    precision: Precision
    ms: float | None
    difference: float | None
    note: str
    device: str = ""


def build_table(models: Sequence[tuple[str, bytes]], options: RuntimeOptions, feeds: Feeds) -> tuple[Row, ...]:
    """A row for each model (name, ONNX bytes), backend of the options and precision: that of the options, or FP32,
    FP16 and, where the model is quantised, INT8. Engines that are built are kept in the options' cache.

    feeds: (name, inputs) to arrays to run with; they should be like what the network was made for. Raises EngineError
    where the CPU cannot run a model, because then nothing can be compared."""
    return tuple(row for name, model in models for row in _rows(name, model, options, feeds))


def _rows(name: str, model: bytes, options: RuntimeOptions, feeds: Feeds) -> Iterator[Row]:
    full = replace(options, precision=Precision.FP32)
    cpu = open_on(Backend.ONNX_CPU, model, name, full)
    feed = feeds(name, cpu.inputs)
    reference = cpu.run(feed)
    references = {Precision.INT8: _rounded(name, model, feed, options)} if is_quantised(model) else {}
    for backend in options.backends:
        for precision in _precisions(model, options):
            if backend is Backend.OPENVINO_CPU and precision is Precision.FP16:
                continue  # it computes in FP32 whatever is asked for
            if backend is Backend.ONNX_CPU and precision not in references:
                yield from _on_cpu(cpu, model, precision, feed, reference, full)
            else:
                known, wanted = references.get(precision, reference), replace(options, precision=precision)
                yield _on_other(backend, name, model, feed, known, wanted)
    cpu.close()


def _rounded(name: str, model: bytes, feed: Mapping[str, NDArray[Any]], options: RuntimeOptions) -> Results:
    """What the CPU says with a quantised file's eight bits: INT8 elsewhere is held against this, because what rounding
    costs is the card's to tell."""
    network = open_on(Backend.ONNX_CPU, model, name, replace(options, precision=Precision.INT8))
    try:
        return network.run(feed)
    finally:
        network.close()


def _precisions(model: bytes, options: RuntimeOptions) -> tuple[Precision, ...]:
    if options.precision is not None:
        return (options.precision,)
    return (Precision.FP32, Precision.FP16, *((Precision.INT8,) if is_quantised(model) else ()))


def _on_cpu(
    cpu: Network,
    model: bytes,
    precision: Precision,
    feed: Mapping[str, NDArray[Any]],
    reference: Results,
    options: RuntimeOptions,
) -> Iterator[Row]:
    """Half precision on the CPU rounds as a GPU does and saves no time: it tells what the rounding costs."""
    if precision is Precision.FP32:
        yield _measured(cpu, precision, feed, reference)
    if precision is Precision.FP16:
        try:
            half = open_on(Backend.ONNX_CPU, in_precision(model, precision), cpu.name, options)
            off = difference(half.run(feed), reference)
        except EngineError as error:
            yield Row(cpu.name, Backend.ONNX_CPU, precision, None, None, f"not computed: {error}")
        else:
            note = "rounding of FP16 computed on the CPU, which runs the network in FP32"
            yield Row(cpu.name, Backend.ONNX_CPU, precision, None, off, note)


def _on_other(
    backend: Backend,
    name: str,
    model: bytes,
    feed: Mapping[str, NDArray[Any]],
    reference: Results,
    options: RuntimeOptions,
) -> Row:
    precision = options.precision or Precision.FP32
    try:
        network = open_on(backend, model, name, options)
        try:
            return _measured(network, precision, feed, reference)
        finally:
            network.close()
    except EngineError as error:
        built = _built_elsewhere(model, precision) if backend is Backend.TENSORRT_RTX else ""
        return Row(name, backend, precision, None, None, f"{built}not run: {error}")


def _built_elsewhere(model: bytes, precision: Precision) -> str:
    """Without a GPU, TensorRT-RTX still tells whether a network can be built."""
    try:
        made = EngineBuilder(Backend.TENSORRT_RTX).build(model, precision=precision, target=ELSEWHERE)
    except EngineError:
        return ""
    return f"builds for {ELSEWHERE} in {made.seconds:.1f} s ({len(made.plan) / 2**20:.0f} MiB); "


def _measured(network: Network, wanted: Precision, feed: Mapping[str, NDArray[Any]], reference: Results) -> Row:
    began, milliseconds = time.perf_counter(), list[float]()
    for call in range(WARM + TIMED):
        start = time.perf_counter()
        result = network.run(feed)
        end = time.perf_counter()
        if call >= WARM or end - began > PATIENCE_S:
            milliseconds.append(1000 * (end - start))
        if end - began > PATIENCE_S:
            break
    note = "; ".join(network.notes)
    off = difference(result, reference)
    return Row(network.name, network.backend, wanted, float(np.median(milliseconds)), off, note, network.device)


def difference(result: Results, reference: Results) -> float:
    """The largest of any output."""
    return max(float(np.abs(result[name] - reference[name]).max()) for name in reference)
