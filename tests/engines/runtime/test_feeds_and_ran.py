"""What networks are tried with, and the record of what ran here."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.runtime import Backend, Precision, TensorInfo
from engines.runtime.feeds import feeds_for
from engines.runtime.ran import FILE, Ran, read_ran, remember, tried_precision
from engines.runtime.registry import load_registry

ENTRIES = load_registry().entries
IDS, MASK = TensorInfo("input_ids", (None, None), "int64"), TensorInfo("attention_mask", (None, None), "int64")
ONE = Ran("a" * 64, Backend.ONNX_CPU, Precision.FP32, "CPU, 2 threads", 0.0, "2026-11-27")


def test_feeds_have_the_stated_shape_type_and_range():
    made = feeds_for(ENTRIES)("sentence-encoder", (IDS, MASK))
    assert {name: (array.shape, array.dtype.name) for name, array in made.items()} == {
        "input_ids": ((8, 32), "int64"),
        "attention_mask": ((8, 32), "int64"),
    }
    assert 0 <= made["input_ids"].min() < made["input_ids"].max() <= 30521
    assert (made["attention_mask"] == 1).all()


def test_feeds_are_the_same_each_time():
    info = (TensorInfo("features", (1, 27, None, None, None), "float32"),)
    first, again = (feeds_for(ENTRIES)("dose", info)["features"] for _ in range(2))
    assert np.array_equal(first, again)
    assert first.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "info", "words"),
    [
        ("nothing", IDS, "no model 'nothing'"),
        ("sentence-encoder", TensorInfo("other", (None,), "int64"), "no input 'other'"),
        ("sentence-encoder", TensorInfo("input_ids", (None,), "int64"), "no typical shape"),
    ],
)
def test_what_is_not_known_is_not_fed(name, info, words):
    with pytest.raises(EngineError, match=words):
        feeds_for(ENTRIES)(name, (info,))


def test_the_later_run_of_a_combination_replaces_the_earlier(tmp_path):
    later = Ran(ONE.sha256, ONE.backend, ONE.precision, "CPU, 8 threads", 1e-3, "2026-11-28")
    other = Ran(ONE.sha256, Backend.ONNX_CUDA, Precision.FP16, "Some GPU", 1e-2, "2026-11-28")
    remember(tmp_path / "cache", [ONE])
    remember(tmp_path / "cache", [later, other])
    assert set(read_ran(tmp_path / "cache")) == {later, other}


@pytest.mark.parametrize("content", ["", "{", "[1]", '[{"sha256": 1}]', '[{"backend": "abacus"}]', "3"])
def test_a_record_that_cannot_be_read_counts_as_none(tmp_path, content):
    assert read_ran(tmp_path) == ()
    (tmp_path / FILE).write_text(content)
    assert read_ran(tmp_path) == ()
    remember(tmp_path, [ONE])
    assert read_ran(tmp_path) == (ONE,)


def gpu(difference: float, backend: Backend = Backend.TENSORRT, digest: str = "") -> Ran:
    digest = digest or load_registry().entry("dose").sha256
    return Ran(digest, backend, Precision.FP16, "Some GPU", difference, "2026-11-28")


@pytest.mark.parametrize(
    ("ran", "wanted"),
    [
        ([], None),
        ([gpu(1e-3)], Precision.FP16),
        ([gpu(6e-3)], None),
        ([gpu(1e-3), gpu(6e-3, Backend.ONNX_TENSORRT)], None),
        ([gpu(1e-3, Backend.ONNX_CPU)], None),
        ([gpu(1e-3, digest="0" * 64)], None),
    ],
)
def test_half_precision_is_used_only_where_this_file_was_tried_on_this_machines_gpu(ran, wanted):
    """The registry allows 5e-3 for the dose network."""
    assert tried_precision(load_registry().entry("dose"), ran) is wanted


def test_a_precision_that_is_not_allowed_is_not_used_however_near():
    entry = load_registry().entry("dose").model_copy(update={"precision": {Precision.FP32: 1e-4}})
    assert tried_precision(entry, [gpu(0.0)]) is None
