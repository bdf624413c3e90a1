"""The TensorRT backend on a device that is none (device_standin.py): the order of calls, graphs, memory that goes back,
the cache, and the way to the CPU when memory is short."""

from __future__ import annotations

import gc
import importlib.machinery
import sys

import numpy as np
import pytest

from engines.errors import EngineError
from engines.runtime import Backend, Precision, RuntimeOptions, execution, gpu, open_network
from engines.runtime.engine_cache import MAGIC
from engines.runtime.tensorrt_network import TensorRtNetwork
from tests.engines.runtime.device_standin import CudaError, Device, tensorrt, tensorrt_rtx
from tests.engines.runtime.networks import anatomy, by_hand, conv_network


@pytest.fixture
def device(monkeypatch):
    """The device stands in for this test alone; a real one, if there is one, is left alone."""
    made = Device()
    for name, module in {"tensorrt": tensorrt(made), "tensorrt_rtx": tensorrt_rtx(made)}.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    for name, part in made.pycuda().items():
        monkeypatch.setitem(sys.modules, name, part)
    monkeypatch.setattr(gpu, "driver_devices", lambda: (1, ""))
    monkeypatch.setattr(execution, "GraphDriver", lambda: made)
    monkeypatch.setattr(gpu, "_opened", [])
    return made


def opened(model=None, **options) -> TensorRtNetwork:
    return TensorRtNetwork(model or conv_network(), "small", Backend.TENSORRT, RuntimeOptions(**options))


def checked(network, size: int = 12, seed: int = 3) -> None:
    given = anatomy(size, seed)
    np.testing.assert_allclose(network.run({"anatomy": given})["dose"], by_hand(given), atol=1e-5)


def test_it_computes_and_says_what_it_is(device):
    network = opened()
    checked(network)
    assert (network.device, network.precision, network.notes) == ("Stand-in (sm_89)", Precision.FP32, ())
    assert [tensor.name for tensor in (*network.inputs, *network.outputs)] == ["anatomy", "dose"]


def test_the_second_call_records_and_later_ones_launch(device):
    network = opened()
    counts = []
    for seed in range(4):
        checked(network, seed=seed)
        counts.append((device.enqueued, device.launches))
    assert counts == [(1, 0), (2, 1), (2, 2), (2, 3)]


def test_other_sizes_give_back_what_the_last_ones_took(device):
    network = opened(conv_network("any"))
    used = []
    for size in (16, 16, 24, 24, 16):
        checked(network, size)
        used.append(device.used)
    assert used == [3 * 4 * size**3 for size in (16, 16, 24, 24, 16)]
    assert len(device.graphs) == 0
    checked(network, 16)
    assert len(device.graphs) == 1


def test_an_engine_that_cannot_be_recorded_runs_without_a_graph_and_says_so(device):
    device.recordable = False
    network = opened()
    for seed in range(3):
        checked(network, seed=seed)
    assert (device.launches, device.graphs) == (0, {})
    assert network.notes == ("runs without a CUDA graph (cuGraphInstantiateWithFlags answered 801)",)


def test_closing_gives_everything_back(device):
    network = opened()
    checked(network)
    checked(network)
    network.close()
    network.close()
    gc.collect()
    assert (device.used, device.graphs) == (0, {})
    with pytest.raises(EngineError, match="is closed"):
        network.run({"anatomy": anatomy()})


def test_an_engine_is_kept_for_the_next_start(device, tmp_path):
    for _ in range(2):
        network = opened(cache=tmp_path)
        checked(network)
        assert network.notes == ()
    assert device.builds == 1


def test_a_damaged_engine_is_built_again_and_said_so(device, tmp_path):
    opened(cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    network = opened(cache=tmp_path)
    checked(network)
    assert device.builds == 2
    assert network.notes == (f"the engine file {path.name} is damaged (its SHA-256 differs); built anew",)


def test_an_engine_that_tensorrt_itself_refuses_is_built_again(device, tmp_path):
    """Whole by its hash, and yet no engine: as after a library was exchanged under the same version."""
    import hashlib
    import json

    opened(cache=tmp_path)
    (path,) = tmp_path.iterdir()
    header, _ = path.read_bytes()[len(MAGIC) :].split(b"\n", 1)
    facts = json.loads(header) | {"engine_sha256": hashlib.sha256(b"other").hexdigest()}
    path.write_bytes(MAGIC + json.dumps(facts).encode() + b"\nother")
    network = opened(cache=tmp_path)
    checked(network)
    assert network.notes == ("a kept engine was refused (Serialization assertion failed) and built anew",)


def test_sizes_beyond_the_profile_have_an_engine_built_for_them(device):
    network = opened(conv_network("any"))
    checked(network, 16)
    checked(network, 9)
    checked(network, 16)
    assert device.builds == 2
    assert network.notes == ("the engine was built again for anatomy 1x2x9x9x9 1x2x9x9x9 1x2x128x128x128",)


def test_sizes_beyond_the_profile_that_the_network_does_not_take_are_an_error_of_the_caller(device):
    network = opened()
    with pytest.raises(EngineError, match="has shape"):
        network.run({"anatomy": anatomy(13)})
    assert device.builds == 1


def test_out_of_memory_at_a_call_is_answered_by_the_cpu_and_said(device):
    network = open_network(conv_network("any"), name="small", options=RuntimeOptions(threads=1))
    checked(network, 16)
    assert network.backend is Backend.TENSORRT
    device.capacity = 100_000
    checked(network, 24)
    assert network.backend is Backend.ONNX_CPU
    assert network.notes == (
        "tensorrt failed (Stand-in (sm_89) is out of memory (cuMemAlloc failed: out of memory)); computed on the CPU, "
        "1 thread since then",
    )
    checked(network, 16)
    gc.collect()
    assert device.used == 0


def test_a_device_that_fails_for_good_still_leaves_an_answer(device, monkeypatch):
    """As after an illegal access: every later call to it fails, giving back included."""
    network = open_network(conv_network("any"), name="small", options=RuntimeOptions(threads=1))
    checked(network, 16)
    (stream,) = device.streams.values()

    def fails() -> None:
        raise CudaError("cuStreamSynchronize failed: an illegal memory access was encountered")

    monkeypatch.setattr(stream, "synchronize", fails)
    checked(network, 16)
    assert network.backend is Backend.ONNX_CPU
    assert "illegal memory access" in network.notes[-1]


@pytest.mark.parametrize("error", [RuntimeError("myelin"), TypeError("incompatible function arguments")])
def test_what_the_bindings_throw_leads_to_the_cpu_too(device, monkeypatch, error):
    network = open_network(conv_network(), name="small", options=RuntimeOptions(threads=1))
    checked(network)

    def throws(self, stream_handle):
        raise error

    monkeypatch.setattr("tests.engines.runtime.device_standin.Context.execute_async_v3", throws)
    monkeypatch.setattr(device, "cuGraphLaunch", lambda graph, stream: throws(None, stream))
    checked(network)
    assert network.backend is Backend.ONNX_CPU
    assert f"{type(error).__name__}: {error}" in network.notes[-1]


def test_a_network_that_nobody_closed_gives_back_what_it_took(device):
    network = opened()
    checked(network)
    device_thread = network._gpu
    del network
    gc.collect()
    device_thread.run(lambda: None)
    gc.collect()
    assert device.used == 0


def test_an_engine_that_was_just_built_and_is_refused_is_not_built_twice(device, monkeypatch):
    monkeypatch.setattr("tests.engines.runtime.device_standin.pickle.dumps", lambda what: b"no engine")
    with pytest.raises(EngineError, match="tensorrt cannot load its own engine: Serialization assertion failed"):
        opened()
    assert device.builds == 1


def test_tensorrt_rtx_builds_for_this_gpu_and_records_by_itself(device):
    network = TensorRtNetwork(conv_network(), "small", Backend.TENSORRT_RTX, RuntimeOptions())
    for seed in range(3):
        checked(network, seed=seed)
    assert (device.enqueued, device.launches) == (3, 0)


def test_half_precision_is_built_from_a_half_precision_file(device):
    network = opened(precision=Precision.FP16)
    off = np.abs(network.run({"anatomy": anatomy()})["dose"] - by_hand(anatomy())).max()
    assert network.precision is Precision.FP16
    assert 1e-5 < off < 5e-3


def test_a_gpu_of_another_generation_than_tensorrt_rtx_knows_is_said():
    from engines.runtime.tensorrt_network import _check_supported

    class Rtx:
        backend = Backend.TENSORRT_RTX

        def targets(self):
            return ("SM86", "SM89")

    class Hopper:
        name, target = "NVIDIA H100 (sm_90)", "SM90"

    with pytest.raises(EngineError, match=r"tensorrt_rtx has no code for NVIDIA H100 \(sm_90\); it has for SM86, SM89"):
        _check_supported(Rtx(), Hopper())
