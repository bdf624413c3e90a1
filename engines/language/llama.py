"""A language model from a GGUF file, run by llama.cpp on the CPU, whose answer a grammar holds to what may be said.

Through the package xllamacpp, which brings llama.cpp built (34 MB, no other packages); llama-cpp-python, the better
known one, has to be compiled for 5 to 20 minutes. It starts llama.cpp's own server, which also listens on a loopback
port (no way was found to tell it not to): the port is locked with a key that is drawn here and that nobody learns,
without its pages and its views of prompts. Nothing is fetched over a network.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from engines.errors import EngineError

CONTEXT = 4096
"""Tokens of a prompt and its answer together (chosen: a case of thirty objectives takes about 2,000)."""
LONGEST_ANSWER = 160
"""Tokens; a longer answer is cut, and whoever asked refuses it."""
SILENT = -1
"""llama.cpp's verbosity: no prompt in a log."""


class LocalModel:
    """threads: of the CPU; one is what was measured fastest beside other work. Answers are greedy: the same prompt and
    grammar give the same words on the same machine.

    Raises EngineError without the package, and for a file that is missing or no model."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        if not path.is_file():
            raise EngineError(f"the language model's file {path.name} is not there")
        try:
            import xllamacpp
        except ImportError as error:
            raise EngineError(
                "the package 'xllamacpp', which runs language models, is not installed (extra 'language')"
            ) from error
        asked = xllamacpp.CommonParams()
        asked.model.path = str(path)
        asked.n_ctx, asked.n_parallel, asked.n_gpu_layers = CONTEXT, 1, 0
        asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = threads
        asked.verbosity, asked.warmup, asked.offline = SILENT, False, True
        asked.api_keys, asked.endpoint_slots, asked.ui = [secrets.token_hex(32)], False, False
        try:
            self._server = xllamacpp.Server(asked)
        except RuntimeError as error:
            raise EngineError(f"llama.cpp cannot load the language model {path.name}") from error

    def complete(self, prompt: str, grammar: str) -> str:
        """What follows the prompt. grammar: GBNF, llama.cpp's notation, with 'root' as its start. Raises EngineError
        for a prompt that is too long and a grammar that is none."""
        found: dict[str, Any] = self._server.handle_completions(
            {"prompt": prompt, "grammar": grammar, "n_predict": LONGEST_ANSWER, "temperature": 0.0}
        )
        if "error" in found:
            raise EngineError(f"the language model did not answer: {found['error'].get('message', 'no reason given')}")
        return str(found["choices"][0]["text"])
