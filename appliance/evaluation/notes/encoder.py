"""The slot for a clinic's own token classifier: any BERT-type ONNX encoder that labels the tokens of a sentence.

The tensor contract (docs/evaluation/notes.md): inputs `input_ids` and `attention_mask`, int64 (1, tokens), and
`token_type_ids` of zeros where the model has that input; the first output `logits`, float32 (1, tokens, labels). Beside
the model lie vocab.txt (WordPiece, lower case) and labels.toml: its SHA-256, the longest input in tokens, and for every
label in order of its number what it stands for.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.contracts.notes import Assertion, FactKind, NoteFact, NoteSpan
from appliance.errors import ModelError
from appliance.evaluation.notes.documents import Document
from appliance.evaluation.notes.sentences import Piece
from engines.errors import EngineError
from engines.language.encoder import open_encoder
from engines.language.wordpiece import WordPiece
from engines.runtime import Network

OUTSIDE = "O"


class _Label(BaseModel):
    """`name` 'O' for tokens of no fact; tokens of one label side by side are one fact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: FactKind | None = None
    assertion: Assertion = Assertion.PRESENT
    value: str = ""


class _Labels(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "model.onnx"
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    longest_tokens: int = Field(ge=8, le=4096)
    least_probability: float = Field(default=0.5, gt=0, le=1)
    token_type_ids: bool = False
    label: tuple[_Label, ...] = Field(min_length=2)


@dataclass(frozen=True)
class NoteEncoder:
    """An opened classifier; `facts` labels one note sentence by sentence."""

    network: Network
    wordpiece: WordPiece
    settings: _Labels

    @staticmethod
    def open(folder: Path) -> NoteEncoder:
        """Raises ModelError where a file is missing, altered or does not fit the others."""
        try:
            settings = _Labels.model_validate(tomllib.loads((folder / "labels.toml").read_text("utf-8")))
            model = (folder / settings.model).read_bytes()
            if hashlib.sha256(model).hexdigest() != settings.sha256:
                raise ModelError(f"the note encoder {settings.model} is not the file that labels.toml names")
            network, wordpiece = open_encoder(model, settings.model), WordPiece.load(folder / "vocab.txt")
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError, EngineError) as error:
            raise ModelError(f"the note encoder in {folder.name} cannot be used ({error})") from error
        if any((label.name == OUTSIDE) != (label.kind is None) for label in settings.label):
            raise ModelError("every label of the note encoder but 'O' needs its kind of fact, and 'O' has none")
        return NoteEncoder(network, wordpiece, settings)

    def facts(self, document: Document, number: int, pieces: Sequence[Piece]) -> list[NoteFact]:
        """In order of place. Raises ModelError where the model's output does not fit its labels."""
        found: list[NoteFact] = []
        for piece in pieces:
            found += self._sentence(document, number, piece)
        return found

    def _sentence(self, document: Document, number: int, piece: Piece) -> list[NoteFact]:
        text = document.text[piece.start : piece.end]
        tokens = self.wordpiece.encode(text, longest=self.settings.longest_tokens)
        share = self._probabilities(tokens.ids)
        chosen = [int(row.argmax()) for row in share]
        sure = [label if share[n, label] >= self.settings.least_probability else 0 for n, label in enumerate(chosen)]
        places = range(1, len(tokens.ids) - 1)
        found = []
        for label_number, run in groupby(places, key=lambda n: sure[n]):
            label, members = self.settings.label[label_number], list(run)
            if label.kind is None:
                continue
            start, end = tokens.offsets[members[0]][0], tokens.offsets[members[-1]][1]
            at = piece.start + start
            span = NoteSpan(
                number, at, piece.start + end, document.page_at(at), text[start:end], " ".join(text.split())[:300]
            )
            confidence = float(np.mean([share[n, label_number] for n in members]))
            found.append(NoteFact(label.kind, label.assertion, span, confidence, label.value, by="encoder"))
        return found

    def _probabilities(self, ids: Sequence[int]) -> NDArray[np.float64]:
        row = np.array([ids], np.int64)
        inputs: Mapping[str, NDArray[np.int64]] = {"input_ids": row, "attention_mask": np.ones_like(row)}
        if self.settings.token_type_ids:
            inputs = {**inputs, "token_type_ids": np.zeros_like(row)}
        try:
            logits = np.asarray(self.network.run(inputs)["logits"], np.float64)
        except (EngineError, KeyError) as error:
            raise ModelError(f"the note encoder cannot be run ({error})") from error
        if logits.shape != (1, len(ids), len(self.settings.label)):
            raise ModelError(
                f"the note encoder gives {logits.shape} for {len(ids)} tokens and {len(self.settings.label)} labels"
            )
        raised = np.exp(logits[0] - logits[0].max(axis=-1, keepdims=True))
        probabilities: NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
        return probabilities
