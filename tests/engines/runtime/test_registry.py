"""A model is handed out only as the file that was registered; a registry that is not exactly right is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from engines.errors import EngineError, RegisteredFileError
from engines.runtime.registry import SHIPPED, load_registry
from tests.engines.segmentation.networks import thresholds
from tools.register_model import main, register

NETWORK = thresholds(0.0, 1.0)
ENTRY = """
[[model]]
name = "small"
title = "Two thresholds"
file = "nets/small.onnx"
sha256 = "{digest}"
licence = "MIT"
source = "made by the tests"
trained_for = "nothing"
precision = {{ fp32 = 1e-5 }}

[[model.input]]
name = "image"
meaning = "a patch"
unit = "HU"
axes = ["n", "one", "d", "h", "w"]

[[model.output]]
name = "scores"
meaning = "scores of three classes"
unit = "none"
axes = ["n", "class", "d", "h", "w"]
"""


def written(folder: Path, content: bytes = NETWORK, text: str = ENTRY) -> Path:
    """A registry of one model, whose file has `content`, but the SHA-256 of NETWORK."""
    (folder / "nets").mkdir(exist_ok=True)
    (folder / "nets" / "small.onnx").write_bytes(content)
    path = folder / "registry.toml"
    digest = hashlib.sha256(NETWORK).hexdigest()
    path.write_text('format = "couchside-models-1"\n' + text.format(digest=digest), "utf-8")
    return path


def test_what_ships_is_what_is_registered():
    registry = load_registry()
    assert "dose" in registry.names
    assert list(registry.problems()) == []
    for entry in registry.entries:
        assert not entry.card or (SHIPPED.parent / entry.card).is_file()


def test_a_registered_file_is_handed_out_whole(tmp_path):
    registry = load_registry(written(tmp_path))
    assert registry.names == ("small",)
    assert registry.verified("small") == NETWORK
    assert list(registry.problems()) == []
    assert registry.entry("small").reference == f"small@{hashlib.sha256(NETWORK).hexdigest()[:8]}"


def test_one_changed_bit_is_refused(tmp_path):
    changed = bytearray(NETWORK)
    changed[len(changed) // 2] ^= 1
    registry = load_registry(written(tmp_path, bytes(changed)))
    with pytest.raises(RegisteredFileError, match=r"nets/small\.onnx of the model 'small' is not the registered one"):
        registry.verified("small")
    assert [entry.name for entry, _ in registry.problems()] == ["small"]


def test_a_missing_file_is_refused_unless_the_product_does_without_it(tmp_path):
    path = written(tmp_path)
    (tmp_path / "nets" / "small.onnx").unlink()
    with pytest.raises(RegisteredFileError, match=r"nets/small\.onnx .* cannot be read .*build\.sh setup"):
        load_registry(path).verified("small")
    assert len(list(load_registry(path).problems())) == 1
    path.write_text(path.read_text("utf-8").replace("title =", "optional = true\ntitle ="), "utf-8")
    assert list(load_registry(path).problems()) == []
    (tmp_path / "nets" / "small.onnx").write_bytes(b"altered")
    assert len(list(load_registry(path).problems())) == 1


def test_a_model_of_a_package_that_is_not_installed_names_the_package(tmp_path):
    path = written(tmp_path, text=ENTRY.replace("title =", 'package = "no_such_package"\ntitle ='))
    assert load_registry(path).path("small") is None
    with pytest.raises(RegisteredFileError, match=r"package 'no_such_package' .* not installed"):
        load_registry(path).verified("small")


def test_an_unknown_name_says_which_there_are(tmp_path):
    with pytest.raises(RegisteredFileError, match=r"no model 'big' is registered \(registered: small\)"):
        load_registry(written(tmp_path)).verified("big")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("title =", "colour = 1\ntitle ="), "model.0.colour"),
        (("nets/small.onnx", "../small.onnx"), "folder"),
        (("nets/small.onnx", "/small.onnx"), "folder"),
        (('licence = "MIT"\n', ""), "model.0.licence"),
        (("fp32 = 1e-5", "fp64 = 1e-5"), "precision"),
        (("fp32 = 1e-5", "fp32 = 0"), "precision"),
        (("{digest}", "abc"), "sha256"),
        (('unit = "HU"\n', ""), r"model.0.input.0.unit"),
        (('axes = ["n", "one", "d", "h", "w"]', 'axes = ["n"]\nshape = [1, 2]'), "1 axes and a shape of 2"),
        (("[[model]]", "[[network]]"), "model"),
        (("[[model]]", "= ="), "not valid TOML"),
    ],
)
def test_a_registry_that_is_not_exactly_right_is_refused(tmp_path, change, words):
    with pytest.raises(RegisteredFileError, match=words):
        load_registry(written(tmp_path, text=ENTRY.replace(*change)))


def test_two_models_of_one_name_and_no_file_at_all_are_refused(tmp_path):
    with pytest.raises(RegisteredFileError, match="two models of one name"):
        load_registry(written(tmp_path, text=ENTRY + ENTRY))
    with pytest.raises(RegisteredFileError, match="cannot be read"):
        load_registry(tmp_path / "none.toml")


def test_a_new_file_is_registered_and_only_its_digest_changes(tmp_path):
    path = written(tmp_path)
    before = path.read_text("utf-8")
    new = tmp_path / "new.onnx"
    new.write_bytes(thresholds(0.0, 2.0))
    assert register("small", new, path).startswith("small: ")
    assert load_registry(path).verified("small") == new.read_bytes()
    digest = hashlib.sha256(new.read_bytes()).hexdigest()
    assert path.read_text("utf-8") == before.replace(hashlib.sha256(NETWORK).hexdigest(), digest)


def test_only_the_named_entry_gets_the_digest(tmp_path):
    other = ENTRY.replace('"small"', '"other"').replace("small.onnx", "other.onnx")
    path = written(tmp_path, text=other + ENTRY)
    (tmp_path / "nets" / "other.onnx").write_bytes(NETWORK)
    new = tmp_path / "new.onnx"
    new.write_bytes(thresholds(5.0, 6.0))
    register("small", new, path)
    registry = load_registry(path)
    assert (registry.verified("small"), registry.verified("other")) == (new.read_bytes(), NETWORK)


@pytest.mark.parametrize(
    ("content", "words"), [(b"no network", "cannot be run"), (thresholds(0.0, shape=["n", 1, "d", "h", "w"]), None)]
)
def test_a_file_is_registered_only_if_it_is_a_network(tmp_path, content, words):
    path, new = written(tmp_path), tmp_path / "new.onnx"
    new.write_bytes(content)
    if words is None:
        register("small", new, path)
        return
    with pytest.raises(EngineError, match=words):
        register("small", new, path)
    assert load_registry(path).verified("small") == NETWORK


def test_a_network_of_other_tensors_is_refused_and_nothing_changes(tmp_path, monkeypatch, capsys):
    path = written(tmp_path, text=ENTRY.replace('name = "scores"', 'name = "dose"'))
    before = path.read_text("utf-8")
    monkeypatch.setattr(
        "sys.argv", ["register_model", "small", str(tmp_path / "nets/small.onnx"), f"--registry={path}"]
    )
    assert main() == 1
    assert "outputs" in capsys.readouterr().err
    assert path.read_text("utf-8") == before


def test_a_network_of_other_sizes_is_refused(tmp_path):
    """Of the entry's typical shape, not one may contradict a size that the network fixes: here one channel."""
    path = written(tmp_path, text=ENTRY.replace('unit = "HU"', 'unit = "HU"\nshape = [1, 2, 16, 16, 16]'))
    with pytest.raises(EngineError, match=r"'image' is .*, that registered for 'small' \(1, 2, 16, 16, 16\)"):
        register("small", tmp_path / "nets" / "small.onnx", path)
