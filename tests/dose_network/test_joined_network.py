"""Two networks in one file, and the file in eight bits: what comes out is what their parts say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
onnx = pytest.importorskip("onnx", reason="the extra 'train' is not installed")

from engines.runtime import Backend, Precision, RuntimeOptions, open_network  # noqa: E402
from models.dose.export import write_onnx  # noqa: E402
from models.dose.features import CHANNELS, POSSIBLE  # noqa: E402
from models.dose.join import DISAGREEMENT, joined  # noqa: E402
from models.dose.network import DoseNetwork, Shape, padded  # noqa: E402
from models.dose.predict import Judged  # noqa: E402
from models.dose.quantise import quantised  # noqa: E402

from .phantom import patient  # noqa: E402

WIDE = Shape((8, 8, 8, 8), (1, 1, 1, 1), (1, 1, 1), 8)
SMALL = dataclasses.replace(WIDE, ranks=(4, 4, 4, 4), head_rank=4, spread=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("networks")
    for number, (name, shape) in enumerate((("first", WIDE), ("second", SMALL))):
        torch.manual_seed(number)
        network = DoseNetwork(shape)
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(0.05 * torch.randn(weight.shape))
        write_onnx(network.eval(), folder / f"{name}.onnx")
    return folder / "first.onnx", folder / "second.onnx"


@pytest.fixture(scope="module")
def given() -> np.ndarray:
    grown, _ = padded(Judged.of(patient(), torch.device("cpu")).features)
    return grown[None].numpy()


def said(model: bytes, given: np.ndarray, precision: Precision | None = None) -> dict[str, np.ndarray]:
    options = RuntimeOptions((Backend.ONNX_CPU,), precision=precision, threads=1)
    network = open_network(model, name="dose", options=options)
    channels = network.inputs[0].shape[1]
    return network.run({"features": given[:, :channels]})


def test_dose_is_the_weighted_mean_and_spread_grows_where_the_two_disagree(files, given):
    first, second = (said(path.read_bytes(), given) for path in files)
    both = said(joined(*map(onnx.load, files), 0.25).SerializeToString(), given)
    np.testing.assert_allclose(both["dose"], 0.25 * first["dose"] + 0.75 * second["dose"], atol=1e-5)
    apart = np.abs(first["dose"] - second["dose"])
    assert apart.max() > 0.01
    np.testing.assert_allclose(both["spread"], second["spread"] + DISAGREEMENT * apart, atol=1e-5)


def test_a_network_of_fewer_channels_reads_the_first_ones(files, given):
    model = onnx.load(files[0])
    graph = model.graph
    fewer = len(CHANNELS) - 1
    # What an older network looks like from outside: it never hears of the last channel.
    graph.input[0].type.tensor_type.shape.dim[1].dim_value = fewer
    slim = onnx.numpy_helper
    for tensor in graph.initializer:
        values = slim.to_array(tensor)
        if values.ndim == 5 and values.shape[1] == len(CHANNELS):
            tensor.CopyFrom(slim.from_array(np.ascontiguousarray(values[:, :fewer]), tensor.name))
    alone = said(model.SerializeToString(), given)
    both = said(joined(model, onnx.load(files[1]), 1.0).SerializeToString(), given)
    np.testing.assert_allclose(both["dose"], alone["dose"], atol=1e-5)


def test_the_second_network_must_tell_a_spread(files):
    with pytest.raises(ValueError, match="spread"):
        joined(onnx.load(files[1]), onnx.load(files[0]), 0.5)


def test_eight_bits_change_the_dose_little_and_leave_nothing_outside(files, given, tmp_path):
    together = tmp_path / "joined.onnx"
    onnx.save(joined(*map(onnx.load, files), 0.5), together)
    quantised(together, iter([given]), tmp_path / "dose.onnx")
    model = (tmp_path / "dose.onnx").read_bytes()
    plain, rounded = said(together.read_bytes(), given), said(model, given)
    off = np.abs(rounded["dose"] - plain["dose"])
    assert 0 < off.max() < 0.05 * plain["dose"].max()
    assert not rounded["dose"][:, :, ~(given[0, POSSIBLE] > 0.5)].any()
    # Without the roundings of activations only those of weights are left: less.
    floating = said(model, given, Precision.FP32)
    assert np.abs(floating["dose"] - plain["dose"]).mean() < off.mean()
