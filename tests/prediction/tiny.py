"""A dose network of one convolution, really run by the runtime, with registry, calibration and a patient for it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from appliance.contracts import Case, GoalSet, Identity, Image, PrescribedTarget, SourceObject, Structure, StructureKind
from appliance.evaluation import goal_set_for_site
from appliance.prediction import Predictor
from appliance.prediction.dvh_band import BAND_FILE
from engines.dose_features import Layout
from engines.grid import Grid, VoxelSet
from engines.runtime import Backend, RuntimeOptions
from engines.runtime.registry import load_registry
from tests.prediction.anatomies import RANGE, SHAPE, Neck

GRID = Grid((-190.0, -126.0, -94.5), (4.0, 4.0, 3.0), SHAPE)
NAMES = Layout().channels
NAME_OF_LEVEL = {70.0: "PTV_7000", 56.0: "PTV_5600"}

ENTRY = """
format = "couchside-models-1"

[[model]]
name = "dose"
title = "One convolution, for tests"
file = "dose.onnx"
sha256 = "{sha256}"
licence = "Apache-2.0"
source = "made by tests/prediction/tiny.py"
trained_for = "nothing"
precision = {{ fp32 = 1e-4 }}

[[model.input]]
name = "features"
meaning = "channels of anatomy"
unit = "each its own"
axes = ["one", "channel", "inferior", "posterior", "left"]

[[model.output]]
name = "dose"
meaning = "dose"
unit = "highest prescription"
axes = ["one", "one", "inferior", "posterior", "left"]
"""


def onnx_bytes(weights: dict[str, Sequence[float]], *, logarithm: bool = False) -> bytes:
    """dose = the sum of channels by name, each convolved along left with its weights. logarithm: of that, which is no
    number where the sum is negative."""
    import onnx

    helper, numpy_helper, kind = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
    size = max(len(row) for row in weights.values())
    kernel = np.zeros((1, len(NAMES), 1, 1, size), np.float32)
    for name, row in weights.items():
        kernel[0, NAMES.index(name), 0, 0] = row
    pads = [0, 0, size // 2, 0, 0, size // 2]
    nodes = [helper.make_node("Conv", ["features", "kernel"], ["sum" if logarithm else "dose"], pads=pads)]
    if logarithm:
        nodes.append(helper.make_node("Log", ["sum"], ["dose"]))
    sides = ["inferior", "posterior", "left"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("features", kind, [1, len(NAMES), *sides])],
        [helper.make_tensor_value_info("dose", kind, [1, 1, *sides])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def predictor(folder: Path, model: bytes) -> Predictor:
    """With a registry of this file alone, and a calibration of it: half-widths are the scale, twice that at 95 %."""
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = hashlib.sha256(model).hexdigest()
    (folder / "dose.onnx").write_bytes(model)
    (folder / "registry.toml").write_text(ENTRY.format(sha256=sha256))
    shutil.copy(RANGE, folder / "range.json")
    table = {"centres": [-5.0], "factors": [[1.0], [2.0]]}
    part = {"regions": dict.fromkeys(("target", "organ", "other"), table), "metrics": {}, "bands": {}, "coverage": {}}
    told = {"format": "couchside-dose-calibration-1", "levels": [0.8, 0.95], "network_sha256": sha256, "patients": 1}
    told |= {"spread": False, "passes": {"pair": part}}
    (folder / "calibration.json").write_text(json.dumps(told))
    band = json.loads(BAND_FILE.read_text("utf-8"))
    (folder / "band.json").write_text(json.dumps(band | {"network_sha256": sha256}))
    options = RuntimeOptions(backends=(Backend.ONNX_CPU,), threads=1)
    return Predictor(options, load_registry(folder / "registry.toml"), folder)


def case_of(neck: Neck) -> Case:
    """The made-up neck as a case on its own grid, 4 x 4 x 3 mm, which is also the network's."""
    kinds = StructureKind
    masks = [("External", kinds.EXTERNAL, neck.possible)]
    masks += [(NAME_OF_LEVEL[gy], kinds.TARGET, mask) for gy, mask in neck.targets]
    masks += [(name, kinds.ORGAN, mask) for name, mask in neck.organs.items()]
    structures = tuple(
        Structure(number, name, name, kind, (), VoxelSet.from_dense(mask.astype(np.float32)))
        for number, (name, kind, mask) in enumerate(masks, start=1)
    )
    nobody = Identity("T-1", "Test", "", "", "2.25.1", "", "", "")
    source = SourceObject("1.2", "2.25.2", "2.25.3", "RTSTRUCT", Path("RS.dcm"), "0" * 64)
    prescribed = tuple(PrescribedTarget(NAME_OF_LEVEL[gy], gy) for gy, _ in neck.targets)
    image = Image(GRID, neck.ct.astype(np.int16))
    return Case("digest", nobody, "2.25.4", "HFS", image, structures, prescribed, 35, (), source)


def goals() -> GoalSet:
    return goal_set_for_site("openkbp")
