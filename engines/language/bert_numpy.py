"""The encoder's arithmetic in numpy: what the ONNX graph is held against, and small enough to read.

Devlin et al., BERT, NAACL-HLT 2019, after Vaswani et al., Attention is all you need, NeurIPS 2017, equation 1 and
section 3.2; GELU with the error function, Hendrycks and Gimpel, arXiv 1606.08415, equation 1; layer norm, Ba, Kiros and
Hinton, arXiv 1607.06450, equation 4. Sentence vectors are the mean of the token vectors under the mask, made unit
length: Reimers and Gurevych, Sentence-BERT, EMNLP-IJCNLP 2019 (https://aclanthology.org/D19-1410), section 3.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from engines.language.weights import BertSizes, Tensors

Floats = NDArray[np.float32]

MASKED = -1e9
"""Added to the scores of padding, so that softmax gives it nothing."""


def token_vectors(tensors: Tensors, sizes: BertSizes, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Floats:
    """(texts, tokens, hidden) of input_ids and attention_mask, each (texts, tokens)."""
    words = tensors["embeddings.word_embeddings.weight"][ids]
    places = tensors["embeddings.position_embeddings.weight"][: ids.shape[1]]
    state = words + places + tensors["embeddings.token_type_embeddings.weight"][0]
    state = _norm(tensors, "embeddings.LayerNorm", state, sizes.epsilon)
    bias = ((1 - mask)[:, None, None, :] * MASKED).astype(np.float32)
    for number in range(sizes.layers):
        state = _layer(tensors, f"encoder.layer.{number}", state, bias, sizes)
    return state


def sentence_vectors(tensors: Tensors, sizes: BertSizes, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Floats:
    """(texts, hidden), each of unit length."""
    tokens = token_vectors(tensors, sizes, ids, mask)
    weight = mask[:, :, None].astype(np.float32)
    mean = (tokens * weight).sum(axis=1) / weight.sum(axis=1)
    unit: Floats = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _layer(tensors: Tensors, name: str, state: Floats, bias: Floats, sizes: BertSizes) -> Floats:
    texts, length, hidden = state.shape
    width = hidden // sizes.heads

    def heads(part: str) -> Floats:
        made = _linear(tensors, f"{name}.attention.self.{part}", state)
        return made.reshape(texts, length, sizes.heads, width).transpose(0, 2, 1, 3)

    scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.float32(math.sqrt(width)) + bias
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    share = scores / scores.sum(axis=-1, keepdims=True)
    mixed = (share @ heads("value")).transpose(0, 2, 1, 3).reshape(texts, length, hidden)
    attended = _linear(tensors, f"{name}.attention.output.dense", mixed)
    state = _norm(tensors, f"{name}.attention.output.LayerNorm", attended + state, sizes.epsilon)
    inner = _linear(tensors, f"{name}.intermediate.dense", state)
    inner = (inner * 0.5 * (1 + erf(inner / math.sqrt(2)))).astype(np.float32)
    outer = _linear(tensors, f"{name}.output.dense", inner)
    return _norm(tensors, f"{name}.output.LayerNorm", outer + state, sizes.epsilon)


def _linear(tensors: Tensors, name: str, state: Floats) -> Floats:
    made: Floats = state @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
    return made


def _norm(tensors: Tensors, name: str, state: Floats, epsilon: float) -> Floats:
    centred = state - state.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
    made: Floats = (centred / spread * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]).astype(np.float32)
    return made
