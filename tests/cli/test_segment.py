"""`couchside segment` on a small case with a network built here."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.engines.segmentation.networks import thresholds
from tests.session.small_case import write_small_case

FILE = """
format = "couchside-segmentation-1"
name = "water"
title = "All that is water"
model = "water.onnx"
sha256 = "{sha256}"
source = "built by this test"
licence = "none"
trained_on = "nothing"

[input]
layout = "NCDHW"
orientation = "RAS"
modality = "CT"
spacing_mm = [5.0, 5.0, 5.0]
patch = [16, 16, 16]
image_spacing_mm = [1.0, 6.0]

[intensity]
scheme = "none"

[output]
kind = "softmax"
values = "logits"

[[label]]
channel = 1
name = "Core"
"""


@pytest.fixture
def network(tmp_path: Path) -> Path:
    model = thresholds(-500.0)
    (tmp_path / "water.onnx").write_bytes(model)
    path = tmp_path / "water.toml"
    path.write_text(FILE.format(sha256=hashlib.sha256(model).hexdigest()), "utf-8")
    return path


def test_what_is_seen_is_compared_with_the_contours_and_written(run, tmp_path, network):
    """A cylinder of water of 80 mm radius and 60 mm length holds 1206 cc; the core's contours are far smaller."""
    case = write_small_case(tmp_path / "case")
    out = tmp_path / "seen.json"
    ran = run("segment", case.folder, "--network", network, "--out", out, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document == json.loads(out.read_text("utf-8"))
    core = document["organs"][0]
    assert core["structure"] == "Core" and core["segmented_cc"] == pytest.approx(1206, rel=0.03)
    assert 0 < core["contoured_cc"] < 200 and core["dice"] < 0.3
    told = run("segment", case.folder, "--network", network)
    assert told.code == 0 and "Core Dice 0." in told.out


def test_a_network_that_was_altered_is_refused(run, tmp_path, network):
    (tmp_path / "water.onnx").write_bytes(b"something else")
    ran = run("segment", write_small_case(tmp_path / "case").folder, "--network", network)
    assert ran.code == 6 and "SHA-256 differs" in ran.err
