"""A patient with two glands of known values, and a network that tells them apart by value."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.contracts import Case, Image, Structure, StructureKind
from appliance.evaluation.image_context import SegmentationNetwork, load_network
from engines.grid import Grid, VoxelSet
from tests.engines.segmentation.networks import thresholds

GRID = Grid((-59.0, -49.0, -28.5), (2.0, 2.0, 3.0), (20, 50, 60))
LEFT = (slice(6, 14), slice(20, 30), slice(40, 50))
RIGHT = (slice(6, 14), slice(20, 30), slice(10, 20))
BODY = (slice(0, 20), slice(4, 46), slice(4, 56))
NAMES = ("Parotid_L", "Parotid_R", "SpinalCord")

FILE = """
format = "couchside-segmentation-1"
name = "tiny"
title = "A tiny network"
model = "tiny.onnx"
sha256 = "{sha256}"
source = "built by this test"
licence = "none"
trained_on = "nothing"

[input]
layout = "NCDHW"
orientation = "SPL"
modality = "CT"
spacing_mm = [3.0, 2.0, 2.0]
patch = [16, 16, 16]
image_spacing_mm = [1.0, 5.0]

[intensity]
scheme = "ct"
percentile_00_5 = -1000.0
percentile_99_5 = 1000.0
mean = 0.0
std = 100.0

[output]
kind = "softmax"
values = "logits"

[[label]]
channel = 1
name = "Parotid_L"

[[label]]
channel = 2
name = "Parotid_R"

[[label]]
channel = 3
name = "SpinalCord"
partial = true
"""
MODEL = thresholds(1.0, 2.0, 2.8)
"""Scores v - 1, 2 (v - 2), 3 (v - 2.8) with v the HU over 100: left where v is from 1 to 3, right from 3 to 4.4, cord
above."""
HU = {"Parotid_L": 200, "Parotid_R": 400, "SpinalCord": 700}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the network and its file, changed by `replacing` (old, new)."""

    def made(*replacing: tuple[str, str], model: bytes = MODEL) -> Path:
        (tmp_path / "tiny.onnx").write_bytes(model)
        text = FILE.format(sha256=hashlib.sha256(model).hexdigest())
        for old, new in replacing:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "tiny.toml"
        path.write_text(text, "utf-8")
        return path

    return made


@pytest.fixture
def network(write: Callable[..., Path]) -> SegmentationNetwork:
    return load_network(write(), NAMES)


@pytest.fixture
def patient(make_case: Callable[..., Case]) -> Callable[..., Case]:
    """Two glands in the image; contours as named: name -> block (z, y, x)."""

    def made(**drawn: tuple[slice, slice, slice]) -> Case:
        hu = np.full(GRID.shape, -1000, np.int16)
        hu[BODY] = 0
        hu[LEFT] = HU["Parotid_L"]
        hu[RIGHT] = HU["Parotid_R"]
        structures = [structure(1, "External", StructureKind.EXTERNAL, BODY)]
        for number, (name, block) in enumerate(drawn.items(), 2):
            structures.append(structure(number, name, StructureKind.ORGAN, block))
        return replace(make_case(), image=Image(GRID, hu), structures=tuple(structures))

    return made


def structure(number: int, name: str, kind: StructureKind, block: tuple[slice, slice, slice]) -> Structure:
    dense = np.zeros(GRID.shape, np.float32)
    dense[block] = 1
    return Structure(number, name, name, kind, (), VoxelSet.from_dense(dense))
