"""Calibrated intervals: what they hold on drawn patients, whose calibration is used, and the file that ships."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.errors import ModelError
from appliance.prediction.uncertainty import (
    Calibration,
    load_calibration,
    metric_intervals,
    regions_of,
    sureness,
)
from engines.dose_interval import LEVELS, REGIONS, RegionTable
from engines.errors import EngineError

MODELS = Path(__file__).parents[2] / "models" / "dose"
SHIPPED = MODELS / "calibration.json"
SPACING, UNIT = (3.0, 4.0, 4.0), 70.0
SHAPE = (6, 8, 10)


def calibration(passes: str = "pair", *, spread: bool = True) -> Calibration:
    """Factors 2 and 4 whatever the scale, in targets 1 and 3; metrics 1.5 and 2.5."""
    tables = {
        name: RegionTable(np.array([0.0]), np.array([[1.0], [3.0]] if name == "target" else [[2.0], [4.0]]))
        for name in REGIONS
    }
    metrics = {
        "organ": {"mean": (1.5, 2.5), "D_0.1_cc": (1.5, 2.5)},
        "highest": dict.fromkeys(("D_99", "D_95", "D_1"), (1.5, 2.5)),
    }
    return Calibration("0" * 64, 40, passes, spread, tables, metrics, {})  # type: ignore[arg-type]


def masks() -> tuple[np.ndarray, dict[str, np.ndarray], list[np.ndarray]]:
    possible, organ, target = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    possible[1:5, 1:7, 1:9] = True
    organ[2:4, 2:4, 2:6] = True
    target[2:4, 3:6, 4:8] = True
    return possible, {"SpinalCord": organ}, [target]


def test_a_voxel_in_a_target_is_of_the_target_whatever_else_it_is_in() -> None:
    possible, organs, targets = masks()
    regions = regions_of(possible, organs, targets)
    assert (regions[targets[0]] == REGIONS.index("target")).all()
    assert (regions[organs["SpinalCord"] & ~targets[0]] == REGIONS.index("organ")).all()
    assert (regions[~possible] == len(REGIONS)).all()


def test_half_widths_by_hand() -> None:
    """Spread 0.7 Gy of 70 and members 0.7 Gy from their mean: a scale of 0.01 twice in squares, and the least 0.004."""
    possible, organs, targets = masks()
    members = np.stack([np.full(SHAPE, 30.7), np.full(SHAPE, 29.3)]).astype(np.float32)
    spreads = np.full((2, *SHAPE), 0.7, np.float32)
    regions = regions_of(possible, organs, targets)
    dose, sure = sureness(calibration(), members, spreads, regions=regions, spacing_mm=SPACING, unit_gy=UNIT)
    scale = UNIT * np.sqrt(2 * 0.01**2 + 0.004**2)
    assert dose == pytest.approx(np.full(SHAPE, 30.0))
    assert sure.half_80_gy[targets[0]] == pytest.approx(scale)
    assert sure.half_95_gy[targets[0]] == pytest.approx(3 * scale)
    assert sure.half_80_gy[regions == REGIONS.index("other")] == pytest.approx(2 * scale)
    assert (sure.half_80_gy[~possible] == 0).all()
    assert (sure.half_95_gy[~possible] == 0).all()


def test_twice_the_prescription_is_twice_the_dose_and_its_half_widths() -> None:
    possible, organs, targets = masks()
    random = np.random.default_rng(3)
    members = (30 + random.random((2, *SHAPE))).astype(np.float32)
    spreads = random.random((2, *SHAPE)).astype(np.float32)
    regions = regions_of(possible, organs, targets)
    told = [
        sureness(
            calibration(), times * members, times * spreads, regions=regions, spacing_mm=SPACING, unit_gy=times * 35
        )
        for times in (np.float32(1), np.float32(2))
    ]
    assert told[1][1].half_95_gy == pytest.approx(2 * told[0][1].half_95_gy, rel=1e-5)


def test_metrics_have_their_own_factors() -> None:
    possible, organs, targets = masks()
    dose = np.random.default_rng(4).random(SHAPE).astype(np.float32) * 60
    spreads = np.full((2, *SHAPE), 1.4, np.float32)
    known = calibration()
    regions = regions_of(possible, {}, targets)
    dose, sure = sureness(known, np.stack([dose, dose]), spreads, regions=regions, spacing_mm=SPACING, unit_gy=UNIT)
    told = metric_intervals(known, dose, sure, mask=targets[0], kind="highest", voxel_cc=0.048)
    assert told["D_95"].value_gy == pytest.approx(np.percentile(dose[targets[0]], 5))
    assert told["D_95"].half_80_gy == pytest.approx(1.5 * sure.half_80_gy[targets[0]].mean(), rel=1e-5)
    organ = metric_intervals(known, dose, sure, mask=organs["SpinalCord"], kind="organ", voxel_cc=0.048)
    assert set(organ) == {"mean", "D_0.1_cc"}
    with pytest.raises(EngineError):
        metric_intervals(known, dose, sure, mask=np.zeros(SHAPE, bool), kind="organ", voxel_cc=0.048)


@pytest.mark.parametrize(("passes", "spread", "members", "told"), [
    ("pair", True, 1, True), ("plain", True, 2, True), ("pair", True, 2, False), ("pair", False, 2, True),
])  # fmt: skip
def test_a_calibration_of_another_way_of_asking_is_refused(passes: str, spread: bool, members: int, told: bool) -> None:
    dose = np.ones((members, *SHAPE), np.float32)
    regions = np.zeros(SHAPE, np.uint8)
    with pytest.raises(ModelError, match="passes"):
        sureness(
            calibration(passes, spread=spread), dose, dose if told else None,
            regions=regions, spacing_mm=SPACING, unit_gy=UNIT,
        )  # fmt: skip


# ---- the file ------------------------------------------------------------------------------------------------------


def shipped() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(SHIPPED.read_text("utf-8"))
    return told


@pytest.mark.parametrize("passes", ["pair", "plain"])
def test_the_calibration_that_ships_belongs_to_the_network_that_ships(passes: Any) -> None:
    digest = hashlib.sha256((MODELS / "dose.onnx").read_bytes()).hexdigest()
    known = load_calibration(SHIPPED, digest, passes)
    assert known.patients >= 19
    for table in known.regions.values():
        assert bool((np.diff(table.centres) > 0).all())
        assert bool((table.factors[1] > table.factors[0]).all())


@pytest.mark.parametrize("passes", ["pair", "plain"])
def test_held_out_patients_were_covered_as_promised(passes: str) -> None:
    """Voxels within 3 points of what is promised; metrics, each of some 40 patients, not 10 points less."""
    coverage = shipped()["passes"][passes]["coverage"]
    assert coverage["voxels"]["covered"] == pytest.approx(LEVELS, abs=0.03)
    for name, found in coverage.items():
        if name.endswith((" organs", " targets")):
            assert all(share > level - 0.1 for share, level in zip(found["covered"], LEVELS, strict=True)), name


def test_the_file_names_no_patient() -> None:
    assert "pt_" not in json.dumps(shipped()["passes"])


@pytest.mark.parametrize("spoil", [{"format": "x"}, {"levels": [0.5]}, {"passes": {}}, {"network_sha256": "1" * 64}])
def test_a_calibration_of_something_else_is_refused(spoil: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(shipped() | spoil), "utf-8")
    with pytest.raises(ModelError, match="calibra"):
        load_calibration(path, shipped()["network_sha256"])


def test_a_missing_calibration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_calibration(tmp_path / "none.json", "0" * 64)
