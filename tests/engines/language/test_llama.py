"""llama.cpp itself, on a model of random weights: what a grammar lets through, and what is refused."""

from __future__ import annotations

import builtins
import re
import urllib.error
import urllib.request

import pytest

from engines.errors import EngineError
from engines.language.llama import CONTEXT, LocalModel

pytest.importorskip("xllamacpp", reason="the extra 'language' is not installed")
pytest.importorskip("gguf", reason="the package 'gguf', which writes the test's model, is not installed")

from .tiny_gguf import write_tiny_gguf

ANSWER = 'root ::= ("yes" | "no") (" and " ("yes" | "no"))? "\\n"\n'


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return LocalModel(write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", seed=1))


@pytest.mark.parametrize("prompt", ["Is it?", "Say 70 Gy!", "ß"])
def test_random_weights_say_only_what_the_grammar_knows(model, prompt):
    assert re.fullmatch(r"(yes|no)( and (yes|no))?\n", model.complete(prompt, ANSWER))


def test_the_same_prompt_gives_the_same_words(model):
    assert model.complete("Is it?", ANSWER) == model.complete("Is it?", ANSWER)


def test_a_grammar_that_is_none_is_refused_by_name(model):
    with pytest.raises(EngineError, match=r"did not answer: .*grammar"):
        model.complete("Is it?", "root ::= (")


def test_a_prompt_that_does_not_fit_is_refused_by_name(model):
    with pytest.raises(EngineError, match=r"did not answer: .*context"):
        model.complete("x" * (CONTEXT + 1), ANSWER)


@pytest.mark.parametrize("path", ["/completion", "/slots", "/props", "/v1/models"])
def test_the_port_that_llama_cpp_opens_is_on_loopback_and_locked(model, path):
    address = model._server.listening_address
    assert address.startswith("http://127.0.0.1:")
    body = b'{"prompt": "x", "n_predict": 1}' if path == "/completion" else None
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address + path, body, timeout=5)


def test_a_missing_file_and_one_that_is_no_model_are_named(tmp_path):
    with pytest.raises(EngineError, match=r"gone\.gguf is not there"):
        LocalModel(tmp_path / "gone.gguf")
    (tmp_path / "torn.gguf").write_bytes(b"GGUF\x03\x00")
    with pytest.raises(EngineError, match=r"cannot load the language model torn\.gguf"):
        LocalModel(tmp_path / "torn.gguf")


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name == "xllamacpp":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(EngineError, match=r"'xllamacpp', which runs language models, .*extra 'language'"):
        LocalModel(tmp_path / "model.gguf")
