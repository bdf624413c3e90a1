"""`couchside engines`, and a node that does not start on a network that is not the registered one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from engines.runtime.registry import load_registry
from tests.evaluation.image_context.conftest import FILE, MODEL


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A configuration that names the clinic's own network, of a few weights."""
    (tmp_path / "tiny.onnx").write_bytes(MODEL)
    (tmp_path / "network.toml").write_text(FILE.format(sha256=hashlib.sha256(MODEL).hexdigest()), "utf-8")
    config = tmp_path / "couchside.toml"
    config.write_text(f'[evaluation]\nsegmentation = "{tmp_path / "network.toml"}"\n', "utf-8")
    return config


def test_every_registered_network_is_listed_with_the_state_of_its_file(run, clinic):
    ran = run("engines", "list", "--config", clinic, "--json")
    assert ran.code == 0
    listed = {model["name"]: model for model in json.loads(ran.out)["models"]}
    assert set(listed) == {*load_registry().names, "tiny"}
    assert (listed["dose"]["state"], listed["tiny"]["state"]) == ("as registered", "as registered")
    assert "tiny" in run("engines", "list", "--config", clinic).out


def test_a_node_does_not_start_on_altered_weights(run, clinic, tmp_path):
    weights = tmp_path / "tiny.onnx"
    weights.write_bytes(weights.read_bytes() + b" ")
    ran = run("serve", "--config", clinic, "--store", tmp_path / "store")
    assert ran.code == 6
    assert "tiny.onnx" in ran.err and "SHA-256 differs" in ran.err and "get the network again" in ran.err
    assert not (tmp_path / "store").exists()


def test_an_unknown_network_is_refused(run):
    ran = run("engines", "bench", "--model", "nothing")
    assert (ran.code, "no model 'nothing' is registered" in ran.err) == (6, True)


def test_a_bench_compares_with_the_cpu_and_is_remembered_for_the_doctor(run, clinic, tmp_path, monkeypatch):
    monkeypatch.setenv("COUCHSIDE_CACHE", str(tmp_path / "cache"))
    before = networks_of(run, clinic)
    assert "built, never executed here" in before["tiny"]["executed"]
    ran = run("engines", "build", "--model", "tiny", "--config", clinic, "--json")
    assert ran.code == 0
    row = next(row for row in json.loads(ran.out)["rows"] if (row["backend"], row["precision"]) == ("onnx_cpu", "fp32"))
    assert row["ms"] > 0
    assert (row["difference"], row["verdict"]) == (0.0, "0.001: within")
    assert networks_of(run, clinic)["tiny"]["executed"].startswith("ran here on ")
    assert "tiny" in run("engines", "bench", "--model", "tiny", "--config", clinic).out


def networks_of(run, config: Path) -> dict[str, dict[str, object]]:
    checks = json.loads(run("doctor", "--config", config, "--json").out)["checks"]
    return next(check["detail"] for check in checks if check["key"] == "networks")
