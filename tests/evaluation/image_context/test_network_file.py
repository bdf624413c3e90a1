"""The file beside a network: what is refused, each with its key and a reason."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.errors import ModelError
from appliance.evaluation.image_context import load_network
from tests.engines.segmentation.networks import thresholds, without_depth

from .conftest import NAMES


def test_a_whole_file_is_read(network):
    assert (network.name, network.modality, network.image_spacing_mm) == ("tiny", "CT", (1.0, 5.0))
    assert network.spec.labels == ((1, "Parotid_L"), (2, "Parotid_R"), (3, "SpinalCord"))
    assert network.partial == {"SpinalCord"}
    assert network.spec.intensity.apply(np.array([-2000, 0, 50])) == pytest.approx([-10, 0, 0.5])
    assert network.open(threads=1).channels == 4
    assert not network.spec.largest_part


def test_the_largest_part_is_kept_where_the_file_says_so(write):
    assert load_network(write(('values = "logits"', 'values = "logits"\nlargest_part = true')), NAMES).spec.largest_part


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("couchside-segmentation-1", "couchside-segmentation-2", "format"),
        ('licence = "none"\n', "", "licence.*required"),
        ('layout = "NCDHW"', 'layout = "NDHWC"', "layout"),
        ('orientation = "SPL"', 'orientation = "SPI"', "orientation 'SPI'"),
        ("spacing_mm = [3.0, 2.0, 2.0]", "spacing_mm = [3.0, 2.0]", "spacing_mm"),
        ("spacing_mm = [3.0, 2.0, 2.0]", "spacing_mm = [0.0, 2.0, 2.0]", "above 0"),
        ("image_spacing_mm = [1.0, 5.0]", "image_spacing_mm = [5.0, 1.0]", r"\[smallest, largest\]"),
        ("std = 100.0\n", "", "scheme 'ct' needs percentile_00_5"),
        ("std = 100.0", "std = 0.0", "above 0"),
        ("std = 100.0", "std = nan", "finite"),
        ('scheme = "ct"', 'scheme = "zscore"', "needs no number"),
        ('kind = "softmax"', 'kind = "argmax"', "kind"),
        ("channel = 1", "channel = 0", "channels of their own from 1"),
        ("channel = 2", "channel = 1", "channels of their own"),
        ('name = "Parotid_R"', 'name = "Parotis rechts"', "Parotis rechts is no structure name"),
        ('name = "Parotid_R"', 'name = "Parotid_L"', "two labels have one name"),
        ('licence = "none"', 'licence = "none"\ncolour = "red"', "colour"),
        ('model = "tiny.onnx"', 'model = "other.onnx"', "cannot be read"),
        ('title = "A tiny network"', "title = ", "not valid TOML"),
    ],
)
def test_what_a_file_may_not_say(write, old, new, words):
    with pytest.raises(ModelError, match=words):
        load_network(write((old, new)), NAMES)


def test_other_weights_than_the_file_names_are_refused(write):
    path = write()
    (path.parent / "tiny.onnx").write_bytes(thresholds(1.0, 2.0, 3.0))
    with pytest.raises(ModelError, match="SHA-256 differs"):
        load_network(path, NAMES)
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(path.parent / "nothing.toml", NAMES)


@pytest.mark.parametrize(
    ("model", "words"), [(without_depth(), "rank 4"), (thresholds(1.0), "has 2 channels")], ids=["flat", "channels"]
)
def test_weights_that_are_another_network_are_refused_when_opened(write, model, words):
    with pytest.raises(ModelError, match=words):
        load_network(write(model=model), NAMES).open()
