"""Bands of a case's structures, and a calibration that is refused where it is none."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from appliance.contracts import Case, Identity, Image, PrescribedTarget, SourceObject, Structure, StructureKind
from appliance.errors import ModelError
from appliance.prediction.dvh_band import (
    BAND_FILE,
    BandCalibration,
    load_band_calibration,
    predicted_bands,
)
from engines.dvh_band import VOLUMES_PERCENT, BandFactors
from engines.errors import EngineError
from engines.grid import Grid, VoxelSet

GRID = Grid((0.0, 0.0, 0.0), (3.0, 3.0, 3.0), (8, 8, 8))
LINE = BandFactors(0.0, 0.0, 0.0, 0.0)
KNOWN = BandCalibration(
    {"highest": LINE, "lower": BandFactors(-0.5, 0.0, 0.5, 0.0), "organ": BandFactors(-1.0, 0.0, 0.5, 0.0)}, 0.8
)
EMPTY = VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32))


def block(low: int, high: int) -> VoxelSet:
    dense = np.zeros(GRID.shape, np.float32)
    dense[low:high, 2:6, 2:6] = 1
    return VoxelSet.from_dense(dense)


def case() -> Case:
    structures = (
        Structure(1, "Body", "External", StructureKind.EXTERNAL, (), block(0, 8)),
        Structure(2, "Parotid_L", "Parotid_L", StructureKind.ORGAN, (), block(0, 3)),
        Structure(3, "PTV", "PTV", StructureKind.TARGET, (), block(4, 6)),
        Structure(6, "PTV_Low", "PTV_Low", StructureKind.TARGET, (), block(6, 7)),
        Structure(7, "GTV", "GTV", StructureKind.TARGET, (), block(4, 5)),
        Structure(4, "Larynx", "Larynx", StructureKind.ORGAN, (), EMPTY),
        Structure(5, "Couch", "Couch", StructureKind.SUPPORT, (), block(7, 8)),
    )
    source = SourceObject("1.2", "1.2.3", "1.2.4", "RTSTRUCT", Path("rs.dcm"), "0" * 64)
    return Case(
        digest="c" * 64, identity=Identity("id", "name", "", "", "1.2.6"), frame_of_reference_uid="1.2.5",
        patient_position="HFS", image=Image(GRID, np.zeros(GRID.shape, np.int16)), structures=structures,
        prescription=(PrescribedTarget("PTV", 70.0), PrescribedTarget("PTV_Low", 56.0)), fractions=35, images=(),
        structure_set=source,
    )  # fmt: skip


def test_organs_and_targets_with_a_volume_have_a_band_and_nothing_else() -> None:
    dose, half = np.full(GRID.shape, 20, np.float32), np.full(GRID.shape, 4, np.float32)
    bands = predicted_bands(case(), dose, half, KNOWN)
    assert [one.structure for one in bands] == ["Parotid_L", "PTV", "PTV_Low", "GTV"]
    organ, target, lower, unprescribed = bands
    assert organ.volume_percent[0] == VOLUMES_PERCENT[-1] and (np.diff(organ.volume_percent) < 0).all()
    for curve, gy in (
        (organ.low_gy, 16),
        (organ.dose_gy, 20),
        (organ.high_gy, 22),
        (target.high_gy, 20),
        (lower.high_gy, 22),
    ):
        np.testing.assert_allclose(curve, gy, atol=0.05)
    np.testing.assert_array_equal(unprescribed.low_gy, lower.low_gy)


def test_another_grid_is_refused() -> None:
    with pytest.raises(EngineError, match="grid"):
        predicted_bands(case(), np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32), KNOWN)


def test_the_shipped_calibration_is_of_numbers_only_and_covered_patients_left_out() -> None:
    found = load_band_calibration()
    assert found.level == 0.8
    told = json.loads(BAND_FILE.read_text("utf-8"))
    for name, factors in found.factors.items():
        assert factors.low < factors.middle < factors.high
        assert factors.high - factors.low < 2 * 1.28, "narrower than all voxels wrong together"
        assert 0.75 <= told["classes"][name]["left_out"]["share"] <= 0.9
    assert "pt_" not in BAND_FILE.read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "other"}, "format"),
        ({"classes": {}}, "highest"),
        ({"level": None}, "type"),
        ({"classes": {"highest": {"low": 1, "middle": 0, "high": -1, "local": 0}, "lower": {}}}, "missing"),
    ],
)
def test_a_calibration_that_is_none_is_refused(tmp_path: Path, change: dict, says: str) -> None:
    path = tmp_path / "band.json"
    path.write_text(json.dumps(json.loads(BAND_FILE.read_text("utf-8")) | change), "utf-8")
    with pytest.raises(ModelError, match=says):
        load_band_calibration(path)


def test_a_calibration_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_band_calibration(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{", "utf-8")
    with pytest.raises(ModelError, match="not usable"):
        load_band_calibration(tmp_path / "broken.json")


def test_the_shipped_calibration_is_of_the_network_that_ships() -> None:
    network = BAND_FILE.with_name("dose.onnx").read_bytes()
    assert json.loads(BAND_FILE.read_text("utf-8"))["network_sha256"] == hashlib.sha256(network).hexdigest()
