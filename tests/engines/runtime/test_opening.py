"""Opening and running a network on the CPU: what goes in and out, what is refused, and what happens when a device
fails."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.errors import DeviceError, EngineError
from engines.runtime import Backend, Precision, RuntimeOptions, TensorInfo, open_network
from engines.runtime.onnx_session import OnnxNetwork
from engines.runtime.switching import SwitchingNetwork
from tests.engines.runtime.networks import anatomy, by_hand, conv_network

CPU = RuntimeOptions(backends=(Backend.ONNX_CPU,), threads=1)


def test_it_computes_what_the_graph_says():
    network = open_network(conv_network(), name="small", options=CPU)
    dose = network.run({"anatomy": anatomy()})["dose"]
    np.testing.assert_allclose(dose, by_hand(anatomy()), atol=1e-5)
    assert dose.dtype == np.float32


def test_it_says_what_it_is():
    network = open_network(conv_network("any"), name="small", options=CPU)
    assert (network.name, network.backend, network.precision) == ("small", Backend.ONNX_CPU, Precision.FP32)
    assert network.device == "CPU, 1 thread"
    assert network.inputs == (TensorInfo("anatomy", (1, 2, None, None, None), "float32"),)
    assert [tensor.name for tensor in network.outputs] == ["dose"]
    assert network.notes == ()


def test_a_free_axis_takes_any_size():
    network = open_network(conv_network("any"), name="small", options=CPU)
    for size in (5, 9):
        np.testing.assert_allclose(network.run({"anatomy": anatomy(size)})["dose"], by_hand(anatomy(size)), atol=1e-5)


def test_every_backend_that_is_not_here_is_named_with_its_reason():
    network = open_network(conv_network(), name="small", options=RuntimeOptions(threads=1))
    better = list(Backend)[: list(Backend).index(network.backend)]
    assert [note.split(":")[0] for note in network.notes] == [f"not {backend}" for backend in better]


def test_reduced_precision_on_the_cpu_is_full_precision_with_a_note():
    options = RuntimeOptions(backends=(Backend.ONNX_CPU,), precision=Precision.FP16)
    network = open_network(conv_network(), name="small", options=options)
    assert network.precision is Precision.FP32
    assert network.notes == ("onnx_cpu computes in FP32, not fp16",)


def test_double_precision_is_converted_and_whole_numbers_too():
    network = open_network(conv_network(), name="small", options=CPU)
    wanted = network.run({"anatomy": anatomy()})["dose"]
    np.testing.assert_array_equal(network.run({"anatomy": anatomy().astype(np.float64)})["dose"], wanted)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "lacks the input anatomy"),
        ({"anatomy": anatomy(), "more": anatomy()}, "has no input more"),
        ({"anatomy": anatomy(11)}, r"has shape \(1, 2, 11, 11, 11\); \(1, 2, 12, 12, 12\) is needed"),
        ({"anatomy": anatomy()[0]}, "has shape"),
        ({"anatomy": anatomy().astype(np.complex64)}, "is complex64; float32 is needed"),
    ],
)
def test_wrong_inputs_are_refused_by_name(inputs, said):
    network = open_network(conv_network(), name="small", options=CPU)
    with pytest.raises(EngineError, match=said):
        network.run(inputs)


def test_an_input_that_is_not_a_number_gives_an_error_and_no_dose():
    network = open_network(conv_network(), name="small", options=CPU)
    holed = anatomy()
    holed[0, 0, 3, 3, 3] = np.inf
    with pytest.raises(EngineError, match="input 'anatomy' of network 'small' has values that are not numbers"):
        network.run({"anatomy": holed})


def test_a_result_that_overflows_gives_an_error_and_no_dose():
    network = open_network(conv_network(), name="small", options=CPU)
    with pytest.raises(EngineError, match="output 'dose' of network 'small' has values that are not numbers"):
        network.run({"anatomy": np.full((1, 2, 12, 12, 12), 3e38)})


def test_what_is_no_network_is_refused():
    with pytest.raises(EngineError, match=r"cannot be run here \(not onnx_cpu: ONNX Runtime cannot run this model"):
        open_network(b"no network", name="small", options=CPU)


def test_no_backend_at_all_is_refused():
    with pytest.raises(EngineError, match="no backend is named"):
        open_network(conv_network(), name="small", options=RuntimeOptions(backends=()))


def test_weights_in_another_file_are_refused(tmp_path):
    value = helper.make_tensor("w", TensorProto.FLOAT, [4], np.ones(4, np.float32).tobytes(), raw=True)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "outside",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [value],
    )
    path = tmp_path / "outside.onnx"
    model = helper.make_model(graph)
    onnx.save_model(model, path, save_as_external_data=True, size_threshold=0, location="weights")
    with pytest.raises(EngineError, match="weights in another file"):
        open_network(path.read_bytes(), name="outside", options=CPU)


def test_a_closed_network_says_so():
    network = open_network(conv_network(), name="small", options=CPU)
    network.close()
    network.close()
    with pytest.raises(EngineError, match="is closed"):
        network.run({"anatomy": anatomy()})


class OutOfMemory(OnnxNetwork):
    """A network on a device that has no memory left: only its failure is made up, the CPU's answer is real."""

    closed = False

    def run(self, inputs):
        raise DeviceError("GPU 0 is out of memory: 812 MiB were asked for, 96 are free")

    def close(self):
        self.closed = True


@pytest.fixture
def failing():
    network = OutOfMemory(conv_network(), "small", Backend.ONNX_CPU, CPU)
    network.backend, network.device = Backend.TENSORRT, "GPU 0"
    return network


def test_a_device_without_memory_hands_over_to_the_cpu_and_says_so(failing):
    network = SwitchingNetwork(
        failing, ("first note",), lambda: open_network(conv_network(), name="small", options=CPU)
    )
    np.testing.assert_allclose(network.run({"anatomy": anatomy()})["dose"], by_hand(anatomy()), atol=1e-5)
    assert network.backend is Backend.ONNX_CPU
    assert failing.closed
    assert network.notes == (
        "first note",
        "tensorrt failed (GPU 0 is out of memory: 812 MiB were asked for, 96 are free); computed on the CPU, "
        "1 thread since then",
    )
    np.testing.assert_allclose(network.run({"anatomy": anatomy()})["dose"], by_hand(anatomy()), atol=1e-5)
    assert len(network.notes) == 2


def test_without_a_spare_the_device_error_is_raised(failing):
    network = SwitchingNetwork(failing, (), lambda: None)
    with pytest.raises(DeviceError, match="out of memory"):
        network.run({"anatomy": anatomy()})
