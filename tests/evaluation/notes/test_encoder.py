"""The slot for a token classifier, filled with a network of one table: each token id has its logits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from appliance.contracts.notes import Assertion, FactKind
from appliance.errors import ModelError
from appliance.evaluation.notes import NoteEncoder, NoteText, read_notes

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "pace", "##maker", "seed", "##s", "no", "."]
LABELS = """
sha256 = "{sha256}"
longest_tokens = 64
label = [
  {{ name = "O" }},
  {{ name = "device", kind = "cardiac_device", value = "pacemaker" }},
  {{ name = "implant", kind = "implant", value = "seeds" }},
]
"""


def written(folder: Path, *, labels: str = LABELS, inputs: tuple[str, ...] = ("input_ids", "attention_mask")) -> Path:
    """A Gather from a table of logits: 'pacemaker' is a device, 'seeds' are implants, all else is outside."""
    from onnx import TensorProto, helper, numpy_helper

    logits = np.zeros((len(PIECES), 3), np.float32)
    logits[:, 0], logits[4:6, 1], logits[6:8, 2] = 2.0, 6.0, 5.0
    names = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "tokens"]) for name in inputs]
    shown = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "tokens", 3])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["looked_up"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=1),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["looked_up", "wide"], ["logits"]),
    ]
    constants = [numpy_helper.from_array(logits, "table"), numpy_helper.from_array(np.array([2]), "last")]
    graph = helper.make_graph(nodes, "tiny", names, [shown], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = model.SerializeToString()
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    (folder / "vocab.txt").write_text("\n".join(PIECES))
    (folder / "labels.toml").write_text(labels.format(sha256=hashlib.sha256(data).hexdigest()))
    return folder


@pytest.fixture
def encoder(tmp_path: Path) -> NoteEncoder:
    return NoteEncoder.open(written(tmp_path / "encoder"))


def test_its_facts_have_span_value_and_confidence(encoder) -> None:
    (fact,) = read_notes([NoteText("n", "Seeds.")], encoder=encoder).facts
    assert (fact.kind, fact.value, fact.by, fact.span.words) == (FactKind.IMPLANT, "seeds", "encoder", "Seeds")
    assert fact.confidence == pytest.approx(np.exp(5) / (np.exp(5) + np.exp(2) + 1))


def test_where_both_agree_there_is_one_fact_by_both(encoder) -> None:
    (fact,) = read_notes([NoteText("n", "Pacemaker.")], encoder=encoder).facts
    assert (fact.by, fact.assertion) == ("rules+encoder", Assertion.PRESENT)


def test_where_they_differ_the_rules_win_and_both_are_shown(encoder) -> None:
    rules, other = read_notes([NoteText("n", "No pacemaker.")], encoder=encoder).facts
    assert (rules.by, rules.assertion, rules.overruled) == ("rules", Assertion.ABSENT, False)
    assert (other.by, other.assertion, other.overruled) == ("encoder", Assertion.PRESENT, True)


def test_a_model_that_is_not_the_one_named_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "encoder")
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b" ")
    with pytest.raises(ModelError, match=r"not the file that labels\.toml names"):
        NoteEncoder.open(folder)


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (LABELS.replace('kind = "cardiac_device"', 'kind = "toothache"'), "cannot be used"),
        (LABELS.replace(', kind = "implant", value = "seeds"', ""), "needs its kind of fact"),
        (LABELS.replace("longest_tokens = 64\n", ""), "cannot be used"),
    ],
)
def test_labels_that_do_not_say_what_they_are_are_refused(tmp_path: Path, labels, why) -> None:
    with pytest.raises(ModelError, match=why):
        NoteEncoder.open(written(tmp_path / "encoder", labels=labels))


def test_a_model_with_another_number_of_labels_is_refused(tmp_path: Path) -> None:
    more = LABELS.replace("]\n", '  {{ name = "more", kind = "pregnancy" }},\n]\n')
    encoder = NoteEncoder.open(written(tmp_path / "encoder", labels=more))
    with pytest.raises(ModelError, match="4 labels"):
        read_notes([NoteText("n", "Pacemaker")], encoder=encoder)


def test_a_model_that_wants_token_types_gets_zeros(tmp_path: Path) -> None:
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    labels = LABELS.replace("longest_tokens", "token_type_ids = true\nlongest_tokens")
    encoder = NoteEncoder.open(written(tmp_path / "encoder", labels=labels, inputs=inputs))
    assert len(read_notes([NoteText("n", "Seeds")], encoder=encoder).facts) == 1


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be used"):
        NoteEncoder.open(tmp_path / "nowhere")
